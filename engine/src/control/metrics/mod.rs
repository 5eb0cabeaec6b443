//! Metrics for Prometheus: MediaMTX's by its names and labels (`mediamtx.rs`), and our own under `shardcast_`.
//!
//! A page is worked out on the clerk's thread, from what shards count and publish anyway: a scrape asks no shard for
//! anything.

mod census;
mod mediamtx;
mod paths;
mod process;
mod question;
mod shards;
mod text;

use std::time::Instant;

use http::{HeaderValue, header};

use super::web::{Answer, Request};
use super::{ControlState, Route};
use census::Census;
use question::Question;
use text::{CONTENT_TYPE, Kind, Page};

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    vec![Route::get("/metrics", scrape)]
}

fn scrape(state: &ControlState, request: &Request) -> Answer {
    let begun = shardcast_platform::now();
    let question = Question::of(request);
    let per_session = state.server.config.load().metrics_per_session;
    let census = Census::take(state);
    let mut page = Page::new();
    mediamtx::write(&mut page, &question, &census, per_session);
    if question.asks_for_own() {
        process::write(&mut page, state);
        shards::write(&mut page, state);
        paths::write(&mut page, state, begun);
        mediamtx::write_summed(&mut page, &census, per_session);
        write_duration(&mut page, begun);
    }
    let mut answer = Answer::new(page.into_text().into());
    let kind = HeaderValue::from_static(CONTENT_TYPE);
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

fn write_duration(page: &mut Page, begun: Instant) {
    let name = "shardcast_metrics_duration_seconds";
    let help = "How long this page took to work out.";
    let took = shardcast_platform::now().saturating_duration_since(begun);
    page.single(name, Kind::Gauge, help, took);
}
