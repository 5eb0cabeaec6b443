//! Files, signals and restarts: a daemon.

use std::fs;

use serde_json::{Value, json};
use shardcast_tests::daemon::Daemon;
use shardcast_tests::http;
use shardcast_tests::port::free_tcp_port;
use shardcast_tests::scene::PATIENCE;
use shardcast_tests::scene::bystander::Bystander;
use shardcast_tests::wait::poll_until;

use crate::stage::{change, get};

/// A daemon with its API.
struct Server {
    daemon: Daemon,
    api: std::net::SocketAddr,
    /// The configuration but for its last lines.
    head: String,
}

impl Server {
    fn start(tail: &str) -> Self {
        let port = free_tcp_port().expect("a port");
        let api = ([127, 0, 0, 1], port).into();
        let daemon = Daemon::start(&format!("api: yes\napiAddress: {api}\n{tail}"));
        let daemon = daemon.expect("a daemon");
        let text = fs::read_to_string(daemon.folder().join("shardcast.yml")).expect("its file");
        let head = text.strip_suffix(tail).expect("what was given").to_owned();
        let server = Self { daemon, api, head };
        server.wait_listening();
        server
    }

    fn write(&self, tail: &str) {
        let text = format!("{}{tail}", self.head);
        fs::write(self.daemon.folder().join("shardcast.yml"), text).expect("its folder is ours");
    }

    fn log_level(&self) -> Value {
        get(self.api, "/v3/config/global/get")["logLevel"].clone()
    }

    fn wait_listening(&self) {
        let answer = poll_until(PATIENCE, || std::net::TcpStream::connect(self.api).ok());
        assert!(answer.is_some(), "{}", self.daemon.log());
    }
}

#[test]
fn kept_changes_survive_a_restart_and_can_be_dropped() {
    let mut server = Server::start("paths: {cam: }\n");
    let api = server.api;
    let patch = |body: &Value| change(api, "PATCH", "/v3/config/global/patch?persist=true", body);
    patch(&json!({"logLevel": "debug"}));
    let body = json!({"maxReaders": 3, "persist": true});
    change(api, "POST", "/v3/config/paths/add/kept", &body);
    change(api, "POST", "/v3/config/paths/add/passing", &json!({}));
    let target = "/v3/config/paths/delete/cam?persist=true";
    change(api, "DELETE", target, &Value::Null);
    server.daemon.restart().expect("it starts again");
    server.wait_listening();
    let line = "changes made over the API apply, from";
    server.daemon.wait_log(line);
    assert_eq!(server.log_level(), "debug");
    let kept = get(api, "/v3/config/paths/get/kept");
    assert_eq!(kept["maxReaders"], 3);
    let status = |name| http::get(api, &format!("/v3/config/paths/get/{name}")).status;
    assert_eq!([status("cam"), status("passing")], [404, 404]);
    change(api, "DELETE", "/v3/config/changes", &Value::Null);
    assert_eq!(server.log_level(), "info");
    assert_eq!([status("cam"), status("kept")], [200, 404]);
    let file = server.daemon.folder().join("shardcast.changes.yml");
    assert!(!file.exists());
}

#[test]
fn changes_say_whether_they_are_kept_and_wait_for_a_restart() {
    let server = Server::start("paths: {cam: }\n");
    let api = server.api;
    let body = json!({"rtspAddress": ":1", "logLevel": "debug", "persist": true});
    change(api, "PATCH", "/v3/config/global/patch", &body);
    change(api, "POST", "/v3/config/paths/add/passing", &json!({}));
    let changes = get(api, "/v3/config/changes");
    assert_eq!(changes["waitingForRestart"], json!(["rtspAddress"]));
    let items = changes["items"].as_array().expect("items");
    let told = items.iter();
    let told = told.map(|item| json!([item["key"], item["persisted"], item["restart"]]));
    let expected = [
        json!(["logLevel", true, false]),
        json!(["rtspAddress", true, true]),
        json!(["paths.passing", false, false]),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[test]
fn a_signal_has_the_file_read_again_and_unchanged_paths_play_on() {
    let server = Server::start("paths: {live/bystander: , other: }\n");
    let bystander = Bystander::begin(server.daemon.address());
    change(
        server.api,
        "POST",
        "/v3/config/paths/add/passing",
        &json!({}),
    );
    server.write("logLevel: debug\nshards: 3\npaths: {live/bystander: , another: }\n");
    server.daemon.signal("HUP");
    server.daemon.wait_log("reloading configuration (signal)");
    let level = poll_until(PATIENCE, || (server.log_level() == "debug").then_some(()));
    assert!(level.is_some());
    server
        .daemon
        .wait_log("takes effect after a restart: shards");
    let paths = get(server.api, "/v3/config/paths/list");
    let names = paths["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| &item["name"]);
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["another", "live/bystander", "passing"]
    );
    bystander.finish();
}

#[test]
fn a_broken_file_changes_nothing_and_the_log_names_file_line_and_key() {
    let server = Server::start("paths: {live/bystander: }\n");
    let bystander = Bystander::begin(server.daemon.address());
    let before = get(server.api, "/v3/config/global/get");
    server.write("logLevel: warn\nmaxReader: 5\n");
    server.daemon.signal("HUP");
    let lines = server.daemon.wait_log("maxReader");
    assert!(
        lines[0].contains("shardcast.yml:8:1: unknown key 'maxReader'"),
        "{lines:?}"
    );
    assert_eq!(get(server.api, "/v3/config/global/get"), before);
    bystander.finish();
}

#[test]
fn the_log_follows_its_level_and_form() {
    let server = Server::start("logLevel: error\npaths: {all_others: }\n");
    change(
        server.api,
        "PATCH",
        "/v3/config/global/patch",
        &json!({"logLevel": "info"}),
    );
    change(
        server.api,
        "PATCH",
        "/v3/config/global/patch",
        &json!({"logStructured": true}),
    );
    change(server.api, "POST", "/v3/config/paths/add/x", &json!({}));
    let lines = server
        .daemon
        .wait_log("\"message\":\"reloading configuration (API request)\"");
    assert!(lines[0].starts_with('{'), "{lines:?}");
    assert!(!server.daemon.log().contains("Shardcast v"));
}
