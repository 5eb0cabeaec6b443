//! What is counted of each session and log, for `snapshot()`: written by the session's or log's shard alone, read by
//! anybody.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::fanout::{DropReason, IN_STEP, LogPlace, LogRecord};
use crate::path::{DROP_REASONS_MAX, PathName};
use crate::session_id::SessionId;
use crate::wall_clock::micros;

/// A counter with one writer: a plain load and store, no locked instruction.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds; only the writer's shard may.
    pub fn add(&self, n: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(n),
            Ordering::Relaxed,
        );
    }

    /// Sets; only the writer's shard may.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// Reads.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It publishes.
    Publisher,
    /// It reads.
    Reader,
}

/// From a packet's read to the completion of the write that carried it, of one reader: each packet counts with the oldest
/// one of its write, and only those that were read after the reader had begun.
#[derive(Debug, Default)]
#[repr(C)]
pub struct LatencyCounts {
    last_us: Count,
    max_us: Count,
    sum_us: Count,
    packets: Count,
}

impl LatencyCounts {
    /// So many packets have left so late.
    pub fn note(&self, latency_us: u64, packets: u64) {
        self.last_us.set(latency_us);
        self.raise_max(latency_us);
        self.sum_us.add(latency_us.saturating_mul(packets));
        self.packets.add(packets);
    }

    /// Adds what others have counted for this reader too.
    pub fn add(&self, last_us: u64, max_us: u64, sum_us: u64, packets: u64) {
        if packets > 0 {
            self.last_us.set(last_us);
            self.raise_max(max_us);
            self.sum_us.add(sum_us);
            self.packets.add(packets);
        }
    }

    fn raise_max(&self, latency_us: u64) {
        if latency_us > self.max_us.value() {
            self.max_us.set(latency_us);
        }
    }

    /// What was counted; nothing before the first packet.
    #[must_use]
    pub fn latency(&self) -> Option<Latency> {
        let packets = self.packets.value();
        let mean_us = self.sum_us.value().checked_div(packets)?;
        Some(Latency {
            last: Duration::from_micros(self.last_us.value()),
            mean: Duration::from_micros(mean_us),
            max: Duration::from_micros(self.max_us.value()),
        })
    }
}

/// How late packets have left for one reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// In the last write.
    pub last: Duration,
    /// On average, since it began.
    pub mean: Duration,
    /// At the most, since it began.
    pub max: Duration,
}

/// How far a reader is behind the head of its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Bytes of the log that it has not been given yet.
    pub bytes: u64,
    /// Between the reads of the last packet that it was given and of the newest one.
    pub time: Duration,
}

/// How far a reader's writes have come in its log.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Progress {
    bytes: Count,
    read_us: Count,
}

impl Progress {
    /// Everything before this place has left.
    pub fn set(&self, place: LogPlace) {
        self.bytes.set(place.bytes);
        self.read_us.set(place.read_us);
    }

    /// Where that is.
    #[must_use]
    pub fn place(&self) -> LogPlace {
        LogPlace {
            bytes: self.bytes.value(),
            read_us: self.read_us.value(),
        }
    }
}

/// Why packets are not sent to readers, by number.
pub const DROP_REASONS: [DropReason; DROP_REASONS_MAX] = [
    DropReason::QueueBytes,
    DropReason::QueueAge,
    DropReason::RingFull,
    DropReason::NoStartPoint,
];

/// How often something was dropped, by reason.
#[derive(Debug, Default)]
pub struct DropCounts([Count; DROP_REASONS_MAX]);

impl DropCounts {
    /// Counts so many; only the writer's shard may.
    pub fn count(&self, reason: DropReason, times: u64) {
        let counts = DROP_REASONS.iter().zip(&self.0);
        for (_, count) in counts.filter(|(known, _)| **known == reason) {
            count.add(times);
        }
    }

    /// How many, whatever the reason.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().map(Count::value).sum()
    }

    /// All reasons, with their counts.
    #[must_use]
    pub fn by_reason(&self) -> DropsByReason {
        std::array::from_fn(|index| (DROP_REASONS[index], self.0[index].value()))
    }
}

/// How often something was dropped, by reason.
pub type DropsByReason = [(DropReason, u64); DROP_REASONS_MAX];

