//! A network that is cut in two for 30 s, and one that is cut for less than anybody's deadline. On the server's side of the
//! cut are a publisher and a reader who must not notice, and on the far side some of each.
//!
//! Not caught here: a server that pulls streams from the far side, which there is none of yet.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use shardcast::event::{Deadline, SessionEnd};
use shardcast_tests::netlab::impairment::Impairment;
use shardcast_tests::netlab::lab;
use shardcast_tests::netlab::link::Link;
use shardcast_tests::netlab::namespace::Namespace;
use shardcast_tests::netlab::veth::{self, ETHERNET_MTU, End, Subnet};
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::peer::publisher::Publisher;
use shardcast_tests::peer::reader::Reader;
use shardcast_tests::peer::synthetic::{Shape, Source};
use shardcast_tests::peer::tally::Tally;
use shardcast_tests::peer::udp::{UdpPublisher, UdpReader};
use shardcast_tests::peer::verifier::Verifier;
use shardcast_tests::scene::baseline::Baseline;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::rig::Rig;
use shardcast_tests::wait::wait_until;

/// Published on the server's side of the cut.
const NEAR: &str = "near";
/// Published on the far side, over TCP and over UDP.
const FAR_TCP: &str = "far/tcp";
const FAR_UDP: &str = "far/udp";
/// The cable on the server's side, and the link that is cut.
const CABLE: Subnet = Subnet(1);
const LINK: Subnet = Subnet(2);

/// How long the network is cut.
const PARTITION: Duration = Duration::from_secs(30);
/// A cut that is shorter than all deadlines.
const HICCUP: Duration = Duration::from_millis(1500);
/// Half of the cut at most, so that whoever has missed its deadline is found out within it.
const TIMEOUTS: &str = "readTimeout: 4s\nwriteTimeout: 4s\n";
/// A frame each: about 2 Mbit/s.
const INTERVAL: Duration = Duration::from_millis(33);
/// What shows that somebody plays.
const SOME_PACKETS: u64 = 60;
/// Longest silence of a stream over UDP.
const SILENCE: Duration = Duration::from_secs(5);

/// A server between a side that keeps it and one that may lose it.
struct Ground {
    rig: Rig,
    link: Link,
    server: Namespace,
    near: Namespace,
    far: Namespace,
}

impl Ground {
    fn build(configuration: &str) -> Self {
        let [server, near, far] = [(); 3].map(|()| Namespace::new().unwrap());
        veth::connect(&server, &near, CABLE).unwrap();
        let link = Link::join(&server, &far, LINK, ETHERNET_MTU, 14).unwrap();
        let rig = server.run(|| Rig::start(House::USUAL, configuration));
        Self {
            rig,
            link,
            server,
            near,
            far,
        }
    }

    fn near_address(&self) -> SocketAddr {
        SocketAddr::new(CABLE.v4(End::Near), self.rig.port())
    }

    fn far_address(&self) -> SocketAddr {
        SocketAddr::new(LINK.v4(End::Near), self.rig.port())
    }

    fn cut(&self, is_cut: bool) {
        self.link.impair(Impairment {
            is_cut,
            ..Impairment::default()
        });
    }

    fn near_reader(&self, path: &str) -> Reader {
        self.near
            .run(|| Reader::start(self.near_address(), path).unwrap())
    }

    /// Lets `body` happen while the near side publishes and reads: neither notices anything.
    fn beside_a_stream(&self, body: impl FnOnce()) {
        let address = self.near_address();
        let publisher = self.near.run(|| Publisher::start(address, NEAR).unwrap());
        let mut bystander = self.near_reader(NEAR);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let publishing = scope.spawn(|| publish(publisher, &is_over));
            let reading = scope.spawn(move || {
                let mut whole = Verifier::strict();
                bystander.read_to_end(&mut whole).unwrap();
                whole.packets()
            });
            let _end = Flag(&is_over);
            body();
            is_over.store(true, Ordering::Relaxed);
            let packets = publishing.join().unwrap();
            assert_eq!(reading.join().unwrap(), packets);
        });
    }
}

/// Is raised when it is dropped, so that a test that fails ends.
struct Flag<'flag>(&'flag AtomicBool);

impl Drop for Flag<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sends frames when they are due, as a camera does; how many packets.
fn publish(mut publisher: Publisher, is_over: &AtomicBool) -> u64 {
    let mut source = Source::new(Shape::default());
    let begun = Instant::now();
    for frame in 0.. {
        wait_until(begun + INTERVAL * frame);
        publisher.send_frames(&mut source, 1).unwrap();
        if is_over.load(Ordering::Relaxed) {
            break;
        }
    }
    publisher.teardown().unwrap();
    source.packets()
}

/// Who is on the far side.
struct Far {
    publisher: Publisher,
    udp_publisher: UdpPublisher,
    reader: Reader,
    udp_reader: UdpReader,
    /// Of the far side's streams, on the near side.
    readers: [Reader; 2],
}

