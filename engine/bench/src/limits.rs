//! The limits of two servers: the one that is measured and a yardstick, searched one after the other by the same criteria,
//! and the ratio of what was found. A limit that is only "at least" makes the ratio a bound, or leaves it unknown.

use crate::BenchError;
use crate::limit::LimitFound;

/// What two searches have found.
#[derive(Debug)]
pub struct LimitComparison {
    /// What the server that is measured is called.
    pub ours_name: String,
    /// What the yardstick is called.
    pub theirs_name: String,
    /// Of the server that is measured.
    pub ours: LimitFound,
    /// Of the yardstick; none when the first search was broken off.
    pub theirs: Option<LimitFound>,
    /// Our limit has to be so much of theirs.
    pub at_least: Option<f64>,
}

/// Our limit as a multiple of theirs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LimitRatio {
    /// Both limits were found.
    Known(f64),
    /// We may serve more than was tried.
    AtLeast(f64),
    /// They may serve more than was tried.
    AtMost(f64),
    /// Both may, or they serve nobody.
    Unknown,
}

impl LimitComparison {
    /// The ratio of the limits.
    #[must_use]
    pub fn ratio(&self) -> LimitRatio {
        let Some(theirs) = self.theirs.as_ref().filter(|theirs| theirs.readers > 0) else {
            return LimitRatio::Unknown;
        };
        let ratio = self.ours.readers as f64 / theirs.readers as f64;
        match (self.ours.is_at_least(), theirs.is_at_least()) {
            (false, false) => LimitRatio::Known(ratio),
            (true, false) => LimitRatio::AtLeast(ratio),
            (false, true) => LimitRatio::AtMost(ratio),
            (true, true) => LimitRatio::Unknown,
        }
    }

    /// Whether our limit is as high as it has to be; none when the ratio does not tell, or nothing was asked for.
    #[must_use]
    pub fn is_kept(&self) -> Option<bool> {
        let bound = self.at_least?;
        match self.ratio() {
            LimitRatio::Known(ratio) => Some(ratio >= bound),
            LimitRatio::AtLeast(ratio) => (ratio >= bound).then_some(true),
            LimitRatio::AtMost(ratio) => (ratio < bound).then_some(false),
            LimitRatio::Unknown => None,
        }
    }

    /// Both searches, as far as they were made, with the names of their servers.
    pub fn sides(&self) -> impl Iterator<Item = (&str, &LimitFound)> {
        let ours = (self.ours_name.as_str(), &self.ours);
        let theirs = self.theirs.as_ref();
        let theirs = theirs.map(|theirs| (self.theirs_name.as_str(), theirs));
        std::iter::once(ours).chain(theirs)
    }

    /// What ended a search.
    pub(crate) fn take_failure(&mut self) -> Option<BenchError> {
        let ours = self.ours.failure.take();
        ours.or_else(|| self.theirs.as_mut()?.failure.take())
    }

    /// Whether both limits are the servers'.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.theirs.is_some() && self.sides().all(|(_, found)| found.is_valid())
    }

    /// Whether a search was broken off, or failed.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.theirs.is_none() || self.sides().any(|(_, found)| found.is_partial())
    }
}

impl LimitRatio {
    /// The number in it, however it is to be read.
    #[must_use]
    pub fn value(self) -> Option<f64> {
        match self {
            Self::Known(ratio) | Self::AtLeast(ratio) | Self::AtMost(ratio) => Some(ratio),
            Self::Unknown => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::limit::Bound;
    use crate::limit::tests::found;

    /// What two searches have found, and what ended them.
    pub(crate) fn limits(
        ours: (usize, Option<Bound>),
        theirs: (usize, Option<Bound>),
        at_least: Option<f64>,
    ) -> LimitComparison {
        LimitComparison {
            ours_name: "shardcast".to_owned(),
            theirs_name: "floor".to_owned(),
            ours: found(ours.0, ours.1),
            theirs: Some(found(theirs.0, theirs.1)),
            at_least,
        }
    }

    #[test]
    fn limits_that_were_found_have_a_ratio_that_decides() {
        let of = |ours| {
            limits(
                (ours, Some(Bound::P99)),
                (1000, Some(Bound::Loss)),
                Some(0.85),
            )
        };
        assert_eq!(of(900).ratio(), LimitRatio::Known(0.9));
        assert_eq!(of(850).is_kept(), Some(true));
        assert_eq!(of(849).is_kept(), Some(false));
        assert!(of(849).is_valid() && !of(849).is_partial());
    }

    #[test]
    fn a_limit_that_is_only_at_least_decides_only_what_it_can() {
        let ours_open = |ours| {
            let theirs = (1000, Some(Bound::P99));
            limits((ours, Some(Bound::MaxReaders)), theirs, Some(0.85))
        };
        assert_eq!(ours_open(900).ratio(), LimitRatio::AtLeast(0.9));
        assert_eq!(ours_open(900).is_kept(), Some(true));
        assert_eq!(ours_open(800).is_kept(), None);
        let theirs_open = |ours| {
            let theirs = (1000, Some(Bound::Generator));
            limits((ours, Some(Bound::P99)), theirs, Some(0.85))
        };
        assert_eq!(theirs_open(900).ratio(), LimitRatio::AtMost(0.9));
        assert_eq!(theirs_open(900).is_kept(), None);
        assert_eq!(theirs_open(800).is_kept(), Some(false));
        assert!(!theirs_open(900).is_valid());
    }

    #[test]
    fn what_is_not_known_has_no_ratio_and_keeps_no_bound() {
        let open = Some(Bound::MaxReaders);
        let both_open = limits((900, open), (900, open), Some(0.85));
        assert_eq!(both_open.ratio(), LimitRatio::Unknown);
        let nobody = limits((900, Some(Bound::P99)), (0, Some(Bound::P99)), Some(0.85));
        assert_eq!(nobody.ratio(), LimitRatio::Unknown);
        let alone = LimitComparison {
            theirs: None,
            ..limits((900, None), (0, None), Some(0.85))
        };
        assert_eq!(alone.ratio(), LimitRatio::Unknown);
        assert!(alone.is_partial() && !alone.is_valid());
        for comparison in [both_open, nobody, alone] {
            assert_eq!(comparison.is_kept(), None);
        }
    }
}
