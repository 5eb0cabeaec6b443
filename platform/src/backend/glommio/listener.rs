//! Listening sockets on this loop. A wait takes a descriptor, and fails when there is none.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;

use socket2::SockRef;

use super::event_loop::yield_now;
use super::readiness::Readiness;
use super::stream::{ReadHalf, WriteHalf, register};
use crate::backend::accepting;
use crate::burst::Burst;
use crate::cancel::Cancel;

pub(crate) struct Listener {
    /// In non-blocking mode.
    listener: TcpListener,
    burst: Burst,
}

impl Listener {
    pub(crate) fn start(acceptor: TcpListener) -> io::Result<Self> {
        Ok(Self {
            listener: acceptor,
            burst: accepting::burst(),
        })
    }

    pub(crate) async fn accept(
        &self,
        cancel: &Cancel,
    ) -> Option<io::Result<(ReadHalf, WriteHalf, SocketAddr)>> {
        let readable = async || {
            Readiness::of(self.listener.as_fd())?.readable().await;
            Ok(())
        };
        let accept_now = || self.accept_now();
        accepting::accept(&self.burst, cancel, accept_now, readable, yield_now).await
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn accept_now(&self) -> io::Result<(ReadHalf, WriteHalf, SocketAddr)> {
        let (socket, peer) = SockRef::from(&self.listener).accept4(libc::SOCK_CLOEXEC)?;
        let (peer, is_tcp) = accepting::peer_of(&peer)?;
        let (read, write) = register(socket.into(), is_tcp)?;
        Ok((read, write, peer))
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.listener.fmt(f)
    }
}
