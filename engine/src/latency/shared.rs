//! What a shard has published of one path's latency: written by that shard once a second, read by the clerk.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::histogram::{Buckets, new_histogram};

/// How long a window is. Figures are of the last whole one and the running one together: at least so much time, and at most
/// twice as much.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// One path's latency on one shard.
#[derive(Debug)]
pub struct SharedLatency(Mutex<Published>);

/// What was recorded since the begin, and lately.
#[derive(Debug)]
pub(super) struct Published {
    /// Of windows that are over.
    over: Buckets,
    /// Of the last window that is over.
    last: Histogram<u32>,
    /// Of the one that is running.
    running: Histogram<u32>,
    /// When that one began.
    running_since: Instant,
    /// Of all that was ever recorded.
    sum_us: u64,
}

impl SharedLatency {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Published {
            over: Buckets::default(),
            last: new_histogram(),
            running: new_histogram(),
            running_since: now,
            sum_us: 0,
        }))
    }

    /// For the shard, which never waits: nothing while somebody reads.
    pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, Published>> {
        match self.0.try_lock() {
            Ok(published) => Some(published),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// For everybody else.
    pub(super) fn lock(&self) -> MutexGuard<'_, Published> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Published {
    /// What the shard has recorded in its running window so far, and the sum since the last time.
    pub(super) fn publish(&mut self, running: &Histogram<u32>, sum_us: u64) {
        self.sum_us += sum_us;
        if self.running.set_to(running).is_err() {
            unreachable!("all histograms have the same bounds");
        }
    }

    /// The running window is over.
    pub(super) fn begin_window(&mut self, now: Instant) {
        self.over.add_histogram(&self.running);
        std::mem::swap(&mut self.last, &mut self.running);
        self.running.reset();
        self.running_since = now;
    }

    /// Adds what was recorded since the begin.
    pub(super) fn add_all_to(&self, buckets: &mut Buckets, sum_us: &mut u64) {
        buckets.add(&self.over);
        buckets.add_histogram(&self.running);
        *sum_us += self.sum_us;
    }

    /// Adds what was recorded lately. Of a shard that publishes no more, windows grow old.
    pub(super) fn add_recent_to(&self, recent: &mut Histogram<u32>, now: Instant) {
        let age = now.saturating_duration_since(self.running_since);
        let windows = [(&self.running, 2 * WINDOW), (&self.last, WINDOW)];
        for (window, age_max) in windows {
            if age <= age_max + WINDOW / 4 && recent.add(window).is_err() {
                unreachable!("all histograms have the same bounds");
            }
        }
    }

    /// Gives what was recorded to another label, whose path this is now.
    pub(super) fn move_to(&mut self, other: &mut Self, now: Instant) {
        self.add_all_to(&mut other.over, &mut other.sum_us);
        (self.over, self.sum_us) = (Buckets::default(), 0);
        self.last.reset();
        self.running.reset();
        self.running_since = now;
    }
}
