//! How busy each shard is, and where a reader that comes should be: on its own shard, unless that carries too much, or
//! clearly more than another one.
//!
//! Who plays is never moved, and a connection moves once, so nobody goes back and forth however the figures change.

use std::sync::atomic::{AtomicU64, Ordering};

/// A shard below this busy share has time for everything: how it compares with others does not matter.
const COMPARED_FROM_PERMILLE: u64 = 500;

/// So much busier than another shard is clearly busier: more than two readings of one load differ by.
const CLEARLY_BUSIER_PERMILLE: u64 = 200;

/// Readers more than twice another shard's that make a shard carry clearly more: fewer are what chance gives when the kernel
/// spreads connections.
const CLEARLY_MORE_READERS: usize = 16;

/// The busy share of each shard, in thousandths.
#[derive(Debug)]
pub struct Busy(Vec<AtomicU64>);

/// Where a reader should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where it is.
    Here,
    /// Rather on this shard; where it is, it can be too.
    Rather(usize),
    /// On this shard: where it is, it cannot be.
    Only(usize),
    /// Nowhere.
    Nowhere,
}

impl Busy {
    pub(super) fn new(shards: usize) -> Self {
        Self((0..shards).map(|_| AtomicU64::new(0)).collect())
    }

    /// The shard's busy share, in thousandths.
    #[must_use]
    pub fn permille(&self, shard: usize) -> u64 {
        let known = self.0.get(shard);
        known.map_or(0, |permille| permille.load(Ordering::Relaxed))
    }

    /// The busiest shard's.
    #[must_use]
    pub fn highest_permille(&self) -> u64 {
        let all = 0..self.0.len();
        all.map(|shard| self.permille(shard)).max().unwrap_or(0)
    }

    /// The shard is so busy; said by the gauge.
    pub fn set(&self, shard: usize, permille: u64) {
        if let Some(known) = self.0.get(shard) {
            known.store(permille, Ordering::Relaxed);
        }
    }

    /// Whether the shard takes no reader, under this limit; 100 is none.
    #[must_use]
    pub fn is_too_busy(&self, shard: usize, cpu_percent: usize) -> bool {
        cpu_percent < 100 && self.permille(shard) > cpu_percent as u64 * 10
    }

    /// Where a reader that begins on shard `here` should be.
    pub(super) fn place(&self, here: usize, cpu_percent: usize, readers: &[usize]) -> Place {
        let others = || {
            let all = (0..self.0.len()).filter(|shard| *shard != here);
            all.filter(|shard| !self.is_too_busy(*shard, cpu_percent))
        };
        let idlest = others().min_by_key(|shard| self.permille(*shard));
        if self.is_too_busy(here, cpu_percent) {
            return idlest.map_or(Place::Nowhere, Place::Only);
        }
        let busy = self.permille(here);
        let is_idler = |shard: &usize| self.permille(*shard) + CLEARLY_BUSIER_PERMILLE <= busy;
        if busy >= COMPARED_FROM_PERMILLE
            && let Some(shard) = idlest.filter(is_idler)
        {
            return Place::Rather(shard);
        }
        let of = |shard: usize| readers.get(shard).copied().unwrap_or(0);
        let emptiest = others().min_by_key(|shard| of(*shard));
        let has_fewer = |shard: &usize| of(here) > 2 * of(*shard) + CLEARLY_MORE_READERS;
        // One that is clearly busier has enough, however few readers that is.
        let has_time = |shard: &usize| self.permille(*shard) <= busy + CLEARLY_BUSIER_PERMILLE;
        let better = emptiest.filter(has_fewer).filter(has_time);
        better.map_or(Place::Here, Place::Rather)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(shares: &[u64]) -> Busy {
        let busy = Busy::new(shares.len());
        for (shard, permille) in shares.iter().enumerate() {
            busy.set(shard, *permille);
        }
        busy
    }

    #[test]
    fn a_shard_that_is_too_busy_gives_its_readers_to_the_idlest() {
        assert_eq!(busy(&[951, 700, 100]).place(0, 95, &[0; 3]), Place::Only(2));
        assert_eq!(busy(&[951, 960]).place(0, 95, &[0; 2]), Place::Nowhere);
        assert_eq!(busy(&[951]).place(0, 95, &[0]), Place::Nowhere);
        assert_eq!(busy(&[950, 900]).place(0, 95, &[0; 2]), Place::Here);
    }

    #[test]
    fn without_a_limit_nobody_is_refused() {
        assert_eq!(busy(&[1000, 1000]).place(0, 100, &[0; 2]), Place::Here);
        assert_eq!(busy(&[1000, 0]).place(0, 100, &[0; 2]), Place::Rather(1));
    }

    #[test]
    fn a_shard_that_carries_clearly_more_gives_readers_away() {
        assert_eq!(busy(&[600, 401]).place(0, 95, &[0; 2]), Place::Here);
        assert_eq!(busy(&[600, 400]).place(0, 95, &[0; 2]), Place::Rather(1));
        assert_eq!(busy(&[499, 0]).place(0, 95, &[0; 2]), Place::Here);
        assert_eq!(busy(&[0, 0]).place(0, 95, &[36, 10]), Place::Here);
        assert_eq!(busy(&[0, 0]).place(0, 95, &[37, 10]), Place::Rather(1));
        assert_eq!(busy(&[0, 201]).place(0, 95, &[37, 10]), Place::Here);
    }
}
