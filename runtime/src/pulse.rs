//! A shard's sign of life: the time of its last heartbeat and the mark of what it polled last. The
//! shard writes, the stall detector reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::mark::{Mark, Stage};

/// Plain stores by the shard, on a cache line of its own. The parts of a mark are stored one by
/// one: a reader may see parts of two marks while the shard runs, but not of a shard that is stuck,
/// and that is when it is read.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// Microseconds since the runtime's start.
    tick_us: AtomicU64,
    state: AtomicU64,
    stage: AtomicU64,
    path: AtomicU64,
    session: AtomicU64,
}

const STATE_NOT_STARTED: u64 = 0;
const STATE_ALIVE: u64 = 1;
const STATE_ENDED: u64 = 2;

impl Pulse {
    /// The heartbeat: the shard's event loop has come round at `now` since the runtime's start.
    pub(crate) fn tick(&self, now: Duration) {
        let micros = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        self.tick_us.store(micros, Ordering::Relaxed);
        if self.state.load(Ordering::Relaxed) == STATE_NOT_STARTED {
            self.state.store(STATE_ALIVE, Ordering::Release);
        }
    }

    /// The shard has ended; its silence means nothing from now on.
    pub(crate) fn end(&self) {
        self.state.store(STATE_ENDED, Ordering::Release);
    }

    /// Whether the shard has begun to tick and not ended.
    pub(crate) fn is_alive(&self) -> bool {
        self.state.load(Ordering::Acquire) == STATE_ALIVE
    }

    /// Time of the last heartbeat since the runtime's start.
    pub(crate) fn last_tick(&self) -> Duration {
        Duration::from_micros(self.tick_us.load(Ordering::Relaxed))
    }

    /// What the shard does from now on.
    pub(crate) fn set_mark(&self, mark: Mark) {
        self.set_stage(mark.stage);
        self.path.store(mark.path, Ordering::Relaxed);
        self.session.store(mark.session, Ordering::Relaxed);
    }

    /// The next step for the same path and session.
    pub(crate) fn set_stage(&self, stage: Stage) {
        self.stage.store(stage.to_bits(), Ordering::Relaxed);
    }

    /// What the shard did last.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            stage: Stage::from_bits(self.stage.load(Ordering::Relaxed)),
            path: self.path.load(Ordering::Relaxed),
            session: self.session.load(Ordering::Relaxed),
        }
    }
}
