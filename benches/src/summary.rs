//! The middle of several runs, and how far they lie apart.

use std::fmt;

/// Figures of one kind, one per run.
#[derive(Clone, Debug, Default)]
pub struct Runs(Vec<f64>);

impl Runs {
    /// Adds a run's figure.
    pub fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// The figure in the middle; of an even number, the mean of the two; nothing without runs.
    #[must_use]
    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        if sorted.len() % 2 == 1 {
            at(middle)
        } else {
            f64::midpoint(at(middle.wrapping_sub(1)), at(middle))
        }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

impl fmt::Display for Runs {
    /// Median, and in brackets the smallest and the largest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sorted = self.sorted();
        let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
            return f.write_str("-");
        };
        write!(f, "{:.0} ({first:.0}-{last:.0})", self.median())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let mut runs = Runs::default();
        assert!(runs.median().is_nan());
        for (figure, median) in [(5.0, 5.0), (1.0, 3.0), (4.0, 4.0)] {
            runs.push(figure);
            assert_eq!(runs.median(), median);
        }
        assert_eq!(runs.to_string(), "4 (1-5)");
    }
}
