//! Counters of one shard. The shard alone writes them, with plain stores; anybody reads them. Each
//! shard's block has cache lines of its own, so that counting never slows another core down.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::mailbox::Drained;
use crate::pulse::Pulse;
use crate::{SHARDS_MAX, ShardId};

/// A number that only grows. One thread writes, so an increment is a load and a store.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The value now.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, amount: u64) {
        self.0
            .store(self.value().wrapping_add(amount), Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, amount: u64) {
        self.0
            .store(self.value().saturating_sub(amount), Ordering::Relaxed);
    }

    /// A number that may fall, too.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Keeps the greatest value that was ever seen.
    pub(crate) fn raise(&self, value: u64) {
        if value > self.value() {
            self.0.store(value, Ordering::Relaxed);
        }
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What one shard counts.
        #[derive(Debug, Default)]
        pub struct ShardCounters {
            $($(#[$doc])* pub $name: Counter,)*
        }

        /// A copy of one shard's counters. The values are read one after the other while the shard
        /// runs on.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct ShardSnapshot {
            /// Whose they are.
            pub shard: ShardId,
            /// Stalls of this shard that the detector has reported.
            pub stalls: u64,
            /// Time since the shard's last heartbeat.
            pub heartbeat_age: Duration,
            $($(#[$doc])* pub $name: u64,)*
        }

        impl ShardRecord {
            /// Copies everything out, as of `now` since the runtime's start.
            pub(crate) fn snapshot(&self, shard: ShardId, now: Duration) -> ShardSnapshot {
                ShardSnapshot {
                    shard,
                    stalls: self.stalls.value(),
                    heartbeat_age: now.saturating_sub(self.pulse.last_tick()),
                    $($name: self.counters.$name.value(),)*
                }
            }
        }
    };
}

counters! {
    /// Media messages put into rings.
    media_sent,
    /// Media messages that a full ring refused.
    media_dropped,
    /// Control messages sent, by way of a spill list or not.
    control_sent,
    /// Control messages that went through a spill list.
    control_spilled,
    /// Longest spill list to one shard.
    control_spill_max,
    /// Return messages put into rings.
    return_sent,
    /// Return messages freed here because the ring was full.
    return_dropped,
    /// Media messages taken from other shards.
    media_received,
    /// Control messages taken from other shards.
    control_received,
    /// Return messages taken from other shards.
    return_received,
    /// Most media messages found in one incoming ring.
    media_depth_max,
    /// Most control messages found in one incoming ring.
    control_depth_max,
    /// Most return messages found in one incoming ring.
    return_depth_max,
    /// Times that this shard really woke a sleeping one.
    doorbells_rung,
    /// Times that this shard's inbox waited for its doorbell and went on.
    wakes,
    /// Tasks alive now: sessions, other tasks, and the runtime's own two.
    tasks,
    /// Sessions alive now.
    sessions,
    /// Sessions that a panic ended.
    session_panics,
    /// Microseconds in which the shard's thread ran, or waited for a CPU; counted once a second.
    busy_us,
    /// The share of that in the last two seconds, in thousandths.
    busy_permille,
}

/// Everything that the rest of the process can see of a shard. Three blocks with different writers
/// or readers, each on cache lines of its own.
#[derive(Debug, Default)]
pub(crate) struct ShardRecord {
    /// Written by the shard.
    pub(crate) counters: CachePadded<ShardCounters>,
    /// Written by the shard at every poll, looked at by the stall detector.
    pub(crate) pulse: CachePadded<Pulse>,
    /// Written by the stall detector.
    pub(crate) stalls: CachePadded<Counter>,
}

/// The cache lines that one core may fetch together: adjacent pairs on x86-64.
const LINE_BYTES: usize = align_of::<CachePadded<u8>>();

const _: () = {
    assert!(align_of::<ShardRecord>() >= 64 && align_of::<ShardRecord>() >= LINE_BYTES);
    assert!(size_of::<ShardRecord>().is_multiple_of(LINE_BYTES));
    assert!(size_of::<CachePadded<ShardCounters>>().is_multiple_of(LINE_BYTES));
    assert!(size_of::<CachePadded<Pulse>>() == LINE_BYTES);
    // All shards together stay small beside one session's buffers.
    assert!(SHARDS_MAX * size_of::<ShardRecord>() <= 512 << 10);
};

impl ShardCounters {
    /// Adds what one turn of the inbox brought.
    pub(crate) fn count_turn(&self, drained: &Drained) {
        self.media_received.add(drained.media.messages as u64);
        self.media_depth_max.raise(drained.media.depth as u64);
        self.control_received.add(drained.control.messages as u64);
        self.control_depth_max.raise(drained.control.depth as u64);
        self.return_received.add(drained.returns.messages as u64);
        self.return_depth_max.raise(drained.returns.depth as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_two_shards_share_no_cache_line() {
        let records: Vec<std::sync::Arc<ShardRecord>> =
            (0..2).map(|_| Default::default()).collect();
        let lines = |record: &ShardRecord| {
            let first = std::ptr::from_ref(record) as usize / LINE_BYTES;
            first..first + size_of::<ShardRecord>() / LINE_BYTES
        };
        let (one, other) = (lines(&records[0]), lines(&records[1]));
        assert!(one.end <= other.start || other.end <= one.start);
        assert!((std::ptr::from_ref(&*records[0]) as usize).is_multiple_of(LINE_BYTES));
    }

    #[test]
    fn a_high_water_mark_never_falls() {
        let counter = Counter::default();
        counter.raise(5);
        counter.raise(3);
        assert_eq!(counter.value(), 5);
    }

    #[test]
    fn a_snapshot_copies_every_counter() {
        let record = ShardRecord::default();
        record.counters.media_sent.add(3);
        record.counters.session_panics.add(1);
        record.pulse.tick(Duration::from_millis(100));
        let shard = ShardId::from_index(4).expect("within the maximum");
        let snapshot = record.snapshot(shard, Duration::from_millis(250));
        assert_eq!(snapshot.shard, shard);
        assert_eq!((snapshot.media_sent, snapshot.session_panics), (3, 1));
        assert_eq!(snapshot.heartbeat_age, Duration::from_millis(150));
    }
}
