//! A link between two namespaces that does to packets what it is told: a TUN device at each end, and a thread that
//! carries packets from one to the other.
//!
//! What is wrong with it can be changed at any time, for each direction apart. The thread ends with the link.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use super::NetlabError;
use super::impairment::{Counts, Impairment, Line};
use super::namespace::Namespace;
use super::tun::Tun;
use super::veth::{End, Subnet};

/// Readiness of both devices and the waker.
const EVENTS: usize = 4;
const WAKER: Token = Token(2);

/// A link. Dropping it takes both devices away.
#[derive(Debug)]
pub struct Link {
    shared: Arc<Mutex<Shared>>,
    waker: Waker,
    carrier: Option<JoinHandle<()>>,
}

/// What the link's owner tells the carrier, and what it tells in turn. The two directions are named by the end that they
/// lead to: near, far.
#[derive(Debug, Default)]
struct Shared {
    impairments: [Impairment; 2],
    counts: [Counts; 2],
    is_over: bool,
}

impl Link {
    /// Joins two namespaces, at first by a link that does no harm. `mtu` is that of the devices; below 1280 they have no
    /// IPv6. What chance decides later comes from `seed`.
    ///
    /// # Errors
    /// When the devices cannot be made.
    pub fn join(
        near: &Namespace,
        far: &Namespace,
        subnet: Subnet,
        mtu: usize,
        seed: u64,
    ) -> Result<Self, NetlabError> {
        let tuns = [
            Tun::create(near, subnet, End::Near, mtu)?,
            Tun::create(far, subnet, End::Far, mtu)?,
        ];
        let shared = Arc::new(Mutex::new(Shared::default()));
        let carrier = Carrier::new(tuns, seed, Arc::clone(&shared));
        let (carrier, waker) = carrier.map_err(NetlabError::io("to wait for packets"))?;
        Ok(Self {
            shared,
            waker,
            carrier: Some(thread::spawn(|| carrier.carry())),
        })
    }

    /// From now on this is wrong with the direction that leads to `end`.
    pub fn impair_towards(&self, end: End, impairment: Impairment) {
        let [near, far] = &mut lock(&self.shared).impairments;
        *pick(end, near, far) = impairment;
    }

    /// From now on this is wrong with both directions.
    pub fn impair(&self, impairment: Impairment) {
        lock(&self.shared).impairments = [impairment; 2];
    }

    /// What has become of the packets that were sent towards `end`.
    pub fn counts_towards(&self, end: End) -> Counts {
        let [near, far] = lock(&self.shared).counts;
        pick(end, near, far)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        lock(&self.shared).is_over = true;
        // A carrier that cannot be woken ends with the process.
        if let (Ok(()), Some(carrier)) = (self.waker.wake(), self.carrier.take()) {
            let _ = carrier.join();
        }
    }
}

/// Carries packets between the devices on a thread of its own.
struct Carrier {
    poll: Poll,
    tuns: [Tun; 2],
    /// Towards near, towards far.
    lines: [Line; 2],
    shared: Arc<Mutex<Shared>>,
}

impl Carrier {
    fn new(tuns: [Tun; 2], seed: u64, shared: Arc<Mutex<Shared>>) -> io::Result<(Self, Waker)> {
        let poll = Poll::new()?;
        for (index, tun) in tuns.iter().enumerate() {
            let mut source = SourceFd(&tun.descriptor());
            poll.registry()
                .register(&mut source, Token(index), Interest::READABLE)?;
        }
        let waker = Waker::new(poll.registry(), WAKER)?;
        let lines = [Line::new(seed), Line::new(seed.wrapping_add(1))];
        let carrier = Self {
            poll,
            tuns,
            lines,
            shared,
        };
        Ok((carrier, waker))
    }

    fn carry(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            // Nothing but an interruption can end the wait early, and then looking around does no harm.
            let _ = self.poll.poll(&mut events, self.time_to_next());
            if lock(&self.shared).is_over {
                return;
            }
            self.take_sent();
            self.deliver_due();
        }
    }

    fn time_to_next(&self) -> Option<Duration> {
        let due = self.lines.iter().filter_map(Line::next_due).min()?;
        Some(due.saturating_duration_since(Instant::now()))
    }

    /// Takes what each end has sent, until both have nothing more: readiness is told once.
    fn take_sent(&mut self) {
        let [from_near, from_far] = &mut self.tuns;
        let [to_near, to_far] = &mut self.lines;
        let mut shared = lock(&self.shared);
        let [near, far] = shared.impairments;
        for (tun, line, impairment) in [(from_near, to_far, far), (from_far, to_near, near)] {
            while let Some(packet) = tun.receive() {
                line.take(packet, Instant::now(), &impairment);
            }
        }
        let [to_near, to_far] = &self.lines;
        shared.counts = [to_near.counts(), to_far.counts()];
    }

    fn deliver_due(&mut self) {
        let now = Instant::now();
        for (line, tun) in self.lines.iter_mut().zip(&mut self.tuns) {
            while let Some(packet) = line.pop(now) {
                // What the namespace does not take is lost, as everywhere.
                let _ = tun.deliver(&packet);
            }
        }
    }
}

