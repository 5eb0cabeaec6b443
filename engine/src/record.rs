//! What is counted of each session and known of each stream, for `snapshot()`: written by the session's shard or the path's
//! owner alone, read by anybody.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::path::{PathId, PathName};
use crate::session_id::SessionId;
use crate::stream::StreamInfo;

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

/// One session that publishes or reads. The block is aligned so that two sessions' counters never share a cache line.
#[derive(Debug)]
#[repr(align(128))]
pub struct SessionRecord {
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
    /// Bytes accepted by the socket.
    pub outbound_bytes: Count,
    /// Packets taken from the publisher, or taken from the log for the reader.
    pub packets: Count,
    /// Packets of a publisher that were refused.
    pub refused_packets: Count,
    /// Packets of a publisher that have not arrived.
    pub lost_packets: Count,
    /// The jitter of a publisher's packets, in microseconds.
    pub jitter_us: Count,
    /// Packets that have not arrived at a reader, as it says.
    pub reported_lost_packets: Count,
    /// Bytes of the log that the reader was not given.
    pub dropped_bytes: Count,
    /// How often the reader was moved forward.
    pub drops: Count,
}

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
            refused_packets: Count::default(),
            lost_packets: Count::default(),
            jitter_us: Count::default(),
            reported_lost_packets: Count::default(),
            dropped_bytes: Count::default(),
            drops: Count::default(),
        }
    }

    /// What of a publisher has not arrived so far, and how unevenly the rest does.
    pub fn note_reception(&self, lost_packets: u64, jitter: Duration) {
        self.lost_packets.set(lost_packets);
        self.jitter_us
            .set(u64::try_from(jitter.as_micros()).unwrap_or(u64::MAX));
    }
}

/// The streams of all paths, by their owners; locked when one begins, ends or is described anew and when somebody looks.
/// Bounded by the paths themselves.
#[derive(Debug, Default)]
pub struct StreamRecords(Mutex<HashMap<PathId, Arc<StreamInfo>>>);

impl StreamRecords {
    /// The stream of a path is this from now on.
    pub fn set(&self, path: PathId, info: Arc<StreamInfo>) {
        self.lock().insert(path, info);
    }

    /// The path has no stream any more.
    pub fn remove(&self, path: PathId) {
        self.lock().remove(&path);
    }

    /// The stream of a path.
    #[must_use]
    pub fn find(&self, path: PathId) -> Option<Arc<StreamInfo>> {
        self.lock().get(&path).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathId, Arc<StreamInfo>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The records of all sessions that publish or read now. Locked when one begins or ends and when somebody looks, never on
/// the packet's way. Bounded by the sessions themselves.
#[derive(Debug, Default)]
pub struct SessionRecords(Mutex<HashMap<SessionId, Arc<SessionRecord>>>);

impl SessionRecords {
    /// Adds a record.
    pub fn insert(&self, record: Arc<SessionRecord>) {
        self.lock().insert(record.id, record);
    }

    /// Takes a record out.
    pub fn remove(&self, id: SessionId) {
        self.lock().remove(&id);
    }

    /// All records, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<SessionRecord>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, Arc<SessionRecord>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
