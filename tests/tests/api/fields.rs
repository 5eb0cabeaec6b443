//! Every route and field that MediaMTX has for what exists here, with its status and type.

use shardcast_tests::http::{self, Request};
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::scene::broadcast::{Broadcast, Tracks};
use shardcast_tests::scene::house::House;

use crate::stage::{PATH, Stage, items, start};
use crate::table::{check, rows};

/// A session that nobody has.
const NO_ID: &str = "00000000-0000-8000-8000-000000000000";

/// How a route of the table is asked for so that it answers with this status; `None` where that cannot be.
fn target_of(stage: &Stage, pattern: &str, status: u16) -> Option<String> {
    let list_of = |kind: &str| items(stage.api(), kind);
    let kind = pattern.split('/').nth(2).expect("a kind");
    let id = || list_of(kind)[0]["id"].as_str().expect("an id").to_owned();
    Some(match (status, pattern) {
        (500, _) | (400, "/v3/info") => return None,
        (200, pattern) => {
            let pattern = pattern.replace("{name}", PATH);
            match pattern.contains("{id}") {
                true => pattern.replace("{id}", &id()),
                false => pattern,
            }
        }
        (400, pattern) if pattern.ends_with("/list") => format!("{pattern}?page=-1"),
        (400, pattern) => pattern.replace("{name}", "").replace("{id}", "nonsense"),
        (404, pattern) => pattern.replace("{name}", "nobody").replace("{id}", NO_ID),
        other => panic!("the table says {other:?}"),
    })
}

#[test]
fn every_route_answers_with_the_statuses_and_types_of_the_table() {
    let stage = Stage::open(House::USUAL, "");
    for route in rows("route") {
        for answer in route.types.split(' ') {
            let (status, kind) = answer.split_once(':').expect("a status and a type");
            let status = status.parse().expect("a status");
            let Some(target) = target_of(&stage, route.name, status) else {
                continue;
            };
            let response = Request::new(route.place, &target).send(stage.api());
            let response = response.expect("the API answers");
            assert_eq!(response.status, status, "{target}: {}", response.text());
            let place = format!("{} {target}", route.place);
            check(&response.json(), kind, &place);
            let content_type = response.header("content-type");
            assert_eq!(
                content_type,
                Some("application/json; charset=utf-8"),
                "{place}"
            );
        }
    }
}

#[test]
fn a_refusal_says_what_mediamtx_says() {
    let stage = Stage::open(House::SMALL, "");
    let long = "9223372036854775808";
    let cases = [
        (
            "/v3/paths/list?page=-1",
            "strconv.ParseUint: parsing \"-1\": invalid syntax",
        ),
        (
            "/v3/rtspconns/list?itemsPerPage=0",
            "invalid items per page",
        ),
        (
            "/v3/rtspsessions/list?page=9223372036854775808",
            &format!("strconv.ParseUint: parsing \"{long}\": value out of range"),
        ),
        ("/v3/rtspsessions/get/12", "invalid UUID length: 2"),
        ("/v3/paths/get/", "invalid name"),
        ("/v3/paths/get/nobody", "path not found"),
        (
            &format!("/v3/rtspconns/get/{NO_ID}"),
            "connection not found",
        ),
        (
            &format!("/v3/rtspsessions/get/{NO_ID}"),
            "session not found",
        ),
    ];
    for (target, message) in cases {
        let response = http::get(stage.api(), target);
        assert_eq!(response.json()["error"], message, "{target}");
        assert_eq!(response.json()["status"], "error", "{target}");
    }
}

#[test]
fn what_is_not_there_answers_as_a_server_that_is_switched_off() {
    let stage = Stage::open(House::SMALL, "");
    let absent = [
        "/v3/rtspsconns/list",
        "/v3/rtspssessions/list",
        "/v3/rtmpconns/list",
        "/v3/rtmpsconns/list",
        "/v3/srtconns/list",
        "/v3/webrtcsessions/list",
        "/v3/hlsmuxers/list",
        "/v3/hlssessions/list",
        "/v3/moqsessions/list",
    ];
    for target in absent {
        let response = http::get(stage.api(), target);
        assert_eq!(response.status, 404, "{target}");
    }
}

#[test]
fn a_session_is_described_by_what_its_peer_has_said_and_had() {
    let mut stage = Stage::open(House::USUAL, "");
    let publisher = stage.session_of(stage.publisher.local_address());
    let reader = stage.reader.connection().socket().local_addr();
    let reader = stage.session_of(reader.expect("an address"));
    let udp_reader = stage.udp_reader.connection().socket().local_addr();
    let udp_reader = stage.session_of(udp_reader.expect("an address"));
    let said = |item: &serde_json::Value| {
        ["state", "transport", "profile", "path"].map(|name| item[name].clone())
    };
    assert_eq!(said(&publisher), ["publish", "TCP", "AVP", PATH]);
    assert_eq!(said(&reader), ["read", "TCP", "AVP", PATH]);
    assert_eq!(said(&udp_reader), ["read", "UDP", "AVP", PATH]);
    for item in [&publisher, &reader, &udp_reader] {
        let connection = item["conns"][0].as_str().expect("a connection");
        let connection = stage.get(&format!("/v3/rtspconns/get/{connection}"));
        assert_eq!(connection["session"], item["id"]);
        assert_eq!(connection["remoteAddr"], item["remoteAddr"]);
        assert_ne!(connection["id"], item["id"]);
        assert_eq!(connection["tunnel"], "none");
        for name in ["inboundBytes", "outboundBytes"] {
            assert!(
                connection[name].as_u64() > Some(0),
                "{name} of {connection}"
            );
        }
    }
    assert_eq!(publisher["inboundBytes"], stage.publisher.sent_bytes());
    let packets = stage.publisher.packets() + stage.publisher.units();
    assert!(publisher["inboundRTPPackets"].as_u64() >= Some(packets));
    assert_eq!(publisher["inboundRTCPPackets"], 0);
    for (item, tracks) in [(&reader, 2), (&udp_reader, 1)] {
        let reports = item["outboundRTCPPackets"].as_u64();
        assert!(reports >= Some(tracks), "a report per track: {item}");
        assert!(item["outboundRTPPackets"].as_u64() > Some(0), "{item}");
    }
}

#[test]
fn a_session_names_its_query_user_and_program() {
    let users = "authInternalUsers:\n\
                 - user: ann\n  pass: secret\n  permissions:\n  - action: read\n  - action: publish\n\
                 - user: any\n  permissions:\n  - action: publish\n  - action: api\n";
    let rig = start(House::USUAL, users);
    let publisher = Broadcast::start(rig.address(), PATH, Tracks::Video);
    let _publisher = publisher.expect("the path is free");
    let mut peer = Connection::open(rig.address()).expect("the server listens");
    let url = format!("rtsp://{}/{PATH}", rig.address());
    let headers = [
        ("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1"),
        ("User-Agent", "test/1.0"),
        ("Authorization", "Basic YW5uOnNlY3JldA=="),
    ];
    let track = format!("{url}/trackID=0?token=7");
    let granted = peer.request("SETUP", &track, &headers, b"");
    granted.expect("ann may read");
    let items = items(rig.site("API"), "rtspsessions");
    let item = items.iter().find(|item| item["state"] == "idle");
    let item = item.expect("the reader is listed");
    let said = ["state", "user", "userAgent", "query", "transport"].map(|name| item[name].clone());
    assert_eq!(said, ["idle", "ann", "test/1.0", "token=7", "TCP"]);
}
