//! The figures of a run beside a capture of the same run: latency and counts, by the wire alone.
//!
//! The bench counts latency from the moment at which a packet was due, the wire shows it from the moment at which it was
//! sent; both have the kernel's stamp as its end. So the two differ by how late the bench publishes, which is to be little.

use std::time::Duration;

use shardcast_tests::bench::{Bench, Figures};
use shardcast_tests::interop::capture::{Capture, Captured};
use shardcast_tests::netlab::lab;
use shardcast_tests::netlab::namespace::Namespace;
use tempfile::TempDir;

use crate::wire::Run;

const READERS: usize = 10;
/// The medians may differ by so much.
const MEDIANS_APART_MAX: Duration = Duration::from_micros(200);
/// What comes so shortly before or after the measured time begins or ends may count or not: the kernel stamps a packet for
/// the capture and for the reader one after the other.
const EDGE: Duration = Duration::from_micros(200);

#[test]
fn a_capture_tells_the_same_of_packets_that_come_one_by_one() {
    lab::within(
        "capture::a_capture_tells_the_same_of_packets_that_come_one_by_one",
        || assert_capture_agrees("--gap 600us"),
    );
}

#[test]
fn a_capture_tells_the_same_of_frames_that_come_whole() {
    lab::within(
        "capture::a_capture_tells_the_same_of_frames_that_come_whole",
        || assert_capture_agrees(""),
    );
}

#[test]
fn a_capture_tells_the_same_of_datagrams() {
    lab::within("capture::a_capture_tells_the_same_of_datagrams", || {
        assert_capture_agrees("--transport udp");
    });
}

/// In a network of its own, so that nothing else is captured.
fn assert_capture_agrees(options: &str) {
    let namespace = Namespace::new().unwrap();
    let (figures, captured) = namespace.run(|| measured(options));
    assert_eq!(captured.dropped, 0, "the capture is not whole");
    let run = Run::of(&captured.segments);
    assert_eq!(run.readers.len(), READERS);
    assert_nothing_is_lost(&figures, &run);
    assert_medians_agree(&figures, &run);
    assert_counts_agree(&figures, &run);
}

fn measured(options: &str) -> (Figures, Captured) {
    let directory = TempDir::new().unwrap();
    let capture = Capture::start(directory.path()).unwrap();
    let bench =
        format!("--json --readers {READERS} --mbit 2 --warm-up 500ms --duration 4s {options}");
    let done = Bench::with(&bench).alone().run();
    (done.good(), capture.stop().unwrap())
}

fn assert_nothing_is_lost(figures: &Figures, run: &Run) {
    for arrivals in &run.readers {
        let ways = arrivals.iter().filter_map(|it| it.way);
        let numbers: Vec<usize> = ways.map(|way| way.number).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
    }
    for place in ["lost", "skipped", "duplicates", "reordered"] {
        assert_eq!(
            figures.number(&format!("/run/readers/sampled/{place}")),
            0.0
        );
    }
}

fn assert_medians_agree(figures: &Figures, run: &Run) {
    let told = Duration::from_nanos(figures.at("/run/latency/p50_ns").as_u64().unwrap());
    let captured = Duration::from_nanos(run.median_nanos());
    println!("median: {told:?} by the bench, {captured:?} by the capture");
    assert!(told.abs_diff(captured) < MEDIANS_APART_MAX);
}

/// Where nothing comes at the edges of the measured time, both counts are the same to the packet.
fn assert_counts_agree(figures: &Figures, run: &Run) {
    let told = figures.at("/run/readers/sampled/packets").as_u64().unwrap();
    let begin = figures.at("/run/begin_unix_ns").as_u64().unwrap();
    let end = begin + (figures.number("/run/wall_s") * 1e9) as u64;
    let edge = EDGE.as_nanos() as u64;
    let at_least = run.count_between(begin + edge, end - edge);
    let at_most = run.count_between(begin - edge, end + edge);
    println!("packets: {told} by the bench, {at_least} to {at_most} by the capture");
    assert!((at_least..=at_most).contains(&told));
}
