//! What a reader may have before it, and what becomes of one that has more: the limits of its path, as a cursor keeps them,
//! and what moving it has cost, on its way to the log, the metrics, the events and the session's state.
//!
//! A queue is what the reader's peer has not taken, as far as is known: what lies in the log behind the access unit at which
//! the reader stands, and what the kernel holds for it. That access unit itself never counts, however large: to move a
//! reader away from the newest one would lose a group of pictures and gain nothing.

use std::time::Duration;

/// What is done with a reader whose queue has passed a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowReader {
    /// It is ended.
    Disconnect,
    /// It goes on at the next start point.
    DropToKeyFrame,
    /// It is given no pictures that no other refers to until it has caught up, with numbers of its own that have no gap.
    /// Where that is not enough, it goes on at the next start point.
    SkipNonReference,
}

/// What happens when a reader's queue passes a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowReaderPolicy {
    /// What is done with the reader.
    pub slow_reader: SlowReader,
    /// Most bytes that wait for it.
    pub queue_bytes: u64,
    /// Most age of the oldest of them.
    pub queue_age: Duration,
}

impl SlowReaderPolicy {
    /// The same for readers that are sent datagrams. Their socket is the shard's, so none of them is slow by itself, and a
    /// run of datagrams is one piece of memory for all who stand at the same place: none has numbers of its own.
    #[must_use]
    pub fn for_datagrams(self) -> Self {
        let slow_reader = match self.slow_reader {
            SlowReader::SkipNonReference => SlowReader::DropToKeyFrame,
            other => other,
        };
        Self {
            slow_reader,
            ..self
        }
    }
}

/// Why packets were not sent to a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DropReason {
    /// `readerQueueBytes`.
    #[error("queue_bytes")]
    QueueBytes,
    /// `readerQueueAge`.
    #[error("queue_age")]
    QueueAge,
    /// A ring between shards was full.
    #[error("ring_full")]
    RingFull,
    /// No start point came in time, so the reader began without one.
    #[error("no_start_point")]
    NoStartPoint,
}

/// What a reader was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drop {
    /// Why; the latest reason of several.
    pub reason: DropReason,
    /// Bytes of the log.
    pub bytes: u64,
    /// Access units of the leading track, as far as the log still had them.
    pub units: u64,
    /// How often the reader was moved forward, or began to be given less.
    pub times: u64,
}

impl Drop {
    /// Both together.
    #[must_use]
    pub fn with(self, later: Self) -> Self {
        Self {
            reason: later.reason,
            bytes: self.bytes + later.bytes,
            units: self.units + later.units,
            times: self.times + later.times,
        }
    }
}

/// What waits for a reader.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queued {
    pub(super) bytes: u64,
    pub(super) age: Duration,
}

/// The limits as every cursor holds them, in half the memory of [`SlowReaderPolicy`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    queue_bytes: u64,
    /// Milliseconds. At the most 49 days, of the one day that a configuration can say.
    queue_age_ms: u32,
    pub(super) slow_reader: SlowReader,
}

/// How much further a reader may be behind, because it has begun far behind by intent, until it has caught up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relief(pub(super) Queued);

impl Limits {
    pub(super) fn new(policy: SlowReaderPolicy) -> Self {
        Self {
            queue_bytes: policy.queue_bytes,
            queue_age_ms: u32::try_from(policy.queue_age.as_millis()).unwrap_or(u32::MAX),
            slow_reader: policy.slow_reader,
        }
    }

    /// The limit that this passes.
    pub(super) fn passed_by(self, queued: Queued) -> Option<DropReason> {
        if queued.bytes > self.queue_bytes {
            return Some(DropReason::QueueBytes);
        }
        let queue_age = Duration::from_millis(self.queue_age_ms.into());
        (queued.age > queue_age).then_some(DropReason::QueueAge)
    }

    /// The same, so much further away.
    pub(super) fn relieved(self, relief: Option<&Relief>) -> Self {
        let Some(Relief(queued)) = relief else {
            return self;
        };
        let age_ms = u32::try_from(queued.age.as_millis()).unwrap_or(u32::MAX);
        Self {
            queue_bytes: self.queue_bytes.saturating_add(queued.bytes),
            queue_age_ms: self.queue_age_ms.saturating_add(age_ms),
            ..self
        }
    }

