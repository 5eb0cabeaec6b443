//! Health, for probes: whether every shard answers, and whether the server takes more.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use super::web::{Answer, Request, json as respond};
use super::{ControlState, Route};

/// A shard that has not shown life for so long does not answer.
const SHARD_ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    vec![Route::get("/healthz", healthz).open()]
}

/// Whether the process and every shard answer within a second.
fn healthz(state: &ControlState, _: &Request) -> Answer {
    let shards = state.snapshot().shards;
    let silent: Vec<usize> = shards
        .iter()
        .filter(|shard| shard.heartbeat_age > SHARD_ANSWERS_WITHIN)
        .map(|shard| shard.shard.index())
        .collect();
    match silent.is_empty() && !shards.is_empty() {
        true => respond(StatusCode::OK, &json!({ "status": "ok" })),
        false => respond(
            StatusCode::SERVICE_UNAVAILABLE,
            &json!({ "status": "error", "silentShards": silent }),
        ),
    }
}
