//! Who asks, where proxies stand between: only trusted ones are believed, and only as far as that goes.

use shardcast_tests::http::Request;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::rig::Rig;

use crate::SITES;

/// The status of a request with this header.
fn status(rig: &Rig, name: &str, value: &str) -> u16 {
    let request = Request::new("GET", "/v3/info").header(name, value);
    request.send(rig.site("API")).unwrap().status
}

#[test]
fn a_header_of_a_stranger_changes_nothing() {
    let rig = Rig::start(House::USUAL, SITES);
    for value in ["192.0.2.1", "rubbish", "::1"] {
        assert_eq!(status(&rig, "x-forwarded-for", value), 200, "{value}");
    }
    // From elsewhere it would not open anything either.
    let elsewhere = "authInternalUsers:\n\
        - {user: any, ips: [192.0.2.0/24], permissions: [{action: api}]}\n";
    let rig = Rig::start(House::USUAL, &format!("{SITES}{elsewhere}"));
    assert_eq!(status(&rig, "x-forwarded-for", "192.0.2.1"), 401);
}

#[test]
fn a_trusted_proxy_says_whom_it_asks_for_and_lends_nobody_its_own_address() {
    let trusting = "apiTrustedProxies: [127.0.0.1, 10.0.0.0/8]\n";
    let rig = Rig::start(House::USUAL, &format!("{SITES}{trusting}"));
    for (value, due) in [
        ("127.0.0.1", 200),
        ("::1", 200),
        ("192.0.2.1", 401),
        ("127.0.0.1, 192.0.2.1", 401),
        ("127.0.0.1, 192.0.2.1, 10.1.2.3", 401),
        ("rubbish, ::1", 200),
        ("::1, rubbish", 401),
        ("unknown", 401),
        ("", 401),
    ] {
        assert_eq!(status(&rig, "x-forwarded-for", value), due, "{value}");
        assert_eq!(status(&rig, "x-real-ip", value), due, "{value}");
    }
    // What it asks for itself.
    assert_eq!(status(&rig, "x-other", "192.0.2.1"), 200);
}

#[test]
fn failures_behind_a_proxy_are_their_own_addresses() {
    let users = "authInternalUsers:\n\
        - {user: bob, pass: s3cr3t, permissions: [{action: api}]}\n\
        apiTrustedProxies: [127.0.0.1]\n";
    let rig = Rig::start(House::USUAL, &format!("{SITES}{users}"));
    let address = rig.site("API");
    let ask = move |from: &str, pass: &str| {
        let request = Request::new("GET", "/v3/info")
            .header("x-forwarded-for", from)
            .header("authorization", &format!("Bearer bob:{pass}"));
        request.send(address).unwrap().status
    };
    // More at once than one address may have.
    let guesses: Vec<_> = (0..24)
        .map(|_| std::thread::spawn(move || ask("192.0.2.1", "wr0ng")))
        .collect();
    let cut = guesses.into_iter().map(|guess| guess.join().unwrap());
    let cut = cut.filter(|status| *status == 429).count();
    assert_eq!(cut, 24 - 16);
    assert_eq!(ask("192.0.2.2", "s3cr3t"), 200);
}