    /// The same, twice as far away.
    pub(super) fn doubled(self) -> Self {
        Self {
            queue_bytes: self.queue_bytes.saturating_mul(2),
            queue_age_ms: self.queue_age_ms.saturating_mul(2),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::fanout::log::tests::{ROOMY, batch_at, log_with};
    use crate::fanout::{Cursor, Log, Next, Start};
    use crate::stream::{Batch, PacketFlags};

    const MOVED: SlowReaderPolicy = SlowReaderPolicy {
        slow_reader: SlowReader::DropToKeyFrame,
        queue_bytes: 100,
        queue_age: Duration::from_secs(5),
    };

    /// An access unit of so many packets of 20 bytes that is a batch.
    fn unit(sequence: u64, packets: usize, is_start: bool, read_at: Instant) -> Batch {
        let mut kinds = vec![(0, false); packets];
        kinds[0].1 = is_start;
        let mut batch = batch_at(sequence, &kinds, read_at);
        let first = &mut batch.packets[0];
        first.flags = first.flags.with(PacketFlags::AU_START);
        batch
    }

    fn log_of(units: &[(usize, bool)], now: Instant) -> Log {
        let mut log = log_with(ROOMY);
        for (sequence, (packets, is_start)) in (0..).zip(units) {
            log.append(Arc::new(unit(sequence, *packets, *is_start, now)), drop);
        }
        log
    }

    /// The sequence numbers of the batches that the reader takes.
    fn taken(cursor: &mut Cursor, log: &Log, now: Instant) -> Vec<u64> {
        let mut taken = Vec::new();
        while let Next::Take(entry, _) | Next::TakeLess(entry, _) = cursor.next(log, now) {
            taken.push(entry.batch.shared().sequence);
            cursor.advance(entry, None);
        }
        taken
    }

    fn append(log: &mut Log, units: std::ops::Range<u64>, is_start: impl Fn(u64) -> bool) {
        let now = Instant::now();
        for sequence in units {
            log.append(Arc::new(unit(sequence, 1, is_start(sequence), now)), drop);
        }
    }

    #[test]
    fn what_a_reader_begins_behind_is_allowed_until_it_has_caught_up() {
        let now = Instant::now();
        let mut log = log_of(&[(1, true); 1], now);
        append(&mut log, 1..20, |_| false);
        let mut cursor = Cursor::new(&log, Start::Gop, MOVED, now);
        append(&mut log, 20..25, |_| false);
        assert_eq!(taken(&mut cursor, &log, now), (0..25).collect::<Vec<_>>());
        append(&mut log, 25..40, |sequence| sequence == 39);
        assert_eq!(taken(&mut cursor, &log, now), [39], "it had caught up");
        assert!(cursor.poll_drop().is_some());
    }

    #[test]
    fn a_reader_that_begins_behind_and_comes_no_nearer_is_moved_like_any() {
        let now = Instant::now();
        let mut log = log_of(&[(1, true); 1], now);
        append(&mut log, 1..20, |_| false);
        let mut cursor = Cursor::new(&log, Start::Gop, MOVED, now);
        append(&mut log, 20..40, |sequence| sequence == 39);
        assert_eq!(taken(&mut cursor, &log, now), [39]);
        let drop = cursor.poll_drop().unwrap();
        assert_eq!((drop.bytes, drop.units, drop.times), (39 * 20, 39, 1));
    }

    #[test]
    fn nobody_is_moved_from_the_newest_access_unit_however_large_and_old_it_is() {
        let now = Instant::now();
        let mut log = log_of(&[(1, false)], now);
        let mut cursor = Cursor::new(&log, Start::KeyFrame, MOVED, now);
        let mut key = unit(1, 50, true, now);
        key.packets[49].flags = PacketFlags::default();
        log.append(Arc::new(key), drop);
        let mut rest = unit(2, 50, false, now);
        rest.packets[0].flags = PacketFlags::default();
        log.append(Arc::new(rest), drop);
        let late = now + Duration::from_secs(9);
        assert_eq!(taken(&mut cursor, &log, late), [1, 2]);
        assert_eq!(cursor.poll_drop(), None);
    }

    #[test]
    fn a_key_frame_that_is_larger_than_the_limit_is_given_although_others_follow() {
        let now = Instant::now();
        let mut log = log_of(&[(1, false)], now);
        let mut cursor = Cursor::new(&log, Start::KeyFrame, MOVED, now);
        log.append(Arc::new(unit(1, 50, true, now)), drop);
        append(&mut log, 2..6, |_| false);
        assert_eq!(taken(&mut cursor, &log, now), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_start_point_that_is_beyond_the_limits_itself_is_not_gone_to() {
        let now = Instant::now();
        let mut log = log_of(&[(1, true); 1], now);
        let mut cursor = Cursor::new(&log, Start::Live, MOVED, now);
        append(&mut log, 1..30, |sequence| sequence == 10);
        assert_eq!(taken(&mut cursor, &log, now), [1]);
        append(&mut log, 30..33, |sequence| sequence == 31);
        assert_eq!(taken(&mut cursor, &log, now), [31, 32]);
        assert_eq!(cursor.poll_drop().map(|drop| drop.bytes), Some(29 * 20));
    }

    #[test]
    fn what_the_kernel_holds_is_part_of_the_queue_in_bytes_and_in_age() {
        let begin = Instant::now();
        for (kernel_bytes, late, reason) in [
            (50, Duration::ZERO, None),
            (90, Duration::ZERO, Some(DropReason::QueueBytes)),
            (20, Duration::from_secs(6), Some(DropReason::QueueAge)),
        ] {
            let mut log = log_with(ROOMY);
            let now = begin + late;
            log.append(Arc::new(unit(0, 1, true, begin)), drop);
            let mut cursor = Cursor::new(&log, Start::Gop, MOVED, begin);
            assert_eq!(taken(&mut cursor, &log, begin), [0]);
            for sequence in 1..4 {
                log.append(Arc::new(unit(sequence, 1, sequence == 3, now)), drop);
            }
            let next = cursor.next_behind(&log, kernel_bytes, now);
            let Next::Take(entry, 0) = next else {
                panic!("{next:?}");
            };
            let first = if reason.is_some() { 3 } else { 1 };
            assert_eq!(entry.batch.shared().sequence, first, "{kernel_bytes}");
            assert_eq!(cursor.poll_drop().map(|drop| drop.reason), reason);
        }
    }

    #[test]
    fn a_reader_of_datagrams_is_moved_where_others_are_given_less() {
        let policy = SlowReaderPolicy {
            slow_reader: SlowReader::SkipNonReference,
            ..MOVED
        };
        assert_eq!(policy.for_datagrams(), MOVED);
        let disconnect = SlowReaderPolicy {
            slow_reader: SlowReader::Disconnect,
            ..MOVED
        };
        assert_eq!(disconnect.for_datagrams(), disconnect);
    }
}
