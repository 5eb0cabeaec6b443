//! Multicast: each track of a stream has a group of its own, to which one task sends for everybody who listens.
//!
//! A group begins with the first reader that is told of it and ends with the last. It is one per stream, shard and
//! interface; readers gather on the shard of the path's owner, where connections can move.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::{Rc, Weak};
use std::sync::{Arc, Mutex, PoisonError};

use shardcast_config::MulticastRange;
use shardcast_platform::{UdpSocket, sleep};
use shardcast_runtime::local::Notify;

use super::{Described, Shard};
use crate::egress::{Begin, DatagramQueue, Fill, GOODBYE_AFTER, goodbye_runs};
use crate::fanout::{
    Cursor, DatagramRun, DatagramSeat, ReaderSeat, SharedLog, SlowReaderPolicy, Start,
};
use crate::latency::PathLatency;
use crate::path::{PathEntry, PathId, PathName};
use crate::stream::{Generation, TrackBase};
use crate::supervise::STAGE_DATAGRAMS;

/// The addresses of `multicastIPRange` that streams have. One for the process, asked when a group begins or ends.
#[derive(Debug)]
pub struct MulticastAddresses {
    range: MulticastRange,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Bounded by the range.
    numbers: HashSet<u32>,
    next: u32,
}

/// One address, until it is dropped.
#[derive(Debug)]
pub struct MulticastLease {
    addresses: Arc<MulticastAddresses>,
    number: u32,
}

impl MulticastAddresses {
    /// All of `range` is free.
    #[must_use]
    pub fn new(range: MulticastRange) -> Arc<Self> {
        let taken = Mutex::default();
        Arc::new(Self { range, taken })
    }

    /// An address that no stream has; none when all are taken. Those that were given back last come last: late packets of
    /// another stream are gone by then.
    #[must_use]
    pub fn lease(self: &Arc<Self>) -> Option<MulticastLease> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.range.count;
        if taken.numbers.len() as u64 >= u64::from(count) {
            return None;
        }
        let mut number = taken.next;
        while !taken.numbers.insert(number) {
            number = (number + 1) % count;
        }
        taken.next = (number + 1) % count;
        let addresses = self.clone();
        Some(MulticastLease { addresses, number })
    }
}

impl MulticastLease {
    /// The address.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.addresses.range.first).wrapping_add(self.number))
    }
}

impl Drop for MulticastLease {
    fn drop(&mut self) {
        let taken = self.addresses.taken.lock();
        taken
            .unwrap_or_else(PoisonError::into_inner)
            .numbers
            .remove(&self.number);
    }
}

/// Which group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct GroupKey {
    path: PathId,
    generation: Generation,
    interface: IpAddr,
}

/// The groups of a shard. Bounded by the readers that were told of them.
#[derive(Debug, Default)]
pub struct MulticastGroups(RefCell<HashMap<GroupKey, Weak<MulticastGroup>>>);

/// The groups of one stream's tracks. Their sender stops when this is dropped.
#[derive(Debug)]
pub struct MulticastGroup {
    leases: Vec<MulticastLease>,
    socket: Rc<UdpSocket>,
    feed: RefCell<Option<Feed>>,
}

/// A group's sender, as far as it has to be stopped.
#[derive(Debug)]
struct Feed {
    log: Rc<SharedLog>,
    seat: Rc<ReaderSeat>,
    is_stopped: Rc<Cell<bool>>,
    _datagrams: DatagramSeat,
}

/// What the sender needs.
struct Sender {
    shard: Rc<Shard>,
    path: PathName,
    socket: Rc<UdpSocket>,
    log: Rc<SharedLog>,
    seat: Rc<ReaderSeat>,
    is_stopped: Rc<Cell<bool>>,
    queue: DatagramQueue,
    /// RTP and RTCP of each track.
    tracks: Vec<(SocketAddr, SocketAddr)>,
    begin: Arc<[TrackBase]>,
    latency: Rc<PathLatency>,
    turn: Rc<Notify>,
}

impl MulticastGroup {
    /// The group's address of this track.
    #[must_use]
    pub fn address(&self, track: usize) -> Option<Ipv4Addr> {
        self.leases.get(track).map(MulticastLease::address)
    }

