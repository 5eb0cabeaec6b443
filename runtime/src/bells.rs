//! Waking other shards, once per burst. A send marks its target; a task of the shard's own rings
//! for all marks when it has its turn, after every task that was ready before it. So a burst costs
//! one ring per target, and no sender can forget to ring.

use std::cell::Cell;
use std::sync::Arc;

use shardcast_platform::Doorbell;

use crate::ShardId;
use crate::counters::ShardCounters;
use crate::local::Notify;
use crate::shard_set::ShardSet;

/// The doorbells of all shards, as one shard uses them.
pub(crate) struct Bells {
    doorbells: Arc<[Doorbell]>,
    marked: Cell<ShardSet>,
    some: Notify,
}

impl Bells {
    pub(crate) fn new(doorbells: Arc<[Doorbell]>) -> Self {
        Self {
            doorbells,
            marked: Cell::default(),
            some: Notify::new(),
        }
    }

    /// There is news for `shard`: it will be rung for at the end of this turn.
    pub(crate) fn mark(&self, shard: ShardId) {
        let mut marked = self.marked.get();
        marked.insert(shard);
        self.marked.set(marked);
        self.some.notify();
    }

    fn ring(&self, counters: &ShardCounters) {
        for shard in self.marked.take().iter() {
            if let Some(doorbell) = self.doorbells.get(shard.index()) {
                counters.doorbells_rung.add(u64::from(doorbell.ring()));
            }
        }
    }

    /// The bell ringer's life. It ends with the shard's event loop.
    pub(crate) async fn ring_whenever_marked(&self, counters: &ShardCounters) {
        loop {
            self.some.notified().await;
            self.ring(counters);
        }
    }
}
