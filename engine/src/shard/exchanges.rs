//! The requests of an HTTP connection that are being answered, as far as its deadlines and its end care.

use std::cell::Cell;
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
    piece: Cell<Option<Instant>>,
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

    /// A request has come.
    pub fn begin(&self) {
        self.under_way.set(self.under_way.get() + 1);
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

    /// A piece of a body without end has been handed over.
    pub fn note_piece(&self, now: Instant) {
        self.piece.set(Some(now));
    }

    /// The connection has room for the next one.
    pub fn note_piece_taken(&self) {
        self.piece.set(None);
    }

    /// Whether a piece has waited for so long to be taken.
    pub(super) fn is_stuck(&self, now: Instant, timeout: Duration) -> bool {
        let waits = |since: Instant| now.saturating_duration_since(since) > timeout;
        self.piece.get().is_some_and(waits)
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
        exchanges.note_piece(begin);
        assert!(!exchanges.is_stuck(begin + timeout, timeout));
        assert!(exchanges.is_stuck(begin + timeout * 2, timeout));
        exchanges.note_piece_taken();
        assert!(!exchanges.is_stuck(begin + timeout * 2, timeout));
    }
}