    /// Sends the stream from here on, if nobody does yet.
    pub fn start(
        &self,
        shard: &Rc<Shard>,
        path: &PathName,
        log: &Rc<SharedLog>,
        described: &Described,
        policy: SlowReaderPolicy,
    ) {
        let mut feed = self.feed.borrow_mut();
        if feed.is_some() {
            return;
        }
        let config = shard.server.config.load();
        let rtsp = &config.rtsp;
        let ports = (rtsp.multicast_rtp_port, rtsp.multicast_rtcp_port);
        let at = |lease: &MulticastLease| {
            let address = lease.address();
            ((address, ports.0).into(), (address, ports.1).into())
        };
        let datagrams = log.join_datagrams(rtsp.udp_payload_bytes_max);
        let (seat, is_stopped) = (log.seat(), Rc::new(Cell::new(false)));
        let cursor = Cursor::new(
            &log.log.borrow(),
            Start::KeyFrame,
            policy,
            shardcast_platform::now(),
        );
        let begin = Begin::new(described.begin.clone(), None);
        let all_tracks = self.leases.iter().map(|_| true);
        let sender = Sender {
            shard: shard.clone(),
            path: path.clone(),
            socket: self.socket.clone(),
            log: log.clone(),
            seat: seat.clone(),
            is_stopped: is_stopped.clone(),
            queue: DatagramQueue::new(cursor, all_tracks, begin),
            tracks: self.leases.iter().map(at).collect(),
            begin: described.begin.clone(),
            latency: shard.latencies.of(path, shardcast_platform::now()),
            turn: Rc::default(),
        };
        *feed = Some(Feed {
            log: log.clone(),
            seat,
            is_stopped,
            _datagrams: datagrams,
        });
        shard.spawn_stage(STAGE_DATAGRAMS, |_| sender.run());
    }
}

impl Drop for Feed {
    /// The seat is left at once: the last reader's end must find nobody else there.
    fn drop(&mut self) {
        self.is_stopped.set(true);
        self.seat.wake.notify();
        self.log.leave(&self.seat);
    }
}

impl Sender {
    async fn run(mut self) {
        while !self.is_stopped.get() {
            match self.fill() {
                Fill::Ready => self.send_burst().await,
                Fill::Empty => self.seat.wake.notified().await,
                Fill::Ended(_) | Fill::TooSlow(_) => {
                    sleep(GOODBYE_AFTER).await;
                    return self.send_goodbye();
                }
            }
        }
    }

    fn fill(&mut self) -> Fill {
        let log = self.log.log.borrow();
        let fill = self.queue.fill(&log, shardcast_platform::now());
        self.shard.note_oversized(&self.path, &log);
        fill
    }

    async fn send_burst(&mut self) {
        let (socket, tracks) = (&self.socket, &self.tracks);
        let send = |run: &DatagramRun| send(socket, tracks, run).unwrap_or(run.bytes.len());
        let (_, cargo) = self.queue.send_burst(send);
        if !cargo.is_empty() {
            cargo.record(&self.latency, shardcast_platform::now(), 1);
        }
        if self.queue.has_runs() {
            self.shard.bursts.wait(&self.turn).await;
        }
    }

    fn send_goodbye(&self) {
        for run in goodbye_runs(&self.begin) {
            let _may_be_lost = send(&self.socket, &self.tracks, &run);
        }
    }
}

/// Sends what the socket takes of a run to its track's group.
fn send(
    socket: &UdpSocket,
    tracks: &[(SocketAddr, SocketAddr)],
    run: &DatagramRun,
) -> io::Result<usize> {
    let Some((rtp, rtcp)) = tracks.get(usize::from(run.track)) else {
        return Ok(run.bytes.len());
    };
    let to = if run.is_rtcp { rtcp } else { rtp };
    socket.send_run(&run.bytes, run.datagram_bytes, *to, None)
}

impl Shard {
    /// The group of a stream on the interface that has this address; a new one if nobody was told of it yet.
    ///
    /// # Errors
    /// When the interface has no multicast, or all addresses are taken.
    pub fn multicast_group(
        &self,
        entry: &PathEntry,
        described: &Described,
        interface: IpAddr,
    ) -> io::Result<Rc<MulticastGroup>> {
        let key = GroupKey {
            path: entry.id,
            generation: described.generation,
            interface,
        };
        let mut groups = self.multicast.0.borrow_mut();
        if let Some(group) = groups.get(&key).and_then(Weak::upgrade) {
            return Ok(group);
        }
        groups.retain(|_, group| group.strong_count() > 0);
        let tracks = described.info.tracks().iter();
        let leases = tracks.map(|_| self.server.multicast_addresses.lease());
        let all_taken = || io::Error::other("every address of multicastIPRange is taken");
        let group = Rc::new(MulticastGroup {
            leases: leases.collect::<Option<_>>().ok_or_else(all_taken)?,
            socket: Rc::new(shardcast_platform::multicast_sender(interface)?),
            feed: RefCell::default(),
        });
        groups.insert(key, Rc::downgrade(&group));
        Ok(group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_the_range_is_leased_once_and_comes_back() {
        let range = MulticastRange {
            first: Ipv4Addr::new(224, 1, 255, 255),
            count: 2,
        };
        let addresses = MulticastAddresses::new(range);
        let first = addresses.lease().unwrap();
        let second = addresses.lease().unwrap();
        assert_eq!(first.address(), Ipv4Addr::new(224, 1, 255, 255));
        assert_eq!(second.address(), Ipv4Addr::new(224, 2, 0, 0));
        assert!(addresses.lease().is_none());
        drop(first);
        assert_eq!(
            addresses.lease().map(|lease| lease.address()),
            Some(Ipv4Addr::new(224, 1, 255, 255))
        );
    }
}
