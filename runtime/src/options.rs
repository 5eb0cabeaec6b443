//! What a runtime is told: plain options (whoever reads a configuration file fills them in) and the
//! hooks through which it reports.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use shardcast_platform::{DriverChoice, DriverRequest};

use crate::last_words;
use crate::mark::Mark;
use crate::stall::Stall;
use crate::{ShardCount, ShardId};

/// Smallest and largest number of slots of a media ring. One slot would cut a stream at every
/// hiccup; 65536 batches are minutes of media, far beyond what a reader could still use.
pub const MEDIA_RING_MIN: usize = 2;
/// See [`MEDIA_RING_MIN`].
pub const MEDIA_RING_MAX: usize = 65_536;

/// How to run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// How many shards.
    pub shards: ShardCount,
    /// What serves their sockets and timers.
    pub driver: DriverRequest,
    /// Whether each shard stays on one CPU.
    pub pin_cpus: bool,
    /// Media messages in flight per ordered pair of shards.
    pub media_ring: usize,
    /// A shard whose event loop has not come round for so long is reported.
    pub stall_after: Duration,
    /// Time to drain at shutdown, from the request to the end of every shard.
    pub shutdown_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shards: ShardCount::Auto,
            driver: DriverRequest::Auto,
            pin_cpus: false,
            media_ring: 1024,
            stall_after: Duration::from_secs(1),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// What was decided before anything started.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Number of shards, and so of acceptors per listener.
    pub shards: usize,
    /// Why so many.
    pub shards_reason: String,
    /// The driver and why it was chosen.
    pub driver: DriverChoice,
    /// The CPU of each shard, where they are pinned.
    pub cpus: Option<Vec<usize>>,
}

/// A panic that cannot be confined to a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShardPanic {
    /// Where.
    pub shard: ShardId,
    /// The panic's message, and why it is the shard's.
    pub message: String,
    /// What the shard polled.
    pub mark: Mark,
    /// The stage's name.
    pub stage: &'static str,
    /// Path and session by name.
    pub subject: String,
}

/// Turns the numbers of a mark into the names of path and session.
pub type Describe = Arc<dyn Fn(Mark) -> String + Send + Sync>;
/// Takes the stall detector's reports, on the detector's thread.
pub type OnStall = Arc<dyn Fn(Stall) + Send + Sync>;
/// Takes a shard's panic, on the shard's thread.
pub type OnShardPanic = Arc<dyn Fn(ShardPanic) + Send + Sync>;

/// Through which the runtime asks and reports.
#[derive(Clone)]
pub struct Hooks {
    /// Names of the engine's stages, in the order of [`Stage::engine`](crate::Stage::engine).
    pub stages: &'static [&'static str],
    /// Names for a mark. Called on the detector's or a dying shard's thread: it must not wait for a
    /// shard.
    pub describe: Describe,
    /// Default: one warning in the log at the beginning and one at the end of a stall.
    pub on_stall: OnStall,
    /// Default: one line in the log, then the process exits with [`SHARD_PANIC_EXIT_CODE`], within
    /// a second come what may. A hook that returns ends the runtime alone: every shard is shut down
    /// and
    /// [`Running::join`](crate::Running::join) says [`Exit::Panicked`](crate::Exit::Panicked).
    ///
    /// [`SHARD_PANIC_EXIT_CODE`]: crate::SHARD_PANIC_EXIT_CODE
    pub on_shard_panic: OnShardPanic,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            stages: &[],
            describe: Arc::new(|mark| format!("path {}, session {}", mark.path, mark.session)),
            on_stall: Arc::new(|stall| log_stall(&stall)),
            on_shard_panic: Arc::new(|panic| last_words::exit_with(&panic)),
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("stages", &self.stages)
            .finish_non_exhaustive()
    }
}

fn log_stall(stall: &Stall) {
    let Stall {
        shard,
        stage,
        subject,
        ..
    } = stall;
    let busy_ms = stall.busy_for.as_millis();
    if stall.over {
        tracing::warn!("shard {shard} goes on after {busy_ms} ms in {stage} ({subject})");
    } else {
        tracing::warn!("shard {shard} has been busy for {busy_ms} ms in {stage} ({subject})");
    }
}
