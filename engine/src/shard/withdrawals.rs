//! Paths that the configuration has taken away: from whoever changes it to the shards that own them.
//!
//! Each shard has a letter box. An errand has it looked into at once; where the door is full, the shard's sweep does. Bounded by
//! the directory, in which every path of a letter box is or was.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use shardcast_config::{Config, Source};
use shardcast_runtime::ShardId;

use super::{ServerState, Shard};
use crate::path::{PathEntry, PathId};

/// The letter boxes of all shards.
#[derive(Debug)]
pub struct Withdrawals(Vec<Letters>);

#[derive(Debug, Default)]
struct Letters {
    is_full: AtomicBool,
    paths: Mutex<HashSet<PathId>>,
}

impl Withdrawals {
    /// For so many shards.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        Self((0..shards).map(|_| Letters::default()).collect())
    }

    /// The path is to be ended by its owner.
    pub fn add(&self, entry: &PathEntry) {
        if let Some(own) = self.0.get(entry.owner.index()) {
            let mut paths = own.paths.lock().unwrap_or_else(PoisonError::into_inner);
            paths.insert(entry.id);
            own.is_full.store(true, Ordering::Release);
        }
    }

    /// Has the owners look.
    pub fn announce(&self, server: &ServerState) {
        let boxes = self.0.iter().enumerate();
        for (index, _) in boxes.filter(|(_, own)| own.is_full.load(Ordering::Acquire)) {
            let errand = Box::new(|shard: &Rc<Shard>| shard.take_withdrawals());
            if let Some(shard) = ShardId::from_index(index) {
                let _else_the_sweep_does = server.send_errand(shard, errand);
            }
        }
    }

    fn take(&self, shard: ShardId) -> HashSet<PathId> {
        let Some(own) = self.0.get(shard.index()) else {
            return HashSet::new();
        };
        if !own.is_full.swap(false, Ordering::AcqRel) {
            return HashSet::new();
        }
        let mut paths = own.paths.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *paths)
    }
}

/// Whether publishers may have the path.
#[must_use]
pub fn is_open_to_publishers(config: &Config, name: &str) -> bool {
    let path = config.path(name);
    path.is_some_and(|path| path.source == Source::Publisher)
}

impl Shard {
    /// Ends the paths that were taken away, unless they have come back meanwhile.
    pub(super) fn take_withdrawals(&self) {
        let paths = self.server.withdrawals.take(self.id());
        if paths.is_empty() {
            return;
        }
        let config = self.server.config.load();
        for path in paths {
            self.own_withdraw(path, &config);
        }
    }
}
