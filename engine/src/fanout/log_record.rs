//! What a log tells of itself to other threads: where it begins and ends, in bytes and time. The log's shard writes, at
//! every batch; whoever shows readers' lag or a log's size reads.

use std::time::{Duration, Instant};

use crate::record::Progress;
use crate::wall_clock::micros_at;

/// A place in a log's life: between what is before it and what comes after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPlace {
    /// Bytes of the log's life before it.
    pub bytes: u64,
    /// When the batch before it was read, in the process's microseconds.
    pub read_us: u64,
}

impl LogPlace {
    /// Of a reader that was given nothing yet.
    pub const NOWHERE: Self = Self {
        bytes: u64::MAX,
        read_us: 0,
    };
}

/// Of a reader that goes in step with others: their common place is the log's to tell.
pub const IN_STEP: LogPlace = LogPlace {
    bytes: u64::MAX,
    read_us: 1,
};

/// One log. The block is aligned so that no other shard's counters share its cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct LogRecord {
    head: Progress,
    tail: Progress,
    /// How far those readers have come that go in step.
    pub in_step: Progress,
}

impl LogRecord {
    /// Behind the newest batch.
    #[must_use]
    pub fn head(&self) -> LogPlace {
        self.head.place()
    }

    /// Bytes that the log holds.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.head().bytes.saturating_sub(self.tail.place().bytes)
    }

    /// Between the reads of its oldest and its newest batch.
    #[must_use]
    pub fn held_time(&self) -> Duration {
        let (head, tail) = (self.head(), self.tail.place());
        Duration::from_micros(head.read_us.saturating_sub(tail.read_us))
    }

    /// Where the log ends now.
    pub(super) fn set_head(&self, bytes: u64, read_at: Instant) {
        let read_us = micros_at(read_at);
        self.head.set(LogPlace { bytes, read_us });
    }

    /// Where the log begins now, and when its oldest batch was read.
    pub(super) fn set_tail(&self, bytes: u64, read_at: Instant) {
        let read_us = micros_at(read_at);
        self.tail.set(LogPlace { bytes, read_us });
    }

    /// The log is gone: it holds nothing.
    pub(super) fn clear(&self) {
        self.tail.set(self.head());
    }
}
