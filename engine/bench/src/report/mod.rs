//! What has come of a run, a comparison or a search, for people and for programs: a table, JSON, a drawing; and while it
//! goes on, a line per second.
//!
//! The files are opened before anything runs, so that nobody waits minutes for a result that has nowhere to go. What was
//! broken off is reported too, and says that it was.

mod json;
mod output;
mod plot;
mod progress;
mod table;
pub(crate) mod words;

pub use output::Output;
pub(crate) use output::OutputText;
pub use progress::Progress;

use crate::against::{Comparison, Side};
use crate::bounds::{Bounds, Judged};
use crate::limit::{Bound, LimitFound};
use crate::limits::LimitComparison;
use crate::measured::Measured;
use crate::shape::{Load, SourceShape, Transport};
use crate::validity::Invalid;

/// All is within its bounds.
pub const EXIT_GOOD: u8 = 0;
/// Something is above a bound, was broken off, or has failed.
pub const EXIT_BAD: u8 = 1;
/// The load generator was the bottleneck: the figures say nothing about the server.
pub const EXIT_INVALID: u8 = 3;

/// What has come of a load.
#[derive(Debug)]
pub struct Report {
    /// What the server is called: its URL, and whether it was started here.
    pub target: String,
    /// The load; its readers are those of the first trial when a limit was searched.
    pub load: Load,
    /// The load of the other turns, where that is what they differ in.
    pub baseline: Option<Load>,
    /// What has to be kept.
    pub bounds: Bounds,
    /// What has come of it.
    pub outcome: Outcome,
}

/// What has come of a load.
#[derive(Debug)]
pub enum Outcome {
    /// Of one run.
    Run(Box<Measured>),
    /// Of two servers in turns.
    Comparison(Comparison),
    /// Of a search.
    Limit(LimitFound),
    /// Of two searches.
    Limits(Box<LimitComparison>),
}

impl Report {
    /// The table, for people.
    #[must_use]
    pub fn table(&self) -> String {
        table::table(self)
    }

    /// All figures, for programs.
    #[must_use]
    pub fn json(&self) -> String {
        json::json(self)
    }

    /// The drawing: SVG.
    ///
    /// # Errors
    /// What the drawing library says.
    pub fn plot(&self) -> Result<String, String> {
        plot::plot(self)
    }

    /// The exit status that the outcome deserves.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        let is_ours = match &self.outcome {
            Outcome::Run(run) => run.validity.reasons.iter().any(Invalid::is_ours),
            Outcome::Comparison(comparison) => has_own_fault(comparison),
            Outcome::Limit(found) => is_bound_by_us(found),
            Outcome::Limits(limits) => limits.sides().any(|(_, found)| is_bound_by_us(found)),
        };
        let is_good = match &self.outcome {
            Outcome::Run(run) => run.validity.is_valid() && !run.is_partial,
            Outcome::Comparison(comparison) => comparison.is_valid(),
            Outcome::Limit(found) => found.is_valid(),
            Outcome::Limits(limits) => {
                limits.is_valid() && (limits.at_least.is_none() || limits.is_kept() == Some(true))
            }
        };
        match (
            is_ours,
            is_good && self.judged().iter().all(Judged::is_kept),
        ) {
            (true, _) => EXIT_INVALID,
            (false, true) => EXIT_GOOD,
            (false, false) => EXIT_BAD,
        }
    }

    /// What has a bound, beside it. That of a limit has its own words.
    fn judged(&self) -> Vec<Judged> {
        match &self.outcome {
            Outcome::Run(run) => self.bounds.judge(run),
            Outcome::Comparison(comparison) => comparison.judged(),
            Outcome::Limit(_) | Outcome::Limits(_) => Vec::new(),
        }
    }

    /// Who reads, in a line. A search varies how many.
    fn reader_words(&self) -> String {
        let over = match self.load.reader_transport {
            Transport::Tcp => "TCP",
            Transport::Udp => "UDP",
        };
        let readers = match self.outcome {
            Outcome::Limit(_) | Outcome::Limits(_) => "readers".to_owned(),
            _ => format!("{} readers", words::count(self.load.readers as u64)),
        };
        match self.load.paths {
            1 => format!("{readers} of 1 path over {over}"),
            paths => format!("{readers} of {paths} paths over {over}"),
        }
    }

    /// Whether the figures are the whole of what was wanted, and are to be trusted: why not, in words.
    fn reasons_against(&self) -> Vec<String> {
        match &self.outcome {
            Outcome::Run(run) => reasons_against_run(run),
            Outcome::Comparison(comparison) => reasons_against_comparison(comparison),
            Outcome::Limit(found) => reasons_against_limit(found),
            Outcome::Limits(limits) => reasons_against_limits(limits),
        }
    }
}

