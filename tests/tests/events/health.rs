//! `/healthz` and `/readyz`, as probes ask for them.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

#[cfg(unix)]
use shardcast_tests::daemon::Daemon;
#[cfg(unix)]
use shardcast_tests::event_stream::EventStream;
use shardcast_tests::http::{self, Request, Response};
#[cfg(unix)]
use shardcast_tests::port::free_tcp_port;
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

/// A daemon whose API listens where it was told.
#[cfg(unix)]
fn daemon_of(configuration: &str, start: impl FnOnce(&str) -> Daemon) -> (Daemon, SocketAddr) {
    let port = free_tcp_port().expect("a port");
    let api = format!("api: yes\napiAddress: 127.0.0.1:{port}\n");
    let daemon = start(&format!("{api}{configuration}"));
    (daemon, ([127, 0, 0, 1], port).into())
}

/// Waits until a check of `/readyz` says this.
#[cfg(unix)]
fn wait_check(api: SocketAddr, check: &str, said: &str) {
    let found = poll_until(PATIENCE, || {
        let answer = probe(api, "/readyz")?;
        let is_well = answer.json()["checks"][check] == said;
        let status = if said == "ok" { 200 } else { 503 };
        (is_well && answer.status == status).then_some(())
    });
    let now = || http::get(api, "/readyz").text();
    assert!(found.is_some(), "{check} is never {said}: {}", now());
}

#[cfg(unix)]
#[test]
fn a_server_whose_files_are_wrong_is_not_ready_until_they_are_right() {
    let start = |text: &str| Daemon::start(text).unwrap_or_else(|error| panic!("{error}"));
    let (daemon, api) = daemon_of("", start);
    let mut events = EventStream::open(api, "/v3/events", "");
    let file = daemon.folder().join("shardcast.yml");
    let right = std::fs::read_to_string(&file).expect("it was written");
    std::fs::write(&file, format!("{right}nonsense: 1\n")).expect("it is written");
    daemon.signal("HUP");
    let failed = events.wait("reloadFailed").data;
    assert!(
        failed["message"]
            .as_str()
            .is_some_and(|said| said.contains("nonsense"))
    );
    wait_check(
        api,
        "configuration",
        "the files were read again and are wrong",
    );
    assert_eq!(http::get(api, "/healthz").status, 200);
    std::fs::write(&file, right).expect("it is written");
    daemon.signal("HUP");
    assert_eq!(events.wait("reloaded").data["by"], "signal");
    wait_check(api, "configuration", "ok");
}

/// Descriptors of the daemon, and connections that use them up.
#[cfg(unix)]
const FEW: usize = 256;

#[cfg(unix)]
#[test]
fn a_server_without_descriptors_is_not_ready_and_still_says_so() {
    let limited = format!("ulimit -n {FEW}");
    let start = |text: &str| {
        let daemon = Daemon::start_limited(&limited, text);
        daemon.unwrap_or_else(|error| panic!("{error}"))
    };
    let (daemon, api) = daemon_of("", start);
    wait_check(api, "descriptors", "ok");
    let connect = |_| TcpStream::connect(daemon.address()).ok();
    let connections: Vec<_> = (0..FEW).map(connect).collect();
    wait_check(api, "descriptors", "nearly all are in use");
    drop(connections);
    wait_check(api, "descriptors", "ok");
}