fn pick<T>(end: End, near: T, far: T) -> T {
    match end {
        End::Near => near,
        End::Far => far,
    }
}

/// A carrier that panicked has failed its test already.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::lab;
    use super::super::veth::ETHERNET_MTU;
    use super::*;
    use std::net::{IpAddr, UdpSocket};

    const SUBNET: Subnet = Subnet(3);
    /// Longer than any packet takes here.
    const SILENCE: Duration = Duration::from_millis(300);

    struct Road {
        link: Link,
        sender: UdpSocket,
        receiver: UdpSocket,
        _ends: [Namespace; 2],
    }

    fn road(family: fn(Subnet, End) -> IpAddr, mtu: usize) -> Road {
        let ends = [Namespace::new().unwrap(), Namespace::new().unwrap()];
        let [near, far] = &ends;
        let link = Link::join(near, far, SUBNET, mtu, 11).unwrap();
        let bind = |end| move || UdpSocket::bind((family(SUBNET, end), 0)).unwrap();
        let (sender, receiver) = (near.run(bind(End::Near)), far.run(bind(End::Far)));
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        receiver.set_read_timeout(Some(SILENCE)).unwrap();
        Road {
            link,
            sender,
            receiver,
            _ends: ends,
        }
    }

    impl Road {
        /// Sends numbered datagrams in bursts that the receiver's buffer holds; what arrives, in order.
        fn carry(&self, datagrams: u32) -> Vec<u32> {
            let mut arrived = Vec::new();
            for burst in 0..datagrams / 100 {
                for number in burst * 100..burst * 100 + 100 {
                    self.sender.send(&number.to_be_bytes()).unwrap();
                }
                let mut datagram = [0; 4];
                while self.receiver.recv(&mut datagram).is_ok() {
                    arrived.push(u32::from_be_bytes(datagram));
                }
            }
            arrived
        }
    }

    #[test]
    fn a_good_link_carries_both_families_in_order() {
        lab::within(
            "netlab::link::tests::a_good_link_carries_both_families_in_order",
            || {
                for family in [Subnet::v4, Subnet::v6] {
                    let road = road(family, ETHERNET_MTU);
                    assert!(road.carry(300).into_iter().eq(0..300));
                }
            },
        );
    }

    #[test]
    fn a_bad_link_loses_repeats_and_reorders_in_its_shares() {
        lab::within(
            "netlab::link::tests::a_bad_link_loses_repeats_and_reorders_in_its_shares",
            || {
                let road = road(Subnet::v4, ETHERNET_MTU);
                let (loss, duplicate, reorder) = (0.1, 0.1, 0.1);
                let bad = Impairment {
                    loss,
                    duplicate,
                    reorder,
                    ..Impairment::default()
                };
                road.link.impair_towards(End::Far, bad);
                let arrived = road.carry(1000);
                let counts = road.link.counts_towards(End::Far);
                for share in [counts.lost, counts.repeated, counts.held_back] {
                    assert!((60..150).contains(&share), "{counts:?}");
                }
                assert!(!arrived.is_sorted());
                let mut unique = arrived;
                unique.sort_unstable();
                unique.dedup();
                assert!((850..=940).contains(&unique.len()), "{}", unique.len());
            },
        );
    }

    #[test]
    fn a_cut_link_carries_nothing_until_it_is_mended() {
        lab::within(
            "netlab::link::tests::a_cut_link_carries_nothing_until_it_is_mended",
            || {
                let road = road(Subnet::v6, ETHERNET_MTU);
                let cut = Impairment {
                    is_cut: true,
                    ..Impairment::default()
                };
                road.link.impair(cut);
                assert!(road.carry(100).is_empty());
                road.link.impair(Impairment::default());
                assert_eq!(road.carry(100).len(), 100);
            },
        );
    }

    #[test]
    fn a_narrow_link_carries_long_datagrams_in_fragments() {
        lab::within(
            "netlab::link::tests::a_narrow_link_carries_long_datagrams_in_fragments",
            || {
                let road = road(Subnet::v4, 1200);
                road.sender.send(&[7; 4000]).unwrap();
                assert_eq!(road.receiver.recv(&mut [0; 8000]).unwrap(), 4000);
                let narrower = Impairment {
                    mtu: 1100,
                    ..Impairment::default()
                };
                road.link.impair(narrower);
                road.sender.send(&[7; 1150]).unwrap();
                assert!(road.receiver.recv(&mut [0; 8000]).is_err());
            },
        );
    }
}