/// One session that publishes or reads. The block is aligned so that two sessions' counters never share a cache line, and
/// begins with what each write of a reader touches, which is one line. (Two lines would be fetched as a pair by some CPUs,
/// but one writer's beside another's hardly ever: a shard's sessions are its own. It would cost each 64 bytes.)
#[derive(Debug)]
#[repr(C, align(64))]
pub struct SessionRecord {
    /// Bytes accepted by the socket.
    pub outbound_bytes: Count,
    /// Packets taken from the publisher, or taken from the log for the reader.
    pub packets: Count,
    /// How late packets have left for the reader.
    pub latency: LatencyCounts,
    /// How far the reader's writes have come.
    pub progress: Progress,
    /// Its number.
    pub id: SessionId,
    /// What it does.
    pub role: Role,
    /// Its peer.
    pub peer: SocketAddr,
    /// The path.
    pub path: PathName,
    /// The shard that serves it.
    pub shard: usize,
    /// Bytes read from the socket.
    pub inbound_bytes: Count,
    /// Packets of a publisher that were refused.
    pub refused_packets: Count,
    /// Those of them that were RTCP.
    pub refused_rtcp_packets: Count,
    /// RTCP packets of the peer that were taken; a publisher's are among its packets.
    pub inbound_rtcp_packets: Count,
    /// RTCP packets to the peer; a reader's are among its packets.
    pub outbound_rtcp_packets: Count,
    /// Packets of a publisher that have not arrived.
    pub lost_packets: Count,
    /// The jitter of a publisher's packets, in microseconds.
    pub jitter_us: Count,
    /// Packets that have not arrived at a reader, as it says.
    pub reported_lost_packets: Count,
    /// Bytes of the log that the reader was not given.
    pub dropped_bytes: Count,
    /// Access units of the leading track among them, as far as the log still had them.
    pub dropped_units: Count,
    /// How often the reader was moved forward, or began to be given less, by reason.
    pub drops_by_reason: DropCounts,
    /// The log that the reader reads; nothing of a publisher.
    log: Option<Arc<LogRecord>>,
}

/// What a write touches lies at the begin of the block, on one line.
const _: () = {
    let touched = std::mem::offset_of!(SessionRecord, progress) + size_of::<Progress>();
    assert!(touched <= 64);
};

impl SessionRecord {
    /// Of a session that begins now.
    #[must_use]
    pub fn new(id: SessionId, role: Role, peer: SocketAddr, path: PathName, shard: usize) -> Self {
        Self {
            id,
            role,
            peer,
            path,
            shard,
            inbound_bytes: Count::default(),
            outbound_bytes: Count::default(),
            packets: Count::default(),
            latency: LatencyCounts::default(),
            progress: Progress::default(),
            refused_packets: Count::default(),
            refused_rtcp_packets: Count::default(),
            inbound_rtcp_packets: Count::default(),
            outbound_rtcp_packets: Count::default(),
            lost_packets: Count::default(),
            jitter_us: Count::default(),
            reported_lost_packets: Count::default(),
            dropped_bytes: Count::default(),
            dropped_units: Count::default(),
            drops_by_reason: DropCounts::default(),
            log: None,
        }
    }

    /// The same, of a reader of this log, which has been given nothing yet.
    #[must_use]
    pub fn reading(mut self, log: Arc<LogRecord>) -> Self {
        self.progress.set(LogPlace::NOWHERE);
        self.log = Some(log);
        self
    }

    /// How far the reader is behind, whether it writes or not; nothing of a publisher, and of a reader that has not been
    /// given anything yet.
    #[must_use]
    pub fn lag(&self) -> Option<Lag> {
        let log = self.log.as_ref()?;
        let place = match self.progress.place() {
            IN_STEP => log.in_step.place(),
            place => place,
        };
        if place == LogPlace::NOWHERE {
            return None;
        }
        let head = log.head();
        let bytes = head.bytes.saturating_sub(place.bytes);
        let lag_us = match bytes {
            0 => 0,
            _ => head.read_us.saturating_sub(place.read_us),
        };
        Some(Lag {
            bytes,
            time: Duration::from_micros(lag_us),
        })
    }

    /// What of a publisher has not arrived so far, and how unevenly the rest does.
    pub fn note_reception(&self, lost_packets: u64, jitter: Duration) {
        self.lost_packets.set(lost_packets);
        self.jitter_us.set(micros(jitter));
    }
}

/// The logs of all streams on all shards. Locked when one begins and when somebody looks. Those that are gone are swept out
/// when as many more have come, so that it holds twice the logs that there are at most.
#[derive(Debug, Default)]
pub struct LogRecords(Mutex<Vec<ListedLog>>);

