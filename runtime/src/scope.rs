//! What every task of a shard has in common, whatever messages the shard exchanges: its number, its
//! record, its poison and its hooks, and what happens when it panics.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use shardcast_platform as platform;

use crate::ShardId;
use crate::counters::{ShardCounters, ShardRecord};
use crate::guarded::Poison;
use crate::local::Notify;
use crate::options::{Hooks, ShardPanic};
use crate::pulse::Pulse;
use crate::supervise::caught;

/// One shard's common ground. Not `Send`.
pub(crate) struct Scope {
    id: ShardId,
    record: Arc<ShardRecord>,
    hooks: Hooks,
    epoch: Instant,
    poison: Poison,
    failed: Cell<bool>,
    failure: Notify,
}

impl Scope {
    /// The scope of shard `id`, whose times count from `epoch`.
    pub(crate) fn new(
        id: ShardId,
        record: Arc<ShardRecord>,
        hooks: Hooks,
        epoch: Instant,
    ) -> Rc<Self> {
        Rc::new(Self {
            id,
            record,
            hooks,
            epoch,
            poison: Poison::new(),
            failed: Cell::new(false),
            failure: Notify::new(),
        })
    }

    pub(crate) fn id(&self) -> ShardId {
        self.id
    }

    pub(crate) fn counters(&self) -> &ShardCounters {
        &self.record.counters
    }

    pub(crate) fn pulse(&self) -> &Pulse {
        &self.record.pulse
    }

    pub(crate) fn poison(&self) -> &Poison {
        &self.poison
    }

    /// The heartbeat.
    pub(crate) fn tick(&self) {
        self.pulse()
            .tick(platform::now().saturating_duration_since(self.epoch));
    }

    /// Tells the hook, which usually ends the process. If it returns, this shard is over; a hook
    /// that panics has left nothing to decide, so the process is aborted. Only the first panic is
    /// told.
    pub(crate) fn handle_shard_panic(&self, message: String) {
        if self.failed.replace(true) {
            return;
        }
        let mark = self.pulse().mark();
        let panic = ShardPanic {
            shard: self.id,
            message,
            mark,
            stage: mark.stage.name(self.hooks.stages),
            subject: caught(|| (self.hooks.describe)(mark)).unwrap_or_default(),
        };
        if caught(|| (self.hooks.on_shard_panic)(panic)).is_err() {
            std::process::abort();
        }
        self.failure.notify();
    }

    /// Whether the shard has panicked and goes down.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.get()
    }

    /// Resolves when the shard has panicked.
    pub(crate) async fn failure(&self) {
        while !self.failed.get() {
            self.failure.notified().await;
        }
    }
}
