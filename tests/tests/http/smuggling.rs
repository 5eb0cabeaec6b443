//! Requests whose end two readers could see in two places: each is refused, or has one end, and what is hidden in it is
//! never answered.

use shardcast_tests::scene::house::House;
use shardcast_tests::scene::ordeal::Ordeal;

use crate::SITES;
use crate::wire::Wire;

/// What is hidden; it would be answered with 404, as nothing else is.
const HIDDEN: &str = "GET /v3/smuggled HTTP/1.1\r\nhost: here\r\n\r\n";

/// What comes last, if the connection lives so long.
const LAST: &str = "GET /healthz HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";

fn begin() -> Ordeal {
    Ordeal::begin(House::USUAL, &format!("{SITES}readTimeout: 2s\n"))
}

/// The statuses of everything that is answered to these bytes and to the last request.
fn statuses(ordeal: &Ordeal, bytes: &str) -> Vec<u16> {
    let mut wire = Wire::open(ordeal.rig.site("API"));
    // It may be refused before its end.
    let _refused_early = wire.try_send(format!("{bytes}{LAST}"));
    let answered = wire.read_to_end().expect("it ends");
    let answered = String::from_utf8_lossy(&answered);
    let answers = answered.split("HTTP/1.1 ").skip(1);
    answers
        .filter_map(|answer| answer.split(' ').next()?.parse().ok())
        .collect()
}

fn post(headers: &str, body: &str) -> String {
    format!("POST /healthz HTTP/1.1\r\nhost: here\r\n{headers}\r\n{body}")
}

/// Heads that say nothing, or two things, of where their body ends; what is hidden follows.
const UNCLEAR_LENGTHS: [&str; 16] = [
    "content-length: 0\r\ncontent-length: LENGTH\r\n",
    "content-length: LENGTH\r\ncontent-length: 0\r\n",
    "content-length: 0, LENGTH\r\n",
    "content-length: +LENGTH\r\n",
    "content-length: -1\r\n",
    "content-length: 0x0\r\n",
    "content-length: 0 0\r\n",
    "content-length: 18446744073709551616\r\n",
    "content-length : 0\r\n",
    "content length: 0\r\n",
    "content-length: 0\0\r\n",
    ": 0\r\n",
    "x: y\r\n content-length: LENGTH\r\n",
    "x: y\rcontent-length: 0\r\n",
    "transfer-encoding: identity\r\n",
    "host: other\r\n",
];

/// Codings that nobody knows, or that do not end in chunks; a last chunk and what is hidden follow.
const UNCLEAR_CODINGS: [&str; 6] = [
    "transfer-encoding: xchunked\r\n",
    "transfer-encoding: chunked, identity\r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding: x\r\n",
    "transfer-encoding : chunked\r\n",
    "transfer-encoding:\r\n chunked\r\n",
    "transfer-encoding: \"chunked\"\r\n",
];

/// What is no chunk; what is hidden follows.
const UNCLEAR_CHUNKS: [&str; 5] = [
    "10000000000000000\r\n",
    "\r\n",
    "-1\r\n",
    "0x0\r\n\r\n",
    "1\r\nxy\r\n0\r\n\r\n",
];

#[test]
fn a_message_with_two_ends_is_refused_and_nothing_behind_it_is_answered() {
    let ordeal = begin();
    let length = HIDDEN.len().to_string();
    let lengths = UNCLEAR_LENGTHS.map(|headers| post(&headers.replace("LENGTH", &length), HIDDEN));
    let last = format!("0\r\n\r\n{HIDDEN}");
    let codings = UNCLEAR_CODINGS.map(|headers| post(headers, &last));
    let without_host = format!("GET /v3/info HTTP/1.1\r\n\r\n{HIDDEN}");
    for request in lengths.iter().chain(&codings).chain([&without_host]) {
        let answered = statuses(&ordeal, request);
        assert!(
            matches!(answered[..], [] | [400]),
            "{request:?}: {answered:?}"
        );
    }
    for chunks in UNCLEAR_CHUNKS {
        let body = format!("{chunks}{HIDDEN}");
        let answered = statuses(&ordeal, &post("transfer-encoding: chunked\r\n", &body));
        // The head is clear, and may be answered before the body is looked at.
        assert!(
            matches!(answered[..], [] | [400 | 405]),
            "{chunks:?}: {answered:?}"
        );
    }
    ordeal.finish();
}

