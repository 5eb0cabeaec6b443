//! What readers and publishers over UDP are promised where nothing is lost: all packets, unaltered and in order, whatever
//! the shard that the kernel gives a datagram to.
//!
//! Raw peers over loopback. What a network does to datagrams is shown in `links.rs`, what real programs make of them in
//! `interop.rs`.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use shardcast::RefusalReason;
use shardcast_tests::peer::publisher::Publisher;
use shardcast_tests::peer::reader::Reader;
use shardcast_tests::peer::synthetic::{Shape, Source};
use shardcast_tests::peer::udp::{UdpPublisher, UdpReader};
use shardcast_tests::peer::verifier::Verifier;
use shardcast_tests::scene::rig::Rig;
use shardcast_tests::wait::wait_until;

const SETTINGS: &[&str] = &[
    "driver: auto\nshards: 1\n",
    "driver: auto\nshards: 4\ngatherReaders: 0\n",
    "driver: epoll\nshards: 2\ngatherReaders: 0\nmoveLive: no\n",
    #[cfg(feature = "glommio")]
    "driver: glommio\nshards: 2\ngatherReaders: 0\n",
];
const PATH: &str = "live/camera";
const READERS: usize = 4;
const FRAMES: u32 = 90;
const FRAME_INTERVAL: Duration = Duration::from_millis(10);
/// A stream is over when nothing has come for so long.
const SILENCE: Duration = Duration::from_secs(2);

fn on_every_setting(test: impl Fn(&Rig)) {
    for setting in SETTINGS {
        println!("{}", setting.trim_end().replace('\n', ", "));
        test(&Rig::start_with(setting, "", None));
    }
}

/// Reads over UDP until nothing comes any more.
fn reading(server: &Rig) -> Vec<thread::JoinHandle<Verifier>> {
    let start = |_| {
        let reader = UdpReader::start(server.address(), PATH).unwrap();
        thread::spawn(move || {
            let mut verifier = Verifier::strict();
            while let Some(packet) = reader.next_packet(SILENCE).unwrap() {
                verifier.check(&packet).unwrap();
            }
            verifier
        })
    };
    (0..READERS).map(start).collect()
}

fn assert_all_have_read_to(last_frame: u64, readers: Vec<thread::JoinHandle<Verifier>>) {
    for reader in readers {
        let verifier = reader.join().unwrap();
        let last = verifier.last().expect("something was read");
        assert_eq!(last.frame, last_frame);
    }
}

#[test]
fn readers_over_udp_get_every_packet_of_a_publisher_over_tcp() {
    on_every_setting(|server| {
        let mut source = Source::new(Shape::default());
        let mut publisher = Publisher::start(server.address(), PATH).unwrap();
        publisher.send_frames(&mut source, 1).unwrap();
        let readers = reading(server);
        let start = Instant::now();
        for frame in 0..FRAMES {
            wait_until(start + FRAME_INTERVAL * frame);
            publisher.send_frames(&mut source, 1).unwrap();
        }
        publisher.teardown().unwrap();
        assert_all_have_read_to(source.frames() - 1, readers);
    });
}

#[test]
fn every_reader_gets_every_packet_of_a_publisher_over_udp() {
    on_every_setting(|server| {
        let mut source = Source::new(Shape::default());
        let publisher = UdpPublisher::start(server.address(), PATH).unwrap();
        publisher.send(&source.next_frame()).unwrap();
        server.wait_taken_in(PATH, 1);
        let readers = reading(server);
        let mut over_tcp = Reader::start(server.address(), PATH).unwrap();
        let over_tcp = thread::spawn(move || {
            let mut verifier = Verifier::strict();
            over_tcp.read_to_end(&mut verifier).unwrap();
            verifier
        });
        publisher
            .send_frames(&mut source, FRAMES, FRAME_INTERVAL)
            .unwrap();
        publisher.teardown().unwrap();
        let last = source.frames() - 1;
        assert_eq!(over_tcp.join().unwrap().last().unwrap().frame, last);
        assert_all_have_read_to(last, readers);
    });
}

