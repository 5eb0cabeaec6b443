//! Profiles of a running daemon: that they say where its time goes, that one is taken at a time, and that sessions do not
//! notice.
//!
//! A profile counts the daemon's own CPU time, so a busy machine makes it no poorer. Not caught here: how even the samples
//! are.
#![cfg(target_os = "linux")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use shardcast_tests::daemon::Daemon;
use shardcast_tests::http::{self, Response};
use shardcast_tests::peer::publisher::Publisher;
use shardcast_tests::peer::reader::Reader;
use shardcast_tests::peer::synthetic::{Shape, Source};
use shardcast_tests::peer::verifier::Verifier;
use shardcast_tests::port::free_tcp_port;
use shardcast_tests::scene::PATIENCE;
use shardcast_tests::wait::{poll_until, wait_until};

/// Fields of pprof's messages that are looked at.
const PROFILE_SAMPLE: u64 = 2;
const PROFILE_STRING_TABLE: u64 = 6;

/// The load: twenty times as many frames as a camera sends, which a reader can follow on a busy machine too.
const FRAME_INTERVAL: Duration = Duration::from_micros(1_667);

/// What a daemon is at that takes a stream and hands it on.
const EXPECTED: [&str; 2] = ["shardcast::ingest::publication", "shardcast::session::rtsp"];

struct Profiled {
    daemon: Daemon,
    port: u16,
}

impl Profiled {
    fn start(driver: &str) -> Self {
        let port = free_tcp_port().expect("a port");
        let sites = format!("pprof: yes\npprofAddress: 127.0.0.1:{port}\n");
        let paths = "paths:\n  all_others:\n";
        let daemon = Daemon::start(&format!("{sites}driver: {driver}\n{paths}"));
        let daemon = daemon.unwrap_or_else(|error| panic!("{error}"));
        Self { daemon, port }
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    fn get(&self, target: &str) -> Response {
        http::get(self.address(), target)
    }

    /// Asks, and does not wait for the answer.
    fn begin(&self, target: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address()).expect("it listens");
        let request = format!("GET {target} HTTP/1.1\r\nhost: profiled\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it is sent");
        stream
    }

    /// Does something while a stream goes through the daemon, to a reader that has to be given all of it.
    fn loaded<T>(&self, work: impl FnOnce() -> T) -> T {
        let is_over = AtomicBool::new(false);
        let mut publisher = Publisher::start(self.daemon.address(), "cam").expect("it publishes");
        let mut reader = Reader::start(self.daemon.address(), "cam").expect("it reads");
        std::thread::scope(|scope| {
            let reading = scope.spawn(move || reader.read_to_end(&mut Verifier::default()));
            scope.spawn(|| {
                let mut source = Source::new(Shape::default());
                let mut due = Instant::now();
                while !is_over.load(Ordering::Relaxed) {
                    wait_until(due);
                    let sent = publisher.send_frames(&mut source, 1);
                    sent.expect("it is taken");
                    due += FRAME_INTERVAL;
                }
                publisher.teardown().expect("it ends");
            });
            let end = End(&is_over);
            let done = work();
            drop(end);
            let read = reading.join().expect("the reader's thread");
            read.expect("every packet, in order");
            done
        })
    }
}

/// Ends the stream when the work beside it is done, or has failed.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The fields of a message of protocol buffers: numbers, and bytes with their length.
fn fields(mut message: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = variable(&mut message);
        let value = match key & 7 {
            0 => variable(&mut message).to_le_bytes().to_vec(),
            2 => {
                let length = usize::try_from(variable(&mut message)).expect("a length");
                let (value, rest) = message.split_at(length);
                message = rest;
                value.to_vec()
            }
            other => panic!("type {other} of a field"),
        };
        found.push((key >> 3, value));
    }
    found
}

