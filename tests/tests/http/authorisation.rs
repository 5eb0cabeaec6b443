//! Who may use a site, how that is shown, and what a wrong password costs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use shardcast::RefusalReason;
use shardcast_tests::http::{Request, Response, get};
use shardcast_tests::peer::credentials::Credentials;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::ordeal::Ordeal;
use shardcast_tests::scene::rig::Rig;

use crate::wire::{Wire, head};
use crate::{SITES, TARGETS};

const BOB: Credentials<'_> = Credentials {
    user: "bob",
    pass: "s3cr3t",
};
const WRONG: Credentials<'_> = Credentials {
    user: "bob",
    pass: "wr0ng",
};

/// Everybody publishes and reads; Bob uses the sites.
const USERS: &str = "authInternalUsers:\n\
    - {user: any, permissions: [{action: publish}, {action: read}]}\n\
    - {user: bob, pass: s3cr3t, permissions: [{action: api, path: ignored}, {action: metrics}, {action: pprof}]}\n";

/// How long the answer to a failed attempt waits, as the server documents it.
const FAILURE_DELAY: Duration = Duration::from_secs(2);
/// Failures of one address that wait, as the server documents them.
const FAILURES_MAX: usize = 16;

fn ordeal(house: House, more: &str) -> Ordeal {
    Ordeal::begin(house, &format!("{SITES}{USERS}{more}"))
}

fn ask(address: SocketAddr, target: &str, authorization: &str) -> Response {
    let request = Request::new("GET", target).header("authorization", authorization);
    request.send(address).unwrap()
}

#[test]
fn this_machine_uses_every_site_without_a_word() {
    let rig = Rig::start(House::USUAL, SITES);
    for (site, target) in TARGETS {
        let status = get(rig.site(site), target).status;
        assert!(![401, 403].contains(&status), "{site}: {status}");
    }
}

#[test]
fn whoever_offers_nothing_is_asked_at_once_in_mediamtx_words() {
    let ordeal = ordeal(House::USUAL, "");
    let begin = Instant::now();
    for (site, target) in TARGETS {
        let address = ordeal.rig.site(site);
        let answers = [get(address, target), ask(address, target, "Basic Og==")];
        for answer in answers {
            assert_eq!(answer.status, 401);
            let asked = answer.header("www-authenticate");
            assert_eq!(asked, Some("Basic realm=\"mediamtx\""));
            let json = answer.header("content-type");
            assert_eq!(json, Some("application/json; charset=utf-8"), "{site}");
            let due = serde_json::json!({"status": "error", "error": "authentication error"});
            assert_eq!(answer.json(), due);
        }
        // What is there is nobody's business before that; probes are everybody's.
        assert_eq!(get(address, "/no/such/place").status, 401);
        assert_eq!(get(address, "/healthz").status, 200);
    }
    assert!(begin.elapsed() < FAILURE_DELAY, "nothing waits");
    ordeal.wait_refused(&[(RefusalReason::Unauthorized, 9)]);
    ordeal.finish();
}

#[test]
fn a_name_and_a_password_open_a_site_in_either_form() {
    let ordeal = ordeal(House::USUAL, "");
    for (site, target) in TARGETS {
        for authorization in [&BOB.basic()[..], "Bearer bob:s3cr3t"] {
            let answer = ask(ordeal.rig.site(site), target, authorization);
            assert_ne!(answer.status, 401, "{site} {authorization}");
        }
    }
    ordeal.finish();
}

#[test]
fn what_one_has_proven_on_a_connection_is_not_for_the_next() {
    let ordeal = ordeal(House::USUAL, "");
    let mut proxy = Wire::open(ordeal.rig.site("API"));
    let bob = BOB.basic();
    for _ in 0..3 {
        let answer = proxy.get("/v3/info", &[("authorization", &bob)]);
        assert_eq!(answer.status, 200);
        assert_eq!(proxy.get("/v3/info", &[]).status, 401);
    }
    drop(proxy);
    ordeal.wait_refused(&[(RefusalReason::Unauthorized, 3)]);
    ordeal.finish();
}

