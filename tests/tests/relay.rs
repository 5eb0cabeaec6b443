//! What every reader is promised: all packets of a stream, unaltered and in order, from a key frame to the end.
//!
//! Raw peers publish and read synthetic packets with counters, on every driver and several numbers of shards. Not caught
//! here: what real programs make of it (`interop.rs`), and faults.

use std::thread;
use std::time::Duration;

use shardcast_tests::peer::PeerError;
use shardcast_tests::peer::publisher::Publisher;
use shardcast_tests::peer::reader::{Reader, describe_status};
use shardcast_tests::peer::synthetic::{Shape, Source};
use shardcast_tests::peer::verifier::Verifier;
use shardcast_tests::scene::rig::Rig;
use shardcast_tests::wait::poll_until;

/// Configurations that every test here passes through: each driver of this system, with and without rings between the
/// publisher and its readers.
const SETTINGS: &[&str] = &[
    "driver: auto\nshards: 1\n",
    "driver: auto\nshards: 4\ngatherReaders: 0\n",
    "driver: epoll\nshards: 1\n",
    "driver: epoll\nshards: 2\ngatherReaders: 0\nmoveLive: no\n",
    #[cfg(feature = "glommio")]
    "driver: glommio\nshards: 1\n",
    #[cfg(feature = "glommio")]
    "driver: glommio\nshards: 2\ngatherReaders: 0\n",
    #[cfg(feature = "glommio")]
    "driver: glommio\nshards: 2\ngatherReaders: 0\nmoveLive: no\n",
];
const PATH: &str = "live/camera";
const READERS: usize = 8;
/// How long a path may outlive its publisher: another shard may have to hear of it.
const GONE_LIMIT: Duration = Duration::from_secs(2);

fn on_every_setting(test: impl Fn(&Rig)) {
    for setting in SETTINGS {
        println!("{}", setting.trim_end().replace('\n', ", "));
        test(&Rig::start_with(setting, "", None));
    }
}

/// Starts readers that check every packet to the end of the stream, each on a thread of its own.
fn reading(server: &Rig, readers: usize) -> Vec<thread::JoinHandle<Result<Verifier, PeerError>>> {
    let start = |_| {
        let mut reader = Reader::start(server.address(), PATH).unwrap();
        thread::spawn(move || {
            let mut verifier = Verifier::strict();
            reader.read_to_end(&mut verifier)?;
            Ok(verifier)
        })
    };
    (0..readers).map(start).collect()
}

fn assert_all_end_at(frame: u64, readers: Vec<thread::JoinHandle<Result<Verifier, PeerError>>>) {
    for reader in readers {
        let verifier = reader
            .join()
            .unwrap()
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(verifier.last().map(|counter| counter.frame), Some(frame));
    }
}

#[test]
fn every_reader_gets_every_packet_from_a_key_frame_to_the_end() {
    on_every_setting(|server| {
        let mut source = Source::new(Shape::default());
        let mut publisher = Publisher::start(server.address(), PATH).unwrap();
        publisher.send_frames(&mut source, 10).unwrap();
        let readers = reading(server, READERS);
        publisher.send_frames(&mut source, 110).unwrap();
        publisher.teardown().unwrap();
        assert_all_end_at(119, readers);
    });
}

#[test]
fn a_lost_publishers_packets_are_delivered_to_the_last_whole_one() {
    on_every_setting(|server| {
        let mut source = Source::new(Shape::default());
        let mut publisher = Publisher::start(server.address(), PATH).unwrap();
        publisher.send_frames(&mut source, 1).unwrap();
        let readers = reading(server, READERS);
        publisher.send_frames(&mut source, 59).unwrap();
        publisher
            .connection()
            .send(b"$\x00\x05\x00half a frame")
            .unwrap();
        drop(publisher);
        assert_all_end_at(59, readers);
    });
}

#[test]
fn a_path_is_there_while_it_is_published_and_no_longer() {
    on_every_setting(|server| {
        assert_eq!(describe_status(server.address(), PATH).unwrap(), 404);
        let publisher = Publisher::start(server.address(), PATH).unwrap();
        assert_eq!(describe_status(server.address(), PATH).unwrap(), 200);
        publisher.teardown().unwrap();
        let gone = poll_until(GONE_LIMIT, || {
            let status = describe_status(server.address(), PATH).unwrap();
            (status == 404).then_some(())
        });
        assert!(gone.is_some(), "{GONE_LIMIT:?} after the publisher's end");
    });
}

#[test]
fn a_reader_that_leaves_takes_nobody_with_it() {
    on_every_setting(|server| {
        let mut source = Source::new(Shape::default());
        let mut publisher = Publisher::start(server.address(), PATH).unwrap();
        publisher.send_frames(&mut source, 1).unwrap();
        let staying = reading(server, READERS);
        let mut leaving = Reader::start(server.address(), PATH).unwrap();
        drop(Reader::start(server.address(), PATH).unwrap());
        publisher.send_frames(&mut source, 59).unwrap();
        leaving.read_packets(&mut Verifier::strict(), 6).unwrap();
        leaving.teardown().unwrap();
        publisher.send_frames(&mut source, 60).unwrap();
        publisher.teardown().unwrap();
        assert_all_end_at(119, staying);
    });
}
