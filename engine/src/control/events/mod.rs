//! What happens, as a stream of events: `GET /v3/events`, as server-sent events (WHATWG HTML, section 9.2) or, with `Accept:
//! application/x-ndjson` or `?format=ndjson`, as lines of JSON.
//!
//! `?path=` filters by a path's name, or by a regular expression behind `~`, and may be repeated; events that are no path's
//! do not pass it. `?kind=` filters by kinds, repeated or with commas between. Ids are `<epoch>-<number>`; with the header
//! `Last-Event-ID`, or with `?lastEventId=`, a listener goes on behind that event. What it cannot be given any more is one
//! event of the kind `gap`, whose `missed` says how many there were, or is null when the id is another process's.
//! `config/guide/events.md` says what each kind carries.
//!
//! Events come from the bus of the whole server by the feed's thread; listeners are tasks of the shards that accepted them.

mod feed;
mod history;
mod kind;
mod listener;
mod question;
mod wire;

use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};

pub use feed::{EVENT_LISTENERS_MAX, EventFeed};
pub use kind::EventKind;

use super::web::{Body, Request, Response, error};
use super::{Answering, ControlState, Handler, Route};
use crate::refusal::RefusalReason;
use crate::shard::Shard;
use listener::EventListener;
use question::{Form, Question};

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    let handler = Handler::Shard(listen);
    vec![Route::of(Method::GET, "/v3/events", handler)]
}

fn listen(shard: Rc<Shard>, state: Arc<ControlState>, request: Request) -> Answering {
    Box::pin(async move {
        let response = begin(&shard, &state, request).await;
        response.unwrap_or_else(|refused| *refused)
    })
}

/// Expressions are compiled by the clerk, for they may take long.
async fn begin(
    shard: &Rc<Shard>,
    state: &ControlState,
    request: Request,
) -> Result<Response, Box<Response>> {
    let refuse = |status, message: &str| Box::new(error(status, message).map(Body::Whole));
    let read = move || Question::read(&request);
    let question = state.clerk.work_out(shard, read).await;
    let question = question
        .ok_or_else(|| refuse(StatusCode::SERVICE_UNAVAILABLE, "too much is asked at once"))?;
    let question = question.map_err(|wrong| refuse(StatusCode::BAD_REQUEST, &wrong.to_string()))?;
    let feed = state.event_feed();
    let seat = feed.and_then(|feed| feed.sit_down(shard.id()));
    let seat = seat.ok_or_else(|| {
        shard.count_refusal(RefusalReason::TooManyListeners);
        refuse(StatusCode::SERVICE_UNAVAILABLE, "too many listeners")
    })?;
    let form = question.form;
    let listener = EventListener::new(shard.clone(), seat, question);
    Ok(respond(form, listener))
}

fn respond(form: Form, listener: EventListener) -> Response {
    let mut response = Response::new(Body::Pieces(Box::pin(listener)));
    let headers = response.headers_mut();
    let kind = match form {
        Form::SentEvents => "text/event-stream",
        Form::JsonLines => "application/x-ndjson",
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let no_store = HeaderValue::from_static("no-store");
    headers.insert(header::CACHE_CONTROL, no_store);
    // nginx gathers what it passes on unless it is told not to.
    let at_once = HeaderValue::from_static("no");
    headers.insert("x-accel-buffering", at_once);
    response
}
