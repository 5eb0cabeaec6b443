//! The API's description of itself (OpenAPI 3.1), at `/v3/openapi.json`: every route of the site, with what it takes and
//! gives. `openapi.json` beside this file holds it, but for what lists elsewhere know better: those are put in here.

use std::sync::OnceLock;

use http::StatusCode;
use serde_json::Value;

use crate::control::events::EventKind;
use crate::control::web::{Answer, Request, json as respond};
use crate::control::{ControlState, Route};

/// The document as it is written.
const WRITTEN: &str = include_str!("openapi.json");

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    vec![Route::get("/v3/openapi.json", openapi)]
}

fn openapi(_: &ControlState, _: &Request) -> Answer {
    static ANSWER: OnceLock<Answer> = OnceLock::new();
    ANSWER
        .get_or_init(|| respond(StatusCode::OK, &document()))
        .clone()
}

/// The whole document.
fn document() -> Value {
    let mut document: Value = serde_json::from_str(WRITTEN).unwrap_or_default();
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    put(&mut document, "/info/version", version.into());
    let kinds = EventKind::ALL.iter().map(|kind| kind.label());
    let kinds = serde_json::json!({ "type": "string", "enum": kinds.collect::<Vec<_>>() });
    put(&mut document, "/components/schemas/EventKind", kinds);
    put_schemas(
        &mut document,
        "GlobalConf",
        shardcast_config::global_schema(),
    );
    put_schemas(&mut document, "PathConf", shardcast_config::path_schema());
    document
}

/// Puts a map of the configuration where it is shown, and where it is changed, with `persist` beside its keys.
fn put_schemas(document: &mut Value, name: &str, shown: Value) {
    let schemas = "/components/schemas";
    let mut patch = shown.clone();
    if let Some(Value::Object(keys)) = patch.get_mut("properties") {
        let persist = serde_json::json!({ "type": ["boolean", "null"] });
        keys.insert("persist".into(), persist);
    }
    put(document, &format!("{schemas}/{name}"), shown);
    put(document, &format!("{schemas}/{name}Patch"), patch);
}

/// Puts `value` where the document has a place for it.
fn put(document: &mut Value, pointer: &str, value: Value) {
    if let Some(place) = document.pointer_mut(pointer) {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::control::{Handler, SiteKind};
    use crate::record::DROP_REASONS;

    /// A pattern of the router, as the document writes it.
    fn written(pattern: &str) -> String {
        pattern.replace("{*", "{")
    }

    /// Methods and paths of the site. What is there to be refused alone is not described.
    fn routes_of_the_site() -> BTreeSet<(String, String)> {
        let routes = SiteKind::Api.routes();
        let is_described = |route: &&Route| !route.pattern.ends_with('/');
        let pairs = routes.iter().filter(is_described).flat_map(|route| {
            let methods = route.methods.iter();
            methods.map(|(method, _)| (method.as_str().to_lowercase(), written(route.pattern)))
        });
        pairs.collect()
    }

    fn routes_of_the_document() -> BTreeSet<(String, String)> {
        let document = document();
        let paths = document["paths"].as_object().unwrap();
        let pairs = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| (method.clone(), path.clone()))
        });
        pairs.collect()
    }

    #[test]
    fn every_route_is_described_and_every_description_is_of_a_route() {
        let (site, document) = (routes_of_the_site(), routes_of_the_document());
        let lacking: Vec<_> = site.difference(&document).collect();
        let invented: Vec<_> = document.difference(&site).collect();
        assert!(
            lacking.is_empty() && invented.is_empty(),
            "{lacking:?} {invented:?}"
        );
    }

    #[test]
    fn everything_that_is_referred_to_is_there() {
        let document = document();
        let text = document.to_string();
        let mut references = text.split("\"$ref\":\"#").skip(1);
        assert!(references.all(|rest| {
            let pointer = rest.split('"').next().unwrap();
            document.pointer(pointer).is_some()
        }));
    }

    #[test]
    fn drops_are_described_by_every_reason() {
        let document = document();
        let described = document
            .pointer("/components/schemas/Drops/properties")
            .unwrap();
        let described: BTreeSet<String> = described.as_object().unwrap().keys().cloned().collect();
        let reasons = DROP_REASONS.iter().map(ToString::to_string);
        assert_eq!(described, reasons.collect());
    }

    #[test]
    fn what_looks_at_everything_is_never_asked_of_a_shard() {
        let routes = SiteKind::Api.routes();
        let mut asked = routes.iter().filter(|route| route.pattern != "/v3/events");
        assert!(asked.all(|route| {
            let mut handlers = route.methods.iter().map(|(_, handler)| handler);
            handlers.all(|handler| matches!(handler, Handler::Clerk(_)))
        }));
    }
}