fn is_bound_by_us(found: &LimitFound) -> bool {
    found.bound_by == Some(Bound::Generator)
}

/// Whether a turn that counts is not valid for a reason that lies here.
fn has_own_fault(comparison: &Comparison) -> bool {
    let sides = [Side::Ours, Side::Theirs].into_iter();
    let mut turns = sides.flat_map(|side| comparison.counted(side));
    turns.any(|turn| {
        let mut reasons = turn.measured.validity.reasons.iter();
        reasons.any(Invalid::is_ours)
    })
}

fn reasons_against_run(run: &Measured) -> Vec<String> {
    let partial = run.is_partial.then(|| "it was broken off".to_owned());
    let reasons = run.validity.reasons.iter().map(Invalid::to_string);
    partial.into_iter().chain(reasons).collect()
}

fn reasons_against_comparison(comparison: &Comparison) -> Vec<String> {
    let mut reasons = Vec::new();
    match &comparison.failure {
        Some(failure) => reasons.push(format!("not all turns were made: {failure}")),
        None if comparison.is_partial() => reasons.push("it was broken off".to_owned()),
        None => {}
    }
    for side in [Side::Ours, Side::Theirs] {
        for turn in comparison.counted(side) {
            let whose = format!("turn {} of {}", turn.number, comparison.name(side));
            let against = turn.measured.validity.reasons.iter();
            reasons.extend(against.map(|reason| format!("{whose}: {reason}")));
        }
    }
    reasons
}

fn reasons_against_limit(found: &LimitFound) -> Vec<String> {
    match (&found.failure, found.bound_by) {
        (Some(failure), _) => vec![format!("the search has failed: {failure}")],
        (None, None) => vec!["the search was broken off".to_owned()],
        (None, Some(Bound::Generator)) => {
            vec!["the load generator was the bottleneck, not the server".to_owned()]
        }
        (None, Some(_)) => Vec::new(),
    }
}

fn reasons_against_limits(limits: &LimitComparison) -> Vec<String> {
    let sides = limits.sides().flat_map(|(name, found)| {
        let reasons = reasons_against_limit(found).into_iter();
        reasons.map(move |reason| format!("{name}: {reason}"))
    });
    let absent = limits.theirs.is_none();
    let absent = absent.then(|| format!("{}: nothing was searched", limits.theirs_name));
    sides.chain(absent).collect()
}

