//! Bounds: what the figures of a load are to keep to. Options name them, a run or a comparison is judged by them, and reports
//! and the exit status tell what has come of it.

use std::time::Duration;

use crate::against::{Figure, Spread};
use crate::measured::{Measured, quantile_of};
use crate::report::words;

/// Bounds on what is no ratio.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// So many packets may be missing.
    pub lost: Option<u64>,
    /// 99 % of the readers may take so long from the request PLAY to the end of their first key frame.
    pub start: Option<Duration>,
    /// The server's memory, with its send queues, may have so many bytes more than the other's.
    pub memory_growth: Option<u64>,
}

/// What has a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounded {
    /// The ratio of two medians.
    Ratio(Figure),
    /// Packets that are known to be missing.
    Lost,
    /// The 99th percentile of starts: nanoseconds.
    Start,
    /// By how much our memory is larger than theirs: bytes.
    MemoryGrowth,
}

/// A figure beside its bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// Of what.
    pub of: Bounded,
    /// What it is, where that is known; of several turns the median of all, or of losses the sum.
    pub value: Option<f64>,
    /// What it may be.
    pub at_most: f64,
}

impl Bounds {
    /// A run by itself, as far as it has anything that is bounded.
    #[must_use]
    pub fn judge(&self, run: &Measured) -> Vec<Judged> {
        let one = || std::iter::once(run);
        let lost = self.lost.map(|at_most| Judged::lost(one(), at_most));
        let start = self.start.map(|at_most| Judged::start(one(), at_most));
        lost.into_iter().chain(start).collect()
    }
}

impl Judged {
    /// What these runs have lost together.
    pub(crate) fn lost<'a>(runs: impl Iterator<Item = &'a Measured>, at_most: u64) -> Self {
        Self {
            of: Bounded::Lost,
            value: Some(runs.map(Measured::known_missing).sum::<u64>() as f64),
            at_most: at_most as f64,
        }
    }

    /// How fast readers of these runs have begun.
    pub(crate) fn start<'a>(runs: impl Iterator<Item = &'a Measured>, at_most: Duration) -> Self {
        let starts = runs.filter_map(|run| quantile_of(&run.starts, 0.99));
        Self {
            of: Bounded::Start,
            value: Spread::of(starts.map(|it| it.as_nanos() as f64)).map(|it| it.median),
            at_most: at_most.as_nanos() as f64,
        }
    }

    /// Whether it is known, and within its bound.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.value.is_some_and(|value| value <= self.at_most)
    }

    /// What is judged, and how that went, in a line.
    pub(crate) fn words(&self) -> String {
        let (name, at_most) = (self.of.name(), self.of.bound_words(self.at_most));
        match self.value {
            Some(value) if self.is_kept() => {
                format!("{name}: {} is at most {at_most}", self.of.words(value))
            }
            Some(value) => {
                let value = self.of.words(value);
                format!("ABOVE ITS BOUND: {name}: {value} is more than {at_most}")
            }
            None => format!("NOT KNOWN: {name}: at most {at_most} was wanted"),
        }
    }
}

impl Bounded {
    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ratio(figure) => figure.name(),
            Self::Lost => "packets missing",
            Self::Start => "start p99",
            Self::MemoryGrowth => "growth of memory and send queues",
        }
    }

    fn words(self, value: f64) -> String {
        match self {
            Self::Ratio(_) => format!("{value:.2} ×"),
            Self::Lost => format!("{value}"),
            Self::Start => words::nanos(value),
            Self::MemoryGrowth if value < 0.0 => format!("-{}", words::bytes(-value)),
            Self::MemoryGrowth => words::bytes(value),
        }
    }

    /// A bound on a ratio is written as it was given.
    fn bound_words(self, at_most: f64) -> String {
        match self {
            Self::Ratio(_) => format!("{at_most} ×"),
            other => other.words(at_most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measured::example;

    fn judged(bounds: Bounds, run: &Measured) -> Vec<(Option<f64>, bool)> {
        let judged = bounds.judge(run).into_iter();
        judged.map(|it| (it.value, it.is_kept())).collect()
    }

    #[test]
    fn a_reader_that_was_sent_away_or_lacks_bytes_has_lost_a_packet_at_least() {
        let bounds = Bounds {
            lost: Some(2),
            ..Bounds::default()
        };
        let mut run = example();
        assert_eq!(judged(bounds, &run), [(Some(0.0), true)]);
        (run.sampled.skipped, run.all.closed) = (1, 1);
        assert_eq!(judged(bounds, &run), [(Some(2.0), true)]);
        run.all.short = 1;
        assert_eq!(judged(bounds, &run), [(Some(3.0), false)]);
    }

    #[test]
    fn who_never_began_keeps_no_bound() {
        let bounds = Bounds {
            start: Some(Duration::from_millis(200)),
            ..Bounds::default()
        };
        let mut run = example();
        assert!(judged(bounds, &run).iter().all(|(_, is_kept)| *is_kept));
        run.starts.reset();
        assert_eq!(judged(bounds, &run), [(None, false)]);
        let words = bounds.judge(&run).remove(0).words();
        assert_eq!(words, "NOT KNOWN: start p99: at most 200 ms was wanted");
    }
}
