//! Streams over links that lose, repeat, delay and reorder packets: what can be repaired is, the rest is told, and nobody
//! on a good link is given anything that was altered, repeated or out of order.
//!
//! The server has two links: a bad one, and a good cable, over which a reader checks what becomes of a stream that comes
//! in over the bad one, or is read over it. Not caught here: what real programs make of a lossy stream, and links that
//! are slow rather than bad.
#![cfg(target_os = "linux")]

use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::Duration;

use shardcast_tests::netlab::impairment::Impairment;
use shardcast_tests::netlab::lab;
use shardcast_tests::netlab::link::Link;
use shardcast_tests::netlab::namespace::Namespace;
use shardcast_tests::netlab::veth::{self, ETHERNET_MTU, End, Subnet};
use shardcast_tests::peer::publisher::Publisher;
use shardcast_tests::peer::reader::Reader;
use shardcast_tests::peer::synthetic::{Shape, Source};
use shardcast_tests::peer::tally::Tally;
use shardcast_tests::peer::udp::{UdpPublisher, UdpReader};
use shardcast_tests::peer::verifier::Verifier;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::rig::Rig;
use shardcast_tests::scene::rtp::{ReceiverReport, Rtp};
use shardcast_tests::wait::wait_until;

const PATH: &str = "live/camera";
/// The good cable.
const CABLE: Subnet = Subnet(1);
/// The bad link.
const LINK: Subnet = Subnet(2);
/// A frame each: about 5 Mbit/s.
const INTERVAL: Duration = Duration::from_millis(10);
/// Frames before anything goes wrong, and after it has been mended.
const GOOD_FRAMES: u32 = 30;
/// Frames while it is bad.
const BAD_FRAMES: u32 = 300;

/// Everything that goes wrong with a link between houses, and is made good by waiting a little.
const DISORDER: Impairment = Impairment {
    duplicate: 0.05,
    reorder: 0.1,
    delay: Duration::from_millis(10),
    ..GOOD
};
const GOOD: Impairment = Impairment {
    loss: 0.0,
    duplicate: 0.0,
    reorder: 0.0,
    delay: Duration::ZERO,
    mtu: usize::MAX,
    is_cut: false,
};
/// The same with losses.
const LOSSES: Impairment = Impairment {
    loss: 0.02,
    ..DISORDER
};
/// A link that hardly deserves the name.
const MISERY: Impairment = Impairment {
    loss: 0.1,
    duplicate: 0.1,
    reorder: 0.2,
    ..DISORDER
};

/// A family of addresses.
type Family = fn(Subnet, End) -> IpAddr;

/// A server with a good and a bad way to it.
struct Ground {
    rig: Rig,
    link: Link,
    family: Family,
    /// At the far end of the bad link, and of the good cable.
    far: Namespace,
    near: Namespace,
}

impl Ground {
    fn build(family: Family, mtu: usize) -> Self {
        let server = Namespace::new().unwrap();
        let (near, far) = (Namespace::new().unwrap(), Namespace::new().unwrap());
        veth::connect(&server, &near, CABLE).unwrap();
        let link = Link::join(&server, &far, LINK, mtu, 5).unwrap();
        let rig = server.run(|| Rig::start(House::RIGID, "gatherReaders: 0\n"));
        Self {
            rig,
            link,
            family,
            far,
            near,
        }
    }

    /// The server as the far end of the bad link sees it.
    fn over_link(&self) -> SocketAddr {
        SocketAddr::new((self.family)(LINK, End::Near), self.rig.port())
    }

    /// The server as the end of the good cable sees it.
    fn over_cable(&self) -> SocketAddr {
        SocketAddr::new((self.family)(CABLE, End::Near), self.rig.port())
    }

    fn cable_reader(&self) -> Reader {
        self.near
            .run(|| Reader::start(self.over_cable(), PATH).unwrap())
    }

    fn link_reader(&self) -> UdpReader {
        self.far
            .run(|| UdpReader::start(self.over_link(), PATH).unwrap())
    }

    fn link_publisher(&self) -> UdpPublisher {
        self.far
            .run(|| UdpPublisher::start(self.over_link(), PATH).unwrap())
    }

    /// Lets `send` send while the link is good, bad, and good again.
    fn with_a_bad_while(&self, bad: Impairment, mut send: impl FnMut(u32)) {
        send(GOOD_FRAMES);
        self.link.impair(bad);
        send(BAD_FRAMES);
        self.link.impair(GOOD);
        send(GOOD_FRAMES);
    }

