//! Pages of other origins: what their browsers are told, and what such a page cannot change.

use shardcast::RefusalReason;
use shardcast_tests::http::{Request, Response};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::ordeal::Ordeal;
use shardcast_tests::scene::rig::Rig;

use crate::{SITES, TARGETS};

const EVIL: &str = "http://evil.example";
const ADD: &str = "/v3/config/paths/add/planted";

/// What a form can send.
const SIMPLE: [&str; 3] = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
];

fn send(rig: &Rig, request: &Request) -> Response {
    request.send(rig.site("API")).unwrap()
}

fn post(kind: &str) -> Request {
    let request = Request::new("POST", ADD).header("content-type", kind);
    request.body(r#"{"source": "publisher"}"#)
}

fn is_planted(rig: &Rig) -> bool {
    let request = Request::new("GET", "/v3/config/paths/get/planted");
    send(rig, &request).status == 200
}

#[test]
fn every_answer_says_which_pages_may_read_it() {
    let rig = Rig::start(House::USUAL, SITES);
    for (site, target) in TARGETS {
        for target in [target, "/no/such/place", "/healthz"] {
            let request = Request::new("GET", target).header("origin", EVIL);
            let answer = request.send(rig.site(site)).unwrap();
            let told = answer.header("access-control-allow-origin");
            assert_eq!(told, Some("*"), "{site} {target}");
            assert_eq!(answer.header("access-control-allow-credentials"), None);
        }
    }
    let narrow = "apiAllowOrigins: ['http://*.example.org']\n";
    let rig = Rig::start(House::USUAL, &format!("{SITES}{narrow}"));
    for (origin, due) in [
        (EVIL, None),
        ("http://a.example.org", Some("http://a.example.org")),
    ] {
        let request = Request::new("GET", "/v3/info").header("origin", origin);
        let answer = send(&rig, &request);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), due);
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
}

#[test]
fn a_browser_that_asks_is_answered_whoever_it_is() {
    let users = "authInternalUsers:\n\
        - {user: bob, pass: s3cr3t, permissions: [{action: api}]}\n";
    let rig = Rig::start(House::USUAL, &format!("{SITES}{users}"));
    let request = Request::new("OPTIONS", "/v3/info")
        .header("origin", EVIL)
        .header("access-control-request-method", "GET");
    let answer = send(&rig, &request);
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    let told = |name: &str| answer.header(name).unwrap_or_default().to_owned();
    assert_eq!(told("access-control-allow-origin"), "*");
    assert!(told("access-control-allow-methods").contains("GET"));
    let headers = told("access-control-allow-headers");
    assert!(
        headers.starts_with("Authorization, Content-Type"),
        "{headers}"
    );
}

#[test]
fn a_form_of_a_foreign_page_changes_nothing() {
    let ordeal = Ordeal::begin(House::USUAL, SITES);
    for kind in SIMPLE {
        for origin in [EVIL, "null"] {
            let answer = send(&ordeal.rig, &post(kind).header("origin", origin));
            assert_eq!(answer.status, 415, "{kind} {origin}");
        }
        let answer = send(
            &ordeal.rig,
            &post(kind).header("sec-fetch-site", "cross-site"),
        );
        assert_eq!(answer.status, 415, "{kind}");
    }
    assert!(!is_planted(&ordeal.rig));
    let refused = ordeal.rig.snapshot().refusals;
    assert_eq!(refused.of(RefusalReason::UnsupportedMediaType), 9);
    ordeal.finish();
}

#[test]
fn a_page_that_is_not_listed_changes_nothing_whatever_it_sends() {
    let narrow = "apiAllowOrigins: ['http://good.example']\n";
    let ordeal = Ordeal::begin(House::USUAL, &format!("{SITES}{narrow}"));
    for kind in SIMPLE.iter().chain(&["application/json"]) {
        let answer = send(&ordeal.rig, &post(kind).header("origin", EVIL));
        assert_eq!(answer.status, 403, "{kind}");
    }
    // A name that was made to point here: to its browser, the page is ours.
    let host = format!("evil.example:{}", ordeal.rig.site("API").port());
    let rebound = Request::new("PATCH", "/v3/config/global/patch")
        .header("origin", &format!("http://{host}"))
        .header("content-type", "application/json")
        .body("{}");
    assert_eq!(send(&ordeal.rig, &rebound).status, 403);
    assert!(!is_planted(&ordeal.rig));
    let refused = ordeal.rig.snapshot().refusals;
    assert_eq!(refused.of(RefusalReason::Forbidden), 5);
    ordeal.finish();
}

#[test]
fn a_script_calls_its_body_what_it_likes() {
    let rig = Rig::start(House::USUAL, SITES);
    for kind in SIMPLE {
        // As curl does.
        let status = send(&rig, &post(kind)).status;
        assert!(![403, 415].contains(&status), "{kind}: {status}");
    }
}
