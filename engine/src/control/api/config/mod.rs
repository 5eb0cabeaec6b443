//! The configuration: looked at, and changed while the server runs. MediaMTX's routes to the letter; what Shardcast adds is
//! `persist`, many paths at once, the changes and their end, and preconditions.
//!
//! Each change is judged as a file would be (`shardcast_config::Document`), and holds before it is answered; streams on
//! paths that it takes away are ending then.

mod changes;
mod paths;
mod tags;

use http::{Method, StatusCode};
use shardcast_config::{BODY_BYTES_MAX, Body, Change, ChangeError, ConfigError, Document};

use self::tags::{Resource, check_if_match, tagged};
use super::{Refused, done, settle};
use crate::control::web::{Answer, Request};
use crate::control::{ControlState, Handler, Route};
use crate::event::ReloadedBy;

/// The member of a body, and of a query, that has a change survive the end of the server.
const PERSIST: &str = "persist";

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = vec![
        Route::get("/v3/config/global/get", |state, request| {
            settle(show(state, request, Resource::Global))
        }),
        changing(
            Method::PATCH,
            "/v3/config/global/patch",
            |state, request| settle(change(state, request, Resource::Global, Change::Global)),
        ),
        Route::get("/v3/config/pathdefaults/get", |state, request| {
            settle(show(state, request, Resource::PathDefaults))
        }),
        changing(
            Method::PATCH,
            "/v3/config/pathdefaults/patch",
            |state, request| {
                let change_into = Change::PathDefaults;
                settle(change(state, request, Resource::PathDefaults, change_into))
            },
        ),
    ];
    routes.extend(paths::routes());
    routes.push(changes::route());
    routes
}

/// A route by which something is changed, with a body as long as MediaMTX allows.
fn changing(
    method: Method,
    pattern: &'static str,
    handler: fn(&ControlState, &Request) -> Answer,
) -> Route {
    let takes_body = method != Method::DELETE;
    let route = Route::of(method, pattern, Handler::Clerk(handler));
    match takes_body {
        true => route.with_body(BODY_BYTES_MAX),
        false => route,
    }
}

fn show(state: &ControlState, request: &Request, what: Resource) -> Result<Answer, Refused> {
    let text = state.configuration.look(|document| what.text(document));
    Ok(tagged(request, text.ok_or_else(not_configured)?))
}

/// MediaMTX's words.
fn not_configured() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "path configuration not found")
}

/// Makes the change that the request's body asks for.
fn change(
    state: &ControlState,
    request: &Request,
    what: Resource,
    change_into: impl FnOnce(Body) -> Change,
) -> Result<Answer, Refused> {
    let mut body = Body::parse(&request.body)?;
    let persist = body.take_switch(PERSIST)?;
    let persist = persist.map_or_else(|| asks_to_persist(request), Ok)?;
    make(state, request, &what, |document| {
        document.change(change_into(body), persist)
    })
}

/// Makes a change, if what it is about is as the request believes.
fn make(
    state: &ControlState,
    request: &Request,
    what: &Resource,
    change: impl FnOnce(&mut Document) -> Result<shardcast_config::Changed, ChangeError>,
) -> Result<Answer, Refused> {
    let change = |document: &mut Document| {
        check_if_match(request, what, document)?;
        change(document).map_err(Refused::from)
    };
    let by = ReloadedBy::Request;
    state.configuration.change(&state.server, by, change)?;
    Ok(done())
}

/// Whether the query has `persist=true`.
fn asks_to_persist(request: &Request) -> Result<bool, Refused> {
    let given = request.query().find(|(name, _)| name == PERSIST);
    match given.as_ref().map(|(_, value)| value.as_str()) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Refused::new(
            StatusCode::BAD_REQUEST,
            "persist: expected true or false",
        )),
    }
}

impl From<ConfigError> for Refused {
    fn from(error: ConfigError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }
}

impl From<ChangeError> for Refused {
    fn from(error: ChangeError) -> Self {
        let status = match error {
            ChangeError::PathNotFound => StatusCode::NOT_FOUND,
            ChangeError::NotKept(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error)
    }
}
