//! Two servers in turns: the one that is measured and a yardstick, under the same load, on the same machine. What the
//! machine does meanwhile meets both alike, so that the ratio of their medians holds where single figures do not.
//!
//! Each turn is a run of its own, made by the caller; reports print what comes of them.

use std::ops::ControlFlow;

use crate::BenchError;
use crate::bounds::{Bounded, Bounds, Judged};
use crate::measured::Measured;
use crate::report::{Progress, words};

/// Turns that a side makes again because the first attempt was not valid, in a whole comparison. One hiccup of the machine
/// is forgiven; a load generator that is too slow for the load would only be so again.
const REPEATS_MAX: usize = 1;

/// What is compared with what, how often, and what has to come of it.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Turns of each side.
    pub turns: usize,
    /// What the server that is measured is called.
    pub ours: String,
    /// What the yardstick is called.
    pub theirs: String,
    /// The ratio of CPU time per packet and reader may be so high.
    pub cpu_at_most: Option<f64>,
    /// The ratio of the 99th percentiles of latency may be so high.
    pub p99_at_most: Option<f64>,
    /// What else has to be kept.
    pub bounds: Bounds,
}

/// Who had a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The server that is measured.
    Ours,
    /// The yardstick.
    Theirs,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// CPU time of the server per packet and reader: nanoseconds.
    CpuNanos,
    /// The median of latency: nanoseconds.
    LatencyP50,
    /// The 99th percentile of latency: nanoseconds.
    LatencyP99,
    /// Memory of the server in RAM: bytes.
    ResidentBytes,
}

/// All of them, in the order in which reports show them.
pub const FIGURES: [Figure; 4] = [
    Figure::CpuNanos,
    Figure::LatencyP50,
    Figure::LatencyP99,
    Figure::ResidentBytes,
];

/// A turn that one side has had.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Which one, from 1. A turn that was made again is there twice.
    pub number: usize,
    /// What it has shown.
    pub measured: Measured,
}

/// What the turns have shown.
#[derive(Debug)]
pub struct Comparison {
    /// What was wanted.
    pub plan: Plan,
    /// Turns of the server that is measured.
    pub ours: Vec<Turn>,
    /// Turns of the yardstick.
    pub theirs: Vec<Turn>,
    /// Why there are fewer turns than wanted.
    pub failure: Option<BenchError>,
}

/// One side's turns in one figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Half of the turns have less.
    pub median: f64,
    /// The least.
    pub smallest: f64,
    /// The most.
    pub largest: f64,
}

/// Ours as a multiple of theirs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Of the medians.
    pub of_medians: f64,
    /// Of the two turns of each number.
    pub of_turns: Spread,
}

/// Lets both sides take turns, the first of each pair changing, until all are made, one fails, or one is broken off.
pub fn alternate(
    plan: Plan,
    progress: &Progress,
    mut ours: impl FnMut() -> Result<Measured, BenchError>,
    mut theirs: impl FnMut() -> Result<Measured, BenchError>,
) -> Comparison {
    let mut comparison = Comparison::new(plan);
    for number in 1..=comparison.plan.turns {
        let order = match number % 2 {
            1 => [Side::Ours, Side::Theirs],
            _ => [Side::Theirs, Side::Ours],
        };
        for side in order {
            let measure: &mut dyn FnMut() -> Result<Measured, BenchError> = match side {
                Side::Ours => &mut ours,
                Side::Theirs => &mut theirs,
            };
            if comparison.turn(side, number, progress, measure).is_break() {
                return comparison;
            }
        }
    }
    comparison
}

impl Comparison {
    fn new(plan: Plan) -> Self {
        Self {
            plan,
            ours: Vec::new(),
            theirs: Vec::new(),
            failure: None,
        }
    }

