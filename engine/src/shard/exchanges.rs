//! The requests of an HTTP connection that are being answered, as far as its deadlines and its end care.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::{Duration, Instant};

use shardcast_platform::Cancel;

/// What a session that speaks HTTP has beside others.
#[derive(Debug, Default)]
pub struct Exchanges {
    /// Raised when it is to come to an end by itself: what is under way is finished, and nothing new begins.
    pub winding_down: Cancel,
    is_late: Cell<bool>,
    under_way: Cell<u32>,
    abandoned: Cell<u32>,
    last: Cell<u64>,
    /// Since when a piece of a response's body waits to be taken, by request: each has one at most, and what one takes says
    /// nothing of the others.
    pieces: RefCell<HashMap<u64, Instant>>,
}

impl Exchanges {
    /// The head of a request did not come in time; the peer is told, and that is all.
    pub fn be_late(&self) {
        self.is_late.set(true);
        self.winding_down.cancel();
    }

    /// See [`Self::be_late`].
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.is_late.get()
    }

    /// A request has come; its number.
    pub fn begin(&self) -> u64 {
        self.under_way.set(self.under_way.get() + 1);
        self.last.set(self.last.get() + 1);
        self.last.get()
    }

    /// Its response has been handed over, or its peer wants none any more. How many were abandoned like that, beyond those
    /// that were not.
    pub fn end(&self, is_answered: bool) -> u32 {
        self.under_way.set(self.under_way.get().saturating_sub(1));
        let abandoned = self.abandoned.get();
        self.abandoned.set(match is_answered {
            true => abandoned.saturating_sub(1),
            false => abandoned + 1,
        });
        self.abandoned.get()
    }

    /// Whether any request is being answered.
    #[must_use]
    pub fn are_under_way(&self) -> bool {
        self.under_way.get() > 0
    }

    /// A response, or a piece of its body, is there for the connection to take.
    pub fn note_piece(&self, request: u64, now: Instant) {
        self.pieces.borrow_mut().insert(request, now);
    }

    /// The connection has room for the next one.
    pub fn note_piece_taken(&self, request: u64) {
        self.pieces.borrow_mut().remove(&request);
    }

    /// Whether a piece has waited for so long to be taken.
    pub(super) fn is_stuck(&self, now: Instant, timeout: Duration) -> bool {
        let waits = |since: &Instant| now.saturating_duration_since(*since) > timeout;
        self.pieces.borrow().values().any(waits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_abandoned_counts_until_as_much_is_answered() {
        let exchanges = Exchanges::default();
        for count in 1..=3 {
            exchanges.begin();
            assert_eq!(exchanges.end(false), count);
        }
        exchanges.begin();
        exchanges.begin();
        assert_eq!(exchanges.end(true), 2);
        assert!(exchanges.are_under_way());
        assert_eq!(exchanges.end(true), 1);
        assert!(!exchanges.are_under_way());
    }

    #[test]
    fn a_piece_that_is_not_taken_is_stuck_after_the_timeout() {
        let (exchanges, begin) = (Exchanges::default(), Instant::now());
        let timeout = Duration::from_secs(10);
        let (stuck, other) = (exchanges.begin(), exchanges.begin());
        exchanges.note_piece(stuck, begin);
        assert!(!exchanges.is_stuck(begin + timeout, timeout));
        // What others take does not help it.
        exchanges.note_piece(other, begin + timeout);
        exchanges.note_piece_taken(other);
        assert!(exchanges.is_stuck(begin + timeout * 2, timeout));
        exchanges.note_piece_taken(stuck);
        assert!(!exchanges.is_stuck(begin + timeout * 2, timeout));
    }
}
