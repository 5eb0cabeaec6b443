//! The clerk: the thread that looks things up for the shards' connections, one after the other, from a bounded queue. It
//! gives way to the shards.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::shard::Shard;

/// Requests that wait for the clerk; more are refused.
pub const JOBS_WAITING_MAX: usize = 256;

type Job = Box<dyn FnOnce() + Send>;

/// The clerk's other end. Its thread ends when this is gone.
#[derive(Debug)]
pub struct Clerk {
    jobs: SyncSender<Job>,
    counters: Arc<ClerkCounters>,
}

/// What the clerk has to do and has done.
#[derive(Debug, Default)]
pub struct ClerkCounters {
    taken: AtomicU64,
    refused: AtomicU64,
    done: AtomicU64,
}

impl ClerkCounters {
    /// Jobs that wait, or are worked at.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let done = self.done.load(Ordering::Relaxed);
        self.taken.load(Ordering::Relaxed).saturating_sub(done)
    }

    /// Jobs that have been done.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Jobs that found no room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Clerk {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system refuses one.
    pub fn start() -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(JOBS_WAITING_MAX);
        let builder = std::thread::Builder::new().name("control".into());
        let counters = Arc::<ClerkCounters>::default();
        let counting = counters.clone();
        builder.spawn(move || work_off(&queue, &counting))?;
        Ok(Self { jobs, counters })
    }

    /// What it has to do and has done.
    #[must_use]
    pub fn counters(&self) -> &ClerkCounters {
        &self.counters
    }

    /// Has something done that nobody waits for; `false` when too much waits.
    #[must_use]
    pub fn do_later(&self, job: impl FnOnce() + Send + 'static) -> bool {
        let is_taken = self.jobs.try_send(Box::new(job)).is_ok();
        let ClerkCounters { taken, refused, .. } = &*self.counters;
        let count = if is_taken { taken } else { refused };
        count.fetch_add(1, Ordering::Relaxed);
        is_taken
    }

    /// Has something worked out for a task of this shard; `None` when too much waits, or when it took too long.
    pub async fn work_out<T: Send + 'static>(
        &self,
        shard: &Rc<Shard>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let hand_over = |reply: crate::shard::Reply| self.do_later(move || reply.send(work()));
        shard.ask_outside(hand_over).await
    }
}

/// A panic is a bug of ours: it is told by its hook, costs its asker an answer, and leaves the clerk at work.
fn work_off(queue: &Receiver<Job>, counters: &ClerkCounters) {
    // Where the system refuses it, the clerk competes with shards as any thread would.
    let _as_any_other_thread = shardcast_platform::lower_current_thread();
    while let Ok(job) = queue.recv() {
        let _is_told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
        counters.done.fetch_add(1, Ordering::Relaxed);
    }
}
