//! What runs here, and since when.

use chrono::{DateTime, Local, SecondsFormat};
use http::StatusCode;
use serde_json::json;

use crate::control::web::{Answer, Request, json as respond};
use crate::control::{ControlState, Route};

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    vec![Route::get("/v3/info", info)]
}

fn info(state: &ControlState, _: &Request) -> Answer {
    let started: DateTime<Local> = state.started.into();
    let info = json!({
        "version": concat!("v", env!("CARGO_PKG_VERSION")),
        "started": started.to_rfc3339_opts(SecondsFormat::Nanos, true),
    });
    respond(StatusCode::OK, &info)
}
