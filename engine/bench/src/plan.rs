//! What the options ask for, checked: a load, what it is for, and where everything runs.

use std::ffi::OsString;
use std::time::Duration;

use shardcast_platform::usage_of;

use crate::BenchError;
use crate::baseline::baseline_options;
use crate::bounds::Bounds;
use crate::cpus::Cpus;
use crate::options::{Options, TransportOption, Yardstick};
use crate::shape::{Course, Flapping, Load, Misbehaving, SourceShape, Storm, Synthetic, Transport};
use crate::subject::{Role, Subject};
use crate::target::{Credentials, Target};

/// Readers where nothing else is asked for.
const READERS: usize = 100;
/// Readers that join in a second of the ramp.
const JOINS_PER_SECOND: f64 = 1000.0;
/// Readers that are looked at: one in so many, within these bounds. Each wakes its thread for every frame, and costs about
/// fifteen times as much as one that is only counted: of 1000, 50 would cost nearly as much as all the others.
const SAMPLED_ONE_IN: usize = 50;
const SAMPLED_MIN: usize = 10;
const SAMPLED_MAX: usize = 100;
/// The smallest packet that has room for its headers and its probe, and the largest that a datagram can be.
const PACKET_BYTES: std::ops::RangeInclusive<usize> = 64..=65_000;
/// Frames per second that a publisher can keep.
const FPS_MAX: f64 = 1000.0;
/// Paths and readers that one process has descriptors and memory for.
const PATHS_MAX: usize = 10_000;
const READERS_MAX: usize = 1_000_000;
const TURNS_MAX: usize = 1000;
/// Ratios that a bound may be set on.
const RATIOS: std::ops::RangeInclusive<f64> = 0.000_1..=10_000.0;
/// Time that is measured; and in each trial of a search, which has a dozen of them.
const DURATION: Duration = Duration::from_secs(10);
const TRIAL_DURATION: Duration = Duration::from_secs(5);
/// Time before that, at least; and what it is longer than from one key frame to the next, for that frame to arrive.
const WARM_UP_MIN: Duration = Duration::from_secs(2);
const WARM_UP_SPARE: Duration = Duration::from_millis(500);

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) load: Load,
    pub(crate) subject: Subject,
    pub(crate) cpus: Cpus,
    pub(crate) bounds: Bounds,
    pub(crate) other: Option<Other>,
}

/// With what turns are taken.
#[derive(Clone, Debug)]
pub(crate) struct Other {
    /// What a report calls it.
    pub(crate) name: String,
    pub(crate) subject: Subject,
    pub(crate) load: Load,
    pub(crate) cpus: Cpus,
}

impl Plan {
    /// The plan of these options, and of the words that they were made of.
    ///
    /// # Errors
    /// An option that cannot be followed, by its name.
    pub(crate) fn of(options: &Options, words: &[OsString]) -> Result<Self, BenchError> {
        let mut plan = Self::alone(options)?;
        plan.other = match (options.against, &options.compare, &options.baseline) {
            (Some(Yardstick::Floor), _, _) => {
                Some(plan.beside(started(Role::FloorEpoll, Vec::new(), &plan.cpus)))
            }
            (None, Some(url), _) => {
                let names = ["compare", "compare-pid"];
                let other = running(names, url, options.compare_pid, plan.load.paths)?;
                Some(plan.beside(other))
            }
            (None, None, Some(baseline)) => {
                let theirs = Self::alone(&baseline_options(words, baseline)?)?;
                Some(plan.under_another_load(theirs, baseline))
            }
            (None, None, None) => None,
        };
        plan.check_floor()?;
        plan.check_other(options)?;
        if options.find_limit {
            plan.check_search(options)?;
        }
        Ok(plan)
    }

    /// Of one side, with nothing beside it.
    fn alone(options: &Options) -> Result<Self, BenchError> {
        within("turns", options.turns, 1..=TURNS_MAX)?;
        within("precision", options.precision, 0.1..=50.0)?;
        within("max-loss", options.max_loss, 0.0..=100.0)?;
        within("max-readers", options.max_readers, 1..=READERS_MAX)?;
        check_ratios(options)?;
        let load = load(options)?;
        let starts_server = options.target.is_none();
        let (server, own) = (options.server_cpus.as_deref(), options.load_cpus.as_deref());
        let starts_any = starts_server || options.against.is_some();
        let cpus = Cpus::divide(server, own, starts_any)?;
        let subject = match &options.target {
            None => started(Role::Server, settings(&options.set)?, &cpus),
            Some(url) => {
                let running = running(["target", "pid"], url, options.pid, load.paths)?;
                match &options.users {
                    Some(file) => running.with_users(Credentials::read("users", file)?),
                    None => running,
                }
            }
        };
        Ok(Self {
            load,
            subject,
            cpus,
            bounds: Bounds {
                lost: options.lost_at_most,
                start: options.start_at_most,
                memory_growth: options.memory_grows_at_most,
            },
            other: None,
        })
    }

