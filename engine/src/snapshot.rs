//! What the server counts, at one moment: per shard, path and session. API, metrics and tests feed on it.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use shardcast_protocol::codec::TrackParameters;
use shardcast_protocol::sdp::TrackDescription;
use shardcast_runtime::ShardSnapshot;

use crate::path::{PathEntry, PathName};
use crate::record::{DropsByReason, Lag, Latency, Role, SessionRecord};
use crate::refusal::Refusals;
use crate::session_id::SessionId;
use crate::shard::ServerState;
use crate::stream::StreamInfo;
use crate::streams::StreamRecord;

/// All counters.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// In the order of the shards.
    pub shards: Vec<ShardSnapshot>,
    /// Ordered by name.
    pub paths: Vec<PathSnapshot>,
    /// Sessions that publish or read, ordered by number.
    pub sessions: Vec<SessionSnapshot>,
    /// What was refused since the start, by reason.
    pub refusals: Refusals,
}

/// One path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathSnapshot {
    /// Its name.
    pub name: PathName,
    /// The shard that owns it.
    pub owner: usize,
    /// Readers on all shards.
    pub readers: u32,
    /// Bytes that publishers brought.
    pub inbound_bytes: u64,
    /// Bytes that readers' sockets accepted.
    pub outbound_bytes: u64,
    /// The tracks of its stream; none without one.
    pub tracks: Vec<TrackSnapshot>,
}

/// One track of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackSnapshot {
    /// Its codec, by MediaMTX's name.
    pub codec: String,
    /// What is known of its pictures or sound.
    pub parameters: TrackParameters,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSnapshot {
    /// Its number.
    pub id: SessionId,
    /// What it does.
    pub role: Role,
    /// Its peer.
    pub peer: SocketAddr,
    /// Its path.
    pub path: PathName,
    /// The shard that serves it.
    pub shard: usize,
    /// Bytes read.
    pub inbound_bytes: u64,
    /// Bytes accepted by its socket.
    pub outbound_bytes: u64,
    /// Packets taken from it, or taken for it.
    pub packets: u64,
    /// Packets of it that were refused.
    pub refused_packets: u64,
    /// Packets of it that have not arrived.
    pub lost_packets: u64,
    /// How unevenly its packets arrive: the longest mean deviation of its tracks.
    pub jitter: Duration,
    /// Packets that have not arrived at it, as it says.
    pub reported_lost_packets: u64,
    /// Bytes of the log that it was not given.
    pub dropped_bytes: u64,
    /// Access units among them, as far as the log still had them.
    pub dropped_units: u64,
    /// How often it was moved forward, or began to be given less.
    pub drops: u64,
    /// The same, by reason.
    pub drops_by_reason: DropsByReason,
    /// How late packets have left for it; nothing of a publisher, and before the first one.
    pub latency: Option<Latency>,
    /// How far it is behind; nothing of a publisher, and before its first packet.
    pub lag: Option<Lag>,
}

impl Snapshot {
    /// Reads all counters. They are read one after the other while the shards go on.
    #[must_use]
    pub(crate) fn take(state: &ServerState, shards: Vec<ShardSnapshot>) -> Self {
        let mut sessions: Vec<SessionSnapshot> = state
            .records
            .all()
            .iter()
            .map(|record| session(record))
            .collect();
        sessions.sort_by_key(|session| session.id);
        let mut paths: Vec<PathSnapshot> = state
            .directory
            .entries()
            .iter()
            .map(|entry| path(entry, &sessions, state.streams.find(entry.id)))
            .collect();
        paths.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            shards,
            paths,
            sessions,
            refusals: state.refusals(),
        }
    }

    /// Messages that are on their way between shards: in a ring, or waiting for room in one.
    #[must_use]
    pub fn messages_on_the_way(&self) -> u64 {
        let sum = |of: fn(&ShardSnapshot) -> u64| self.shards.iter().map(of).sum::<u64>();
        let sent = sum(|shard| shard.media_sent + shard.control_sent + shard.return_sent);
        let received =
            sum(|shard| shard.media_received + shard.control_received + shard.return_received);
        sent.saturating_sub(received)
    }
}

fn path(
    entry: &PathEntry,
    sessions: &[SessionSnapshot],
    stream: Option<StreamRecord>,
) -> PathSnapshot {
    let readers = sessions
        .iter()
        .filter(|session| session.role == Role::Reader && session.path == entry.name);
    let living: u64 = readers.map(|session| session.outbound_bytes).sum();
    PathSnapshot {
        name: entry.name.clone(),
        owner: entry.owner.index(),
        readers: entry.readers.load(Ordering::Relaxed),
        inbound_bytes: entry.inbound_bytes.load(Ordering::Relaxed),
        outbound_bytes: entry.ended_outbound_bytes.load(Ordering::Relaxed) + living,
        tracks: stream
            .map(|stream| tracks(&stream.info))
            .unwrap_or_default(),
    }
}

fn tracks(stream: &StreamInfo) -> Vec<TrackSnapshot> {
    let known = stream.tracks().iter().zip(stream.parameters());
    let track = |(track, parameters): (&TrackDescription, &TrackParameters)| TrackSnapshot {
        codec: track.codec.to_string(),
        parameters: *parameters,
    };
    known.map(track).collect()
}

fn session(record: &SessionRecord) -> SessionSnapshot {
    SessionSnapshot {
        id: record.id,
        role: record.role,
        peer: record.peer,
        path: record.path.clone(),
        shard: record.shard,
        inbound_bytes: record.inbound_bytes.value(),
        outbound_bytes: record.outbound_bytes.value(),
        packets: record.packets.value(),
        refused_packets: record.refused_packets.value(),
        lost_packets: record.lost_packets.value(),
        jitter: Duration::from_micros(record.jitter_us.value()),
        reported_lost_packets: record.reported_lost_packets.value(),
        dropped_bytes: record.dropped_bytes.value(),
        dropped_units: record.dropped_units.value(),
        drops: record.drops_by_reason.total(),
        drops_by_reason: record.drops_by_reason.by_reason(),
        latency: record.latency.latency(),
        lag: record.lag(),
    }
}