fn variable(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = message.split_first().expect("a number goes on");
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

/// The texts of a profile; none of one without samples, as of a second in which a daemon has done next to nothing.
fn decode(body: &[u8]) -> Vec<String> {
    let mut profile = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(body);
    decoder.read_to_end(&mut profile).expect("gzip");
    let fields = fields(&profile);
    let has_samples = fields.iter().any(|(field, _)| *field == PROFILE_SAMPLE);
    let texts = fields
        .iter()
        .filter(|(field, _)| has_samples && *field == PROFILE_STRING_TABLE);
    let texts = texts.map(|(_, text)| String::from_utf8_lossy(text).into_owned());
    texts.collect()
}

#[test]
fn a_profile_names_what_the_daemon_is_at_and_its_readers_lose_nothing() {
    for driver in ["io_uring", "epoll"] {
        let profiled = Profiled::start(driver);
        let mut texts = Vec::new();
        let found = profiled.loaded(|| {
            poll_until(PATIENCE, || {
                let profile = profiled.get("/debug/pprof/profile?seconds=1");
                assert_eq!(profile.status, 200, "{}", profile.text());
                texts = decode(&profile.body);
                EXPECTED
                    .iter()
                    .all(|name| texts.iter().any(|text| text.contains(name)))
                    .then_some(())
            })
        });
        assert!(found.is_some(), "{driver}: {texts:?}");
    }
}

#[test]
fn one_profile_is_taken_at_a_time_and_ends_when_nobody_waits_for_it() {
    let profiled = Profiled::start("auto");
    let other = || profiled.get("/debug/pprof/profile?seconds=1").status;
    let first = poll_until(PATIENCE, || {
        // Either of the two may be the first one.
        let first = profiled.begin("/debug/pprof/profile?seconds=60");
        (other() == 409).then_some(first)
    });
    let first = first.expect("a second profile is refused");
    drop(first);
    let taken = poll_until(PATIENCE, || (other() == 200).then_some(()));
    assert!(taken.is_some(), "the first one has ended");
}

#[test]
fn what_there_is_not_is_said_clearly() {
    let profiled = Profiled::start("auto");
    for seconds in ["0", "61", "x", "-1"] {
        let answer = profiled.get(&format!("/debug/pprof/profile?seconds={seconds}"));
        assert_eq!(answer.status, 400, "{seconds}");
    }
    for absent in ["heap", "goroutine", "allocs", "mutex", "trace"] {
        let answer = profiled.get(&format!("/debug/pprof/{absent}"));
        assert_eq!(answer.status, 501);
        assert!(answer.text().contains("no such profile"));
    }
    assert!(
        profiled
            .get("/debug/pprof/")
            .text()
            .contains("/debug/pprof/profile")
    );
    let cmdline = profiled.get("/debug/pprof/cmdline");
    assert!(cmdline.text().contains("shardcast.yml"));
}

#[cfg(feature = "interop")]
#[test]
fn gos_pprof_reads_a_profile() {
    let profiled = Profiled::start("auto");
    let profile = profiled.loaded(|| {
        poll_until(PATIENCE, || {
            let profile = profiled.get("/debug/pprof/profile?seconds=2");
            let is_of_ours = |text: &String| text.contains("shardcast::");
            decode(&profile.body)
                .iter()
                .any(is_of_ours)
                .then_some(profile)
        })
    });
    let profile = profile.expect("a daemon under load is sampled");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("profile.pb.gz");
    std::fs::write(&file, &profile.body).expect("it is written");
    let go = std::process::Command::new("go")
        .args(["tool", "pprof", "-top", "-nodecount=1000"])
        .arg(&file)
        .output();
    let go = go.expect("go is installed");
    let table = String::from_utf8_lossy(&go.stdout);
    assert!(
        go.status.success(),
        "{}",
        String::from_utf8_lossy(&go.stderr)
    );
    assert!(table.contains("Type: cpu"), "{table}");
    assert!(table.contains("shardcast::"), "{table}");
}
