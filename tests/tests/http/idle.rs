//! Thousands of connections that ask once and then keep silent: each costs a bounded part of memory, others are served
//! beside them, and their end gives everything back.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use shardcast_tests::alone::Alone;
use shardcast_tests::daemon::Daemon;
use shardcast_tests::http::get;
use shardcast_tests::port::free_tcp_port;
use shardcast_tests::procfs::Process;
use shardcast_tests::scene::bystander::Bystander;
use shardcast_tests::wait::poll_until;

use crate::wire::{Wire, head};

/// As many as the promise names.
const CONNECTIONS: usize = 10_000;

/// What one may cost the server: 4 KiB for a session, twice 8 KiB for what HTTP reads and writes ahead, and the state of its
/// machine, which is large in a program that is not optimised.
const BYTES_PER_CONNECTION_MAX: u64 = 48 << 10;

fn ask_once(api: SocketAddr) -> TcpStream {
    let mut wire = Wire::open(api);
    wire.send(head("GET", "/v3/nothing", &[]));
    assert_eq!(wire.response().status, 404);
    wire.into_socket()
}

#[test]
fn ten_thousand_idle_connections_cost_little_and_keep_nobody_out() {
    let name = "idle::ten_thousand_idle_connections_cost_little_and_keep_nobody_out";
    // The other ends need as many here.
    if let Some(child) = Alone::start(name, "ulimit -n 10500") {
        return child.assert_passes();
    }
    let port = free_tcp_port().unwrap();
    let configuration =
        format!("shards: 2\napi: yes\napiAddress: 127.0.0.1:{port}\npaths:\n  all_others:\n");
    let daemon = Daemon::start(&configuration).unwrap();
    let api = SocketAddr::from(([127, 0, 0, 1], port));
    let bystander = Bystander::begin(daemon.address());
    // What is taken once, and kept, does not count.
    drop((0..64).map(|_| ask_once(api)).collect::<Vec<_>>());
    let process = Process::of(daemon.process_id());
    let descriptors = process.descriptors();
    let resident = process.resident_bytes();
    let idle: Vec<TcpStream> = (0..CONNECTIONS).map(|_| ask_once(api)).collect();
    let grown = process.resident_bytes().saturating_sub(resident);
    let each = grown / CONNECTIONS as u64;
    assert!(each < BYTES_PER_CONNECTION_MAX, "{each} bytes each");
    assert_eq!(get(api, "/v3/info").status, 200);
    assert_eq!(get(api, "/healthz").status, 200);
    drop(idle);
    let back = poll_until(Duration::from_secs(5), || {
        (process.descriptors() <= descriptors).then_some(())
    });
    assert!(
        back.is_some(),
        "{} descriptors, {descriptors} before",
        process.descriptors()
    );
    bystander.finish();
    assert!(daemon.stop().unwrap().success());
}
