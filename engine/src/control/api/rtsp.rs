//! Connections and sessions over RTSP: listed, looked up and kicked. Read from the records that their shards keep.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use shardcast_protocol::rtsp::TransportKind;

use super::paging::Page;
use super::{Refused, done, settle, time};
use crate::connections::{ConnectionRecord, RtspSession};
use crate::control::web::{Answer, Request, json as respond};
use crate::control::{ControlState, Handler, Route};
use crate::record::{Role, SessionRecord};
use crate::session_id::SessionId;
use crate::shard::KickError;
use crate::uuid::{Uuid, UuidError};

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    let kick = |state: &ControlState, request: &Request| settle(kick_session(state, request));
    let kick = Handler::Clerk(kick);
    vec![
        Route::get("/v3/rtspconns/list", |state, request| {
            settle(list_connections(state, request))
        }),
        Route::get("/v3/rtspconns/get/{id}", |state, request| {
            settle(get_connection(state, request))
        }),
        Route::get("/v3/rtspsessions/list", |state, request| {
            settle(list_sessions(state, request))
        }),
        Route::get("/v3/rtspsessions/get/{id}", |state, request| {
            settle(get_session(state, request))
        }),
        Route::of(Method::POST, "/v3/rtspsessions/kick/{id}", kick),
    ]
}

fn list_connections(state: &ControlState, request: &Request) -> Result<Answer, Refused> {
    let page = Page::of(request)?;
    let all = state.server.connections.all();
    Ok(page.answer(&all, |record| connection_item(record)))
}

fn get_connection(state: &ControlState, request: &Request) -> Result<Answer, Refused> {
    let id = SessionId::of_connection_uuid(uuid_of(request)?);
    let record = id.and_then(|id| state.server.connections.find(id));
    let not_found = || Refused::new(StatusCode::NOT_FOUND, "connection not found");
    let record = record.ok_or_else(not_found)?;
    Ok(respond(StatusCode::OK, &connection_item(&record)))
}

fn list_sessions(state: &ControlState, request: &Request) -> Result<Answer, Refused> {
    let page = Page::of(request)?;
    let all = state.server.connections.all();
    let sessions = all
        .iter()
        .filter_map(|record| Some((record, record.session()?)));
    let mut sessions: Vec<_> = sessions.collect();
    sessions.sort_by_key(|(record, session)| (session.created, record.id));
    Ok(page.answer(&sessions, |(record, session)| session_item(record, session)))
}

fn get_session(state: &ControlState, request: &Request) -> Result<Answer, Refused> {
    let id = SessionId::of_uuid(uuid_of(request)?);
    let record = id.and_then(|id| state.server.connections.find(id));
    let session = record.as_deref().and_then(ConnectionRecord::session);
    let (record, session) = record.zip(session).ok_or(KickError::NotFound)?;
    Ok(respond(StatusCode::OK, &session_item(&record, &session)))
}

fn kick_session(state: &ControlState, request: &Request) -> Result<Answer, Refused> {
    let id = SessionId::of_uuid(uuid_of(request)?);
    state.server.kick(id.ok_or(KickError::NotFound)?)?;
    Ok(done())
}

fn uuid_of(request: &Request) -> Result<Uuid, Refused> {
    let parsed = request.capture("id").parse();
    parsed.map_err(|why: UuidError| Refused::new(StatusCode::BAD_REQUEST, why))
}

impl From<KickError> for Refused {
    fn from(why: KickError) -> Self {
        let status = match why {
            KickError::NotFound => StatusCode::NOT_FOUND,
            KickError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, why)
    }
}

fn connection_item(record: &ConnectionRecord) -> Value {
    let (inbound_bytes, outbound_bytes) = record.bytes();
    let session = record.session().map(|_| record.id.uuid().to_string());
    json!({
        "id": record.id.connection_uuid().to_string(),
        "created": time(record.created),
        "remoteAddr": record.peer.to_string(),
        "session": session,
        "tunnel": "none",
        "inboundBytes": inbound_bytes,
        "outboundBytes": outbound_bytes,
        "bytesReceived": inbound_bytes,
        "bytesSent": outbound_bytes,
    })
}

