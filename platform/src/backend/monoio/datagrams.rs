//! UDP sockets on this loop: it says when a call is worth a try, and makes none itself.

use std::io;

use monoio::net::udp::UdpSocket;
use socket2::{SockRef, Socket};

use crate::cancel::Cancel;

pub(crate) struct Datagrams(UdpSocket);

impl Datagrams {
    pub(crate) fn start(socket: Socket) -> io::Result<Self> {
        UdpSocket::from_std(socket.into()).map(Self)
    }

    pub(crate) async fn readable(&self, cancel: &Cancel) -> Option<io::Result<()>> {
        // A relaxed wait would report readiness that is over, and spin.
        cancel.or(self.0.readable(false)).await
    }

    pub(crate) async fn writable(&self, cancel: &Cancel) -> Option<io::Result<()>> {
        // As above.
        cancel.or(self.0.writable(false)).await
    }

    #[cfg(unix)]
    pub(crate) fn with_socket<R>(&self, action: impl FnOnce(&Socket) -> R) -> R {
        use std::os::fd::{AsRawFd, BorrowedFd};
        // SAFETY: this keeps the descriptor open as long as the action runs.
        let borrowed = unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) };
        action(&SockRef::from(&borrowed))
    }

    #[cfg(windows)]
    pub(crate) fn with_socket<R>(&self, action: impl FnOnce(&Socket) -> R) -> R {
        use std::os::windows::io::{AsRawSocket, BorrowedSocket};
        // SAFETY: this keeps the socket open as long as the action runs.
        let borrowed = unsafe { BorrowedSocket::borrow_raw(self.0.as_raw_socket()) };
        action(&SockRef::from(&borrowed))
    }
}

impl std::fmt::Debug for Datagrams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