#[derive(Debug)]
struct ListedLog {
    path: PathName,
    shard: usize,
    record: Weak<LogRecord>,
}

impl LogRecords {
    /// A log of this path begins on this shard.
    pub fn insert(&self, path: PathName, shard: usize, record: &Arc<LogRecord>) {
        let mut logs = self.lock();
        if logs.len() == logs.capacity() {
            logs.retain(|log| log.record.strong_count() > 0);
            let living = logs.len();
            logs.reserve(living.max(16));
        }
        let record = Arc::downgrade(record);
        logs.push(ListedLog {
            path,
            shard,
            record,
        });
    }

    /// Looks at those that there are.
    pub fn for_each(&self, mut look: impl FnMut(&PathName, &LogRecord)) {
        for log in self.lock().iter() {
            if let Some(record) = log.record.upgrade() {
                look(&log.path, &record);
            }
        }
    }

    /// Those that there are: path, shard and record.
    #[must_use]
    pub fn all(&self) -> Vec<(PathName, usize, Arc<LogRecord>)> {
        let logs = self.lock();
        let living = |log: &ListedLog| Some((log.path.clone(), log.shard, log.record.upgrade()?));
        logs.iter().filter_map(living).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<ListedLog>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The records of all sessions that publish or read now. Locked when one begins or ends and when somebody looks, never on
/// the packet's way. Bounded by the sessions themselves.
#[derive(Debug, Default)]
pub struct SessionRecords(Mutex<Living>);

#[derive(Debug, Default)]
struct Living {
    records: HashMap<SessionId, Arc<SessionRecord>>,
    /// What readers were sent that have ended.
    ended_outbound_bytes: u64,
}

impl SessionRecords {
    /// Adds a record.
    pub fn insert(&self, record: Arc<SessionRecord>) {
        self.lock().records.insert(record.id, record);
    }

    /// Takes a record out.
    pub fn remove(&self, id: SessionId) {
        let mut living = self.lock();
        let removed = living.records.remove(&id);
        if let Some(reader) = removed.filter(|record| record.role == Role::Reader) {
            living.ended_outbound_bytes += reader.outbound_bytes.value();
        }
    }

    /// Bytes that readers were sent since the start.
    #[must_use]
    pub fn outbound_bytes(&self) -> u64 {
        let living = self.lock();
        let readers = living.records.values();
        let readers = readers.filter(|record| record.role == Role::Reader);
        let sent: u64 = readers.map(|record| record.outbound_bytes.value()).sum();
        sent + living.ended_outbound_bytes
    }

    /// All records, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<SessionRecord>> {
        self.lock().records.values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Living> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> SessionRecord {
        let path = PathName::new("cam").unwrap();
        SessionRecord::new(
            SessionId::new(1),
            Role::Reader,
            ([127, 0, 0, 1], 1).into(),
            path,
            0,
        )
    }

    #[test]
    fn latency_is_counted_by_packets() {
        let record = record();
        assert_eq!(record.latency.latency(), None);
        record.latency.note(3_000, 1);
        record.latency.note(1_000, 3);
        let expected = Latency {
            last: Duration::from_micros(1_000),
            mean: Duration::from_micros(1_500),
            max: Duration::from_micros(3_000),
        };
        assert_eq!(record.latency.latency(), Some(expected));
    }

    #[test]
    fn drops_are_counted_by_reason() {
        let drops = DropCounts::default();
        drops.count(DropReason::RingFull, 1);
        drops.count(DropReason::RingFull, 1);
        drops.count(DropReason::NoStartPoint, 1);
        let counted = drops.by_reason().map(|(_, count)| count);
        assert_eq!(counted, [0, 0, 2, 1]);
    }

    #[test]
    fn a_publisher_is_behind_nothing() {
        assert_eq!(record().lag(), None);
    }

    #[test]
    fn logs_that_are_gone_are_not_listed_and_take_no_room() {
        let (logs, path) = (LogRecords::default(), PathName::new("cam").unwrap());
        let living = Arc::<LogRecord>::default();
        logs.insert(path.clone(), 0, &living);
        for shard in 0..1000 {
            logs.insert(path.clone(), shard, &Arc::default());
        }
        assert_eq!(logs.all().len(), 1);
        assert!(logs.lock().capacity() < 100);
    }
}
