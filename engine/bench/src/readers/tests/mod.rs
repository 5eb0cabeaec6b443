//! Promises of the readers, kept against a server of the tests.

mod server;

use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use server::{Asked, Manner, serve};

use super::*;
use crate::clock::unix_nanos;
use crate::shape::{Course, Flapping, Misbehaving, SourceShape, Storm, Synthetic, Transport};
use crate::stage::Stage;

/// What comes later than this comes never.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const ASK_INTERVAL: Duration = Duration::from_millis(1);
/// Frames of each reader that are measured.
const FRAMES: usize = 20;

/// An event loop for a future.
pub(super) fn run<F: Future>(future: F) -> F::Output {
    let driver = crate::driver().unwrap();
    block_on(driver, future).unwrap()
}

/// What is published.
fn shape() -> SourceShape {
    SourceShape::Synthetic(Synthetic {
        bits_per_second: 1e6,
        frames_per_second: 50.0,
        gop_frames: 10,
        packet_bytes: 1000,
        has_audio: false,
    })
}

/// Six readers, of which two are looked at.
pub(super) fn load() -> Load {
    Load {
        paths: 1,
        readers: 6,
        sampled: 2,
        reader_transport: Transport::Tcp,
        publisher_transport: Transport::Tcp,
        source: shape(),
        gap: None,
        course: Course {
            ramp: Duration::from_millis(20),
            warm_up: Duration::ZERO,
            duration: Duration::ZERO,
        },
        storm: None,
        misbehaving: Misbehaving::default(),
        flapping: None,
        seed: 1,
    }
}

/// A run under way.
struct Run {
    readers: Readers,
    stage: Arc<SharedStage>,
    asked: Arc<Asked>,
    ticks: mpsc::Receiver<Tick>,
    load: Load,
}

impl Run {
    fn start(load: Load, manner: Manner) -> Self {
        let (address, asked) = serve(manner);
        Self::start_at(address, load, asked)
    }

    fn start_at(address: std::net::SocketAddr, load: Load, asked: Arc<Asked>) -> Self {
        let target = Target {
            address,
            url: format!("rtsp://{address}/x"),
            paths: load.paths,
            credentials: None,
            users: Vec::new(),
        };
        let stage = Arc::new(SharedStage::default());
        let (sender, ticks) = mpsc::channel();
        let readers = Readers::start(&load, &target, Arc::clone(&stage), sender).unwrap();
        Self {
            readers,
            stage,
            asked,
            ticks,
            load,
        }
    }

    fn wait(&self, what: &str, is_done: impl Fn(&Self) -> bool) {
        wait(what, || is_done(self));
    }

    fn wait_until_joined(&self) {
        self.wait("joins", |run| run.readers.joined() == run.load.readers);
    }

    /// Measures until so many frames more have been sent, to all readers together.
    fn measure(&self, frames: usize) {
        let begin = unix_nanos(SystemTime::now());
        self.stage.count_between(begin..u64::MAX);
        self.stage.set(Stage::Measured);
        let count = || self.asked.frames.load(Ordering::Relaxed);
        let end = count() + frames;
        self.wait("frames", |_| count() >= end);
    }

    fn end(self) -> ReaderFigures {
        let counted = self.stage.counted_between();
        let end = unix_nanos(SystemTime::now()).min(counted.end);
        self.stage.count_between(counted.start..end);
        self.stage.set(Stage::Ending);
        self.readers.join().unwrap()
    }
}

/// Asks again and again for what nobody announces.
fn wait(what: &str, is_done: impl Fn() -> bool) {
    let deadline = Instant::now() + WAIT_MAX;
    while !is_done() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::park_timeout(ASK_INTERVAL);
    }
}

/// A whole run.
fn figures(load: Load, manner: Manner) -> ReaderFigures {
    let readers = load.readers;
    let run = Run::start(load, manner);
    run.wait_until_joined();
    run.measure(FRAMES * readers);
    run.end()
}

