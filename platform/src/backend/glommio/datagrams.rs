//! UDP sockets on this loop: it says when a call is worth a try, and makes none itself.
//!
//! A wait of glommio's ends with a receive, which would take a datagram: see [`Watch`].

use std::io;
use std::os::fd::AsRawFd;

use socket2::Socket;

use super::readiness::Watch;
use crate::cancel::Cancel;

#[derive(Debug)]
pub(crate) struct Datagrams {
    socket: Socket,
    readable: Watch,
    writable: Watch,
}

impl Datagrams {
    pub(crate) fn start(socket: Socket) -> io::Result<Self> {
        Ok(Self {
            socket,
            readable: Watch::of(libc::EPOLLIN),
            writable: Watch::of(libc::EPOLLOUT),
        })
    }

    pub(crate) async fn readable(&self, cancel: &Cancel) -> Option<io::Result<()>> {
        cancel
            .or(self.readable.wait(self.socket.as_raw_fd()))
            .await?;
        Some(Ok(()))
    }

    pub(crate) async fn writable(&self, cancel: &Cancel) -> Option<io::Result<()>> {
        cancel
            .or(self.writable.wait(self.socket.as_raw_fd()))
            .await?;
        Some(Ok(()))
    }

    pub(crate) fn with_socket<R>(&self, action: impl FnOnce(&Socket) -> R) -> R {
        action(&self.socket)
    }
}
