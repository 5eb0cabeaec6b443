//! Shutdown, as all shards see it: requested once, bounded by a deadline, over when every shard has
//! drained. Until then a shard that is done goes on serving its inbox, because others may need its
//! answers to drain.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use shardcast_platform as platform;
use shardcast_platform::Doorbell;

/// Shared by all shards and by whoever may ask for the end.
pub(crate) struct Shutdown {
    timeout: Duration,
    doorbells: Arc<[Doorbell]>,
    deadline: OnceLock<Instant>,
    requested: AtomicBool,
    undrained: AtomicUsize,
}

impl Shutdown {
    pub(crate) fn new(timeout: Duration, doorbells: Arc<[Doorbell]>) -> Self {
        Self {
            timeout,
            deadline: OnceLock::new(),
            requested: AtomicBool::new(false),
            undrained: AtomicUsize::new(doorbells.len()),
            doorbells,
        }
    }

    /// Asks every shard to drain. The first call sets the deadline and returns true; further ones
    /// change nothing.
    pub(crate) fn request(&self) -> bool {
        self.deadline.get_or_init(|| platform::now() + self.timeout);
        let first = !self.requested.swap(true, Ordering::SeqCst);
        if first {
            self.ring_all();
        }
        first
    }

    /// When everything has to be over; `None` before the request.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.is_requested()
            .then(|| self.deadline.get().copied())
            .flatten()
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// The arrivals of all shards, to be called once.
    pub(crate) fn arrivals(self: &Arc<Self>) -> Vec<Arrival> {
        (0..self.doorbells.len())
            .map(|_| Arrival(Arc::clone(self)))
            .collect()
    }

    pub(crate) fn all_have_arrived(&self) -> bool {
        self.undrained.load(Ordering::SeqCst) == 0
    }

    fn ring_all(&self) {
        for doorbell in &*self.doorbells {
            doorbell.ring();
        }
    }
}

/// Dropped when a shard has nothing left to do, or never will do anything again, whatever the
/// reason.
pub(crate) struct Arrival(Arc<Shutdown>);

impl Drop for Arrival {
    fn drop(&mut self) {
        if self.0.undrained.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.ring_all();
        }
    }
}