    /// Packets that the link has lost in both directions, of whatever kind.
    fn lost(&self) -> u64 {
        let lost = End::BOTH.map(|end| self.link.counts_towards(end).lost);
        lost.iter().sum()
    }
}

fn within(test: &str, body: impl Fn(Ground)) {
    lab::within(test, || {
        for family in [Subnet::v4 as Family, Subnet::v6] {
            body(Ground::build(family, ETHERNET_MTU));
        }
    });
}

/// Reads over the good cable up to this packet.
fn read_up_to(reader: &mut Reader, verifier: &mut Verifier, packet: u64) {
    while verifier.last().is_none_or(|last| last.packet < packet) {
        reader.read_packets(verifier, 1).unwrap();
    }
}

/// Publishes over a link that is bad for a while, and gives what the reader on the good cable was given.
fn published_over(ground: &Ground, bad: Impairment) -> Verifier {
    let publisher = ground.link_publisher();
    let mut source = Source::new(Shape::default());
    let mut reader = ground.cable_reader();
    let mut verifier = Verifier::with_losses();
    ground.with_a_bad_while(bad, |frames| {
        publisher
            .send_frames(&mut source, frames, INTERVAL)
            .unwrap();
    });
    read_up_to(&mut reader, &mut verifier, source.packets() - 1);
    publisher.teardown().unwrap();
    reader.read_to_end(&mut verifier).unwrap();
    verifier
}

/// Reads over a link that is bad for a while, until its last packet. A reader on the good cable loses nothing by it.
fn read_over(ground: &Ground, bad: Impairment) -> Tally {
    let mut publisher = ground
        .near
        .run(|| Publisher::start(ground.over_cable(), PATH).unwrap());
    let mut source = Source::new(Shape::default());
    let (reader, mut bystander) = (ground.link_reader(), ground.cable_reader());
    let last = u64::from(2 * GOOD_FRAMES + BAD_FRAMES) * Shape::default().frame_packets - 1;
    let tally = thread::scope(|scope| {
        let reading = scope.spawn(|| tally_up_to(&reader, last));
        ground.with_a_bad_while(bad, |frames| {
            let start = std::time::Instant::now();
            for frame in 0..frames {
                wait_until(start + INTERVAL * frame);
                publisher.send_frames(&mut source, 1).unwrap();
            }
        });
        reading.join().unwrap()
    });
    publisher.teardown().unwrap();
    let mut whole = Verifier::strict();
    bystander.read_to_end(&mut whole).unwrap();
    assert_eq!(whole.packets(), source.packets());
    tally
}

fn tally_up_to(reader: &UdpReader, last: u64) -> Tally {
    let mut tally = Tally::default();
    let read = reader.read_while(|packet| {
        tally.take(packet)?;
        Ok(tally.range().is_none_or(|(_, highest)| highest < last))
    });
    read.unwrap();
    tally
}

#[test]
fn a_publishers_disorder_is_put_in_order_and_nothing_is_missing() {
    within(
        "a_publishers_disorder_is_put_in_order_and_nothing_is_missing",
        |ground| {
            let verifier = published_over(&ground, DISORDER);
            let counts = ground.link.counts_towards(End::Near);
            assert!(counts.held_back > 100 && counts.repeated > 50, "{counts:?}");
            assert_eq!(verifier.missing(), 0, "{counts:?}");
        },
    );
}

#[test]
fn of_a_publishers_packets_only_those_that_the_link_has_lost_are_missing() {
    within(
        "of_a_publishers_packets_only_those_that_the_link_has_lost_are_missing",
        |ground| {
            let missing = published_over(&ground, LOSSES).missing();
            let lost = ground.lost();
            assert!(missing > 10 && missing <= lost, "{missing} of {lost}");
        },
    );
}

#[test]
fn a_readers_losses_and_disorder_are_its_own() {
    within("a_readers_losses_and_disorder_are_its_own", |ground| {
        let tally = read_over(&ground, LOSSES);
        let lost = ground.lost();
        let missing = tally.missing();
        assert!(missing > 10 && missing <= lost, "{missing} of {lost}");
        assert!(tally.repeated() > 20 && tally.late() > 20, "{tally:?}");
    });
}

/// How often the server reports to publishers, with room for a busy machine.
const REPORT_LIMIT: Duration = Duration::from_secs(15);

