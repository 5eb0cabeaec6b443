//! The path directory: which shard owns a name. One for the process, read by every shard, written when a path begins
//! or ends.
//!
//! It is an immutable snapshot per stripe, swapped whole, so a reader never waits for a writer. Only writers of one
//! stripe take turns, and they are the control plane, never the packet's way.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use shardcast_runtime::ShardId;

use super::PathName;

/// Most paths that exist at once. A path costs some hundred bytes beside its log; the bound keeps a flood of names finite.
pub const PATHS_MAX: usize = 65_536;

/// A change copies one stripe only; 64 keep that copy near a thousand entries when the directory is full.
const STRIPES: usize = 64;

/// As many reasons as readers can be moved forward for.
pub const DROP_REASONS_MAX: usize = 4;

/// A path's number, unique in the process's life, so that a message for an earlier path of the same name is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathId(pub u64);

/// What every shard may know of a path.
#[derive(Debug)]
pub struct PathEntry {
    /// The path's number.
    pub id: PathId,
    /// Its canonical name.
    pub name: PathName,
    /// The shard that owns it as long as this entry lives.
    pub owner: ShardId,
    /// Playing readers on all shards, kept by the owner.
    pub readers: AtomicU32,
    /// Bits per second of its stream of late, kept by the owner.
    pub bit_rate: AtomicU64,
    /// Bytes that publishers have brought, kept by the owner.
    pub inbound_bytes: AtomicU64,
    /// Bytes that readers were sent whose sessions have ended; the living ones count for themselves.
    pub ended_outbound_bytes: AtomicU64,
    /// How often readers were moved forward, by the number of the reason.
    pub drops: [AtomicU64; DROP_REASONS_MAX],
    /// Bytes that they were not given then.
    pub dropped_bytes: AtomicU64,
}

/// The directory holds [`PATHS_MAX`] paths already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are {PATHS_MAX} paths already")]
pub struct DirectoryFull;

type Stripe = HashMap<PathName, Arc<PathEntry>>;

/// Name to owner, for the whole process.
#[derive(Debug)]
pub struct Directory {
    stripes: Vec<ArcSwap<Stripe>>,
    writers: Vec<Mutex<()>>,
    hasher: RandomState,
    next_id: AtomicU64,
    len: AtomicUsize,
}

impl Default for Directory {
    fn default() -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| ArcSwap::default()).collect(),
            writers: (0..STRIPES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            next_id: AtomicU64::new(1),
            len: AtomicUsize::new(0),
        }
    }
}

impl Directory {
    /// The path of this name, if there is one.
    #[must_use]
    pub fn find(&self, name: &PathName) -> Option<Arc<PathEntry>> {
        self.stripe(name).0.load().get(name).cloned()
    }

    /// The path of this name; where there is none, a new one on the shard that `place` picks.
    ///
    /// # Errors
    /// [`DirectoryFull`].
    pub fn find_or_place(
        &self,
        name: &PathName,
        place: impl FnOnce() -> ShardId,
    ) -> Result<Arc<PathEntry>, DirectoryFull> {
        if let Some(entry) = self.find(name) {
            return Ok(entry);
        }
        let (stripe, writer) = self.stripe(name);
        let _turn = writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = stripe.load().get(name) {
            return Ok(entry.clone());
        }
        if self.len.fetch_add(1, Ordering::Relaxed) >= PATHS_MAX {
            self.len.fetch_sub(1, Ordering::Relaxed);
            return Err(DirectoryFull);
        }
        let entry = Arc::new(self.new_entry(name, place()));
        let mut changed = Stripe::clone(&stripe.load());
        changed.insert(name.clone(), entry.clone());
        stripe.store(Arc::new(changed));
        Ok(entry)
    }

    /// Whether there is no room for another path.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len.load(Ordering::Relaxed) >= PATHS_MAX
    }

    /// Takes the path out, if the name still stands for this one. Only its owner does that.
    pub fn remove(&self, entry: &PathEntry) {
        let (stripe, writer) = self.stripe(&entry.name);
        let _turn = writer.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_current(entry) {
            return;
        }
        let mut changed = Stripe::clone(&stripe.load());
        changed.remove(&entry.name);
        stripe.store(Arc::new(changed));
        self.len.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether the entry's name still stands for it.
    #[must_use]
    pub fn is_current(&self, entry: &PathEntry) -> bool {
        self.stripe(&entry.name)
            .0
            .load()
            .get(&entry.name)
            .is_some_and(|found| found.id == entry.id)
    }

    /// Every path, in no order.
    #[must_use]
    pub fn entries(&self) -> Vec<Arc<PathEntry>> {
        self.stripes
            .iter()
            .flat_map(|stripe| stripe.load().values().cloned().collect::<Vec<_>>())
            .collect()
    }

    /// The name of a path that the stall detector knows by number only.
    #[must_use]
    pub fn name_of(&self, id: PathId) -> Option<PathName> {
        self.entries()
            .into_iter()
            .find(|entry| entry.id == id)
            .map(|entry| entry.name.clone())
    }

    fn new_entry(&self, name: &PathName, owner: ShardId) -> PathEntry {
        PathEntry {
            id: PathId(self.next_id.fetch_add(1, Ordering::Relaxed)),
            name: name.clone(),
            owner,
            readers: AtomicU32::new(0),
            bit_rate: AtomicU64::new(0),
            inbound_bytes: AtomicU64::new(0),
            ended_outbound_bytes: AtomicU64::new(0),
            drops: Default::default(),
            dropped_bytes: AtomicU64::new(0),
        }
    }

    fn stripe(&self, name: &PathName) -> (&ArcSwap<Stripe>, &Mutex<()>) {
        let index = usize::try_from(self.hasher.hash_one(name) % STRIPES as u64).unwrap_or(0);
        (&self.stripes[index], &self.writers[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(index: usize) -> ShardId {
        ShardId::from_index(index).unwrap()
    }

    fn name(text: &str) -> PathName {
        PathName::new(text).unwrap()
    }

    #[test]
    fn a_name_has_one_owner_until_it_is_removed() {
        let directory = Directory::default();
        let first = directory.find_or_place(&name("a"), || shard(1)).unwrap();
        let again = directory.find_or_place(&name("a"), || shard(0)).unwrap();
        assert_eq!((first.id, again.owner), (again.id, shard(1)));
        directory.remove(&first);
        assert!(directory.find(&name("a")).is_none());
    }

    #[test]
    fn removing_an_earlier_path_leaves_its_successor() {
        let directory = Directory::default();
        let first = directory.find_or_place(&name("a"), || shard(0)).unwrap();
        directory.remove(&first);
        let second = directory.find_or_place(&name("a"), || shard(0)).unwrap();
        directory.remove(&first);
        assert!(directory.is_current(&second));
        assert!(!directory.is_current(&first));
    }

    #[test]
    fn the_directory_is_full_at_its_maximum_and_has_room_again_after_a_removal() {
        let directory = Directory::default();
        directory.len.store(PATHS_MAX - 1, Ordering::Relaxed);
        assert!(!directory.is_full());
        let last = directory.find_or_place(&name("last"), || shard(0)).unwrap();
        assert!(directory.is_full());
        assert_eq!(
            directory
                .find_or_place(&name("more"), || shard(0))
                .unwrap_err(),
            DirectoryFull
        );
        directory.remove(&last);
        assert!(directory.find_or_place(&name("more"), || shard(0)).is_ok());
    }
}
