//! What was changed since the file: shown, and dropped.

use std::path::Path;

use http::Method;
use serde_json::json;
use shardcast_config::{Difference, Document};

use super::super::paging::Page;
use super::super::{Refused, settle};
use super::make;
use super::tags::{Resource, tag_of, with_tag};
use crate::control::web::{Answer, Request};
use crate::control::{ControlState, Handler, Route};

/// GET shows what differs from the file, DELETE drops it, what is kept too.
pub(super) fn route() -> Route {
    let mut route = Route::get("/v3/config/changes", |state, request| {
        settle(list(state, request))
    });
    let drop_all = Handler::Clerk(|state, request| settle(revert(state, request)));
    route.methods.push((Method::DELETE, drop_all));
    route
}

fn list(state: &ControlState, request: &Request) -> Result<Answer, Refused> {
    let page = Page::of(request)?;
    let (tag, text) = state.configuration.look(|document| {
        let items = items(&document.differences());
        let shown = page.part(&items).join(",");
        let text = page.text(items.len(), &shown);
        (tag_of(&all(document)), with_files(document, &text))
    });
    Ok(with_tag(request, tag, text))
}

fn revert(state: &ControlState, request: &Request) -> Result<Answer, Refused> {
    make(state, request, &Resource::Changes, Document::revert)
}

/// A page of changes, with what concerns all of them before it.
fn with_files(document: &Document, page: &str) -> String {
    let name = |file: Option<&Path>| file.map(|file| file.display().to_string());
    let head = json!({
        "file": name(document.file()),
        "changesFile": name(document.changes_file()),
        "waitingForRestart": document.waiting(),
    });
    let head = head.to_string();
    let head = head.strip_suffix('}').unwrap_or(&head);
    format!("{head},{}", page.strip_prefix('{').unwrap_or(page))
}

/// All of it, whatever page is shown: what its tag is of.
pub(super) fn all(document: &Document) -> String {
    let items = items(&document.differences());
    format!("{}{:?}", items.join(","), document.waiting())
}

/// Each difference in JSON.
fn items(differences: &[Difference]) -> Vec<String> {
    let shown = differences.iter().map(|difference| {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
        format!(
            "{{\"key\":{},\"file\":{},\"now\":{},\"persisted\":{},\"restart\":{}}}",
            json!(difference.key),
            value(&difference.file),
            value(&difference.now),
            difference.is_kept,
            difference.waits
        )
    });
    shown.collect()
}
