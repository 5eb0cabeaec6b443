//! Accepting: glommio says when, an ordinary `accept` takes the connection.
//!
//! glommio's own accept takes a connection in the kernel and loses it when it is dropped. Here one
//! that was not taken stays in the kernel's queue.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::task::Poll;

use socket2::SockRef;

use super::event_loop::yield_now;
use super::readiness::Readiness;
use super::stream::{ReadHalf, WriteHalf, adopt};
use crate::cancel::Cancel;

/// Connections taken without a pause, before everything else on the shard has a turn.
const ACCEPT_BURST_MAX: usize = 16;

pub(crate) struct Listener {
    /// In non-blocking mode.
    listener: TcpListener,
    burst: Cell<usize>,
}

impl Listener {
    pub(crate) fn start(acceptor: TcpListener) -> io::Result<Self> {
        Ok(Self {
            listener: acceptor,
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
        let (socket, peer) = SockRef::from(&self.listener).accept4(libc::SOCK_CLOEXEC)?;
        let no_ip = || io::Error::other("the peer has no IP address");
        let peer = peer.as_socket().ok_or_else(no_ip)?;
        let (read, write) = adopt(socket.into())?;
        Ok((read, write, peer))
    }

    /// `None` once `cancel` is raised.
    async fn readable(&self, cancel: &Cancel) -> Option<io::Result<()>> {
        let mut readiness = match Readiness::of(self.listener.as_fd()) {
            Ok(readiness) => readiness,
            Err(error) => return Some(Err(error)),
        };
        let mut readable = pin!(readiness.readable());
        let mut cancelled = cancel.cancelled();
        poll_fn(|context| {
            if Pin::new(&mut cancelled).poll(context).is_ready() {
                return Poll::Ready(None);
            }
            readable.as_mut().poll(context).map(|()| Some(Ok(())))
        })
        .await
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.listener.fmt(f)
    }
}
