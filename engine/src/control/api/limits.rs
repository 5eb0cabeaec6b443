//! How much the server takes upon itself: each limit with its value, what is taken of it now, and how often it has stood in
//! somebody's way.

use http::StatusCode;
use serde_json::{Value, json};

use crate::control::web::{Answer, Request, json as respond};
use crate::control::{ControlState, Route};
use crate::limits::{LimitReport, MemoryUse};

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    vec![Route::get("/v3/limits", limits)]
}

fn limits(state: &ControlState, _: &Request) -> Answer {
    let refusals = state.server.refusals();
    let item = |report: &LimitReport| {
        let mut item = json!({
            "name": report.name,
            "unit": report.unit,
            "limit": report.limit,
            "auto": report.is_auto,
            "used": report.used,
            "refused": refusals.of(report.reason),
        });
        add_details(&mut item, state, report.name);
        item
    };
    let items: Vec<Value> = state.server.limit_reports().iter().map(item).collect();
    respond(StatusCode::OK, &json!({ "items": items }))
}

/// What is worth knowing of one limit alone.
fn add_details(item: &mut Value, state: &ControlState, name: &str) {
    let limits = &state.server.limits;
    match name {
        "egress" => item["sent"] = json!(limits.sent_bit_rate()),
        "memory" => {
            let MemoryUse {
                resident_bytes,
                counted_bytes,
                expected_bytes,
            } = limits.memory.in_use();
            item["resident"] = json!(resident_bytes);
            item["counted"] = json!(counted_bytes);
            item["expected"] = json!(expected_bytes);
        }
        _ => {}
    }
}
