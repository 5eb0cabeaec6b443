//! The entries of `paths`.

use http::{Method, StatusCode};
use shardcast_config::Change;

use super::super::paging::Page;
use super::super::{Refused, settle};
use super::tags::{Resource, tagged};
use super::{asks_to_persist, change, changing, make, show};
use crate::control::web::{Answer, Request};
use crate::control::{ControlState, Route};

/// The routes. Those without a name are there to be refused as MediaMTX refuses them, but for the one that adds many.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/config/paths/list", |state, request| {
            settle(list(state, request))
        }),
        Route::get("/v3/config/paths/get/", refuse_name),
        Route::get("/v3/config/paths/get/{*name}", |state, request| {
            let name = request.capture("name").to_owned();
            settle(show(state, request, Resource::Path(name)))
        }),
        changing(Method::POST, "/v3/config/paths/add", |state, request| {
            settle(change(state, request, Resource::None, Change::AddPaths))
        }),
        changing(Method::POST, "/v3/config/paths/add/", refuse_name),
        changing(
            Method::POST,
            "/v3/config/paths/add/{*name}",
            |state, request| settle(change_path(state, request, Change::AddPath)),
        ),
        changing(Method::PATCH, "/v3/config/paths/patch/", refuse_name),
        changing(
            Method::PATCH,
            "/v3/config/paths/patch/{*name}",
            |state, request| settle(change_path(state, request, Change::PatchPath)),
        ),
        changing(Method::POST, "/v3/config/paths/replace/", refuse_name),
        changing(
            Method::POST,
            "/v3/config/paths/replace/{*name}",
            |state, request| settle(change_path(state, request, Change::ReplacePath)),
        ),
        changing(Method::DELETE, "/v3/config/paths/delete/", refuse_name),
        changing(
            Method::DELETE,
            "/v3/config/paths/delete/{*name}",
            |state, request| settle(delete(state, request)),
        ),
    ]
}

fn refuse_name(_: &ControlState, _: &Request) -> Answer {
    let refused = Refused::new(StatusCode::BAD_REQUEST, "invalid name");
    settle(Err(refused))
}

fn list(state: &ControlState, request: &Request) -> Result<Answer, Refused> {
    let page = Page::of(request)?;
    let text = state.configuration.look(|document| {
        let names: Vec<&str> = document.path_names().collect();
        let shown = page.part(&names).iter();
        let shown = shown.filter_map(|name| document.path_json(name));
        page.text(names.len(), &shown.collect::<Vec<_>>().join(","))
    });
    Ok(tagged(request, text))
}

fn change_path(
    state: &ControlState,
    request: &Request,
    change_into: fn(String, shardcast_config::Body) -> Change,
) -> Result<Answer, Refused> {
    let name = request.capture("name").to_owned();
    let what = Resource::Path(name.clone());
    change(state, request, what, |body| change_into(name, body))
}

fn delete(state: &ControlState, request: &Request) -> Result<Answer, Refused> {
    let name = request.capture("name").to_owned();
    let persist = asks_to_persist(request)?;
    let what = Resource::Path(name.clone());
    make(state, request, &what, |document| {
        document.change(Change::RemovePath(name), persist)
    })
}
