//! What is shown: every key of MediaMTX that is not deprecated, at its default and of its type (`keys.csv`), and our own.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::stage::{api, get, start};

/// MediaMTX's keys with what its API shows of them without a file, as of August 2026.
const KEYS: &str = include_str!("keys.csv");

/// Our own keys of the top level.
const OWN_GLOBAL: [&str; 22] = [
    "shards",
    "driver",
    "pinCpus",
    "mediaRing",
    "stallAfter",
    "shutdownTimeout",
    "coalesce",
    "batchBytes",
    "gatherReaders",
    "wakeReaders",
    "wakeBytes",
    "moveLive",
    "notSentLowat",
    "sendBuffer",
    "apiLocalSources",
    "sessionsPerAddress",
    "connectionsPerAddress",
    "readers",
    "egress",
    "memory",
    "cpu",
    "metricsPerSession",
];

/// Our own keys of a path, and the name that MediaMTX shows among them.
const OWN_PATH: [&str; 8] = [
    "name",
    "logBytes",
    "logAge",
    "publisherGrace",
    "slowReader",
    "readerQueueBytes",
    "readerQueueAge",
    "start",
];

/// What the rig sets, because tests run side by side.
const SET_BY_RIG: [&str; 5] = [
    "api",
    "apiAddress",
    "rtspAddress",
    "rtpAddress",
    "rtcpAddress",
];

fn keys(scope: &str) -> impl Iterator<Item = (&'static str, Value)> {
    let rows = KEYS.lines().skip(1).map(|line| {
        let mut fields = line.splitn(3, ';');
        let mut field = || fields.next().expect("three fields");
        (
            field(),
            field(),
            serde_json::from_str(field()).expect("JSON"),
        )
    });
    rows.filter(move |(own, _, _)| *own == scope)
        .map(|(_, key, value)| (key, value))
}

fn assert_shown(shown: &Map<String, Value>, scope: &str, own: &[&str]) {
    let mut expected: BTreeSet<&str> = own.iter().copied().collect();
    for (key, value) in keys(scope) {
        let is_set = SET_BY_RIG.contains(&key);
        assert!(
            is_set || shown.get(key) == Some(&value),
            "{key}: {:?}, not {value}",
            shown.get(key)
        );
        expected.insert(key);
    }
    let names: BTreeSet<&str> = shown.keys().map(String::as_str).collect();
    assert_eq!(names, expected);
}

#[test]
fn every_key_is_shown_at_its_default_as_mediamtx_writes_it() {
    let rig = start("paths: {cam: }\n");
    let global = get(api(&rig), "/v3/config/global/get");
    assert_shown(
        global.as_object().expect("an object"),
        "global",
        &OWN_GLOBAL,
    );
    for target in ["/v3/config/pathdefaults/get", "/v3/config/paths/get/cam"] {
        let path = get(api(&rig), target);
        assert_shown(path.as_object().expect("an object"), "path", &OWN_PATH);
    }
    assert_eq!(get(api(&rig), "/v3/config/paths/get/cam")["name"], "cam");
    assert_eq!(get(api(&rig), "/v3/config/pathdefaults/get")["name"], "");
}

#[test]
fn what_was_given_is_shown_and_passwords_are_not() {
    let rig = start(
        "readTimeout: 90s\nbatchBytes: 1572864\nrtmp: no\nauthInternalUsers:\n\
         - {user: any, ips: [127.0.0.1/8, '::1'], permissions: [{action: api}]}\n\
         - {user: bob, pass: secret, permissions: [{action: read, path: ~^a}]}\n\
         - {user: 'sha256:j1tsRqDEw9xvq/D7/9tMx6Jh/jMhk3UfjwIB2f1zgMo=', permissions: []}\n\
         paths:\n  a/b: {record: yes, recordDeleteAfter: 36h, publisherGrace: 1500ms}\n",
    );
    let global = get(api(&rig), "/v3/config/global/get");
    assert_eq!(global["readTimeout"], "1m30s");
    assert_eq!(global["batchBytes"], "1.5M");
    assert_eq!(global["rtmp"], false);
    let users = serde_json::json!([
        {"user": "any", "pass": "", "ips": ["127.0.0.0/8", "::1/128"], "permissions": [{"action": "api", "path": ""}]},
        {"user": "bob", "pass": "<redacted>", "ips": [], "permissions": [{"action": "read", "path": "~^a"}]},
        {"user": "sha256:j1tsRqDEw9xvq/D7/9tMx6Jh/jMhk3UfjwIB2f1zgMo=", "pass": "", "ips": [], "permissions": []},
    ]);
    assert_eq!(global["authInternalUsers"], users);
    let path = get(api(&rig), "/v3/config/paths/get/a/b");
    assert_eq!(path["record"], true);
    assert_eq!(path["recordDeleteAfter"], "1d12h0m0s");
    assert_eq!(path["publisherGrace"], "1.5s");
}