impl Far {
    /// Connects, and plays.
    fn join(ground: &Ground) -> Self {
        let address = ground.far_address();
        let mut far = ground.far.run(|| {
            let publisher = Publisher::start(address, FAR_TCP).unwrap();
            let udp_publisher = UdpPublisher::start(address, FAR_UDP).unwrap();
            Self {
                publisher,
                udp_publisher,
                reader: Reader::start(address, NEAR).unwrap(),
                udp_reader: UdpReader::start(address, NEAR).unwrap(),
                readers: [FAR_TCP, FAR_UDP].map(|path| ground.near_reader(path)),
            }
        });
        far.play();
        far
    }

    /// Everybody is given what is sent.
    fn play(&mut self) {
        let mut sources = [(); 2].map(|()| Source::new(Shape::default()));
        let [source, udp_source] = &mut sources;
        let frames = (SOME_PACKETS / Shape::default().frame_packets + 1) as u32;
        self.publisher.send_frames(source, frames.into()).unwrap();
        self.udp_publisher
            .send_frames(udp_source, frames, INTERVAL)
            .unwrap();
        for reader in self.readers.iter_mut().chain([&mut self.reader]) {
            let mut verifier = Verifier::strict();
            reader.read_packets(&mut verifier, SOME_PACKETS).unwrap();
        }
        assert!(is_given_datagrams(&self.udp_reader));
    }

    /// Whom the server gives up when the network is cut, and by which deadline. Not the reader over UDP: it may keep silent
    /// for a minute.
    fn deadlines(&mut self) -> [(SocketAddr, Deadline); 3] {
        let publishers = [self.publisher.connection(), self.udp_publisher.connection()];
        let address = |connection: &mut Connection| connection.socket().local_addr().unwrap();
        let [publisher, udp_publisher] = publishers.map(address);
        let reader = address(self.reader.connection());
        [
            (publisher, Deadline::PublisherSilent),
            (udp_publisher, Deadline::PublisherSilent),
            (reader, Deadline::WriteStuck),
        ]
    }

    /// Reads what was still on its way: then the reader over TCP is left with its own deadline, and the other with none.
    fn give_up(&mut self) {
        while let Ok(Some(_)) = self.reader.next_packet() {}
        while self.udp_reader.next_packet(HICCUP).unwrap().is_some() {}
    }

    /// In order.
    fn leave(self) {
        self.publisher.teardown().unwrap();
        self.udp_publisher.teardown().unwrap();
        self.reader.teardown().unwrap();
        self.udp_reader.teardown().unwrap();
    }
}

/// Whether some packets come.
fn is_given_datagrams(reader: &UdpReader) -> bool {
    let mut tally = Tally::default();
    (0..SOME_PACKETS).all(|_| {
        let packet = reader.next_packet(SILENCE).unwrap();
        packet.is_some_and(|packet| tally.take(&packet).is_ok())
    })
}

/// The server ends whom it has lost by their deadlines, tells the readers of streams that are lost, and the far side gives
/// up by itself. The reader over UDP goes on.
#[test]
fn a_partition_of_30_s_ends_sessions_by_their_deadlines_and_all_come_back() {
    let name =
        "faults::partition::a_partition_of_30_s_ends_sessions_by_their_deadlines_and_all_come_back";
    lab::within(name, || {
        let ground = Ground::build(TIMEOUTS);
        ground.beside_a_stream(|| {
            ground.rig.wait_readers(NEAR, 1);
            let before = ground.server.run(|| Baseline::take(&ground.rig));
            let mut far = Far::join(&ground);
            let begun = Instant::now();
            ground.cut(true);
            for (peer, deadline) in far.deadlines() {
                let end = ground.rig.wait_closed(peer);
                assert_eq!(end, SessionEnd::TimedOut(deadline), "{peer}");
            }
            for reader in &mut far.readers {
                reader.connection().wait_closed().unwrap();
            }
            far.give_up();
            assert!(begun.elapsed() < PARTITION, "{:?}", begun.elapsed());
            wait_until(begun + PARTITION);
            ground.cut(false);
            assert!(is_given_datagrams(&far.udp_reader));
            drop(far);
            ground.server.run(|| before.assert_restored(&ground.rig));
            Far::join(&ground).leave();
            ground.server.run(|| before.assert_restored(&ground.rig));
        });
    });
}

#[test]
fn a_reader_over_tcp_outlives_a_cut_that_is_shorter_than_its_deadline() {
    let name =
        "faults::partition::a_reader_over_tcp_outlives_a_cut_that_is_shorter_than_its_deadline";
    lab::within(name, || {
        // What matters is the deadline: nobody is to be called too slow after a cut that TCP takes its time to mend.
        let ground = Ground::build("pathDefaults:\n  readerQueueAge: 30s\n");
        ground.beside_a_stream(|| {
            let far = ground.far.run(|| Reader::start(ground.far_address(), NEAR));
            let (mut far, mut verifier) = (far.unwrap(), Verifier::strict());
            far.read_packets(&mut verifier, SOME_PACKETS).unwrap();
            ground.cut(true);
            ground.rig.watch(HICCUP);
            ground.cut(false);
            // More than it could have been sent before.
            let packets = HICCUP.as_millis() / INTERVAL.as_millis();
            let packets = SOME_PACKETS + packets as u64 * Shape::default().frame_packets;
            far.read_packets(&mut verifier, packets).unwrap();
            far.teardown().unwrap();
        });
    });
}
