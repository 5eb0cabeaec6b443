//! The one timer of a shard that closes batches whose `coalesce` has passed. The wait is the same for all, so deadlines
//! come in the order in which batches were opened and a queue is enough; where the wait was changed, nearly so.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use shardcast_runtime::local::Notify;

/// Something with an open batch.
pub trait Coalesced {
    /// Closes the open batch if it is still the one of this number.
    fn close_batch(&self, sequence: u64);
}

/// Closes batches in time. Its queue holds at most one entry per batch that was opened within the last `coalesce`.
pub struct CoalesceTimer {
    wait: Cell<Duration>,
    queue: RefCell<VecDeque<Due>>,
    opened: Notify,
}

struct Due {
    at: Instant,
    sequence: u64,
    publication: Weak<dyn Coalesced>,
}

impl std::fmt::Debug for CoalesceTimer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CoalesceTimer")
            .field("queued", &self.queue.borrow().len())
            .finish()
    }
}

impl CoalesceTimer {
    /// A timer that waits so long for each batch.
    #[must_use]
    pub fn new(wait: Duration) -> Self {
        Self {
            wait: Cell::new(wait),
            queue: RefCell::default(),
            opened: Notify::new(),
        }
    }

    /// Batches that are opened from now on wait so long. Those before may have to wait for one that waits longer; that is
    /// over after the longer time.
    pub fn set_wait(&self, wait: Duration) {
        self.wait.set(wait);
    }

    /// A batch was opened at `now`.
    pub fn batch_opened(&self, publication: &Rc<dyn Coalesced>, sequence: u64, now: Instant) {
        let due = Due {
            at: now + self.wait.get(),
            sequence,
            publication: Rc::downgrade(publication),
        };
        self.queue.borrow_mut().push_back(due);
        self.opened.notify();
    }

    /// Closes batches for as long as the shard lives.
    pub async fn run(&self) {
        loop {
            let next = self.queue.borrow().front().map(|due| due.at);
            match next {
                None => self.opened.notified().await,
                Some(at) if at > shardcast_platform::now() => {
                    shardcast_platform::sleep_until(at).await;
                }
                Some(_) => self.close_front(),
            }
        }
    }

    fn close_front(&self) {
        let due = self.queue.borrow_mut().pop_front();
        if let Some((publication, due)) =
            due.and_then(|due| Some((due.publication.upgrade()?, due)))
        {
            publication.close_batch(due.sequence);
        }
    }
}
