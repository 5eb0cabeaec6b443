//! UDP sockets on this loop: it says when a call is worth a try, and makes none itself.
//!
//! A wait of glommio's ends with a receive, which would take a datagram. So it waits for an epoll
//! instance that has the socket in it, of which nothing can be received. While there is no
//! descriptor for that, the socket is worth a try every now and then.

use std::cell::OnceCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Instant;

use socket2::Socket;

use super::event_loop::sleep_until;
use super::readiness::{BLIND_INTERVAL, Readiness};
use crate::cancel::Cancel;

#[derive(Debug)]
pub(crate) struct Datagrams {
    socket: Socket,
    readable: OnceCell<OwnedFd>,
    writable: OnceCell<OwnedFd>,
}

impl Datagrams {
    pub(crate) fn start(socket: Socket) -> io::Result<Self> {
        Ok(Self {
            socket,
            readable: OnceCell::new(),
            writable: OnceCell::new(),
        })
    }

    pub(crate) async fn readable(&self, cancel: &Cancel) -> Option<io::Result<()>> {
        cancel.or(self.wait(&self.readable, libc::EPOLLIN)).await?;
        Some(Ok(()))
    }

    pub(crate) async fn writable(&self, cancel: &Cancel) -> Option<io::Result<()>> {
        cancel.or(self.wait(&self.writable, libc::EPOLLOUT)).await?;
        Some(Ok(()))
    }

    pub(crate) fn with_socket<R>(&self, action: impl FnOnce(&Socket) -> R) -> R {
        action(&self.socket)
    }

    async fn wait(&self, kept: &OnceCell<OwnedFd>, events: libc::c_int) {
        match self.readiness(kept, events) {
            Ok(mut readiness) => readiness.readable().await,
            Err(_) => sleep_until(Instant::now() + BLIND_INTERVAL).await,
        }
    }

    fn readiness(&self, kept: &OnceCell<OwnedFd>, events: libc::c_int) -> io::Result<Readiness> {
        if kept.get().is_none() {
            let _first = kept.set(epoll_of(&self.socket, events)?);
        }
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        Readiness::of(kept.get().ok_or_else(gone)?.as_fd())
    }
}

/// An epoll instance that is readable whenever one of these events holds for the socket.
fn epoll_of(socket: &Socket, events: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: it takes no pointers.
    let instance = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if instance < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open and nobody else's.
    let instance = unsafe { OwnedFd::from_raw_fd(instance) };
    let mut event = libc::epoll_event {
        events: events.cast_unsigned(),
        u64: 0,
    };
    // SAFETY: the event outlives the call, which copies it.
    let added = unsafe {
        libc::epoll_ctl(
            instance.as_raw_fd(),
            libc::EPOLL_CTL_ADD,
            socket.as_raw_fd(),
            &raw mut event,
        )
    };
    if added < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(instance)
}
