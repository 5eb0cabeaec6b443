//! The paths that are there: those that the configuration names, and those that publishers and readers have begun. Read
//! from the directory, the streams' records and the sessions'.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::StatusCode;
use serde_json::{Value, json};
use shardcast_config::{ALL_OTHERS, Config};

use super::paging::Page;
use super::{Refused, settle, time, tracks};
use crate::control::web::{Answer, Request, json as respond};
use crate::control::{ControlState, Route};
use crate::path::{PathEntry, PathName};
use crate::record::{Role, SessionRecord};
use crate::shard::ServerState;
use crate::streams::StreamRecord;

/// The routes. That without a name is there to be refused as MediaMTX refuses it.
pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/v3/paths/list", |state, request| {
            settle(list(state, request))
        }),
        Route::get("/v3/paths/get/", |state, request| {
            settle(get(state, request))
        }),
        Route::get("/v3/paths/get/{*name}", |state, request| {
            settle(get(state, request))
        }),
    ]
}

fn list(state: &ControlState, request: &Request) -> Result<Answer, Refused> {
    let page = Page::of(request)?;
    let server = &state.server;
    let config = server.config.load();
    let names: Vec<PathName> = path_names(server, &config).into_iter().collect();
    let shown = page.part(&names).iter().cloned();
    let sessions = Sessions::of(server, shown.collect());
    Ok(page.answer(&names, |name| item(server, &config, name, &sessions)))
}

fn get(state: &ControlState, request: &Request) -> Result<Answer, Refused> {
    let name = request.capture("name");
    if name.is_empty() {
        return Err(Refused::new(StatusCode::BAD_REQUEST, "invalid name"));
    }
    let server = &state.server;
    let config = server.config.load();
    let name = PathName::new(name)
        .ok()
        .filter(|name| server.directory.find(name).is_some() || is_configured(&config, name));
    let not_found = || Refused::new(StatusCode::NOT_FOUND, "path not found");
    let name = name.ok_or_else(not_found)?;
    let sessions = Sessions::of(server, BTreeSet::from([name.clone()]));
    let item = item(server, &config, &name, &sessions);
    Ok(respond(StatusCode::OK, &item))
}

/// The names of all paths, configured or begun.
pub(in crate::control) fn path_names(server: &ServerState, config: &Config) -> BTreeSet<PathName> {
    let configured = config
        .paths
        .iter()
        .filter_map(|(name, _)| PathName::new(name).ok());
    let configured = configured.filter(|name| is_configured(config, name));
    let entries = server.directory.entries().into_iter();
    let begun = entries.map(|entry| entry.name.clone());
    configured.chain(begun).collect()
}

/// Whether the configuration has the path under its own name, and not only an entry that would take it.
fn is_configured(config: &Config, name: &PathName) -> bool {
    let found = config.paths.find(name.as_str());
    let is_own = found.is_some_and(|(entry, _)| entry == name.as_str());
    is_own && name.as_str() != ALL_OTHERS
}

/// The sessions of some paths.
struct Sessions(HashMap<PathName, Vec<Arc<SessionRecord>>>);

impl Sessions {
    fn of(server: &ServerState, paths: BTreeSet<PathName>) -> Self {
        let mut by_path: HashMap<_, Vec<_>> = HashMap::new();
        for record in server.records.all() {
            if paths.contains(&record.path) {
                by_path.entry(record.path.clone()).or_default().push(record);
            }
        }
        Self(by_path)
    }

    fn with_role(&self, path: &PathName, role: Role) -> impl Iterator<Item = &SessionRecord> {
        let of_path = self.0.get(path).into_iter().flatten();
        of_path
            .map(Arc::as_ref)
            .filter(move |record| record.role == role)
    }

    /// Bytes that the path's living readers were sent.
    fn outbound_bytes(&self, path: &PathName) -> u64 {
        let readers = self.with_role(path, Role::Reader);
        readers.map(|record| record.outbound_bytes.value()).sum()
    }

    fn readers(&self, path: &PathName) -> Vec<Value> {
        let readers = self.with_role(path, Role::Reader);
        let mut ids: Vec<_> = readers.map(|record| record.id.uuid()).collect();
        ids.sort_unstable();
        let shown = ids.iter().map(|id| described(&id.to_string()));
        shown.collect()
    }

    fn frames_in_error(&self, path: &PathName) -> u64 {
        let publishers = self.with_role(path, Role::Publisher);
        publishers
            .map(|record| record.refused_packets.value())
            .sum()
    }
}

/// Who brings or takes a stream.
fn described(id: &str) -> Value {
    json!({ "type": "rtspSession", "id": id })
}

fn item(server: &ServerState, config: &Config, name: &PathName, sessions: &Sessions) -> Value {
    let entry = server.directory.find(name);
    let stream = entry
        .as_ref()
        .and_then(|entry| server.streams.find(entry.id));
    let stream = stream.as_ref();
    let publisher = stream.and_then(|stream| stream.publisher);
    let available = stream.map(|stream| time(stream.available));
    let (inbound_bytes, outbound_bytes) = bytes(entry.as_deref(), sessions, stream);
    json!({
        "name": name.as_str(),
        "confName": config.paths.find(name.as_str()).map_or("", |(entry, _)| entry),
        "ready": stream.is_some(),
        "readyTime": available,
        "available": stream.is_some(),
        "availableTime": available,
        "online": publisher.is_some(),
        "onlineTime": publisher.map(|publisher| time(publisher.online)),
        "source": publisher.map(|publisher| described(&publisher.session.uuid().to_string())),
        "tracks": stream.map(|stream| tracks::codecs(&stream.info)).unwrap_or_default(),
        "tracks2": stream.map(|stream| tracks::items(&stream.info)).unwrap_or_default(),
        "readers": sessions.readers(name),
        "inboundBytes": inbound_bytes,
        "outboundBytes": outbound_bytes,
        "inboundFramesInError": sessions.frames_in_error(name),
        "bytesReceived": inbound_bytes,
        "bytesSent": outbound_bytes,
        "shard": entry.map(|entry| entry.owner.index()),
    })
}

/// Bytes that were brought and sent; none without a stream.
fn bytes(
    entry: Option<&PathEntry>,
    sessions: &Sessions,
    stream: Option<&StreamRecord>,
) -> (u64, u64) {
    let Some(entry) = entry.filter(|_| stream.is_some()) else {
        return (0, 0);
    };
    let ended = entry.ended_outbound_bytes.load(Ordering::Relaxed);
    let living = sessions.outbound_bytes(&entry.name);
    (entry.inbound_bytes.load(Ordering::Relaxed), ended + living)
}