/// What flows, in a line.
fn stream_words(load: &Load) -> String {
    let source = match &load.source {
        SourceShape::Synthetic(it) => format!(
            "{} at {} frames/s, key frame every {}{}",
            words::bit_rate(it.bits_per_second),
            it.frames_per_second,
            it.gop_frames,
            if it.has_audio { ", with audio" } else { "" }
        ),
        SourceShape::File(file) => file.display().to_string(),
        SourceShape::Nothing => "published by somebody else".to_owned(),
    };
    match load.gap {
        Some(gap) => format!("{source}, packets {} apart", words::duration(gap)),
        None => source,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::against::{Plan, alternate};
    use crate::limit::{Criteria, find_limit};
    use crate::limits::tests::limits;
    use crate::measured::{example, example_load, nanos_histogram, record};

    /// A report of one run.
    pub(super) fn of_run(run: Measured) -> Report {
        report(Outcome::Run(Box::new(run)))
    }

    fn report(outcome: Outcome) -> Report {
        Report {
            target: "rtsp://127.0.0.1:8554/bench".to_owned(),
            load: example_load(),
            baseline: None,
            bounds: Bounds::default(),
            outcome,
        }
    }

    /// A comparison of three turns, in which the other side needs half as much.
    pub(super) fn of_comparison() -> Report {
        let plan = Plan {
            turns: 3,
            ours: "shardcast".to_owned(),
            theirs: "floor".to_owned(),
            cpu_at_most: Some(1.2),
            p99_at_most: Some(1.3),
            bounds: Bounds::default(),
        };
        let theirs = || {
            let mut run = example();
            if let Some(server) = &mut run.server {
                server.cpu /= 2;
            }
            Ok(run)
        };
        let ours = || Ok(example());
        report(Outcome::Comparison(alternate(
            plan,
            &Progress::quiet(),
            ours,
            theirs,
        )))
    }

    /// A search that ends between 700 and 800 readers.
    pub(super) fn of_limit() -> Report {
        report(Outcome::Limit(search(750)))
    }

    /// Two searches: ours ends at about nine tenths of theirs.
    pub(super) fn of_limits() -> Report {
        report(Outcome::Limits(Box::new(LimitComparison {
            ours_name: "shardcast".to_owned(),
            theirs_name: "floor".to_owned(),
            ours: search(720),
            theirs: Some(search(800)),
            at_least: Some(0.95),
        })))
    }

    /// A search that ends near so many readers.
    fn search(limit: usize) -> LimitFound {
        let criteria = Criteria {
            start: 100,
            max_p99: Duration::from_millis(100),
            max_loss_percent: 0.0,
            max_readers: 10_000,
            precision_percent: 5.0,
        };
        let trial = |readers: usize| {
            let mut run = example();
            run.all.readers = readers;
            run.sampled.latency = nanos_histogram();
            let millis = if readers <= limit { 8 } else { 900 };
            record(&mut run.sampled.latency, Duration::from_millis(millis));
            Ok(run)
        };
        find_limit(&criteria, &Progress::quiet(), trial)
    }

    #[test]
    fn the_exit_status_says_whose_fault_it_is() {
        assert_eq!(of_run(example()).exit_status(), EXIT_GOOD);
        let invalid = |reason| {
            let mut run = example();
            run.validity.reasons.push(reason);
            of_run(run).exit_status()
        };
        assert_eq!(invalid(Invalid::OwnCpu { share: 0.95 }), EXIT_INVALID);
        assert_eq!(invalid(Invalid::NothingArrived), EXIT_BAD);
        let partial = Measured {
            is_partial: true,
            ..example()
        };
        assert_eq!(of_run(partial).exit_status(), EXIT_BAD);
        let twice_the_floor = of_comparison();
        assert_eq!(twice_the_floor.exit_status(), EXIT_BAD);
        assert_eq!(of_limit().exit_status(), EXIT_GOOD);
    }

    #[test]
    fn a_bound_on_limits_is_kept_only_by_what_shows_it() {
        let status = |ours, theirs, at_least| {
            let limits = limits(ours, theirs, at_least);
            report(Outcome::Limits(Box::new(limits))).exit_status()
        };
        let found = |readers| (readers, Some(Bound::P99));
        let open = |readers| (readers, Some(Bound::MaxReaders));
        let generator = |readers| (readers, Some(Bound::Generator));
        assert_eq!(status(found(900), found(1000), None), EXIT_GOOD);
        assert_eq!(status(found(900), found(1000), Some(0.85)), EXIT_GOOD);
        assert_eq!(status(found(800), found(1000), Some(0.85)), EXIT_BAD);
        assert_eq!(status(open(900), found(1000), Some(0.85)), EXIT_GOOD);
        assert_eq!(status(open(1000), open(1000), Some(0.85)), EXIT_BAD);
        assert_eq!(status(found(900), open(1000), Some(0.85)), EXIT_BAD);
        assert_eq!(
            status(found(900), generator(1000), Some(0.85)),
            EXIT_INVALID
        );
        assert_eq!(status(found(900), (1000, None), None), EXIT_BAD);
    }
}
