//! The Control API: MediaMTX's `/v3`, and what Shardcast adds to it.
//!
//! Routes of servers that are not there (RTMP, HLS, WebRTC, SRT, MoQ, RTSP with encryption), of forwarding, recordings and
//! JWT are not there either: they are answered by 404, as MediaMTX answers for a server that is switched off.

mod config;
mod info;
mod limits;
mod openapi;
mod paging;
mod paths;
mod rtsp;
mod tracks;

use std::time::SystemTime;

use chrono::{DateTime, Local, SecondsFormat};
use http::StatusCode;
use serde_json::json;

use super::Route;
use super::web::{Answer, error, json as respond};

pub(super) use paths::path_names;
pub(super) use rtsp::state_of;

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    let parts = [
        info::routes(),
        limits::routes(),
        openapi::routes(),
        config::routes(),
        paths::routes(),
        rtsp::routes(),
    ];
    parts.into_iter().flatten().collect()
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
struct Refused {
    status: StatusCode,
    message: String,
}

impl Refused {
    fn new(status: StatusCode, message: impl ToString) -> Self {
        let message = message.to_string();
        Self { status, message }
    }
}

/// The answer of a handler, or its refusal.
fn settle(answered: Result<Answer, Refused>) -> Answer {
    answered.unwrap_or_else(|refused| error(refused.status, &refused.message))
}

/// It was done, and there is nothing to say about it.
fn done() -> Answer {
    respond(StatusCode::OK, &json!({ "status": "ok" }))
}

/// A time as the API writes it (RFC 3339), by the server's own clock and zone.
fn time(at: SystemTime) -> String {
    let at: DateTime<Local> = at.into();
    at.to_rfc3339_opts(SecondsFormat::Nanos, true)
}
