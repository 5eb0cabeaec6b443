//! How long and how far a request's head may be and lead: the most is taken, one more is refused.

use shardcast::RefusalReason;
use shardcast_tests::http::get;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::ordeal::Ordeal;

use crate::SITES;
use crate::wire::{Wire, head};

/// The longest head, as the server documents it.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// The longest target.
const URI_BYTES_MAX: usize = 8 << 10;

/// The status of a request with a head of so many bytes.
fn status_of_head(ordeal: &Ordeal, bytes: usize) -> u16 {
    let rest = head("GET", "/v3/info", &[("x-long", "")]).len();
    let long = "x".repeat(bytes - rest);
    let mut wire = Wire::open(ordeal.rig.site("API"));
    // It may be refused before its end.
    let _refused_early = wire.try_send(head("GET", "/v3/info", &[("x-long", &long)]));
    wire.response().status
}

#[test]
fn a_head_at_the_longest_is_taken_and_one_byte_more_is_431() {
    let ordeal = Ordeal::begin(House::USUAL, SITES);
    assert_eq!(status_of_head(&ordeal, HEAD_BYTES_MAX), 200);
    assert_eq!(status_of_head(&ordeal, HEAD_BYTES_MAX + 1), 431);
    assert_eq!(status_of_head(&ordeal, 64 << 10), 431);
    let crowd = "x: y\r\n".repeat(2000);
    let mut wire = Wire::open(ordeal.rig.site("API"));
    wire.send(format!(
        "GET /v3/info HTTP/1.1\r\nhost: here\r\n{crowd}\r\n"
    ));
    assert_eq!(wire.response().status, 431);
    drop(wire);
    ordeal.wait_refused(&[(RefusalReason::HeadTooLarge, 3)]);
    ordeal.finish();
}

#[test]
fn a_target_at_the_longest_is_looked_for_and_one_byte_more_is_414() {
    let ordeal = Ordeal::begin(House::USUAL, SITES);
    let api = ordeal.rig.site("API");
    let target = |bytes: usize| format!("/{}", "x".repeat(bytes - 1));
    assert_eq!(get(api, &target(URI_BYTES_MAX)).status, 404);
    assert_eq!(get(api, &target(URI_BYTES_MAX + 1)).status, 414);
    ordeal.wait_refused(&[(RefusalReason::UriTooLong, 1), (RefusalReason::NotFound, 1)]);
    ordeal.finish();
}

#[test]
fn a_path_leads_nowhere_but_along_its_route() {
    let ordeal = Ordeal::begin(House::USUAL, SITES);
    let api = ordeal.rig.site("API");
    for target in [
        "/..",
        "/../../etc/passwd",
        "/v3/../../etc/passwd",
        "/%2e%2e%2fetc%2fpasswd",
        "/v3/%2e%2e/info",
        "/..%5c..%5cwindows",
        "/.%00./info",
        "//evil.example/",
        "//evil.example/%2e%2e",
        "/\\evil.example/",
        "/<script>alert(1)</script>",
        "/%3Cscript%3Ealert(1)%3C/script%3E",
        "/v3/paths/get/..%2f..%2fetc%2fpasswd",
        "/v3/paths/get/%3Cscript%3E",
        "/v3/paths/get/..%5c",
        "/v3/rtspconns/get/%2e%2e",
        "http://evil.example/v3/nothing",
    ] {
        let answer = get(api, target);
        assert!(
            [400, 404].contains(&answer.status),
            "{target}: {}",
            answer.status
        );
        assert_eq!(answer.header("location"), None, "{target}");
        let json = answer.header("content-type").unwrap_or_default();
        let is_escaped = answer.body.is_empty() || json.starts_with("application/json");
        assert!(is_escaped, "{target}: {json}");
        assert!(!answer.text().contains("root:"), "{target}");
    }
    let refused = ordeal.refused();
    let known = [
        RefusalReason::BadRequest,
        RefusalReason::NotFound,
        RefusalReason::MalformedMessage,
    ];
    assert!(
        refused.iter().all(|(reason, _)| known.contains(reason)),
        "{refused:?}"
    );
    ordeal.finish();
}

#[test]
fn pages_that_cannot_be_are_refused() {
    let ordeal = Ordeal::begin(House::USUAL, SITES);
    let api = ordeal.rig.site("API");
    for list in [
        "/v3/paths/list",
        "/v3/rtspconns/list",
        "/v3/rtspsessions/list",
    ] {
        for query in [
            "page=-1",
            "page=9223372036854775808",
            "page=18446744073709551616",
            "page=1e3",
            "page=x",
            "itemsPerPage=0",
            "itemsPerPage=-1",
            "itemsPerPage=9223372036854775808",
            "itemsPerPage=%00",
        ] {
            let answer = get(api, &format!("{list}?{query}"));
            assert_eq!(answer.status, 400, "{list}?{query}");
            assert_eq!(answer.json()["status"], "error", "{list}?{query}");
        }
        // Far behind the last is nothing, and no overflow.
        let answer = get(
            api,
            &format!("{list}?page=2147483647&itemsPerPage=2147483647"),
        );
        assert_eq!(answer.json()["items"], serde_json::json!([]), "{list}");
    }
    ordeal.finish();
}
