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

fn run_out(driver: &str) {
    let port = free_tcp_port().unwrap();
    let daemon = Daemon::start_limited(
        "ulimit -n 128",
        &format!(
            "shards: 2\ndriver: {driver}\napi: yes\napiAddress: 127.0.0.1:{port}\n\
             readTimeout: 60s\npaths:\n  all_others:\n"
        ),
    )
    .unwrap();
    let api = SocketAddr::from(([127, 0, 0, 1], port));
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
    bystander.finish();
    daemon.stop().unwrap();
}
