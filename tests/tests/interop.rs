//! The real programs carry two clips through the daemon, and every reader decodes every frame from its first key frame
//! to the clip's last.
//!
//! Not caught here: what only shows under loss, under load, or after more than a few seconds.

use std::path::Path;
use std::sync::Mutex;
use std::thread;

use shardcast_tests::daemon::Daemon;
use shardcast_tests::interop::clip::Clip;
use shardcast_tests::interop::matrix::{CASES, Case};
use shardcast_tests::interop::publish::Publisher;
use shardcast_tests::interop::read::{Reader, vlc_root};
use shardcast_tests::interop::run::{Outcome, Way};
use tempfile::TempDir;

/// Cases that run at the same time: each is one daemon, four publishers and up to sixteen readers, most of them asleep.
const CASES_AT_ONCE: usize = 2;
/// What is said of a program that had to be ended.
const HUNG: &str = "did not end within";

#[test]
fn every_reader_decodes_both_clips_whole_under_every_pair_of_settings() {
    let clips = made_clips(&Clip::ALL);
    let waiting = Mutex::new(CASES.iter());
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..CASES_AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = next(&waiting) {
                    let done = carry_again_if_hung(case, clips.path());
                    outcomes.lock().unwrap().extend(done);
                }
            });
        }
    });
    report(&outcomes.into_inner().unwrap());
}

#[test]
fn a_clip_that_ffmpeg_publishes_comes_back_whole() {
    let clips = made_clips(&[Clip::H264Aac]);
    let scratch = TempDir::new().unwrap();
    let daemon = Daemon::start("paths:\n  all_others:\n").unwrap();
    let way = Way {
        host: "127.0.0.1",
        port: daemon.port(),
        clip: Clip::H264Aac,
        publisher: Publisher::Ffmpeg,
        clips: clips.path(),
        scratch: scratch.path(),
        name: "default",
    };
    report(&way.carry(&[Reader::Ffmpeg, Reader::Retina]));
}

fn made_clips(clips: &[Clip]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for clip in clips {
        clip.make(directory.path()).unwrap();
    }
    directory
}

fn next(waiting: &Mutex<std::slice::Iter<'static, Case>>) -> Option<&'static Case> {
    waiting.lock().unwrap().next()
}

/// A program that hangs though its connection has been closed gets one more chance, and the log says so: about one
/// GStreamer in a few hundred never ends, under any server. Whatever else goes wrong counts at once.
fn carry_again_if_hung(case: &Case, clips: &Path) -> Vec<Outcome> {
    let done = carry_both_clips(case, clips);
    let mut failed = done
        .iter()
        .filter_map(|outcome| outcome.result.as_ref().err());
    if failed.clone().next().is_none() || !failed.all(|error| error.contains(HUNG)) {
        return done;
    }
    println!("{} is tried once more: a program has hung", case.name());
    carry_both_clips(case, clips)
}

/// Starts a daemon with the case's settings and carries both clips from both publishers to all readers at once.
fn carry_both_clips(case: &Case, clips: &Path) -> Vec<Outcome> {
    let mut started = None;
    let start = Outcome::of(format!("{} start", case.name()), || {
        started = Some(Daemon::start(&case.configuration()).map_err(|error| error.to_string())?);
        Ok(0)
    });
    let Some(daemon) = started else {
        return vec![start];
    };
    let scratch = TempDir::new().unwrap();
    let name = case.name();
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for publisher in Publisher::ALL {
            for clip in Clip::ALL {
                let way = Way {
                    host: case.host,
                    port: daemon.port(),
                    clip,
                    publisher,
                    clips,
                    scratch: scratch.path(),
                    name: &name,
                };
                let outcomes = &outcomes;
                scope.spawn(move || {
                    let done = way.carry(&readers());
                    outcomes.lock().unwrap().extend(done);
                });
            }
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap();
    if outcomes.iter().any(|outcome| outcome.result.is_err()) {
        println!("{name} log of the daemon:\n{}", daemon.log());
    }
    outcomes.push(ended_in_order(daemon, &name));
    outcomes
}

/// All readers that are there. VLC is left out only where the environment names none; `.ci/run` then says so.
fn readers() -> Vec<Reader> {
    let mut readers = vec![Reader::Ffmpeg, Reader::GStreamer, Reader::Retina];
    if vlc_root().is_some() {
        readers.push(Reader::Vlc);
    }
    readers
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
