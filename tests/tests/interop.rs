//! The real programs carry two clips through the daemon, over TCP, UDP and multicast, over loopback and over a cable with
//! the MTU of Ethernet, and every reader decodes every frame from its first key frame to the clip's last.
//!
//! Not caught here: what only shows under loss, under load, or after more than a few seconds.

use std::path::Path;
use std::sync::Mutex;
use std::thread;

use shardcast_tests::daemon::Daemon;
use shardcast_tests::interop::clip::Clip;
use shardcast_tests::interop::matrix::{CASES, Case};
use shardcast_tests::interop::network::Network;
use shardcast_tests::interop::publish::Publisher;
use shardcast_tests::interop::read::{Reader, vlc_root};
use shardcast_tests::interop::run::{Outcome, Way};
use shardcast_tests::interop::transport::Transport;
use shardcast_tests::netlab::lab;
use tempfile::TempDir;

/// Where Linux has a file system in memory.
const MEMORY: &str = "/dev/shm";
/// What is said of a program that had to be ended.
const HUNG: &str = "did not end within";

/// One case after the other: each is one daemon, four publishers and up to forty readers.
#[test]
fn every_reader_decodes_both_clips_whole_under_every_pair_of_settings() {
    lab::within(
        "every_reader_decodes_both_clips_whole_under_every_pair_of_settings",
        || {
            let clips = made_clips(&Clip::ALL);
            let carry = |case| carry_again_if_hung(case, clips.path());
            let outcomes: Vec<Outcome> = CASES.iter().flat_map(carry).collect();
            report(&outcomes);
        },
    );
}

/// Without a network of its own, so that it can also be shown of a daemon that is not a program of this system.
#[test]
fn a_clip_that_ffmpeg_publishes_comes_back_whole() {
    let clips = made_clips(&[Clip::H264Aac]);
    let scratch = folder();
    // Room for the burst with which a publisher begins.
    let daemon = Daemon::start("udpReadBufferSize: 2097152\npaths:\n  all_others:\n").unwrap();
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for publish_over in Transport::UNICAST {
            let way = Way {
                host: "127.0.0.1",
                daemon: &daemon,
                clip: Clip::H264Aac,
                publisher: Publisher::Ffmpeg,
                publish_over,
                clips: clips.path(),
                scratch: scratch.path(),
                name: "default",
            };
            let outcomes = &outcomes;
            scope.spawn(move || {
                let done = way.carry(&over_unicast(&[Reader::Ffmpeg, Reader::Retina]));
                outcomes.lock().unwrap().extend(done);
            });
        }
    });
    report(&outcomes.into_inner().unwrap());
}

/// A folder in memory, where there is one: decoded pictures are many and gone soon, and a busy disk would stop their
/// readers.
fn folder() -> TempDir {
    TempDir::new_in(MEMORY).or_else(|_| TempDir::new()).unwrap()
}

fn made_clips(clips: &[Clip]) -> TempDir {
    let directory = folder();
    for clip in clips {
        clip.make(directory.path()).unwrap();
    }
    directory
}

/// What GStreamer says when it asks to pause a connection that has ended with its stream.
const PAUSED_IN_VAIN: &str = "gst_rtspsrc_pause";

/// What is wrong with the pictures of a GStreamer that played before the stream's first frame came, and left that one out.
const WITHOUT_ITS_FIRST: &str = "frames before the first key frame";

/// A program that hangs though its connection has been closed, or that asks to pause a stream that has ended, or
/// leaves out the frame that it had waited for, gets one more chance, and the log says so: about one GStreamer in a few
/// hundred does so. Whatever else
/// goes wrong counts at once.
fn carry_again_if_hung(case: &Case, clips: &Path) -> Vec<Outcome> {
    let is_its_own = |outcome: &&Outcome| {
        let error = outcome.result.as_ref().err();
        error.is_some_and(|error| {
            let is_gstreamer = outcome.who.rsplit('-').nth(1) == Some("gstreamer");
            error.contains(HUNG)
                || error.contains(PAUSED_IN_VAIN)
                || (is_gstreamer && error.contains(WITHOUT_ITS_FIRST))
        })
    };
    let done = carry_both_clips(case, clips);
    let failed = done.iter().filter(|outcome| outcome.result.is_err());
    let failed: Vec<&Outcome> = failed.collect();
    if failed.is_empty() || !failed.iter().all(is_its_own) {
        return done;
    }
    println!(
        "{} is tried once more: a program has hung, paused in vain, or left its first frame out",
        case.name()
    );
    carry_both_clips(case, clips)
}

