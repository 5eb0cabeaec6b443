//! HTTP/2: floods of streams, headers, settings and pings, peers that take nothing, and messages that are none.

use std::time::{Duration, Instant};

use shardcast::RefusalReason;
use shardcast_tests::http::get;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::ordeal::Ordeal;

use crate::SITES;
use crate::frames::{
    ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS,
    PING, Peer, REFUSED_STREAM, RST_STREAM, SETTINGS, block, bytes, head,
};

/// What a flood may be at most: the server has had enough long before.
const FLOOD: u32 = 50_000;

/// A whole head without a body.
const WHOLE: u8 = END_STREAM | END_HEADERS;

/// Streams of one connection at once, as the server documents them.
const STREAMS_MAX: u32 = 100;

/// `SETTINGS_INITIAL_WINDOW_SIZE`.
const WINDOW: u16 = 4;

/// Timeouts that a test can wait for.
const QUICK: &str = "readTimeout: 1s\nwriteTimeout: 1s\n";

fn begin(house: House) -> Ordeal {
    Ordeal::begin(house, &format!("{SITES}{QUICK}"))
}

/// Odd, as a peer's are.
fn stream(number: u32) -> u32 {
    2 * number + 1
}

/// Sends until the other side has had enough; how often that was.
fn flood(peer: &mut Peer, frames: impl Fn(u32) -> Vec<u8>) -> u32 {
    let is_over = |number: &u32| peer.send_all(&frames(*number)).is_err();
    (0..FLOOD).find(is_over).unwrap_or(FLOOD)
}

#[test]
fn many_requests_share_a_connection() {
    for house in House::ALL {
        let ordeal = begin(house);
        let mut peer = Peer::open(ordeal.rig.site("API"), &[]);
        (0..50).for_each(|number| peer.get(stream(number), "/v3/info"));
        let mut answered: Vec<u32> = Vec::new();
        while answered.len() < 50 {
            let frame = peer.find(|frame| frame.kind == HEADERS).unwrap();
            assert_eq!(frame.status(), Some(200));
            assert!(frame.flags & END_HEADERS != 0);
            answered.push(frame.stream);
        }
        answered.sort_unstable();
        assert_eq!(answered, (0..50).map(stream).collect::<Vec<_>>());
        drop(peer);
        ordeal.finish();
    }
}

/// The connection has ended, with the reason that a flood has.
fn assert_told(mut peer: Peer) {
    let told = peer.find(|frame| frame.kind == GOAWAY);
    let code = told.and_then(|frame| frame.error_code());
    // What it was told may be lost by the reset that answers what it sends on.
    let is_right = code.is_none_or(|code| code == ENHANCE_YOUR_CALM);
    assert!(is_right, "{code:?}");
}

#[test]
fn streams_that_are_reset_at_once_end_their_connection() {
    let ordeal = begin(House::USUAL);
    let request = head("GET", "/v3/info", &[]);
    let mut peer = Peer::open(ordeal.rig.site("API"), &[]);
    flood(&mut peer, |number| {
        let opened = bytes(HEADERS, WHOLE, stream(number), &request);
        let reset = bytes(RST_STREAM, 0, stream(number), &CANCEL.to_be_bytes());
        [opened, reset].concat()
    });
    assert_eq!(get(ordeal.rig.site("API"), "/v3/info").status, 200);
    assert_told(peer);
    ordeal.wait_refused(&[(RefusalReason::Http2Flood, 1)]);
    ordeal.finish();
}

#[test]
fn headers_that_go_on_without_end_end_their_connection() {
    let ordeal = begin(House::USUAL);
    let begun = head("GET", "/v3/info", &[]);
    let more = block(&[("x", &"y".repeat(1000))]);
    // Without any payload it could go on for ever.
    for payload in [&more[..], b""] {
        let mut peer = Peer::open(ordeal.rig.site("API"), &[]);
        peer.send(HEADERS, END_STREAM, 1, &begun).unwrap();
        flood(&mut peer, |_| bytes(CONTINUATION, 0, 1, payload));
        assert_eq!(get(ordeal.rig.site("API"), "/v3/info").status, 200);
        assert_told(peer);
    }
    ordeal.wait_refused(&[(RefusalReason::Http2Flood, 2)]);
    ordeal.finish();
}

#[test]
fn questions_whose_answers_nobody_reads_end_their_connection() {
    let ordeal = begin(House::USUAL);
    let settings = [0, 4, 0, 0, 0, 9];
    for frame in [
        bytes(PING, 0, 0, b"12345678"),
        bytes(SETTINGS, 0, 0, &settings),
    ] {
        let mut peer = Peer::open(ordeal.rig.site("API"), &[]);
        let frames = frame.repeat(100);
        let sent = flood(&mut peer, |_| frames.clone());
        assert!(sent < FLOOD, "everything is taken");
        assert_eq!(get(ordeal.rig.site("API"), "/v3/info").status, 200);
    }
    ordeal.wait_refused(&[(RefusalReason::WriteStuck, 2)]);
    ordeal.finish();
}

