//! What runs here, since when, and how much.

use http::StatusCode;
use serde_json::json;
use shardcast_runtime::RuntimeHandle;

use super::time;
use crate::control::web::{Answer, Request, json as respond};
use crate::control::{ControlState, Route};
use crate::record::Role;

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    vec![Route::get("/v3/info", info)]
}

fn info(state: &ControlState, _: &Request) -> Answer {
    let plan = state.runtime().map(RuntimeHandle::plan);
    let sessions = state.server.records.all();
    let count = |role| {
        sessions
            .iter()
            .filter(|session| session.role == role)
            .count()
    };
    let info = json!({
        "version": concat!("v", env!("CARGO_PKG_VERSION")),
        "started": time(state.started),
        "driver": plan.map(|plan| plan.driver.driver.to_string()),
        "driverReason": plan.map(|plan| plan.driver.reason.clone()),
        "shards": plan.map_or(0, |plan| plan.shards),
        "paths": state.server.directory.entries().len(),
        "publishers": count(Role::Publisher),
        "readers": count(Role::Reader),
    });
    respond(StatusCode::OK, &info)
}
