//! `/healthz` and `/readyz`, as probes ask for them.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use shardcast_tests::http::{self, Request, Response};
use shardcast_tests::scene::PATIENCE;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::rig::Rig;
use shardcast_tests::scene::saboteur::Saboteur;
use shardcast_tests::wait::poll_until;

const SITES: &str = "api: yes\napiAddress: 127.0.0.1:0\nmetrics: yes\nmetricsAddress: 127.0.0.1:0\n\
    authInternalUsers:\n- user: admin\n  pass: secret\n  permissions:\n  - action: api\n";

/// As a probe gives up.
const PROBE_LIMIT: Duration = Duration::from_millis(500);

/// What a probe sees; `None` when it is not answered.
fn probe(address: SocketAddr, target: &str) -> Option<Response> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PROBE_LIMIT)).ok()?;
    let request = format!("GET {target} HTTP/1.1\r\nhost: probe\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    http::read_response(BufReader::new(stream), "GET").ok()
}

#[test]
fn a_server_that_is_well_says_so_to_anybody_on_every_site() {
    let rig = Rig::start(House::USUAL, SITES);
    for site in ["API", "metrics"] {
        for target in ["/healthz", "/readyz"] {
            let answer = http::get(rig.site(site), target);
            assert_eq!(answer.status, 200, "{target}: {}", answer.text());
            assert_eq!(answer.json()["status"], "ok");
            assert_eq!(answer.json()["checks"]["shards"], "ok");
            let head = Request::new("HEAD", target).send(rig.site(site));
            let head = head.expect("an answer");
            assert_eq!((head.status, head.body.len()), (200, 0));
        }
    }
}

#[test]
fn a_shard_that_is_stuck_is_named_by_another() {
    let saboteur = Saboteur::default();
    let house = House::USUAL.configuration();
    let rig = Rig::start_with(&house, SITES, Some(saboteur.companion()));
    let held = saboteur.hold(1);
    for target in ["/healthz", "/readyz"] {
        let sick = poll_until(PATIENCE, || {
            probe(rig.site("API"), target).filter(|answer| answer.status == 503)
        });
        let sick = sick.expect("the other shard answers some probe").json();
        assert_eq!(sick["status"], "error");
        assert_eq!(sick["checks"]["shards"], "silent: 1");
    }
    drop(held);
    let well = poll_until(PATIENCE, || {
        probe(rig.site("API"), "/healthz").filter(|answer| answer.status == 200)
    });
    assert!(well.is_some(), "it answers again");
}