#[test]
fn every_reader_plays_and_what_comes_to_it_is_counted() {
    for transport in [Transport::Tcp, Transport::Udp] {
        let load = Load {
            reader_transport: transport,
            ..load()
        };
        let figures = figures(load, Manner::default());
        let (sampled, all) = (&figures.sampled, &figures.all);
        assert_eq!((sampled.readers, all.readers), (2, 6), "{transport:?}");
        assert_eq!(figures.joins.len(), 6);
        assert_eq!((sampled.lost, sampled.skipped, sampled.broken), (0, 0, 0));
        assert_eq!((all.refused, all.failed, all.closed), (0, 0, 0));
        assert!(sampled.packets > FRAMES as u64, "{sampled:?}");
        // Packets with parameter sets alone carry no moment.
        assert!(sampled.latency.len() > sampled.packets * 3 / 4);
        let whole = all.deliveries / sampled.packets as f64;
        assert!((2.5..3.5).contains(&whole), "{transport:?}: {whole}");
        assert!(all.bytes > 2 * sampled.bytes);
        assert!(figures.busiest_share > 0.0 && !figures.readers_cpu.is_zero());
    }
}

#[test]
fn packets_that_are_missing_are_seen() {
    for transport in [Transport::Tcp, Transport::Udp] {
        let load = Load {
            reader_transport: transport,
            ..load()
        };
        let manner = Manner {
            loses_one_in: Some(7),
            ..Manner::default()
        };
        let figures = figures(load, manner);
        let share = figures.sampled.lost as f64 / figures.sampled.packets as f64;
        assert!((0.1..0.25).contains(&share), "{transport:?}: {share}");
    }
}

#[test]
fn everybody_leaves_in_order() {
    let run = Run::start(load(), Manner::default());
    run.wait_until_joined();
    let asked = Arc::clone(&run.asked);
    run.end();
    wait("ends", || asked.ends.load(Ordering::Relaxed) == 6);
    assert_eq!(asked.teardowns.load(Ordering::Relaxed), 6);
    assert_eq!(asked.resets.load(Ordering::Relaxed), 0);
}

#[test]
fn a_run_that_is_broken_off_has_figures_of_nothing() {
    let run = Run::start(load(), Manner::default());
    run.wait_until_joined();
    let figures = run.end();
    assert_eq!((figures.sampled.packets, figures.all.bytes), (0, 0));
    assert_eq!(figures.readers_cpu, Duration::ZERO);
    assert_eq!(figures.joins.len(), 6);
}

#[test]
fn refusals_are_figures_once_somebody_plays() {
    let manner = Manner {
        refuses_from: Some(4),
        ..Manner::default()
    };
    let run = Run::start(load(), manner);
    run.wait_until_joined();
    run.wait("plays", |run| run.readers.playing() == 4);
    assert!(run.readers.take_error().is_none());
    assert_eq!(run.end().all.refused, 2);
}

#[test]
fn a_target_that_lets_nobody_in_ends_the_run() {
    let manner = Manner {
        refuses_from: Some(0),
        ..Manner::default()
    };
    let run = Run::start(load(), manner);
    run.wait_until_joined();
    let error = run.readers.take_error().unwrap().to_string();
    let said = "the server refused SETUP with 453 Not Enough Bandwidth";
    assert!(
        error.starts_with("reader on rtsp://127.0.0.1:") && error.ends_with(said),
        "{error}"
    );
    assert_eq!(run.end().all.refused, 6);
}

#[test]
fn a_target_that_is_not_there_ends_the_run() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let run = Run::start_at(address, load(), Arc::default());
    run.wait_until_joined();
    let error = run.readers.take_error();
    assert!(
        matches!(error, Some(BenchError::Unreachable { .. })),
        "{error:?}"
    );
    assert_eq!(run.end().all.failed, 6);
}

#[test]
fn connections_that_the_server_ends_are_counted_and_their_readers_taken_out() {
    let manner = Manner {
        frames_max: Some(3),
        ..Manner::default()
    };
    let run = Run::start(load(), manner);
    run.wait_until_joined();
    run.wait("ends", |run| run.readers.playing() == 0);
    let asked = Arc::clone(&run.asked);
    let figures = run.end();
    assert_eq!((figures.all.closed, figures.all.readers), (6, 0));
    assert_eq!(asked.connections.load(Ordering::Relaxed), 6);
}

#[test]
fn readers_come_back_when_publishers_leave() {
    let manner = Manner {
        frames_max: Some(3),
        ..Manner::default()
    };
    let load = Load {
        flapping: Some(Flapping {
            publishers: 1,
            every: Duration::from_secs(1),
            away: Duration::from_secs(1),
        }),
        ..load()
    };
    let run = Run::start(load, manner);
    run.wait("comebacks", |run| {
        run.asked.plays.load(Ordering::Relaxed) > 12
    });
    let figures = run.end();
    assert!(figures.all.closed > 5);
    assert_eq!((figures.all.refused, figures.all.failed), (0, 0));
}