#[test]
fn a_message_that_could_be_read_in_two_ways_ends_its_connection() {
    let ordeal = begin();
    let length = HIDDEN.len();
    let chunked = format!("0\r\n\r\n{HIDDEN}");
    let both =
        |length: usize| format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n");
    for (what, request) in [
        // The length ends before the body's chunks do, or behind them.
        ("CL.TE", post(&both(5 + length), &chunked)),
        (
            "TE.CL",
            post(&both(4), &format!("{length:x}\r\n{HIDDEN}\r\n0\r\n\r\n")),
        ),
        (
            "TE.TE",
            post(
                "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
                &chunked,
            ),
        ),
        (
            "capital letters",
            post("Transfer-Encoding: CHUNKED\r\n", &chunked),
        ),
        ("a tab", post("transfer-encoding:\tchunked\r\n", &chunked)),
        (
            "an extension",
            post(
                "transfer-encoding: chunked\r\n",
                &format!("0;x={length}\r\n\r\n{HIDDEN}"),
            ),
        ),
        (
            "trailers",
            post(
                "transfer-encoding: chunked\r\n",
                &format!("0\r\ncontent-length: {length}\r\n\r\n{HIDDEN}"),
            ),
        ),
    ] {
        let answered = statuses(&ordeal, &request);
        assert!(answered.len() <= 1, "{what}: {answered:?}");
    }
    ordeal.finish();
}

#[test]
fn a_body_is_never_taken_for_the_next_request() {
    let ordeal = begin();
    let length = HIDDEN.len();
    for request in [
        post(&format!("content-length: {length}\r\n"), HIDDEN),
        // Twice the same is the same (RFC 9110, section 8.6), or refused.
        post(
            &format!("content-length: {length}\r\ncontent-length: {length}\r\n"),
            HIDDEN,
        ),
        // A GET has a body like anybody else.
        format!("GET /v3/info HTTP/1.1\r\nhost: here\r\ncontent-length: {length}\r\n\r\n{HIDDEN}"),
        format!("GET /healthz HTTP/1.1\r\nhost: here\r\ncontent-length: {length}\r\n\r\n{HIDDEN}"),
        format!(
            "OPTIONS /v3/info HTTP/1.1\r\nhost: here\r\ncontent-length: {length}\r\n\r\n{HIDDEN}"
        ),
        format!(
            "DELETE /healthz HTTP/1.1\r\nhost: here\r\ncontent-length: {length}\r\n\r\n{HIDDEN}"
        ),
    ] {
        let answered = statuses(&ordeal, &request);
        let is_one = matches!(answered[..], [first] | [first, 200] if first != 404);
        assert!(is_one, "{request}: {answered:?}");
    }
    ordeal.finish();
}

#[test]
fn requests_behind_each_other_are_answered_one_by_one_in_order() {
    let ordeal = begin();
    let info = "GET /v3/info HTTP/1.1\r\nhost: here\r\n\r\n";
    let lost = "GET /no/such/place HTTP/1.1\r\nhost: here\r\n\r\n";
    let answered = statuses(&ordeal, &format!("{info}{lost}{info}{lost}"));
    assert_eq!(answered, [200, 404, 200, 404, 200]);
    // Lines that end in a line feed alone have one reading.
    let answered = statuses(&ordeal, &format!("{info}{lost}").replace('\r', ""));
    assert_eq!(answered, [200, 404, 200]);
    ordeal.finish();
}
