//! Accepting by readiness: the loop says when, an ordinary `accept` takes the connection.
//!
//! A backend's own accept may take a connection in the kernel and lose it when it is dropped. Here
//! one that was not taken stays in the kernel's queue.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::SockAddr;

use crate::burst::Burst;
use crate::cancel::Cancel;

/// Connections taken without a pause, before everything else on the shard has a turn.
const ACCEPT_BURST_MAX: u32 = 16;

/// The peer of a connection over a Unix socket: a program of this machine, without a port.
const UNIX_PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Who has connected, and whether by TCP.
pub(super) fn peer_of(peer: &SockAddr) -> io::Result<(SocketAddr, bool)> {
    if peer.is_unix() {
        return Ok((UNIX_PEER, false));
    }
    let no_ip = || io::Error::other("the peer has no IP address");
    peer.as_socket().map(|peer| (peer, true)).ok_or_else(no_ip)
}

/// What a listener keeps from one accept to the next.
pub(super) fn burst() -> Burst {
    Burst::new(ACCEPT_BURST_MAX)
}

/// The next connection, by `accept_now`, or nothing once `cancel` is raised. `readable` waits until
/// a try is worth it, and `pause` lets the others have a turn.
pub(super) async fn accept<T>(
    burst: &Burst,
    cancel: &Cancel,
    accept_now: impl Fn() -> io::Result<T>,
    readable: impl AsyncFn() -> io::Result<()>,
    pause: impl AsyncFn(),
) -> Option<io::Result<T>> {
    if burst.is_over() {
        pause().await;
    }
    while !cancel.is_cancelled() {
        match accept_now() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // The peer gave up before it was taken.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            accepted => return Some(accepted),
        }
        burst.end();
        if let Some(Err(error)) = cancel.or(readable()).await {
            return Some(Err(error));
        }
    }
    None
}
