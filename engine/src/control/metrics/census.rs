//! What the metrics with MediaMTX's names are about: paths, connections and sessions, counted at one moment on the clerk's
//! thread from the records that shards keep.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use super::text::Number;
use crate::connections::{ConnectionRecord, RtspSession};
use crate::control::ControlState;
use crate::control::api::{path_names, state_of};
use crate::control::counters::Counters;
use crate::path::PathName;
use crate::record::Role;
use crate::shard::ServerState;

/// All that there is.
#[derive(Debug)]
pub(super) struct Census {
    /// Ordered by name.
    pub(super) paths: Vec<PathRow>,
    /// In the order of their begin.
    pub(super) connections: Vec<ConnectionRow>,
    /// In the order of their begin.
    pub(super) sessions: Vec<SessionRow>,
    /// Whether the RTSP server is on.
    pub(super) has_rtsp: bool,
}

#[derive(Debug)]
pub(super) struct PathRow {
    pub(super) name: PathName,
    pub(super) is_ready: bool,
    pub(super) readers: u64,
    pub(super) inbound_bytes: u64,
    pub(super) outbound_bytes: u64,
    pub(super) frames_in_error: u64,
}

#[derive(Debug)]
pub(super) struct ConnectionRow {
    pub(super) id: String,
    pub(super) numbers: [Number; 2],
}

#[derive(Debug)]
pub(super) struct SessionRow {
    pub(super) id: String,
    pub(super) path: String,
    pub(super) peer: SocketAddr,
    pub(super) state: &'static str,
    /// In the order of the metrics' names.
    pub(super) numbers: [Number; 12],
}

impl PathRow {
    pub(super) fn state(&self) -> &'static str {
        if self.is_ready { "ready" } else { "notReady" }
    }
}

impl Census {
    pub(super) fn take(state: &ControlState) -> Self {
        let server = &state.server;
        let connections = server.connections.all();
        let sessions = connections.iter().filter_map(|connection| {
            let session = connection.session()?;
            Some((session.created, session_row(connection, &session)))
        });
        let mut sessions: Vec<_> = sessions.collect();
        sessions.sort_by_key(|(created, _)| *created);
        Self {
            paths: paths(server),
            connections: connections
                .iter()
                .map(|each| connection_row(each))
                .collect(),
            sessions: sessions.into_iter().map(|(_, row)| row).collect(),
            has_rtsp: server.config.load().rtsp.enabled,
        }
    }
}

fn connection_row(connection: &ConnectionRecord) -> ConnectionRow {
    let (inbound_bytes, outbound_bytes) = connection.bytes();
    ConnectionRow {
        id: connection.id.connection_uuid().to_string(),
        numbers: [inbound_bytes.into(), outbound_bytes.into()],
    }
}

fn session_row(connection: &ConnectionRecord, session: &RtspSession) -> SessionRow {
    let counters = session.media.as_deref().map(Counters::of);
    SessionRow {
        id: connection.id.uuid().to_string(),
        path: session.about.path.as_str().to_owned(),
        peer: connection.peer,
        state: state_of(session),
        numbers: numbers(&counters.unwrap_or_default()),
    }
}

/// In the order of the metrics' names.
fn numbers(counters: &Counters) -> [Number; 12] {
    [
        counters.inbound_bytes.into(),
        counters.inbound_packets.into(),
        counters.inbound_lost.into(),
        counters.inbound_in_error.into(),
        counters.jitter_ticks().into(),
        counters.inbound_rtcp.into(),
        counters.inbound_rtcp_in_error.into(),
        counters.outbound_bytes.into(),
        counters.outbound_packets.into(),
        counters.outbound_reported_lost.into(),
        counters.outbound_discarded.into(),
        counters.outbound_rtcp.into(),
    ]
}

/// Sums over the sessions of a path.
#[derive(Default)]
struct PathSums {
    readers: u64,
    outbound_bytes: u64,
    frames_in_error: u64,
}

fn paths(server: &ServerState) -> Vec<PathRow> {
    let mut sums = HashMap::<PathName, PathSums>::new();
    for record in server.records.all() {
        let sum = sums.entry(record.path.clone()).or_default();
        match record.role {
            Role::Publisher => sum.frames_in_error += record.refused_packets.value(),
            Role::Reader => {
                sum.readers += 1;
                sum.outbound_bytes += record.outbound_bytes.value();
            }
        }
    }
    let names = path_names(server, &server.config.load()).into_iter();
    names.map(|name| path_row(server, name, &sums)).collect()
}

fn path_row(server: &ServerState, name: PathName, sums: &HashMap<PathName, PathSums>) -> PathRow {
    let none = PathSums::default();
    let sum = sums.get(&name).unwrap_or(&none);
    let entry = server.directory.find(&name);
    let has_stream = |id| server.streams.find(id).is_some();
    let streaming = entry.filter(|entry| has_stream(entry.id));
    let (inbound_bytes, outbound_bytes) = streaming.as_ref().map_or((0, 0), |entry| {
        let ended = entry.ended_outbound_bytes.load(Ordering::Relaxed);
        let inbound = entry.inbound_bytes.load(Ordering::Relaxed);
        (inbound, ended + sum.outbound_bytes)
    });
    PathRow {
        name,
        is_ready: streaming.is_some(),
        readers: sum.readers,
        inbound_bytes,
        outbound_bytes,
        frames_in_error: sum.frames_in_error,
    }
}
