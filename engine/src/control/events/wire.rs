//! An event as listeners see it: its kind, its path, and its fields in JSON.
//!
//! Connections are left out: every request of a script would be two of them. They are in the log.

use std::net::SocketAddr;

use serde_json::{Value, json};
use shardcast_protocol::rtsp::TransportKind;

use super::kind::EventKind;
use crate::event::Event;
use crate::path::PathName;
use crate::record::Role;
use crate::session_id::SessionId;

/// An event in words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub(super) kind: EventKind,
    /// Whose it is, if it is a path's.
    pub(super) path: Option<PathName>,
    /// An object: what else there is to say.
    pub(super) fields: Value,
}

impl Told {
    fn of(kind: EventKind, fields: Value) -> Self {
        let path = None;
        Self { kind, path, fields }
    }

    fn on(kind: EventKind, path: &PathName, fields: Value) -> Self {
        let path = Some(path.clone());
        Self { kind, path, fields }
    }
}

/// What listeners are told of this event, if they are.
pub(super) fn tell(event: &Event) -> Option<Told> {
    Some(match event {
        Event::ConnectionOpened { .. } | Event::ConnectionClosed { .. } => return None,
        Event::PathAvailable { .. } | Event::PathWaiting { .. } | Event::PathGone { .. } => {
            return tell_of_path(event);
        }
        Event::PublisherBegan { .. }
        | Event::ReaderBegan { .. }
        | Event::SessionEnded { .. }
        | Event::SessionPanicked { .. } => return tell_of_session(event),
        Event::ReaderDropped { .. }
        | Event::RingFull { .. }
        | Event::PacketsOversized { .. }
        | Event::PublisherPacketsRefused { .. } => return tell_of_loss(event),
        Event::RequestsRefused {
            peer,
            reason,
            requests,
            ..
        } => Told::of(
            EventKind::RequestsRefused,
            json!({ "peer": peer.to_string(), "reason": reason.label(), "requests": requests }),
        ),
        Event::AuthenticationFailed { peer, .. } => Told::of(
            EventKind::AuthenticationFailed,
            json!({ "peer": peer.to_string() }),
        ),
        Event::AcceptFailed { protocol, error } => Told::of(
            EventKind::AcceptFailed,
            json!({ "protocol": protocol.to_string(), "message": error }),
        ),
        Event::Reloaded {
            by,
            warnings,
            waiting,
        } => Told::of(
            EventKind::Reloaded,
            json!({ "by": by.to_string(), "warnings": warnings, "waitingForRestart": waiting }),
        ),
        Event::ReloadFailed { error } => {
            Told::of(EventKind::ReloadFailed, json!({ "message": error }))
        }
        Event::Stalled {
            shard,
            busy_for,
            at,
            over,
        } => {
            let kind = match over {
                true => EventKind::StallOver,
                false => EventKind::StallBegun,
            };
            let seconds = busy_for.as_secs_f64();
            Told::of(
                kind,
                json!({ "shard": shard, "seconds": seconds, "at": at }),
            )
        }
    })
}

fn tell_of_path(event: &Event) -> Option<Told> {
    Some(match event {
        Event::PathAvailable {
            path,
            publisher,
            tracks,
        } => {
            let fields = json!({ "session": id_of(*publisher), "tracks": tracks });
            Told::on(EventKind::PathReady, path, fields)
        }
        Event::PathWaiting { path, grace } => {
            let fields = json!({ "seconds": grace.as_secs_f64() });
            Told::on(EventKind::PathWaiting, path, fields)
        }
        Event::PathGone { path, reason } => {
            let fields = json!({ "reason": reason.label(), "message": reason.to_string() });
            Told::on(EventKind::PathNotReady, path, fields)
        }
        _ => return None,
    })
}

fn tell_of_session(event: &Event) -> Option<Told> {
    Some(match event {
        Event::PublisherBegan {
            session,
            peer,
            path,
            tracks,
            transport,
        } => {
            let mut fields = session_fields(*session, *peer, Role::Publisher, *transport);
            fields["tracks"] = json!(tracks);
            Told::on(EventKind::SessionBegun, path, fields)
        }
        Event::ReaderBegan {
            session,
            peer,
            path,
            tracks,
            transport,
        } => {
            let mut fields = session_fields(*session, *peer, Role::Reader, *transport);
            fields["tracks"] = json!(tracks);
            Told::on(EventKind::SessionBegun, path, fields)
        }
        Event::SessionEnded {
            session,
            peer,
            role,
            transport,
            path,
            reason,
        } => {
            let mut fields = session_fields(*session, *peer, *role, *transport);
            fields["reason"] = json!(reason.label());
            fields["message"] = json!(reason.to_string());
            Told::on(EventKind::SessionEnded, path, fields)
        }
        Event::SessionPanicked { session, message } => Told::of(
            EventKind::SessionPanicked,
            json!({ "session": id_of(*session), "message": message }),
        ),
        _ => return None,
    })
}

/// What every event of a session's begin or end says of it.
fn session_fields(
    session: SessionId,
    peer: SocketAddr,
    role: Role,
    transport: TransportKind,
) -> Value {
    json!({
        "session": id_of(session), "peer": peer.to_string(), "protocol": "rtsp", "role": role_name(role),
        "transport": transport_name(transport),
    })
}

fn tell_of_loss(event: &Event) -> Option<Told> {
    Some(match event {
        Event::ReaderDropped {
            session,
            path,
            reason,
            bytes,
            units,
            times,
        } => {
            let fields = json!({
                "session": id_of(*session), "reason": reason.to_string(), "bytes": bytes, "accessUnits": units, "times": times,
            });
            Told::on(EventKind::ReaderDropped, path, fields)
        }
        Event::RingFull {
            path,
            shard,
            batches,
        } => {
            let fields = json!({ "shard": shard, "batches": batches });
            Told::on(EventKind::RingFull, path, fields)
        }
        Event::PacketsOversized {
            path,
            packet_bytes_max,
        } => {
            let fields = json!({ "bytesMax": packet_bytes_max });
            Told::on(EventKind::PacketsOversized, path, fields)
        }
        Event::PublisherPacketsRefused {
            session,
            path,
            reason,
            packets,
        } => {
            let fields = json!({
                "session": id_of(*session), "reason": reason.label(), "packets": packets,
            });
            Told::on(EventKind::PacketsRefused, path, fields)
        }
        _ => return None,
    })
}

/// As the API names sessions.
fn id_of(session: SessionId) -> String {
    session.uuid().to_string()
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Publisher => "publisher",
        Role::Reader => "reader",
    }
}

/// As the configuration and the API name transports.
fn transport_name(transport: TransportKind) -> &'static str {
    match transport {
        TransportKind::Tcp => "tcp",
        TransportKind::Udp => "udp",
        TransportKind::Multicast => "multicast",
    }
}