fn session_item(record: &ConnectionRecord, session: &RtspSession) -> Value {
    let about = &session.about;
    let mut item = json!({
        "id": record.id.uuid().to_string(),
        "created": time(session.created),
        "remoteAddr": record.peer.to_string(),
        "state": state_of(session),
        "path": about.path.as_str(),
        "query": about.query,
        "user": about.user,
        "userAgent": about.user_agent,
        "transport": session.transport.map(transport_name),
        "profile": session.transport.map(|_| "AVP"),
        "conns": [record.id.connection_uuid().to_string()],
        "shard": record.shard(),
    });
    let counters = Counters::of(session.media.as_deref());
    if let (Value::Object(item), Value::Object(counters)) = (&mut item, counters.shown()) {
        item.extend(counters);
    }
    item
}

fn state_of(session: &RtspSession) -> &'static str {
    match session.media.as_ref().map(|media| media.role) {
        None => "idle",
        Some(Role::Reader) => "read",
        Some(Role::Publisher) => "publish",
    }
}

/// MediaMTX's names.
fn transport_name(transport: TransportKind) -> &'static str {
    match transport {
        TransportKind::Tcp => "TCP",
        TransportKind::Udp => "UDP",
        TransportKind::Multicast => "UDP-multicast",
    }
}

/// What was counted of a session, as the API names it; nothing of one that neither publishes nor reads.
#[derive(Default)]
struct Counters {
    inbound_bytes: u64,
    inbound_packets: u64,
    inbound_lost: u64,
    inbound_in_error: u64,
    inbound_jitter_us: u64,
    outbound_bytes: u64,
    outbound_packets: u64,
    outbound_reported_lost: u64,
    outbound_jumps: u64,
    outbound_discarded_bytes: u64,
}

impl Counters {
    fn of(media: Option<&SessionRecord>) -> Self {
        let Some(media) = media else {
            return Self::default();
        };
        let packets_if = |role| {
            if media.role == role {
                media.packets.value()
            } else {
                0
            }
        };
        Self {
            inbound_bytes: media.inbound_bytes.value(),
            inbound_packets: packets_if(Role::Publisher),
            inbound_lost: media.lost_packets.value(),
            inbound_in_error: media.refused_packets.value(),
            inbound_jitter_us: media.jitter_us.value(),
            outbound_bytes: media.outbound_bytes.value(),
            outbound_packets: packets_if(Role::Reader),
            outbound_reported_lost: media.reported_lost_packets.value(),
            outbound_jumps: media.drops.value(),
            outbound_discarded_bytes: media.dropped_bytes.value(),
        }
    }

    /// With the names that MediaMTX had before too.
    fn shown(&self) -> Value {
        json!({
            "inboundBytes": self.inbound_bytes,
            "inboundRTPPackets": self.inbound_packets,
            "inboundRTPPacketsLost": self.inbound_lost,
            "inboundRTPPacketsInError": self.inbound_in_error,
            "inboundRTPPacketsJitter": self.jitter(),
            "inboundRTCPPackets": 0,
            "inboundRTCPPacketsInError": 0,
            "outboundBytes": self.outbound_bytes,
            "outboundRTPPackets": self.outbound_packets,
            "outboundRTPPacketsReportedLost": self.outbound_reported_lost,
            "outboundRTPPacketsDiscarded": self.outbound_jumps,
            "outboundRTCPPackets": 0,
            "outboundDiscardedBytes": self.outbound_discarded_bytes,
            "bytesReceived": self.inbound_bytes,
            "bytesSent": self.outbound_bytes,
            "rtpPacketsReceived": self.inbound_packets,
            "rtpPacketsSent": self.outbound_packets,
            "rtpPacketsLost": self.inbound_lost,
            "rtpPacketsInError": self.inbound_in_error,
            "rtpPacketsJitter": self.jitter(),
            "rtcpPacketsReceived": 0,
            "rtcpPacketsSent": 0,
            "rtcpPacketsInError": 0,
        })
    }

    /// In units of a clock of 90 kHz, which nearly all video has.
    fn jitter(&self) -> f64 {
        let jitter = Duration::from_micros(self.inbound_jitter_us);
        jitter.as_secs_f64() * 90_000.0
    }
}