#[test]
fn a_failed_attempt_is_answered_late_and_nobody_else_waits() {
    for house in [House::SMALL, House::RIGID] {
        let ordeal = ordeal(house, "");
        let address = ordeal.rig.site("API");
        let begin = Instant::now();
        let mut guesser = Wire::open(address);
        guesser.send(head(
            "GET",
            "/v3/info",
            &[("authorization", &WRONG.basic())],
        ));
        assert_eq!(ask(address, "/v3/info", &BOB.basic()).status, 200);
        assert!(
            begin.elapsed() < FAILURE_DELAY,
            "it has waited with the guesser"
        );
        let answer = guesser.response();
        assert!(begin.elapsed() >= FAILURE_DELAY);
        assert_eq!(answer.status, 401);
        assert_eq!(answer.json()["error"], "authentication error");
        drop(guesser);
        ordeal.wait_refused(&[(RefusalReason::AuthenticationFailed, 1)]);
        ordeal.finish();
    }
}

#[test]
fn an_address_has_its_number_of_failures_at_a_time() {
    let ordeal = ordeal(House::USUAL, "");
    let address = ordeal.rig.site("API");
    let begin = Instant::now();
    let guess = head("GET", "/v3/info", &[("authorization", &WRONG.basic())]);
    let guesses = (0..2 * FAILURES_MAX).map(|_| {
        let mut wire = Wire::open(address);
        wire.send(&guess);
        wire
    });
    let guesses: Vec<Wire> = guesses.collect();
    ordeal.rig.wait_counters("those that do not wait", |seen| {
        let cut = seen.refusals.of(RefusalReason::TooManyFailures);
        (cut == FAILURES_MAX as u64).then_some(())
    });
    // Right or wrong, nothing of it is looked at.
    let right = ask(address, "/v3/info", &BOB.basic());
    assert!(
        begin.elapsed() < FAILURE_DELAY,
        "too slow a machine to tell"
    );
    assert_eq!(
        (right.status, right.header("retry-after")),
        (429, Some("2"))
    );
    let statuses = guesses.into_iter().map(|mut wire| wire.response().status);
    let mut statuses: Vec<u16> = statuses.collect();
    statuses.sort_unstable();
    let (failed, cut) = statuses.split_at(FAILURES_MAX);
    assert!(failed.iter().all(|status| *status == 401), "{statuses:?}");
    assert!(cut.iter().all(|status| *status == 429), "{statuses:?}");
    assert_eq!(ask(address, "/v3/info", &BOB.basic()).status, 200);
    ordeal.wait_refused(&[
        (RefusalReason::AuthenticationFailed, FAILURES_MAX as u64),
        (RefusalReason::TooManyFailures, FAILURES_MAX as u64 + 1),
    ]);
    ordeal.finish();
}

/// It takes far longer than any request may wait.
const SLOW: &str = "argon2:$argon2id$v=19$m=65536,t=60,p=1$MTIzNDU2Nzg$Ux/LWeTgJQPyfMMJo1myR64+o8rALHoPmlE1i/TR+58";

#[test]
fn a_slow_hash_is_refused_at_its_deadline_and_holds_up_nobody_else() {
    for house in [House::SMALL, House::USUAL] {
        let slow = format!(
            "- {{user: slow, pass: '{SLOW}', permissions: [{{action: api}}]}}\nreadTimeout: 1s\n"
        );
        let ordeal = ordeal(house, &slow);
        let address = ordeal.rig.site("API");
        let begin = Instant::now();
        let request = head(
            "GET",
            "/v3/info",
            &[("authorization", "Bearer slow:whatever")],
        );
        let waiting = (0..4).map(|_| {
            let mut wire = Wire::open(address);
            wire.send(&request);
            wire
        });
        let waiting: Vec<Wire> = waiting.collect();
        while begin.elapsed() < Duration::from_millis(500) {
            assert_eq!(ask(address, "/v3/info", &BOB.basic()).status, 200);
        }
        for mut wire in waiting {
            assert_eq!(wire.response().status, 503);
        }
        assert!(begin.elapsed() >= Duration::from_secs(1));
        ordeal.wait_refused(&[
            (RefusalReason::Unavailable, 4),
            (RefusalReason::HashOverdue, 4),
        ]);
        ordeal.finish();
    }
}

#[test]
fn nothing_tells_a_name_or_password() {
    let ordeal = ordeal(House::USUAL, "");
    let address = ordeal.rig.site("API");
    assert_eq!(ask(address, "/v3/info", &BOB.basic()).status, 200);
    assert_eq!(ask(address, "/v3/info", &WRONG.basic()).status, 401);
    let told = format!("{:?}", ordeal.rig.watch(Duration::from_millis(200)));
    for secret in ["s3cr3t", "wr0ng", "bob"] {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
    ordeal.finish();
}
