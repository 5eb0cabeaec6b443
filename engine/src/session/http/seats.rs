//! The connections of a listener at once, over all shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many connections may one listener have. At some 20 KiB each, that is a third of a gigabyte at worst, and more than
/// any dashboard opens; ten thousand that do nothing leave room for those that work.
pub(crate) const CONNECTIONS_MAX: usize = 16_384;

/// What is left of them.
#[derive(Clone, Debug)]
pub(crate) struct Seats {
    taken: Arc<AtomicUsize>,
    most: usize,
}

/// One connection's.
#[derive(Debug)]
pub(super) struct Seat(Arc<AtomicUsize>);

impl Default for Seats {
    fn default() -> Self {
        Self::of(CONNECTIONS_MAX)
    }
}

impl Seats {
    fn of(most: usize) -> Self {
        let taken = Arc::new(AtomicUsize::new(0));
        Self { taken, most }
    }

    /// One of them, if any is left.
    pub(super) fn take(&self) -> Option<Seat> {
        let seat = Seat(self.taken.clone());
        // Given back by its drop, if it was one too many.
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        (before < self.most).then_some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_seat_is_given_and_one_more_is_not_until_one_is_back() {
        let seats = Seats::of(2);
        let (first, _second) = (seats.take(), seats.take());
        assert!(first.is_some() && seats.take().is_none());
        drop(first);
        assert!(seats.take().is_some());
    }
}
