//! Ports for servers under test, taken from the system's ephemeral range so that tests run side by side.

use std::collections::HashSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{LazyLock, Mutex, PoisonError};

/// Ports that were given out: the system may hand one out again before anybody has bound it.
static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// Ports that are tried.
const TRIALS: usize = 1000;

/// A TCP port that nobody listens on at this moment, another one each time. The system hands such ports out in turn, so another process is
/// unlikely to get the same one before the server under test binds it.
///
/// # Errors
/// When the system has no port left.
pub fn free_tcp_port() -> io::Result<u16> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..TRIALS {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        if given.insert(port) {
            return Ok(port);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}