/// Starts a daemon with the case's settings and carries both clips from both publishers to all readers at once.
fn carry_both_clips(case: &Case, clips: &Path) -> Vec<Outcome> {
    let name = case.name();
    println!("{name}");
    let network = Network::build(case.ground).unwrap_or_else(|error| panic!("{error}"));
    let mut started = None;
    let start = Outcome::of(format!("{name} start"), || {
        let daemon = network.at_server(|| Daemon::start_on_usual_ports(&case.configuration()));
        started = Some(daemon.map_err(|error| error.to_string())?);
        Ok(0)
    });
    let Some(daemon) = started else {
        return vec![start];
    };
    let mut outcomes = network.at_programs(|| carry_all_ways(case, clips, &daemon));
    if outcomes.iter().any(|outcome| outcome.result.is_err()) {
        println!("{name} log of the daemon:\n{}", daemon.log());
    }
    outcomes.push(ended_in_order(daemon, &name));
    outcomes
}

fn carry_all_ways(case: &Case, clips: &Path, daemon: &Daemon) -> Vec<Outcome> {
    let scratch = folder();
    let (name, host) = (case.name(), case.host());
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for (publisher_index, publisher) in Publisher::ALL.into_iter().enumerate() {
            for (clip_index, clip) in Clip::ALL.into_iter().enumerate() {
                let readers = readers(case, publisher_index * Clip::ALL.len() + clip_index);
                let way = Way {
                    host: &host,
                    daemon,
                    clip,
                    publisher,
                    publish_over: case.publish_over,
                    clips,
                    scratch: scratch.path(),
                    name: &name,
                };
                let outcomes = &outcomes;
                scope.spawn(move || {
                    let done = way.carry(&readers);
                    outcomes.lock().unwrap().extend(done);
                });
            }
        }
    });
    outcomes.into_inner().unwrap()
}

/// The readers of a case's clip of this number: all that are there over TCP and UDP, and one over multicast, in turn. VLC
/// is left out only where the environment names none; `.ci/run` then says so.
fn readers(case: &Case, number: usize) -> Vec<(Reader, Transport)> {
    let mut all = vec![Reader::Ffmpeg, Reader::GStreamer, Reader::Retina];
    if vlc_root().is_some() {
        all.push(Reader::Vlc);
    }
    let mut readers = over_unicast(&all);
    all.retain(|reader| reader.knows_multicast(case.ground));
    if case.has_multicast() {
        readers.push((all[number % all.len()], Transport::Multicast));
    }
    readers
}

fn over_unicast(readers: &[Reader]) -> Vec<(Reader, Transport)> {
    let both = |reader: &Reader| Transport::UNICAST.map(|over| (*reader, over));
    readers.iter().flat_map(both).collect()
}

/// The daemon ends by itself, well, when it is told to.
fn ended_in_order(daemon: Daemon, name: &str) -> Outcome {
    Outcome::of(format!("{name} daemon"), || match daemon.stop() {
        Ok(status) if status.success() => Ok(0),
        Ok(status) => Err(format!("ended with {status}")),
        Err(error) => Err(error.to_string()),
    })
}

fn report(outcomes: &[Outcome]) {
    for outcome in outcomes {
        println!("{outcome}");
    }
    let failed: Vec<String> = outcomes
        .iter()
        .filter(|outcome| outcome.result.is_err())
        .map(ToString::to_string)
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {} failed:\n{}",
        failed.len(),
        outcomes.len(),
        failed.join("\n")
    );
}