    /// Makes a turn, and makes it again where that may help.
    fn turn(
        &mut self,
        side: Side,
        number: usize,
        progress: &Progress,
        measure: &mut dyn FnMut() -> Result<Measured, BenchError>,
    ) -> ControlFlow<()> {
        loop {
            progress.heading(&format!(
                "turn {number} of {}: {}",
                self.plan.turns,
                self.name(side)
            ));
            let measured = match measure() {
                Ok(measured) => measured,
                Err(error) => {
                    self.failure = Some(error);
                    return ControlFlow::Break(());
                }
            };
            let (is_valid, is_partial) = (measured.validity.is_valid(), measured.is_partial);
            self.turns_mut(side).push(Turn { number, measured });
            let may_repeat = self.repeats(side) < REPEATS_MAX;
            if is_partial {
                return ControlFlow::Break(());
            }
            if is_valid || !may_repeat {
                return ControlFlow::Continue(());
            }
        }
    }

    /// What a side is called.
    #[must_use]
    pub fn name(&self, side: Side) -> &str {
        match side {
            Side::Ours => &self.plan.ours,
            Side::Theirs => &self.plan.theirs,
        }
    }

    /// All turns of a side, those that were made again too.
    #[must_use]
    pub fn turns(&self, side: Side) -> &[Turn] {
        match side {
            Side::Ours => &self.ours,
            Side::Theirs => &self.theirs,
        }
    }

    fn turns_mut(&mut self, side: Side) -> &mut Vec<Turn> {
        match side {
            Side::Ours => &mut self.ours,
            Side::Theirs => &mut self.theirs,
        }
    }

    /// The turns of a side that count: of each number the last.
    pub fn counted(&self, side: Side) -> impl Iterator<Item = &Turn> {
        let turns = self.turns(side);
        let numbers_after = turns.iter().skip(1).map(|turn| Some(turn.number));
        turns
            .iter()
            .zip(numbers_after.chain([None]))
            .filter(|(turn, after)| *after != Some(turn.number))
            .map(|(turn, _)| turn)
    }

    fn repeats(&self, side: Side) -> usize {
        self.turns(side).len() - self.counted(side).count()
    }

    /// Whether every turn is there, and each that counts is valid.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let is_valid = |side| {
            self.counted(side)
                .all(|turn| turn.measured.validity.is_valid())
        };
        !self.is_partial() && is_valid(Side::Ours) && is_valid(Side::Theirs)
    }

    /// Whether turns are missing, or the last was broken off.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        let is_short = |side| {
            let is_whole = |turn: &&Turn| !turn.measured.is_partial;
            self.counted(side).filter(is_whole).count() < self.plan.turns
        };
        self.failure.is_some() || is_short(Side::Ours) || is_short(Side::Theirs)
    }

    /// What a side has in one figure; none where no turn knows it.
    #[must_use]
    pub fn spread(&self, side: Side, figure: Figure) -> Option<Spread> {
        Spread::of(
            self.counted(side)
                .filter_map(|turn| figure.of(&turn.measured)),
        )
    }

    /// Ours as a multiple of theirs; none where no two turns of one number know the figure.
    #[must_use]
    pub fn ratio(&self, figure: Figure) -> Option<Ratio> {
        let ours = self.spread(Side::Ours, figure)?.median;
        let of_medians = divide(ours, self.spread(Side::Theirs, figure)?.median)?;
        let of_turns = Spread::of(self.counted(Side::Ours).filter_map(|turn| {
            let mut theirs = self.counted(Side::Theirs);
            let beside = theirs.find(|beside| beside.number == turn.number)?;
            divide(figure.of(&turn.measured)?, figure.of(&beside.measured)?)
        }));
        Some(Ratio {
            of_medians,
            of_turns: of_turns?,
        })
    }

    /// What has a bound, beside it.
    #[must_use]
    pub fn judged(&self) -> Vec<Judged> {
        let ratio = |figure: Figure, at_most: Option<f64>| {
            Some(Judged {
                of: Bounded::Ratio(figure),
                value: self.ratio(figure).map(|ratio| ratio.of_medians),
                at_most: at_most?,
            })
        };
        let bounds = self.plan.bounds;
        let growth = bounds.memory_growth.map(|at_most| Judged {
            of: Bounded::MemoryGrowth,
            value: self.memory_growth(),
            at_most: at_most as f64,
        });
        let ours = || self.counted(Side::Ours).map(|turn| &turn.measured);
        let judged = [
            ratio(Figure::CpuNanos, self.plan.cpu_at_most),
            ratio(Figure::LatencyP99, self.plan.p99_at_most),
            growth,
            bounds.lost.map(|at_most| Judged::lost(ours(), at_most)),
            bounds.start.map(|at_most| Judged::start(ours(), at_most)),
        ];
        judged.into_iter().flatten().collect()
    }

    /// By how many bytes our memory is larger than theirs, each at its most, by the medians.
    fn memory_growth(&self) -> Option<f64> {
        let median = |side| {
            let turns = self.counted(side);
            let bytes = turns.filter_map(|turn| Some(turn.measured.server?.peak_bytes? as f64));
            Some(Spread::of(bytes)?.median)
        };
        Some(median(Side::Ours)? - median(Side::Theirs)?)
    }
}