    /// Another server under the same load.
    fn beside(&self, subject: Subject) -> Other {
        Other {
            name: subject.name(),
            subject,
            load: self.load.clone(),
            cpus: self.cpus.clone(),
        }
    }

    /// The same server as planned for the other options. What is left to chance is the same for both.
    fn under_another_load(&self, theirs: Self, baseline: &str) -> Other {
        Other {
            name: format!("{} with {baseline}", theirs.subject.name()),
            subject: theirs.subject,
            load: Load {
                seed: self.load.seed,
                ..theirs.load
            },
            cpus: theirs.cpus,
        }
    }

    /// The load with so many readers instead.
    pub(crate) fn load_of(&self, options: &Options, readers: usize) -> Load {
        let usual = ramp_of(readers);
        Load {
            readers,
            sampled: options
                .sampled
                .unwrap_or_else(|| sampled_of(readers))
                .min(readers),
            course: Course {
                ramp: options.ramp.unwrap_or(usual),
                ..self.load.course
            },
            ..self.load.clone()
        }
    }

    /// The bare relay can do little, and says nothing when it is asked for more.
    fn check_floor(&self) -> Result<(), BenchError> {
        let has_floor = self.other.as_ref().is_some_and(|it| it.subject.is_floor());
        let asked = [
            (self.load.paths > 1, "one path; leave --paths at 1"),
            (
                self.load.publisher_transport == Transport::Udp,
                "publishers over TCP alone",
            ),
            (
                self.load.flapping.is_some(),
                "one publisher, and ends with it; leave --flapping out",
            ),
            (
                self.load.source == SourceShape::Nothing,
                "no stream of its own; leave --no-publish out",
            ),
        ];
        match asked
            .into_iter()
            .find(|(is_asked, _)| has_floor && *is_asked)
        {
            Some((_, what)) => Err(wrong("against", format!("the bare relay has {what}"))),
            None => Ok(()),
        }
    }

    /// A server beside itself shows nothing, unless its load is another.
    fn check_other(&self, options: &Options) -> Result<(), BenchError> {
        let other = self.other.as_ref().map(|other| &other.subject);
        match (&self.subject, other) {
            _ if options.baseline.is_some() => Ok(()),
            (Subject::Running { target, .. }, Some(Subject::Running { target: other, .. }))
                if target.is_same_as(other) =>
            {
                Err(wrong(
                    "compare",
                    format!("{} is the target itself", other.url),
                ))
            }
            _ => Ok(()),
        }
    }

    /// What a search needs to end at a limit that is one.
    fn check_search(&self, options: &Options) -> Result<(), BenchError> {
        if self.load.readers > options.max_readers {
            return Err(wrong("max-readers", "the first trial would have more"));
        }
        if options.sampled == Some(0) {
            return Err(wrong("sampled", "a search looks at latency and loss"));
        }
        if options.max_p99.is_zero() {
            return Err(wrong("max-p99", "nothing arrives in no time"));
        }
        let key_interval = key_interval(&self.load.source);
        if self.load.course.warm_up < key_interval {
            let least = key_interval.as_secs_f64();
            return Err(wrong(
                "warm-up",
                format!(
                    "readers begin at a key frame, and would lack packets: at least {least:.1}s"
                ),
            ));
        }
        Ok(())
    }
}

/// Whether the bounds on ratios are any.
fn check_ratios(options: &Options) -> Result<(), BenchError> {
    for (name, ratio) in [
        ("cpu-at-most", options.cpu_at_most),
        ("p99-at-most", options.p99_at_most),
        ("limit-at-least", options.limit_at_least),
    ] {
        if let Some(ratio) = ratio {
            within(name, ratio, RATIOS)?;
        }
    }
    Ok(())
}

