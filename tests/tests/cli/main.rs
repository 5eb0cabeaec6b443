//! The commands for a running server, as operators and scripts run them: what they write, and how they end.
//!
//! Not caught here: how the tables look where the API says more than is asked for; HTTPS, which is the listener's.

mod client;
mod config;
mod events;

use serde_json::Value;
use shardcast_tests::http;
use shardcast_tests::peer::PeerError;
use shardcast_tests::peer::publisher::Publisher;
use shardcast_tests::peer::reader::Reader;
use shardcast_tests::peer::synthetic::{Shape, Source};
use shardcast_tests::peer::verifier::Verifier;

use client::Served;

const OPEN: &str = "paths:\n  all_others:\n";

/// Ten words of a table's row.
fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn status_says_what_the_server_is_and_does() {
    let served = Served::start(OPEN);
    let _publisher = Publisher::start(served.rtsp(), "cam").expect("it publishes");
    let table = served.run(&["status"]).done();
    let lines: Vec<_> = table.lines().map(words).collect();
    assert!(lines.contains(&vec!["ready", "yes"]), "{table}");
    assert!(
        lines.contains(&vec!["paths", "1,", "1", "ready"]),
        "{table}"
    );
    let sessions = vec!["sessions", "1,", "1", "publish,", "0", "read"];
    assert!(lines.contains(&sessions), "{table}");
    let json = served.run(&["status", "--json"]).json();
    assert_eq!(json["info"], http::get(served.api(), "/v3/info").json());
    assert_eq!(json["paths"]["ready"], 1);
    assert_eq!(json["sessions"]["publish"], 1);
}

#[test]
fn paths_are_listed_and_one_is_shown() {
    let served = Served::start(OPEN);
    let _publisher = Publisher::start(served.rtsp(), "my/cam.one").expect("it publishes");
    let table = served.run(&["paths"]).done();
    let mut lines = table.lines();
    let heading = words(lines.next().expect("a heading"));
    assert_eq!(heading.first(), Some(&"NAME"));
    let row = lines.next().expect("a row");
    assert!(row.starts_with("my/cam.one  ready"), "{row}");
    assert!(row.ends_with("H264"), "{row}");
    let one = served.run(&["paths", "my/cam.one"]).done();
    assert!(one.contains("state          ready"), "{one}");
    let json = served.run(&["paths", "my/cam.one", "--json"]).json();
    assert_eq!(json["name"], "my/cam.one");
    let all = served.run(&["paths", "--json"]).json();
    assert_eq!(
        (&all["itemCount"], &all["items"][0]["name"]),
        (&1.into(), &json["name"])
    );
    served
        .run(&["paths", "nowhere"])
        .failed(3, "path not found");
}

#[test]
fn lists_are_whole_however_many_pages_they_have() {
    let served = Served::start("sessionsPerAddress: 4096\npaths:\n  all_others:\n");
    let start = |n| Publisher::start(served.rtsp(), &format!("cam{n}"));
    let publishers: Result<Vec<_>, PeerError> = (0..130).map(start).collect();
    let publishers = publishers.expect("they publish");
    let all = served.run(&["paths", "--json"]).json();
    assert_eq!(all["itemCount"], publishers.len());
    assert_eq!(
        all["items"].as_array().map(Vec::len),
        Some(publishers.len())
    );
}

#[test]
fn sessions_are_listed_and_kicked_by_the_digits_of_the_log() {
    let served = Served::start(OPEN);
    let publisher = Publisher::start(served.rtsp(), "cam").expect("it publishes");
    let mut reader = Reader::start(served.rtsp(), "cam").expect("it reads");
    let all = served.run(&["sessions", "--json"]).json();
    assert_eq!(all["itemCount"], 2);
    let elsewhere = served
        .run(&["sessions", "--path", "other", "--json"])
        .json();
    assert_eq!(elsewhere["itemCount"], 0);
    let table = served.run(&["sessions", "--path", "cam"]).done();
    let row = table.lines().find(|line| line.contains(" read "));
    let row = words(row.expect("the reader's row"));
    assert_eq!(row.get(1..4), Some(&["read", "cam", "TCP"][..]));
    let digits = row.first().expect("an id");
    assert_eq!(digits.len(), 8);
    let kicked = served.run(&["kick", digits]).done();
    assert!(kicked.starts_with(&format!("kicked {digits}-")), "{kicked}");
    let mut verifier = Verifier::default();
    let _however_it_ends = reader.read_to_end(&mut verifier);
    served.run(&["kick", digits]).failed(3, "no such session");
    let whole = id_of(&served.run(&["sessions", "--json"]).json(), "publish");
    served
        .run(&["kick", "00000000", &whole])
        .failed(3, "00000000");
    drop(publisher);
    served.run(&["kick", &whole]).failed(3, &whole);
}

fn id_of(sessions: &Value, state: &str) -> String {
    let mut items = sessions["items"].as_array().expect("a list").iter();
    let found = items.find(|session| session["state"] == state);
    let id = found.and_then(|session| session["id"].as_str());
    id.expect("a session of this state").to_owned()
}

#[test]
fn bytes_are_counted_with_units() {
    let served = Served::start(OPEN);
    let mut publisher = Publisher::start(served.rtsp(), "cam").expect("it publishes");
    let frames = publisher.send_frames(&mut Source::new(Shape::default()), 50);
    frames.expect("they are sent");
    served.wait_row(&["paths"], |row| {
        row.starts_with("cam ") && row.contains(" kB ")
    });
}

#[test]
fn the_exit_status_says_what_went_wrong() {
    let users =
        "authInternalUsers:\n- user: admin\n  pass: secret\n  permissions:\n  - action: api\n";
    let served = Served::start(users);
    served.run(&["status"]).failed(1, "--user and --pass");
    served
        .run(&["status", "--user", "admin", "--pass", "secret"])
        .done();
    served.run_as("admin", "secret", &["paths"]).done();
    served
        .run(&["sessions", "--nonsense"])
        .failed(2, "--nonsense");
    served
        .run(&["paths", "--api", "ftp://here"])
        .failed(2, "no http://");
    served
        .run(&[
            "config", "set", "nonsense", "--user", "admin", "--pass", "secret",
        ])
        .failed(2, "KEY=VALUE");
    let nobody = shardcast_tests::port::free_tcp_port().expect("a port");
    let nowhere = format!("http://127.0.0.1:{nobody}");
    served
        .run(&["paths", "--api", &nowhere])
        .failed(4, &nowhere);
}

#[cfg(unix)]
#[test]
fn a_server_is_found_behind_a_unix_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let api = format!("unix://{}", folder.path().join("api.sock").display());
    let served = Served::start_at(&format!("apiAddress: {api}\n{OPEN}"));
    let _publisher = Publisher::start(served.rtsp(), "cam").expect("it publishes");
    let all = served.run(&["paths", "--json", "--api", &api]).json();
    assert_eq!(all["itemCount"], 1);
    let kinds = ["events", "--api", &api, "--since", "begin", "--count", "2"];
    assert!(served.run(&kinds).done().contains(" cam "));
    served
        .run(&["paths", "nowhere", "--api", &api])
        .failed(3, "path not found");
    let gone = format!("{api}.gone");
    served.run(&["paths", "--api", &gone]).failed(4, &gone);
}
