//! `shardcast soak`: minutes of readers and publishers that misbehave, on a server that is started here, beside readers that
//! nobody disturbs; and the question whether everything has come back to what it was.
//!
//! Steady paths are published, and read over TCP and over UDP, by the same threads as a load's. Who misbehaves does it in
//! rounds ([`schedule`], [`crew`]); after each, when all of them have gone, the server is asked how it is ([`vitals`]). The
//! first round does everything once and comes before the baseline: what is built only when it is needed first, and the memory
//! that a crowd of this size takes, are part of it.
//!
//! Deliberately absent: figures of speed. The machine may be as busy as it likes.

mod companions;
mod crew;
mod options;
mod report;
mod schedule;
mod stage;
mod vitals;

use std::time::Duration;

pub use options::SoakOptions;

use crate::BenchError;
use crate::cpus::Cpus;
use crate::plan::{settings, within};
use crate::report::Progress;
use crate::run::Interrupt;
use crate::shape::{Course, Load, Misbehaving, SourceShape, Synthetic, Transport};
use crate::subject::{Role, Subject};
use report::Report;
use schedule::Cast;
use stage::Soak;

/// A round lasts so long at most: long enough for everybody to do everything, short enough to tell when a leak began.
const ROUND: Duration = Duration::from_secs(15);
/// Paths, readers and publishers that one process has descriptors and memory for.
const PATHS_MAX: usize = 1000;
const READERS_MAX: usize = 10_000;
/// The steady readers of a path: one over TCP, one over UDP.
const STEADY_READERS: usize = 2;

/// Keys of the server, so that a reader is slow within an errand and logs are full within a round, and so that streams
/// cross from shard to shard.
const KEYS: [(&str, &str); 6] = [
    ("metrics", "yes"),
    ("metricsAddress", "127.0.0.1:0"),
    ("gatherReaders", "0"),
    ("pathDefaults.logAge", "3s"),
    ("pathDefaults.readerQueueAge", "1s"),
    ("pathDefaults.readerQueueBytes", "256K"),
];
/// Where readers begin, and what becomes of slow ones: each path has another pair.
const STARTS: [&str; 4] = ["live", "keyFrame", "gop", "catchUp"];
const SLOW_READERS: [&str; 3] = ["disconnect", "dropToKeyFrame", "skipNonReference"];

/// Soaks a server as the options say, and writes the report; the exit status of the process.
///
/// # Errors
/// When an option cannot be followed, or the server or a steady publisher is gone.
pub fn soak(options: &SoakOptions, interrupt: &Interrupt) -> Result<u8, BenchError> {
    let cast = cast(options)?;
    let progress = Progress::new(options.quiet);
    progress.heading(&format!("seed {}", cast.seed));
    let mut output = report::Output::create(options.json.as_deref())?;
    let soak = Soak {
        cast,
        round: ROUND.min(options.duration),
        rounds: rounds(options.duration),
        load: load(options, cast)?,
        memory_tolerance: options.memory_tolerance,
        patience: options.patience,
        companions: options.companions,
        interrupt,
        progress: &progress,
    };
    let soaked = soak.run(&subject(options, cast)?);
    progress.finish();
    let report = Report {
        cast,
        duration: options.duration,
        memory_tolerance: options.memory_tolerance,
        soaked: soaked?,
    };
    output.write(&report)?;
    Ok(report.exit_status())
}

/// So many rounds are the duration, or a little more.
fn rounds(duration: Duration) -> u64 {
    duration.as_nanos().div_ceil(ROUND.as_nanos()).max(1) as u64
}

fn cast(options: &SoakOptions) -> Result<Cast, BenchError> {
    if options.duration.is_zero() {
        return Err(BenchError::Option {
            option: "duration",
            reason: "nothing can be seen in no time".to_owned(),
        });
    }
    Ok(Cast {
        paths: within("paths", options.paths, 1..=PATHS_MAX)?,
        readers: within("readers", options.readers, 1..=READERS_MAX)?,
        publishers: within("publishers", options.publishers, 1..=PATHS_MAX)?,
        seed: options.seed.unwrap_or_else(|| fastrand::u64(..)),
    })
}

/// The server: on all CPUs, for nothing is measured that others could disturb.
fn subject(options: &SoakOptions, cast: Cast) -> Result<Subject, BenchError> {
    let mut keys: Vec<_> = KEYS
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    for path in 0..cast.all_paths() {
        let key = |key| format!("paths.bench{path}.{key}");
        let (start, slow) = (path % STARTS.len(), path % SLOW_READERS.len());
        let start = STARTS.get(start).copied().unwrap_or_default();
        let slow = SLOW_READERS.get(slow).copied().unwrap_or_default();
        keys.push((key("start"), start.to_owned()));
        keys.push((key("slowReader"), slow.to_owned()));
    }
    keys.extend(settings(&options.set)?);
    Ok(Subject::Started {
        role: Role::Server,
        settings: keys,
        cpus: Cpus::divide(None, None, false)?.all(),
    })
}

/// What nobody disturbs, of its readers those over TCP.
fn load(options: &SoakOptions, cast: Cast) -> Result<Load, BenchError> {
    Ok(Load {
        paths: cast.paths,
        readers: cast.paths,
        sampled: cast.paths,
        reader_transport: Transport::Tcp,
        publisher_transport: Transport::Tcp,
        source: SourceShape::Synthetic(Synthetic {
            bits_per_second: within("mbit", options.mbit, 0.05..=1000.0)? * 1e6,
            frames_per_second: 30.0,
            gop_frames: 30,
            packet_bytes: 1200,
            has_audio: true,
        }),
        gap: None,
        course: Course {
            ramp: Duration::ZERO,
            warm_up: Duration::ZERO,
            duration: options.duration,
        },
        storm: None,
        misbehaving: Misbehaving::default(),
        flapping: None,
        seed: cast.seed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_take_the_whole_duration() {
        let of = |seconds| rounds(Duration::from_secs(seconds));
        assert_eq!([of(1), of(15), of(16), of(120), of(600)], [1, 1, 2, 8, 40]);
    }
}