#[test]
fn what_is_no_packet_is_counted_as_broken() {
    let manner = Manner {
        babbles_after: Some(5),
        ..Manner::default()
    };
    let run = Run::start(load(), manner);
    run.wait_until_joined();
    // Those that are only counted look at nothing.
    run.wait("ends", |run| run.readers.playing() == 4);
    assert_eq!(run.end().sampled.broken, 2);
}

#[test]
fn sessions_are_kept_alive() {
    let manner = Manner {
        session_seconds: Some(2),
        ..Manner::default()
    };
    let run = Run::start(load(), manner);
    run.wait_until_joined();
    run.wait("keep-alives", |run| {
        run.asked.keep_alives.load(Ordering::Relaxed) >= 12
    });
    assert_eq!(run.readers.playing(), 6);
    run.end();
}

#[test]
fn a_storm_joins_while_it_is_measured_and_leaves_or_stays() {
    for stays in [false, true] {
        let load = Load {
            storm: Some(Storm {
                joins: 5,
                within: Duration::from_millis(50),
                stays,
            }),
            ..load()
        };
        let run = Run::start(load, Manner::default());
        run.wait_until_joined();
        run.wait("plays", |run| run.asked.plays.load(Ordering::Relaxed) == 6);
        run.stage.set(Stage::Measured);
        run.wait("the storm", |run| {
            run.asked.plays.load(Ordering::Relaxed) == 11
        });
        if !stays {
            run.wait("leaves", |run| {
                run.asked.teardowns.load(Ordering::Relaxed) == 5
            });
        }
        run.measure(FRAMES);
        assert_eq!(run.readers.playing(), 6);
        let figures = run.end();
        assert_eq!((figures.joins.len(), figures.all.readers), (11, 6));
        assert_eq!((figures.all.failed, figures.all.closed), (0, 0));
    }
}

#[test]
fn readers_that_misbehave_are_beside_the_others() {
    misbehave(Transport::Tcp);
}

#[test]
fn readers_that_misbehave_over_udp_are_beside_the_others() {
    misbehave(Transport::Udp);
}

fn misbehave(transport: Transport) {
    let load = Load {
        reader_transport: transport,
        misbehaving: Misbehaving {
            stalled: 1,
            crawling: 1,
            crawl_bits_per_second: 1e5,
            vanishing: 2,
        },
        ..load()
    };
    let run = Run::start(load, Manner::default());
    run.wait_until_joined();
    // Six, two that do not read, and two of whom one has come back.
    run.wait("comebacks", |run| {
        run.asked.plays.load(Ordering::Relaxed) >= 11
    });
    run.wait("resets", |run| {
        run.asked.resets.load(Ordering::Relaxed) >= 1
    });
    run.measure(FRAMES * 6);
    let figures = run.end();
    assert_eq!((figures.all.readers, figures.all.closed), (6, 0));
    assert_eq!((figures.sampled.lost, figures.sampled.broken), (0, 0));
}

#[test]
fn threads_tell_every_second_what_has_come() {
    let run = Run::start(load(), Manner::default());
    run.wait_until_joined();
    run.stage.set(Stage::Measured);
    let mut told = [0, 0];
    while told.contains(&0) {
        let tick = run.ticks.recv_timeout(WAIT_MAX).unwrap();
        let (place, playing) = match tick.thread.as_str() {
            "sampled" => (0, 2),
            _ => (1, 4),
        };
        assert_eq!(tick.playing, playing, "{}", tick.thread);
        assert_eq!(tick.latency.is_empty(), place == 1);
        assert_eq!(tick.lost, 0);
        told[place] = tick.bytes;
    }
    run.end();
}

#[test]
fn readers_are_shared_out_over_threads() {
    let mut load = load();
    (load.readers, load.sampled) = (10, 3);
    let names = |load: &Load| -> Vec<_> {
        let places = places(load).into_iter();
        places.map(|(name, seats)| (name, seats.len())).collect()
    };
    let expected = [("sampled".to_owned(), 3), ("counted-0".to_owned(), 7)];
    assert_eq!(names(&load), expected);
    (load.readers, load.sampled) = (3, 3);
    assert_eq!(names(&load), [("sampled".to_owned(), 3)]);
    (load.readers, load.sampled) = (COUNTED_PER_THREAD + 1, 0);
    let seats: Vec<_> = names(&load).iter().map(|(_, seats)| *seats).collect();
    assert_eq!(seats.iter().sum::<usize>(), COUNTED_PER_THREAD + 1);
}
