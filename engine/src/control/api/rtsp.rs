//! Connections and sessions over RTSP: listed, looked up and kicked. Read from the records that their shards keep.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use shardcast_protocol::rtsp::TransportKind;

use super::paging::Page;
use super::{Refused, done, settle, time};
use crate::connections::{ConnectionRecord, RtspSession};
use crate::control::counters::Counters;
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
    let media = session.media.as_deref();
    let counters = media.map(Counters::of).unwrap_or_default();
    for part in [shown(&counters), reader_item(media)] {
        if let (Value::Object(item), Value::Object(part)) = (&mut item, part) {
            item.extend(part);
        }
    }
    item
}

/// What a session does, by MediaMTX's names.
pub(in crate::control) fn state_of(session: &RtspSession) -> &'static str {
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

/// The counters as the API names them, with the names that MediaMTX had before too.
fn shown(counters: &Counters) -> Value {
    let jitter = counters.jitter_ticks();
    json!({
        "inboundBytes": counters.inbound_bytes,
        "inboundRTPPackets": counters.inbound_packets,
        "inboundRTPPacketsLost": counters.inbound_lost,
        "inboundRTPPacketsInError": counters.inbound_in_error,
        "inboundRTPPacketsJitter": jitter,
        "inboundRTCPPackets": counters.inbound_rtcp,
        "inboundRTCPPacketsInError": counters.inbound_rtcp_in_error,
        "outboundBytes": counters.outbound_bytes,
        "outboundRTPPackets": counters.outbound_packets,
        "outboundRTPPacketsReportedLost": counters.outbound_reported_lost,
        "outboundRTPPacketsDiscarded": counters.outbound_discarded,
        "outboundRTCPPackets": counters.outbound_rtcp,
        "bytesReceived": counters.inbound_bytes,
        "bytesSent": counters.outbound_bytes,
        "rtpPacketsReceived": counters.inbound_packets,
        "rtpPacketsSent": counters.outbound_packets,
        "rtpPacketsLost": counters.inbound_lost,
        "rtpPacketsInError": counters.inbound_in_error,
        "rtpPacketsJitter": jitter,
        "rtcpPacketsReceived": counters.inbound_rtcp,
        "rtcpPacketsSent": counters.outbound_rtcp,
        "rtcpPacketsInError": counters.inbound_rtcp_in_error,
    })
}

/// What Shardcast tells of a session beyond MediaMTX: how far a reader is behind, how late packets have left for it, and
/// what it was not given, by reason. Nothing of a session of which it is not known.
fn reader_item(media: Option<&SessionRecord>) -> Value {
    let reader = media.filter(|media| media.role == Role::Reader);
    let lag = reader.and_then(SessionRecord::lag);
    let latency = reader.and_then(|reader| reader.latency.latency());
    let drops = reader.map(|reader| {
        let drops = reader.drops_by_reason.by_reason();
        let drops = drops.map(|(reason, times)| (reason.to_string(), times.into()));
        Value::Object(drops.into_iter().collect())
    });
    json!({
        "lagBytes": lag.map(|lag| lag.bytes),
        "lagSeconds": lag.map(|lag| lag.time.as_secs_f64()),
        "latencySeconds": latency.map(|latency| json!({
            "last": latency.last.as_secs_f64(),
            "mean": latency.mean.as_secs_f64(),
            "max": latency.max.as_secs_f64(),
        })),
        "drops": drops,
        "droppedBytes": reader.map(|reader| reader.dropped_bytes.value()),
        "droppedAccessUnits": reader.map(|reader| reader.dropped_units.value()),
    })
}
