//! Listening sockets on this loop.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::SockRef;

use super::event_loop::wants_blocking_sockets;
use super::stream::{ReadHalf, WriteHalf, register};
use super::turn::yield_now;
use crate::backend::accepting;
use crate::burst::Burst;
use crate::cancel::Cancel;
use crate::net::{BindError, ListenAddress, listen};

pub(crate) type Acceptor = TcpListener;

pub(crate) struct Listener {
    listener: monoio::net::TcpListener,
    burst: Burst,
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
            burst: accepting::burst(),
        })
    }

    pub(crate) async fn accept(
        &self,
        cancel: &Cancel,
    ) -> Option<io::Result<(ReadHalf, WriteHalf, SocketAddr)>> {
        // A relaxed wait would report readiness that is over, and spin.
        let readable = async || self.listener.readable(false).await;
        let accept_now = || self.accept_now();
        accepting::accept(&self.burst, cancel, accept_now, readable, yield_now).await
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn accept_now(&self) -> io::Result<(ReadHalf, WriteHalf, SocketAddr)> {
        let (socket, peer) = self.with_system(accept_in_mode)?;
        let (peer, is_tcp) = accepting::peer_of(&peer)?;
        let (read, write) = register(socket.into(), is_tcp)?;
        Ok((read, write, peer))
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
