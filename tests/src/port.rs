//! Ports for servers under test, taken from the system's ephemeral range so that tests run side by side.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

/// A TCP port that nobody listens on at this moment. The system hands such ports out in turn, so another process is
/// unlikely to get the same one before the server under test binds it.
///
/// # Errors
/// When the system has no port left.
pub fn free_tcp_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