#[test]
fn a_publisher_is_told_what_has_not_arrived_and_so_is_the_operator() {
    lab::within(
        "a_publisher_is_told_what_has_not_arrived_and_so_is_the_operator",
        || {
            let ground = Ground::build(Subnet::v4, ETHERNET_MTU);
            let publisher = ground.link_publisher();
            let mut source = Source::new(Shape::default());
            let first = source.next_frame();
            publisher.send(&first).unwrap();
            let own = Rtp::read(&first[0]).ssrc;
            // Reports come through.
            ground.link.impair_towards(End::Near, LOSSES);
            let report = thread::scope(|scope| {
                let told = scope.spawn(|| next_receiver_report(&publisher));
                let sent = publisher.send_frames(&mut source, SLOW_FRAMES, SLOW_INTERVAL);
                sent.unwrap();
                told.join().unwrap()
            });
            let lost = ground.lost();
            assert_eq!(report.source, own);
            assert!(
                report.lost > 5 && u64::from(report.lost) <= lost,
                "{report:?} of {lost}"
            );
            let seen = ground.rig.publisher_of(PATH);
            assert!(seen.lost_packets >= u64::from(report.lost) && seen.lost_packets <= lost);
            assert!(!seen.jitter.is_zero() && seen.jitter < Duration::from_secs(1));
        },
    );
}

/// A frame each, as from a camera: the server reports every ten seconds.
const SLOW_INTERVAL: Duration = Duration::from_millis(33);
const SLOW_FRAMES: u32 = 360;

/// The first report to a publisher that speaks of its packets.
fn next_receiver_report(publisher: &UdpPublisher) -> ReceiverReport {
    loop {
        let report = publisher.next_report(REPORT_LIMIT).unwrap();
        let report = report.expect("the publisher is told nothing");
        if let Some(report) = ReceiverReport::read(&report) {
            return report;
        }
    }
}

#[test]
fn what_a_reader_says_it_has_lost_is_known() {
    within("what_a_reader_says_it_has_lost_is_known", |ground| {
        let publisher = ground.link_publisher();
        let reader = ground.link_reader();
        let mut source = Source::new(Shape::default());
        publisher
            .send_frames(&mut source, GOOD_FRAMES, INTERVAL)
            .unwrap();
        let packet = reader.next_packet(REPORT_LIMIT).unwrap();
        let packet = Rtp::read(&packet.expect("a packet"));
        let report = ReceiverReport {
            receiver: 1,
            source: packet.ssrc,
            fraction_lost: 25,
            lost: 17,
            highest: packet.sequence.into(),
            jitter: 90,
        };
        reader.send_report(&report.write()).unwrap();
        ground.rig.wait_counters("what a reader has lost", |seen| {
            let mut sessions = seen.sessions.iter();
            sessions
                .find(|session| session.reported_lost_packets == 17)
                .map(drop)
        });
    });
}

#[test]
fn over_tcp_a_bad_link_loses_nothing() {
    within("over_tcp_a_bad_link_loses_nothing", |ground| {
        let address = ground.over_link();
        let mut publisher = ground.far.run(|| Publisher::start(address, PATH).unwrap());
        let mut source = Source::new(Shape::default());
        let mut reader = ground.far.run(|| Reader::start(address, PATH).unwrap());
        ground.link.impair(LOSSES);
        publisher.send_frames(&mut source, 60).unwrap();
        let mut verifier = Verifier::strict();
        read_up_to(&mut reader, &mut verifier, source.packets() - 1);
        publisher.teardown().unwrap();
        reader.read_to_end(&mut verifier).unwrap();
        assert_eq!(verifier.packets(), source.packets());
    });
}

#[test]
fn ten_percent_lost_on_a_narrow_link_corrupt_nothing() {
    lab::within("ten_percent_lost_on_a_narrow_link_corrupt_nothing", || {
        // An MTU of 1200 leaves no IPv6; packets of 1400 bytes go in two fragments.
        let ground = Ground::build(Subnet::v4, 1200);
        let missing = published_over(&ground, MISERY).missing();
        let lost = ground.lost();
        assert!(missing > 50 && missing <= lost, "{missing} of {lost}");
        let tally = read_over(&ground, MISERY);
        let lost = ground.lost() - lost;
        let missing = tally.missing();
        assert!(missing > 50 && missing <= lost, "{missing} of {lost}");
    });
}