impl Figure {
    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CpuNanos => "CPU per packet and reader",
            Self::LatencyP50 => "latency p50",
            Self::LatencyP99 => "latency p99",
            Self::ResidentBytes => "memory",
        }
    }

    /// A value of it in words.
    pub(crate) fn words(self, value: f64) -> String {
        match self {
            Self::CpuNanos | Self::LatencyP50 | Self::LatencyP99 => words::nanos(value),
            Self::ResidentBytes => words::bytes(value),
        }
    }

    /// What a run has in it, where it is known.
    #[must_use]
    pub fn of(self, measured: &Measured) -> Option<f64> {
        let quantile = |quantile| Some(measured.latency(quantile)?.as_nanos() as f64);
        match self {
            Self::CpuNanos => measured.server_nanos(),
            Self::LatencyP50 => quantile(0.5),
            Self::LatencyP99 => quantile(0.99),
            Self::ResidentBytes => Some(measured.server?.resident_bytes as f64),
        }
    }
}

impl Spread {
    /// Of these values; none of nothing.
    #[must_use]
    pub fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let upper = *values.get(values.len() / 2)?;
        let lower = *values.get(values.len().saturating_sub(1) / 2)?;
        Some(Self {
            median: lower + (upper - lower) / 2.0,
            smallest: *values.first()?,
            largest: *values.last()?,
        })
    }
}

