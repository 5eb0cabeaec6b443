//! Descriptors run out: streams go on, and the API answers on connections that are open and on new ones.

use std::net::SocketAddr;

use shardcast_tests::alone::Alone;
use shardcast_tests::daemon::Daemon;
use shardcast_tests::http::get;
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::port::free_tcp_port;
use shardcast_tests::scene::bystander::{BYSTANDER, Bystander};

use crate::wire::Wire;

/// More than the daemon below has descriptors.
const PEERS: usize = 200;

#[test]
fn when_descriptors_run_out_the_api_answers_and_streams_go_on() {
    let name = "descriptors::when_descriptors_run_out_the_api_answers_and_streams_go_on";
    // The limit is the daemon's; this process raises its own no further, and needs less than twice as many.
    if let Some(child) = Alone::start(name, "ulimit -S -n 512") {
        return child.assert_passes();
    }
    for driver in ["io_uring", "epoll"] {
        run_out(driver);
    }
}

/// A daemon with few descriptors, and its API.
fn start(driver: &str) -> (Daemon, SocketAddr) {
    let port = free_tcp_port().unwrap();
    let configuration = format!(
        "shards: 2\ndriver: {driver}\napi: yes\napiAddress: 127.0.0.1:{port}\n\
         readTimeout: 60s\npaths:\n  all_others:\n"
    );
    let daemon = Daemon::start_limited("ulimit -n 128", &configuration);
    (daemon.unwrap(), SocketAddr::from(([127, 0, 0, 1], port)))
}

fn run_out(driver: &str) {
    let (daemon, api) = start(driver);
    let bystander = Bystander::begin(daemon.address());
    let mut open = Wire::open(api);
    assert_eq!(open.get("/v3/info", &[]).status, 200);
    let url = format!("rtsp://{}/{BYSTANDER}", daemon.address());
    let mut peers: Vec<Connection> = (0..PEERS)
        .map(|_| Connection::open(daemon.address()).unwrap())
        .collect();
    daemon.wait_log("cannot accept connections");
    let units = bystander.units();
    for _ in 0..50 {
        assert_eq!(get(api, "/v3/info").status, 200);
        assert_eq!(open.get("/healthz", &[]).status, 200);
    }
    assert!(bystander.units() > units, "the stream stands still");
    // Whoever has waited is served once others have gone.
    let mut last = peers.pop().unwrap();
    drop(peers);
    last.request("OPTIONS", &url, &[], b"").unwrap();
    drop((last, open));
    bystander.finish();
    daemon.stop().unwrap();
}

#[test]
fn when_idle_connections_take_all_descriptors_the_api_takes_new_ones_for_them() {
    let name =
        "descriptors::when_idle_connections_take_all_descriptors_the_api_takes_new_ones_for_them";
    if let Some(child) = Alone::start(name, "ulimit -S -n 512") {
        return child.assert_passes();
    }
    for driver in ["io_uring", "epoll"] {
        let (daemon, api) = start(driver);
        let bystander = Bystander::begin(daemon.address());
        let ask = || {
            let mut wire = Wire::open(api);
            assert_eq!(wire.get("/v3/info", &[]).status, 200);
            wire
        };
        // Each is served, though none goes by itself.
        let mut idle: Vec<Wire> = (0..PEERS).map(|_| ask()).collect();
        assert_eq!(get(api, "/healthz").status, 200);
        // Those that have asked last are still there.
        let last = idle.last_mut().expect("there are some");
        assert_eq!(last.get("/v3/info", &[]).status, 200);
        drop(idle);
        bystander.finish();
        daemon.stop().unwrap();
    }
}
