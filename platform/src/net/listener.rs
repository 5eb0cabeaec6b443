//! Accepting connections: one acceptor per shard, bound on any thread, started on the shard's.

use std::io;
use std::net::SocketAddr;

use super::{BindError, ListenAddress, TcpStream};
use crate::backend;
use crate::cancel::Cancel;

/// A listening socket that is not on an event loop yet.
#[derive(Debug)]
pub struct Acceptor(pub(crate) backend::Acceptor);

/// What [`bind`] opened.
#[derive(Debug)]
pub struct Bound {
    /// One per shard.
    pub acceptors: Vec<Acceptor>,
    /// Where they listen, with the port that the system chose if none was given.
    pub local_addr: SocketAddr,
    /// What it fell back to, in words for the operator.
    pub note: Option<String>,
}

/// A listening socket on this thread's event loop.
#[derive(Debug)]
pub struct TcpListener(backend::Listener);

/// How an accept ended.
#[derive(Debug)]
pub enum AcceptOutcome {
    /// A connection, and its peer's address. An IPv4 peer of a dual-stack socket has an
    /// IPv4-mapped IPv6 address, as the kernel says it.
    Accepted(TcpStream, SocketAddr),
    /// It failed, as when descriptors run out. The caller waits a little before the next, else it
    /// spins.
    Failed(io::Error),
    /// It was cancelled; no connection is lost.
    Cancelled,
}

/// Listens on `address` for `shards` shards (at least one), so that a second daemon on the same
/// address is refused, and a restart is not.
///
/// # Errors
/// When the address is in use, not allowed, not this machine's, or does not resolve.
pub fn bind(address: &ListenAddress, shards: usize) -> Result<Bound, BindError> {
    let (acceptors, local_addr, note) = backend::bind(address, shards)?;
    let acceptors = acceptors.into_iter().map(Acceptor).collect();
    Ok(Bound {
        acceptors,
        local_addr,
        note,
    })
}

impl Acceptor {
    /// Puts it on this thread's event loop.
    ///
    /// # Errors
    /// When the driver cannot register it.
    ///
    /// # Panics
    /// Outside [`crate::block_on`].
    pub fn start(self) -> io::Result<TcpListener> {
        backend::Listener::start(self.0).map(TcpListener)
    }
}

impl TcpListener {
    /// Waits for the next connection. Dropping the future is safe.
    pub async fn accept(&self, cancel: &Cancel) -> AcceptOutcome {
        match self.0.accept(cancel).await {
            None => AcceptOutcome::Cancelled,
            Some(Err(error)) => AcceptOutcome::Failed(error),
            Some(Ok((read, write, peer))) => {
                AcceptOutcome::Accepted(TcpStream::from_backend(read, write), peer)
            }
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