#[test]
fn packets_too_large_for_datagrams_are_cut_for_readers_over_udp_alone() {
    let server = Rig::start_with("shards: 2\n", "udpMaxPayloadSize: 300\n", None);
    let mut source = Source::new(Shape::default());
    let mut publisher = Publisher::start(server.address(), PATH).unwrap();
    publisher.send_frames(&mut source, 1).unwrap();
    let reader = UdpReader::start(server.address(), PATH).unwrap();
    publisher.send_frames(&mut source, 60).unwrap();
    let (mut packets, mut last) = (0_u64, None);
    while let Some(packet) = reader.next_packet(SILENCE).unwrap() {
        assert!(packet.len() <= 300, "{} bytes", packet.len());
        let number = u16::from_be_bytes([packet[2], packet[3]]);
        assert!(last.is_none_or(|last: u16| number == last.wrapping_add(1)));
        last = Some(number);
        packets += 1;
    }
    assert!(packets > source.packets(), "{packets} pieces");
    publisher.teardown().unwrap();
}

#[test]
fn datagrams_of_strangers_reach_nobody_and_are_counted() {
    let server = Rig::start_with("shards: 2\n", "", None);
    let mut source = Source::new(Shape::default());
    let publisher = UdpPublisher::start(server.address(), PATH).unwrap();
    publisher.send(&source.next_frame()).unwrap();
    server.wait_taken_in(PATH, 1);
    let readers = reading(&server);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let forged = source.next_frame();
    for packet in &forged {
        stranger.send_to(packet, publisher.server().rtp).unwrap();
    }
    let mut source_again = Source::new(Shape::default());
    let _first = source_again.next_frame();
    publisher
        .send_frames(&mut source_again, FRAMES, FRAME_INTERVAL)
        .unwrap();
    let strays = server.wait_counters("strays are counted", |snapshot| {
        let strays = snapshot.refusals.of(RefusalReason::StrayDatagram);
        (strays >= forged.len() as u64).then_some(strays)
    });
    assert_eq!(strays, forged.len() as u64);
    publisher.teardown().unwrap();
    assert_all_have_read_to(source_again.frames() - 1, readers);
}

#[test]
fn a_reader_over_udp_is_told_goodbye_at_the_end_of_the_stream() {
    let server = Rig::start_with("shards: 2\n", "", None);
    let mut source = Source::new(Shape::default());
    let mut publisher = Publisher::start(server.address(), PATH).unwrap();
    publisher.send_frames(&mut source, 1).unwrap();
    let reader = UdpReader::start(server.address(), PATH).unwrap();
    publisher.send_frames(&mut source, 60).unwrap();
    publisher.teardown().unwrap();
    let mut kinds = Vec::new();
    while let Some(report) = reader.next_report(SILENCE).unwrap() {
        kinds.push(report[1]);
        if report.windows(2).any(|pair| pair == [0x81, 203]) {
            kinds.push(203);
        }
    }
    assert_eq!(kinds.first(), Some(&200), "a sender report comes first");
    assert_eq!(kinds.last(), Some(&203), "a goodbye comes last: {kinds:?}");
}

/// Left to itself, the system would send to this machine from 127.0.0.1.
#[cfg(target_os = "linux")]
#[test]
fn datagrams_come_from_the_address_that_the_reader_knows() {
    let server = Rig::start_with("shards: 2\n", "", None);
    let mut source = Source::new(Shape::default());
    let mut publisher = Publisher::start(server.address(), PATH).unwrap();
    publisher.send_frames(&mut source, 1).unwrap();
    let known = ([127, 0, 0, 2], server.address().port()).into();
    let reader = UdpReader::start(known, PATH).unwrap();
    publisher.send_frames(&mut source, 60).unwrap();
    assert!(reader.next_packet(SILENCE).unwrap().is_some());
    assert!(reader.next_report(SILENCE).unwrap().is_some());
    publisher.teardown().unwrap();
}
