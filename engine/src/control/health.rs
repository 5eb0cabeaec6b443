//! Health, for probes: whether the server answers (`/healthz`), and whether it takes more (`/readyz`). On every site, for
//! anybody; so both say what is wrong and nothing else of the server.
//!
//! In Kubernetes `/healthz` is a liveness probe, with a `failureThreshold` that outlasts a stall which ends by itself: a
//! server that fails it is to be started anew. `/readyz` is a readiness probe: a server that fails it goes on with the
//! sessions that it has, and is given no new ones until it passes.
//!
//! A probe's connection is served by whichever shard the system has given it to. If that one is stuck, the probe is not
//! answered at all, which is a failed probe and rightly so; if another is stuck, the answer names it.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};
use shardcast_runtime::{RuntimeHandle, ShardSnapshot};

use super::web::{Answer, Request, json as respond};
use super::{ControlState, Route};

/// A shard that has not shown life for so long does not answer.
const SHARD_ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Descriptors that a server which takes more has left: enough for what probes, scripts and files need until somebody has
/// acted.
const DESCRIPTORS_LEFT_MIN: u64 = 128;

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/healthz", healthz).open(),
        Route::get("/readyz", readyz).open(),
    ]
}

/// Whether the process and every shard answer within a second.
fn healthz(state: &ControlState, _: &Request) -> Answer {
    answer(&[("shards", shards(state))])
}

/// Whether the server takes more.
fn readyz(state: &ControlState, _: &Request) -> Answer {
    answer(&[
        ("shards", shards(state)),
        ("listeners", listeners(state)),
        ("configuration", configuration(state)),
        ("shutdown", shutdown(state)),
        ("descriptors", descriptors()),
        ("paths", paths(state)),
    ])
}

/// What is wrong, if anything is.
type Check = Result<(), String>;

fn answer(checks: &[(&str, Check)]) -> Answer {
    let mut results = Map::new();
    for (name, check) in checks {
        let result = check.as_ref().map_or_else(String::as_str, |()| "ok");
        results.insert((*name).to_owned(), Value::from(result));
    }
    let (status, word) = match checks.iter().all(|(_, check)| check.is_ok()) {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "error"),
    };
    respond(status, &json!({ "status": word, "checks": results }))
}

fn shards(state: &ControlState) -> Check {
    let shards = state.runtime().map(RuntimeHandle::counters);
    let shards = shards.ok_or("the shards have not started")?;
    let silent: Vec<String> = shards
        .iter()
        .filter(|shard| is_silent(shard))
        .map(number)
        .collect();
    match silent.is_empty() {
        true => Ok(()),
        false => Err(format!("silent: {}", silent.join(", "))),
    }
}

fn is_silent(shard: &ShardSnapshot) -> bool {
    shard.heartbeat_age > SHARD_ANSWERS_WITHIN
}

fn number(shard: &ShardSnapshot) -> String {
    shard.shard.index().to_string()
}

/// They are bound before the shards start, or the server does not start.
fn listeners(state: &ControlState) -> Check {
    match state.listeners.is_empty() {
        false => Ok(()),
        true => Err("none".into()),
    }
}

/// The server goes on with what it has; but it would not start again.
fn configuration(state: &ControlState) -> Check {
    match state.configuration.is_file_wrong() {
        false => Ok(()),
        true => Err("the files were read again and are wrong".into()),
    }
}

fn shutdown(state: &ControlState) -> Check {
    match state.runtime().is_some_and(RuntimeHandle::is_shutting_down) {
        false => Ok(()),
        true => Err("the server is shutting down".into()),
    }
}

fn descriptors() -> Check {
    match shardcast_platform::are_descriptors_scarce(DESCRIPTORS_LEFT_MIN) {
        false => Ok(()),
        true => Err("nearly all are in use".into()),
    }
}

fn paths(state: &ControlState) -> Check {
    match state.server.directory.is_full() {
        false => Ok(()),
        true => Err("there are as many as can be".into()),
    }
}