/// A quotient, where there is one.
fn divide(dividend: f64, divisor: f64) -> Option<f64> {
    (divisor > 0.0).then(|| dividend / divisor)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measured::example;
    use crate::validity::Invalid;

    fn plan(turns: usize) -> Plan {
        Plan {
            turns,
            ours: "ours".to_owned(),
            theirs: "theirs".to_owned(),
            ..Plan::default()
        }
    }

    fn with_cpu(millis: u64) -> Measured {
        let mut measured = example();
        if let Some(server) = &mut measured.server {
            server.cpu = Duration::from_millis(millis);
        }
        measured
    }

    fn invalid() -> Measured {
        let mut measured = example();
        let reasons = &mut measured.validity.reasons;
        reasons.push(Invalid::OwnCpu { share: 0.99 });
        measured
    }

    fn ratio(comparison: &Comparison, figure: Figure) -> f64 {
        comparison.ratio(figure).expect("it is known").of_medians
    }

    #[test]
    fn sides_take_turns_and_the_first_of_each_pair_changes() {
        let order = std::cell::RefCell::new(String::new());
        let turn = |side: char| {
            order.borrow_mut().push(side);
            Ok(example())
        };
        let progress = Progress::quiet();
        let comparison = alternate(plan(3), &progress, || turn('o'), || turn('t'));
        assert_eq!(*order.borrow(), "ottoot");
        assert!(comparison.is_valid());
    }

    #[test]
    fn ratios_are_those_of_the_medians_and_the_spread_is_that_of_pairs() {
        let mut ours = [300, 100, 200].into_iter();
        let mut theirs = [100, 100, 100].into_iter();
        let mut next = move || Ok(with_cpu(ours.next().unwrap()));
        let mut beside = move || Ok(with_cpu(theirs.next().unwrap()));
        let comparison = alternate(plan(3), &Progress::quiet(), &mut next, &mut beside);
        let cpu = comparison.ratio(Figure::CpuNanos).unwrap();
        assert!((cpu.of_medians - 2.0).abs() < 1e-9);
        assert!((cpu.of_turns.smallest - 1.0).abs() < 1e-9);
        assert!((cpu.of_turns.largest - 3.0).abs() < 1e-9);
        assert!((ratio(&comparison, Figure::LatencyP99) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn an_invalid_turn_is_kept_and_made_again_once() {
        let mut turns = [Ok(invalid()), Ok(example()), Ok(invalid())].into_iter();
        let mut ours = move || turns.next().unwrap();
        let comparison = alternate(plan(2), &Progress::quiet(), &mut ours, || Ok(example()));
        assert_eq!(comparison.ours.len(), 3);
        let counted: Vec<usize> = comparison
            .counted(Side::Ours)
            .map(|turn| turn.number)
            .collect();
        assert_eq!(counted, [1, 2]);
        assert!(!comparison.is_valid(), "the second turn is not valid");
        assert!(!comparison.is_partial());
    }

    #[test]
    fn a_side_that_is_never_valid_is_not_tried_for_ever() {
        let (ours, theirs) = (|| Ok(invalid()), || Ok(example()));
        let comparison = alternate(plan(3), &Progress::quiet(), ours, theirs);
        assert_eq!(comparison.ours.len(), 3 + REPEATS_MAX);
        assert!(!comparison.is_valid() && !comparison.is_partial());
    }

    #[test]
    fn a_repeat_that_is_valid_makes_the_comparison_valid() {
        let mut turns = [invalid(), example(), example()].into_iter();
        let mut theirs = move || Ok(turns.next().unwrap());
        let comparison = alternate(plan(2), &Progress::quiet(), || Ok(example()), &mut theirs);
        assert!(comparison.is_valid());
    }

    #[test]
    fn a_turn_that_fails_keeps_those_before_it() {
        let mut turns = [Ok(example()), Err(BenchError::Panicked("readers"))].into_iter();
        let mut ours = move || turns.next().unwrap();
        let comparison = alternate(plan(5), &Progress::quiet(), &mut ours, || Ok(example()));
        assert_eq!((comparison.ours.len(), comparison.theirs.len()), (1, 2));
        assert!(comparison.failure.is_some() && comparison.is_partial());
        assert!(comparison.ratio(Figure::CpuNanos).is_some());
    }

    #[test]
    fn a_figure_that_a_side_does_not_know_has_no_ratio_and_keeps_no_bound() {
        let mut unseen = example();
        unseen.server = None;
        let bounds = Plan {
            cpu_at_most: Some(1.2),
            p99_at_most: Some(1.3),
            ..plan(1)
        };
        let ours = || Ok(example());
        let comparison = alternate(bounds, &Progress::quiet(), ours, || Ok(unseen.clone()));
        assert_eq!(comparison.spread(Side::Theirs, Figure::CpuNanos), None);
        assert_eq!(comparison.ratio(Figure::CpuNanos), None);
        let kept: Vec<bool> = comparison.judged().iter().map(Judged::is_kept).collect();
        assert_eq!(kept, [false, true]);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        let spread = Spread::of([4.0, 1.0, 2.0, 3.0].into_iter()).unwrap();
        assert!((spread.median - 2.5).abs() < 1e-9);
        assert_eq!(Spread::of(std::iter::empty()), None);
    }
}
