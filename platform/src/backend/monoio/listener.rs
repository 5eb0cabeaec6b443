//! Accepting: the driver says when, an ordinary `accept` takes the connection.
//!
//! So nothing is lost when the wait is cancelled or dropped: a connection that was not taken stays
//! in the kernel's queue.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::{Pin, pin};
use std::task::Poll;

use socket2::SockRef;

use super::event_loop::wants_blocking_sockets;
use super::stream::{ReadHalf, WriteHalf, register};
use super::turn::yield_now;
use crate::cancel::Cancel;
use crate::net::{BindError, ListenAddress, listen};

/// Connections taken without a pause, before everything else on the shard has a turn.
const ACCEPT_BURST_MAX: usize = 16;

pub(crate) type Acceptor = TcpListener;

pub(crate) struct Listener {
    listener: monoio::net::TcpListener,
    burst: Cell<usize>,
}

pub(crate) fn bind(
    address: &ListenAddress,
    shards: usize,
) -> Result<(Vec<Acceptor>, SocketAddr, Option<String>), BindError> {
    let listening = listen::listen(address, shards)?;
    Ok((listening.sockets, listening.local_addr, listening.note))
}

impl Listener {
    pub(crate) fn start(acceptor: Acceptor) -> io::Result<Self> {
        let listener = monoio::net::TcpListener::from_std(acceptor)?;
        Ok(Self {
            listener,
            burst: Cell::new(0),
        })
    }

    pub(crate) async fn accept(
        &self,
        cancel: &Cancel,
    ) -> Option<io::Result<(ReadHalf, WriteHalf, SocketAddr)>> {
        self.pause_after_burst().await;
        while !cancel.is_cancelled() {
            match self.accept_now() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // The peer gave up before it was taken.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                accepted => return Some(accepted),
            }
            self.burst.set(0);
            if let Some(Err(error)) = self.readable(cancel).await {
                return Some(Err(error));
            }
        }
        None
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    async fn pause_after_burst(&self) {
        if self.burst.get() >= ACCEPT_BURST_MAX {
            self.burst.set(0);
            yield_now().await;
        }
        self.burst.set(self.burst.get() + 1);
    }

    fn accept_now(&self) -> io::Result<(ReadHalf, WriteHalf, SocketAddr)> {
        let (socket, peer) = self.with_system(accept_in_mode)?;
        let no_ip = || io::Error::other("the peer has no IP address");
        let peer = peer.as_socket().ok_or_else(no_ip)?;
        let (read, write) = register(socket.into())?;
        Ok((read, write, peer))
    }

    /// `None` once `cancel` is raised.
    async fn readable(&self, cancel: &Cancel) -> Option<io::Result<()>> {
        // A relaxed wait would report readiness that is over, and spin.
        let mut readable = pin!(self.listener.readable(false));
        let mut cancelled = cancel.cancelled();
        poll_fn(|context| {
            if Pin::new(&mut cancelled).poll(context).is_ready() {
                return Poll::Ready(None);
            }
            readable.as_mut().poll(context).map(Some)
        })
        .await
    }

    #[cfg(unix)]
    fn with_system<R>(&self, action: impl FnOnce(&socket2::Socket) -> R) -> R {
        use std::os::fd::{AsRawFd, BorrowedFd};
        // SAFETY: the listener keeps the descriptor open as long as this runs.
        let borrowed = unsafe { BorrowedFd::borrow_raw(self.listener.as_raw_fd()) };
        action(&SockRef::from(&borrowed))
    }

    #[cfg(windows)]
    fn with_system<R>(&self, action: impl FnOnce(&socket2::Socket) -> R) -> R {
        use std::os::windows::io::{AsRawSocket, BorrowedSocket};
        // SAFETY: the listener keeps the socket open as long as this runs.
        let borrowed = unsafe { BorrowedSocket::borrow_raw(self.listener.as_raw_socket()) };
        action(&SockRef::from(&borrowed))
    }
}

/// Accepts a socket that blocks, or does not, as the driver wants it.
#[cfg(target_os = "linux")]
fn accept_in_mode(listener: &socket2::Socket) -> io::Result<(socket2::Socket, socket2::SockAddr)> {
    let mode = if wants_blocking_sockets() {
        0
    } else {
        libc::SOCK_NONBLOCK
    };
    listener.accept4(libc::SOCK_CLOEXEC | mode)
}

#[cfg(not(target_os = "linux"))]
fn accept_in_mode(listener: &socket2::Socket) -> io::Result<(socket2::Socket, socket2::SockAddr)> {
    let (socket, peer) = listener.accept()?;
    socket.set_nonblocking(!wants_blocking_sockets())?;
    Ok((socket, peer))
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.listener.fmt(f)
    }
}
