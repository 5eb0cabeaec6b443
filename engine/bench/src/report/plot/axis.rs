//! An axis: where values lie on it, and what is written beside it. Linear ones begin at 0; logarithmic ones say in their
//! names that they are.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use crate::report::words;

/// Ticks of a linear axis, about.
const TICKS: f64 = 6.0;
/// Values that lie further apart than this factor get a logarithmic axis.
const LINEAR_FACTOR_MAX: f64 = 50.0;
/// Decades of a logarithmic axis that have ticks at 2 and 5 too.
const FINE_DECADES_MAX: f64 = 2.0;
/// Above the largest value, the air.
const HEADROOM: f64 = 1.05;

/// How values become places on an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    Linear,
    /// Decimal logarithm.
    Log,
    /// Parts of a whole, by how little is left: 0.9 lies at 1, 0.99 at 2.
    Nines,
}

/// An axis.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) name: String,
    scale: Scale,
    low: f64,
    high: f64,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0 to a little more than the largest value.
    pub(super) fn from_zero(name: &str, values: impl Iterator<Item = f64>) -> Self {
        let largest = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        let largest = if largest > 0.0 { largest } else { 1.0 };
        let step = round_step(largest * HEADROOM / TICKS);
        let steps = (largest * HEADROOM / step).ceil();
        let ticks = (0..=steps as u32).map(f64::from).map(|count| {
            let value = count * step;
            (value, number(value, step))
        });
        Self {
            name: name.to_owned(),
            scale: Scale::Linear,
            low: 0.0,
            high: steps * step,
            ticks: ticks.collect(),
        }
    }

    /// From 0 as well, to this value exactly.
    pub(super) fn up_to(name: &str, value: f64) -> Self {
        let mut axis = Self::from_zero(name, std::iter::once(value));
        axis.high = if value > 0.0 { value } else { 1.0 };
        axis.ticks.retain(|(tick, _)| *tick <= axis.high);
        axis
    }

    /// From 0, or logarithmic where values lie too far apart for that.
    pub(super) fn spanning(name: &str, values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values
            .filter(|value| value.is_finite() && *value > 0.0)
            .collect();
        let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = values.iter().copied().fold(0.0, f64::max);
        if largest <= smallest * LINEAR_FACTOR_MAX {
            return Self::from_zero(name, values.into_iter());
        }
        let (low, high) = (smallest.log10().floor(), largest.log10().ceil());
        let (lowest, highest) = (10f64.powf(low), 10f64.powf(high));
        let factors: &[f64] = match high - low {
            few if few <= FINE_DECADES_MAX => &[1.0, 2.0, 5.0],
            _ => &[1.0],
        };
        let decades = low as i32..=high as i32;
        let values = decades.flat_map(|decade| {
            let decade = 10f64.powi(decade);
            factors.iter().map(move |factor| decade * factor)
        });
        let ticks = values.map(|value| (value, number(value, value)));
        Self {
            name: format!("{name}, log scale"),
            scale: Scale::Log,
            low: lowest,
            high: highest,
            ticks: ticks
                .filter(|(tick, _)| *tick <= highest * HEADROOM)
                .collect(),
        }
    }

    /// Parts of a whole, with so many nines at most.
    pub(super) fn nines(name: &str, nines: f64) -> Self {
        const PARTS: [(f64, &str); 6] = [
            (0.0, "0 %"),
            (0.5, "50 %"),
            (0.9, "90 %"),
            (0.99, "99 %"),
            (0.999, "99.9 %"),
            (0.9999, "99.99 %"),
        ];
        Self {
            name: format!("{name}, log scale"),
            scale: Scale::Nines,
            low: 0.0,
            high: part_at(nines),
            ticks: PARTS.map(|(part, label)| (part, label.to_owned())).to_vec(),
        }
    }

    /// Whole numbers from 1, half a step of air at both ends.
    pub(super) fn turns(name: &str, turns: usize) -> Self {
        let ticks = (1..=turns).map(|turn| (turn as f64, turn.to_string()));
        Self {
            name: name.to_owned(),
            scale: Scale::Linear,
            low: 0.5,
            high: turns.max(1) as f64 + 0.5,
            ticks: ticks.collect(),
        }
    }

    /// The least and the largest value.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// How far along the axis a value lies, from 0 to 1; what is out of range lies at an end.
    fn part(&self, value: f64) -> f64 {
        let [low, high, at] = [self.low, self.high, value].map(|value| self.scale.place(value));
        ((at - low) / (high - low)).clamp(0.0, 1.0)
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (begin, end): (i32, i32)) -> i32 {
        begin + (f64::from(end - begin) * self.part(*value)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(tick, _)| *tick).collect()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    /// What is written at a tick.
    fn format_ext(&self, value: &f64) -> String {
        let tick = self.ticks.iter().find(|(tick, _)| tick == value);
        tick.map_or_else(String::new, |(_, label)| label.clone())
    }
}

impl Scale {
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.max(f64::MIN_POSITIVE).log10(),
            Self::Nines => -(1.0 - value).max(f64::MIN_POSITIVE).log10(),
        }
    }
}

/// The part of a whole that lies at this place of a scale of nines.
pub(super) fn part_at(nines: f64) -> f64 {
    1.0 - 10f64.powf(-nines)
}

/// 1, 2 or 5 times a power of ten, and not less than this.
fn round_step(least: f64) -> f64 {
    let decade = 10f64.powf(least.log10().floor());
    let factors = [1.0, 2.0, 5.0, 10.0].into_iter();
    let mut steps = factors.map(|factor| factor * decade);
    steps.find(|step| *step >= least).unwrap_or(decade * 10.0)
}

/// A number with as many digits as its step has.
fn number(value: f64, step: f64) -> String {
    let digits = (-step.log10()).ceil().clamp(0.0, 6.0) as usize;
    match digits {
        0 => words::count(value.round() as u64),
        digits => format!("{value:.digits$}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn a_linear_axis_begins_at_0_and_has_round_ticks() {
        let axis = Axis::from_zero("ms", [3.0, 22.0].into_iter());
        assert_eq!(labels(&axis), ["0", "5", "10", "15", "20", "25"]);
        let small = Axis::from_zero("ms", [0.05].into_iter());
        assert_eq!(labels(&small).last(), Some(&"0.06"));
        let nothing = Axis::from_zero("%", std::iter::empty());
        assert_eq!(nothing.ends().0, 0.0);
        assert!(nothing.ends().1 > 0.0);
    }

    #[test]
    fn values_far_apart_get_a_log_scale_that_says_so() {
        let axis = Axis::spanning("latency (ms)", [0.2, 4000.0].into_iter());
        assert_eq!(axis.name, "latency (ms), log scale");
        assert_eq!(labels(&axis), ["0.1", "1", "10", "100", "1 000", "10 000"]);
        let close = Axis::spanning("latency (ms)", [2.0, 40.0].into_iter());
        assert_eq!(close.name, "latency (ms)");
    }

    #[test]
    fn parts_lie_by_their_nines() {
        let axis = Axis::nines("packets", 4.0);
        assert!((axis.part(0.999) - 0.75).abs() < 1e-9);
        assert!((part_at(2.0) - 0.99).abs() < 1e-9);
        assert!((axis.part(1.0) - 1.0).abs() < 1e-9, "the end");
        assert_eq!(axis.map(&0.99, (100, 300)), 200);
    }
}
