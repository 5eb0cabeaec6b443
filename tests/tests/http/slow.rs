//! Peers that begin and do not finish: each is ended by its deadline, and nobody waits with it.

use std::time::{Duration, Instant};

use shardcast::RefusalReason;
use shardcast_tests::http::get;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::ordeal::Ordeal;
use shardcast_tests::wait::wait_until;

use crate::SITES;
use crate::wire::Wire;

/// `readTimeout`, and how much later at most a deadline is seen: a busy machine's tests run side by side.
const READ_TIMEOUT: Duration = Duration::from_secs(1);
const SEEN_WITHIN: Duration = Duration::from_secs(4);

/// Peers of each kind.
const PEERS: usize = 20;

fn begin(house: House) -> Ordeal {
    Ordeal::begin(house, &format!("{SITES}readTimeout: 1s\n"))
}

/// Begun requests: nothing but a method, half a head, a head without its end, half a body, half a chunk.
const BEGUN: [&str; 5] = [
    "GE",
    "GET /v3/info HTTP/1.1\r\nho",
    "GET /v3/info HTTP/1.1\r\nhost: here\r\nx: y\r\n",
    "POST /v3/rtspsessions/kick/none HTTP/1.1\r\nhost: here\r\ncontent-length: 100\r\n\r\n{\"sour",
    "POST /v3/rtspsessions/kick/none HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n50\r\n{\"sour",
];

#[test]
fn whoever_begins_a_request_and_stalls_is_ended_by_the_deadline() {
    for house in [House::SMALL, House::RIGID] {
        let ordeal = begin(house);
        let address = ordeal.rig.site("API");
        let begun = Instant::now();
        let stallers: Vec<Wire> = BEGUN
            .iter()
            .cycle()
            .take(PEERS)
            .map(|bytes| {
                let mut wire = Wire::open(address);
                wire.send(bytes);
                wire
            })
            .collect();
        assert_eq!(get(address, "/v3/info").status, 200);
        assert!(
            begun.elapsed() < READ_TIMEOUT,
            "it has waited with the others"
        );
        for wire in stallers {
            let told = wire.read_to_end().expect("the deadline ends it");
            // Whoever has said what it wants is told why.
            assert!(told.is_empty() || told.starts_with(b"HTTP/1.1 408 "));
        }
        let took = begun.elapsed();
        assert!(
            (READ_TIMEOUT..READ_TIMEOUT + SEEN_WITHIN).contains(&took),
            "{took:?}"
        );
        ordeal.wait_refused(&[(RefusalReason::MessageUnfinished, PEERS as u64)]);
        ordeal.finish();
    }
}

#[test]
fn a_byte_now_and_then_is_no_excuse() {
    let ordeal = begin(House::USUAL);
    let address = ordeal.rig.site("API");
    let mut drippers: Vec<(Wire, &str)> = BEGUN
        .iter()
        .map(|bytes| (Wire::open(address), *bytes))
        .collect();
    let begun = Instant::now();
    // Ten bytes a second, for twice the time that they have.
    for step in 0..20 {
        for (wire, bytes) in &mut drippers {
            let byte = bytes.as_bytes().get(step).unwrap_or(&b'x');
            // The deadline may have passed.
            let _is_over = wire.try_send([*byte]);
        }
        wait_until(begun + Duration::from_millis(100) * step as u32);
    }
    for (wire, _) in drippers {
        assert!(wire.read_to_end().is_some(), "the deadline ends it");
    }
    let took = begun.elapsed();
    assert!(took < 2 * READ_TIMEOUT + SEEN_WITHIN, "{took:?}");
    ordeal.wait_refused(&[(RefusalReason::MessageUnfinished, BEGUN.len() as u64)]);
    ordeal.finish();
}

#[test]
fn a_body_that_drips_has_a_deadline_of_its_own() {
    let ordeal = begin(House::USUAL);
    let address = ordeal.rig.site("API");
    let mut wire = Wire::open(address);
    let begun = Instant::now();
    wire.send(
        "POST /v3/rtspsessions/kick/none HTTP/1.1\r\nhost: here\r\ncontent-length: 1000\r\n\r\n",
    );
    for step in 0..20 {
        let _is_over = wire.try_send(b" ");
        wait_until(begun + Duration::from_millis(100) * step);
    }
    let told = wire.read_to_end().expect("the deadline ends it");
    assert!(told.is_empty() || told.starts_with(b"HTTP/1.1 408 "));
    assert!(begun.elapsed() < 2 * READ_TIMEOUT + SEEN_WITHIN);
    ordeal.wait_refused(&[(RefusalReason::MessageUnfinished, 1)]);
    ordeal.finish();
}
