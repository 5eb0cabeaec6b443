//! How sites are served over HTTP/1.1: bodies up to their last byte, methods, and the end of the server.

use std::time::Duration;

use shardcast::event::Event;
use shardcast::{Exit, RefusalReason};
use shardcast_config::BODY_BYTES_MAX;
use shardcast_tests::http::Response;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::ordeal::Ordeal;
use shardcast_tests::scene::rig::Rig;

use crate::SITES;
use crate::frames::{GOAWAY, Peer};
use crate::wire::{Wire, head};

/// A route that takes bodies.
const WITH_BODY: &str = "/v3/config/global/patch";

fn rig(more: &str) -> Rig {
    Rig::start(House::USUAL, &format!("{SITES}{more}"))
}

fn patch(body_bytes: usize, more: &[(&str, &str)]) -> String {
    let length = body_bytes.to_string();
    let headers = [&[("content-length", length.as_str())], more].concat();
    head("PATCH", WITH_BODY, &headers)
}

fn says_close(response: &Response) -> bool {
    response.header("connection") == Some("close")
}

#[test]
fn a_body_over_its_maximum_is_refused_by_its_declared_length_or_by_its_bytes() {
    let ordeal = Ordeal::begin(House::USUAL, SITES);
    let mut wire = Wire::open(ordeal.rig.site("API"));
    // At the maximum it is read, and then it is no JSON.
    wire.send(patch(BODY_BYTES_MAX, &[]));
    wire.send(vec![b'x'; BODY_BYTES_MAX]);
    assert_eq!(wire.response().status, 400);
    // Nothing of it has to come.
    wire = Wire::open(ordeal.rig.site("API"));
    wire.send(patch(BODY_BYTES_MAX + 1, &[]));
    let refused = wire.response();
    assert_eq!((refused.status, says_close(&refused)), (413, true));
    // Of a length that is not known, it has to.
    wire = Wire::open(ordeal.rig.site("API"));
    wire.send(head(
        "PATCH",
        WITH_BODY,
        &[("transfer-encoding", "chunked")],
    ));
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 18, "x".repeat(1 << 18));
    for _ in 0..=BODY_BYTES_MAX >> 18 {
        let _refused_early = wire.try_send(&chunk);
    }
    assert_eq!(wire.response().status, 413);
    drop(wire);
    ordeal.wait_refused(&[(RefusalReason::BodyTooLarge, 2)]);
    ordeal.finish();
}

#[test]
fn who_expects_to_be_told_to_go_on_is_told_only_if_the_body_is_wanted() {
    let rig = rig("");
    let expecting = [("expect", "100-continue")];
    let mut wire = Wire::open(rig.site("API"));
    wire.send(patch(2, &expecting));
    wire.wait_to_go_on();
    wire.send("{}");
    assert_eq!(wire.response().status, 200);
    wire.send(patch(BODY_BYTES_MAX + 1, &expecting));
    assert_eq!(wire.response().status, 413);
}

#[test]
fn head_is_get_without_the_body_and_other_methods_are_named() {
    let rig = rig("");
    let mut wire = Wire::open(rig.site("API"));
    wire.send(head("HEAD", "/healthz", &[]));
    let told = wire.response_to("HEAD");
    let whole = wire.get("/healthz", &[]);
    assert_eq!((told.status, told.body.len()), (200, 0));
    assert_eq!(
        told.header("content-length"),
        whole.header("content-length")
    );
    wire.send(head("DELETE", "/healthz", &[]));
    let refused = wire.response();
    assert_eq!(refused.status, 405);
    assert_eq!(refused.header("allow"), Some("OPTIONS, GET, HEAD"));
    assert_eq!(wire.get("http://here/healthz", &[]).status, 200);
    assert_eq!(wire.get("/%00", &[]).status, 400);
}

#[test]
fn at_the_end_idle_connections_close_and_what_is_under_way_is_finished() {
    let rig = rig("");
    let mut idle = Wire::open(rig.site("API"));
    assert_eq!(idle.get("/healthz", &[]).status, 200);
    let mut endless = Wire::open(rig.site("API"));
    endless.send(head("GET", "/v3/events", &[]));
    let mut busy = Wire::open(rig.site("API"));
    busy.send(patch(2, &[("expect", "100-continue")]));
    // It is being read from here on.
    busy.wait_to_go_on();
    rig.shutdown();
    assert_eq!(idle.read_to_end().as_deref(), Some(&b""[..]));
    let events = endless.response();
    assert_eq!(events.status, 200);
    busy.send("{}");
    let last = busy.response();
    assert_eq!((last.status, says_close(&last)), (200, true));
    assert_eq!(busy.read_to_end().as_deref(), Some(&b""[..]));
    drop(endless);
    assert_eq!(rig.shut_down(), Some(Exit::Clean));
}

#[test]
fn a_draining_server_tells_http2_and_goes_when_nothing_is_under_way() {
    let rig = rig("");
    let mut peer = Peer::open(rig.site("API"), &[]);
    peer.get(1, "/healthz");
    assert_eq!(peer.answer(1), Some(Ok(200)));
    rig.shutdown();
    let told = peer.find(|frame| frame.kind == GOAWAY).expect("a word");
    assert_eq!(told.error_code(), Some(0));
    drop(peer);
    assert_eq!(rig.shut_down(), Some(Exit::Clean));
}

#[test]
fn a_response_without_end_outlives_the_time_for_requests() {
    let rig = rig("readTimeout: 1s\n");
    let mut wire = Wire::open(rig.site("API"));
    wire.send(head("GET", "/v3/events", &[]));
    let peer = wire.local_address();
    let closed = rig.watch(Duration::from_secs(3)).into_iter().any(|event| {
        matches!(event, Event::ConnectionClosed { peer: of, .. } if of.port() == peer.port())
    });
    assert!(!closed);
}
