//! Slow hashes that were right of late: who comes again soon need not wait for the same one.
//!
//! Filled by the hasher, asked by every shard when somebody joins. It holds keyed digests alone, under a key that lives and
//! dies with the process: nothing in it can be turned back into a password, or be recognised outside.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::random::random_u64;

/// How many are kept; the oldest goes first. Some tens of kilobytes.
const KNOWN_MAX: usize = 1024;

/// For how long one counts. A password that was taken away in the configuration is refused after that at the latest.
const KNOWN_FOR: Duration = Duration::from_secs(60);

type Key = [u8; 32];

/// Pairs of a stored hash and a text that has it.
pub(crate) struct KnownHashes {
    secret: Key,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    since: HashMap<Key, Instant>,
    /// From the oldest to the newest.
    order: VecDeque<Key>,
}

impl KnownHashes {
    pub(super) fn new() -> Self {
        let mut secret = Key::default();
        for part in secret.chunks_exact_mut(8) {
            part.copy_from_slice(&random_u64().to_le_bytes());
        }
        Self {
            secret,
            entries: Mutex::default(),
        }
    }

    /// Whether `offered` was found to have the hash `encoded` not long before `now`.
    pub(super) fn contains(&self, encoded: &str, offered: &str, now: Instant) -> bool {
        let key = self.key(encoded, offered);
        let since = self.lock().since.get(&key).copied();
        since.is_some_and(|since| now.saturating_duration_since(since) < KNOWN_FOR)
    }

    /// `offered` was found to have the hash `encoded` at `now`.
    pub(super) fn insert(&self, encoded: &str, offered: &str, now: Instant) {
        let key = self.key(encoded, offered);
        let mut entries = self.lock();
        if entries.since.insert(key, now).is_some() {
            entries.order.retain(|known| *known != key);
        }
        entries.order.push_back(key);
        if entries.order.len() > KNOWN_MAX
            && let Some(oldest) = entries.order.pop_front()
        {
            entries.since.remove(&oldest);
        }
    }

    /// A digest under the secret. The length of the first text keeps the two apart.
    fn key(&self, encoded: &str, offered: &str) -> Key {
        let mut digest = Sha256::new();
        digest.update(self.secret);
        digest.update((encoded.len() as u64).to_le_bytes());
        digest.update(encoded);
        digest.update(offered);
        digest.finalize().into()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for KnownHashes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KnownHashes({})", self.lock().order.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_right_is_known_for_a_minute() {
        let (known, begin) = (KnownHashes::new(), Instant::now());
        known.insert("hash", "text", begin);
        let last = begin + KNOWN_FOR - Duration::from_millis(1);
        assert!(known.contains("hash", "text", last));
        assert!(!known.contains("hash", "text", begin + KNOWN_FOR));
        assert!(!known.contains("hash", "other", begin));
        assert!(!known.contains("other", "text", begin));
        assert!(!known.contains("hasht", "ext", begin));
        // It may be found right again.
        known.insert("hash", "text", last);
        assert!(known.contains("hash", "text", begin + KNOWN_FOR));
    }

    #[test]
    fn the_oldest_makes_room_for_the_newest() {
        let (known, now) = (KnownHashes::new(), Instant::now());
        for number in 0..=KNOWN_MAX {
            known.insert("hash", &number.to_string(), now);
        }
        assert!(!known.contains("hash", "0", now));
        assert!(known.contains("hash", "1", now));
        assert!(known.contains("hash", &KNOWN_MAX.to_string(), now));
        let entries = known.lock();
        assert_eq!(
            (entries.since.len(), entries.order.len()),
            (KNOWN_MAX, KNOWN_MAX)
        );
    }

    #[test]
    fn one_that_is_found_again_and_again_takes_one_place() {
        let (known, now) = (KnownHashes::new(), Instant::now());
        for _ in 0..2 * KNOWN_MAX {
            known.insert("hash", "text", now);
        }
        assert_eq!(known.lock().order.len(), 1);
    }

    #[test]
    fn two_processes_have_different_digests() {
        let digest = || KnownHashes::new().key("hash", "text");
        assert_ne!(digest(), digest());
    }
}