#[test]
fn questions_whose_answers_are_read_hold_up_nobody() {
    let ordeal = begin(House::SMALL);
    let mut peer = Peer::open(ordeal.rig.site("API"), &[]);
    let units = ordeal.bystander.units();
    for _ in 0..200 {
        peer.send_all(&bytes(PING, 0, 0, b"12345678").repeat(100))
            .unwrap();
        for _ in 0..100 {
            let is_answer = |frame: &crate::frames::Frame| frame.kind == PING && frame.flags == ACK;
            assert!(peer.find(is_answer).is_some());
        }
    }
    assert_eq!(get(ordeal.rig.site("API"), "/v3/info").status, 200);
    ordeal.wait_units(units + 5);
    drop(peer);
    ordeal.finish();
}

#[test]
fn a_peer_without_a_window_has_its_streams_for_a_while_and_then_none() {
    let ordeal = begin(House::USUAL);
    let mut peer = Peer::open(ordeal.rig.site("API"), &[(WINDOW, 0)]);
    // One more than it may have at once.
    (0..=STREAMS_MAX).for_each(|number| peer.get(stream(number), "/v3/info"));
    let refused = peer.find(|frame| frame.kind == RST_STREAM).unwrap();
    assert_eq!(refused.stream, stream(STREAMS_MAX));
    assert_eq!(refused.error_code(), Some(REFUSED_STREAM));
    let begun = Instant::now();
    // Nothing of a body comes; it ends by the time that a write has.
    assert!(peer.find(|frame| frame.kind == DATA).is_none());
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
    drop(peer);
    ordeal.wait_refused(&[(RefusalReason::WriteStuck, 1)]);
    ordeal.finish();
}

#[test]
fn a_head_that_is_too_long_is_refused_and_its_connection_goes_on() {
    let ordeal = begin(House::USUAL);
    let mut peer = Peer::open(ordeal.rig.site("API"), &[]);
    let request = head("GET", "/v3/info", &[("x", &"y".repeat(16 << 10))]);
    let (first, rest) = request.split_at(16 << 10);
    peer.send(HEADERS, END_STREAM, 1, first).unwrap();
    peer.send(CONTINUATION, END_HEADERS, 1, rest).unwrap();
    assert_eq!(peer.answer(1), Some(Ok(431)));
    peer.get(3, "/v3/info");
    assert_eq!(peer.answer(3), Some(Ok(200)));
    drop(peer);
    ordeal.finish();
}

/// Messages that are none (RFC 9113, section 8), or that would be two when they were passed on.
const MALFORMED: [&[(&str, &str)]; 12] = [
    &[(":method", "GET"), (":scheme", "http")],
    &[(":scheme", "http"), (":path", "/v3/info")],
    &[(":method", "GET"), (":scheme", "http"), (":path", "")],
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":path", "/v3/info"),
    ],
    &[
        (":method", "GET"),
        ("x", "y"),
        (":scheme", "http"),
        (":path", "/v3/info"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/v3/info"),
        (":status", "200"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/v3/info"),
        ("X-Upper", "y"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/v3/info"),
        ("x y", "z"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/v3/info"),
        ("x", "y\r\nz: 1"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/v3/info"),
        ("connection", "close"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/v3/info"),
        ("transfer-encoding", "chunked"),
    ],
    &[
        (":method", "GET /smuggled HTTP/1.1\r\n"),
        (":scheme", "http"),
        (":path", "/v3/info"),
    ],
];

#[test]
fn what_is_no_message_is_never_answered_as_one() {
    let ordeal = begin(House::USUAL);
    for headers in MALFORMED {
        let mut peer = Peer::open(ordeal.rig.site("API"), &[]);
        peer.send(HEADERS, WHOLE, 1, &block(headers)).unwrap();
        let answer = peer.answer(1);
        let is_refused = answer.is_none_or(|answer| !matches!(answer, Ok(200..=299)));
        assert!(is_refused, "{headers:?}: {answer:?}");
    }
    // Less or more of a body than was said.
    for length in ["1", "3"] {
        let mut peer = Peer::open(ordeal.rig.site("API"), &[]);
        let request = head("GET", "/v3/info", &[("content-length", length)]);
        peer.send(HEADERS, END_HEADERS, 1, &request).unwrap();
        peer.send(DATA, END_STREAM, 1, b"ab").unwrap();
        let answer = peer.answer(1);
        assert!(!matches!(answer, Some(Ok(200))), "{length}: {answer:?}");
    }
    assert_eq!(get(ordeal.rig.site("API"), "/v3/info").status, 200);
    ordeal.finish();
}