fn wrong(option: &'static str, reason: impl Into<String>) -> BenchError {
    BenchError::Option {
        option,
        reason: reason.into(),
    }
}

fn started(role: Role, settings: Vec<(String, String)>, cpus: &Cpus) -> Subject {
    Subject::Started {
        role,
        settings,
        cpus: cpus.server.clone(),
    }
}

/// A server that runs already. The names are those of the options that gave its URL and its process.
fn running(
    [option, process_option]: [&'static str; 2],
    url: &str,
    process: Option<u32>,
    paths: usize,
) -> Result<Subject, BenchError> {
    if let Some(process) = process {
        let usage = usage_of(process);
        usage.map_err(|error| wrong(process_option, format!("process {process}: {error}")))?;
    }
    let target = Target::parse(option, url, paths)?;
    Ok(Subject::Running { target, process })
}

pub(crate) fn settings(set: &[String]) -> Result<Vec<(String, String)>, BenchError> {
    let split = set.iter().map(|setting| {
        let (key, value) = setting
            .split_once('=')
            .ok_or_else(|| wrong("set", format!("'{setting}' is not KEY=VALUE")))?;
        Ok((key.trim().to_owned(), value.to_owned()))
    });
    split.collect()
}

fn load(options: &Options) -> Result<Load, BenchError> {
    let paths = within("paths", options.paths, 1..=PATHS_MAX)?;
    let readers = match options.readers_per_path {
        Some(each) => within("readers-per-path", each, 0..=READERS_MAX)?.saturating_mul(paths),
        None => options.readers.unwrap_or(READERS),
    };
    let readers = within("readers", readers, 0..=READERS_MAX)?;
    let source = source(options)?;
    Ok(Load {
        paths,
        readers,
        sampled: options
            .sampled
            .unwrap_or_else(|| sampled_of(readers))
            .min(readers),
        reader_transport: transport(options.transport),
        publisher_transport: transport(options.publisher_transport),
        gap: options.gap.filter(|gap| !gap.is_zero()),
        course: course(options, readers, &source)?,
        source,
        storm: storm(options),
        misbehaving: misbehaving(options)?,
        flapping: flapping(options, paths)?,
        seed: options.seed.unwrap_or_else(|| fastrand::u64(..)),
    })
}

pub(crate) fn within<T: PartialOrd + std::fmt::Display>(
    option: &'static str,
    value: T,
    range: std::ops::RangeInclusive<T>,
) -> Result<T, BenchError> {
    match range.contains(&value) {
        true => Ok(value),
        false => {
            let (least, most) = (range.start(), range.end());
            Err(wrong(
                option,
                format!("{value} is not within {least} and {most}"),
            ))
        }
    }
}

fn transport(option: TransportOption) -> Transport {
    match option {
        TransportOption::Tcp => Transport::Tcp,
        TransportOption::Udp => Transport::Udp,
    }
}

fn source(options: &Options) -> Result<SourceShape, BenchError> {
    if options.no_publish {
        return Ok(SourceShape::Nothing);
    }
    if let Some(file) = &options.file {
        return Ok(SourceShape::File(file.clone()));
    }
    Ok(SourceShape::Synthetic(Synthetic {
        bits_per_second: within("mbit", options.mbit, 0.01..=10_000.0)? * 1e6,
        frames_per_second: within("fps", options.fps, 0.1..=FPS_MAX)?,
        gop_frames: within("gop", options.gop, 1..=1_000_000)?,
        packet_bytes: within("packet-bytes", options.packet_bytes, PACKET_BYTES)?,
        has_audio: options.audio,
    }))
}

fn sampled_of(readers: usize) -> usize {
    (readers / SAMPLED_ONE_IN).clamp(SAMPLED_MIN, SAMPLED_MAX)
}

fn ramp_of(readers: usize) -> Duration {
    Duration::from_secs_f64(readers as f64 / JOINS_PER_SECOND)
}

/// From one key frame to the next, where it is known.
fn key_interval(source: &SourceShape) -> Duration {
    match source {
        SourceShape::Synthetic(it) => {
            Duration::from_secs_f64(it.gop_frames as f64 / it.frames_per_second)
        }
        SourceShape::File(_) | SourceShape::Nothing => Duration::ZERO,
    }
}

fn course(options: &Options, readers: usize, source: &SourceShape) -> Result<Course, BenchError> {
    let usual = match options.find_limit {
        true => TRIAL_DURATION,
        false => DURATION,
    };
    let duration = options.duration.unwrap_or(usual);
    if duration.is_zero() {
        return Err(wrong("duration", "nothing can be measured in no time"));
    }
    let warm_up = (key_interval(source) + WARM_UP_SPARE).max(WARM_UP_MIN);
    Ok(Course {
        ramp: options.ramp.unwrap_or_else(|| ramp_of(readers)),
        warm_up: options.warm_up.unwrap_or(warm_up),
        duration,
    })
}

fn storm(options: &Options) -> Option<Storm> {
    (options.storm > 0).then_some(Storm {
        joins: options.storm,
        within: options.storm_within,
        stays: options.storm_stays,
    })
}

fn misbehaving(options: &Options) -> Result<Misbehaving, BenchError> {
    let crawl = options.crawl_mbit.unwrap_or(options.mbit / 4.0);
    Ok(Misbehaving {
        stalled: options.stalled,
        crawling: options.crawling,
        crawl_bits_per_second: within("crawl-mbit", crawl, 0.0001..=10_000.0)? * 1e6,
        vanishing: options.vanishing,
    })
}

fn flapping(options: &Options, paths: usize) -> Result<Option<Flapping>, BenchError> {
    if options.flapping == 0 {
        return Ok(None);
    }
    if options.no_publish {
        return Err(wrong(
            "flapping",
            "there are no publishers with --no-publish",
        ));
    }
    if options.flap_every <= options.flap_away {
        return Err(wrong(
            "flap-every",
            "publishers would be away for longer than that",
        ));
    }
    Ok(Some(Flapping {
        publishers: within("flapping", options.flapping, 1..=paths)?,
        every: options.flap_every,
        away: options.flap_away,
    }))
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command, FromArgMatches as _};

    use super::*;

    fn plan(line: &str) -> Result<Plan, BenchError> {
        let command = Options::augment_args(Command::new("bench")).no_binary_name(true);
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let matches = command.try_get_matches_from(&words);
        let options = Options::from_arg_matches(&matches.expect("options")).expect("options");
        Plan::of(&options, &words)
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_name() {
        for (line, option) in [
            ("--against floor --cpu-at-most 0", "cpu-at-most"),
            ("--against floor --p99-at-most NaN", "p99-at-most"),
            (
                "--against floor --find-limit --limit-at-least=-1",
                "limit-at-least",
            ),
            ("--find-limit --max-readers 0", "max-readers"),
            ("--find-limit --max-readers 99", "max-readers"),
            ("--find-limit --max-p99 0s", "max-p99"),
            ("--find-limit --sampled 0", "sampled"),
            ("--find-limit --warm-up 1s", "warm-up"),
            ("--target rtsp://127.0.0.1/a --pid 4294967295", "pid"),
            (
                "--compare rtsp://127.0.0.1/a --compare-pid 4294967295",
                "compare-pid",
            ),
            (
                "--target rtsp://127.0.0.1/a --compare rtsp://127.0.0.1:554/a/",
                "compare",
            ),
        ] {
            let error = plan(line).map(drop).unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("--{option}: ")),
                "{error}"
            );
            assert_eq!(error.exit_status(), 2);
        }
    }

    #[test]
    fn nothing_counts_before_every_reader_had_a_key_frame() {
        let course = |line| plan(line).expect("it makes sense").load.course;
        assert_eq!(course("").warm_up, Duration::from_millis(2500));
        assert_eq!(course("--gop 300").warm_up, Duration::from_millis(10_500));
        assert_eq!(course("--gop 1").warm_up, WARM_UP_MIN);
        assert_eq!(
            course("--gop 300 --warm-up 1s").warm_up,
            Duration::from_secs(1)
        );
    }

    #[test]
    fn trials_are_shorter_than_runs() {
        let duration = |line| plan(line).expect("it makes sense").load.course.duration;
        assert_eq!(duration(""), DURATION);
        assert_eq!(duration("--find-limit"), TRIAL_DURATION);
        assert_eq!(
            duration("--find-limit --duration 7s"),
            Duration::from_secs(7)
        );
    }

    #[test]
    fn two_paths_of_one_server_can_be_compared() {
        let two = plan("--target rtsp://127.0.0.1/a --compare rtsp://127.0.0.1/b");
        assert!(two.is_ok());
    }
}
