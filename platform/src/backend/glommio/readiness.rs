//! Waiting for descriptors of which nothing is to be received: listening sockets, the counters of
//! bells, and sockets that are read by plain calls.
//!
//! glommio waits for the readiness of its own streams alone, so a duplicate of the descriptor is
//! made one. A new stream asks the kernel at once when it is readable; only then would it receive,
//! which fails on what is no stream, and takes nothing. So a readiness serves for one wait.

use std::cell::OnceCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_io::AsyncRead;
use glommio::net::TcpStream;

use super::event_loop::sleep_until;

/// How often a descriptor is looked at while there is none to wait for it with: as often as a shard
/// that is busy looks, and seldom enough not to keep a core from those who would give some back.
pub(super) const BLIND_INTERVAL: Duration = Duration::from_millis(1);

/// One wait for a descriptor. Dropping it ends the wait.
pub(super) struct Readiness(TcpStream);

impl Readiness {
    /// # Errors
    /// When descriptors have run out.
    pub(super) fn of(descriptor: BorrowedFd<'_>) -> io::Result<Self> {
        let same = descriptor.try_clone_to_owned()?;
        // SAFETY: the descriptor is open and nobody else's.
        Ok(Self(unsafe { TcpStream::from_raw_fd(same.into_raw_fd()) }))
    }

    /// Returns when the descriptor is readable, and at once ever after. Dropping the future is
    /// safe.
    pub(super) async fn readable(&mut self) {
        let received = poll_fn(|context| Pin::new(&mut self.0).poll_read(context, &mut [0])).await;
        debug_assert!(received.is_err(), "it is no stream");
    }
}

/// Waits for one kind of event on one socket, and takes nothing from it.
///
/// A wait of glommio's ends with a receive. So this waits for an epoll instance that has the socket
/// in it, of which nothing can be received. While there is no descriptor for that, the socket is
/// worth a try every now and then.
#[derive(Debug)]
pub(super) struct Watch {
    events: libc::c_int,
    kept: OnceCell<OwnedFd>,
}

impl Watch {
    pub(super) fn of(events: libc::c_int) -> Self {
        Self {
            events,
            kept: OnceCell::new(),
        }
    }

    /// Returns when the socket, always the same one, is worth a try. It stays open meanwhile.
    /// Dropping the future is safe.
    pub(super) async fn wait(&self, socket: RawFd) {
        match self.readiness(socket) {
            Ok(mut readiness) => readiness.readable().await,
            Err(_) => sleep_until(Instant::now() + BLIND_INTERVAL).await,
        }
    }

    fn readiness(&self, socket: RawFd) -> io::Result<Readiness> {
        if self.kept.get().is_none() {
            let _first = self.kept.set(epoll_of(socket, self.events)?);
        }
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        Readiness::of(self.kept.get().ok_or_else(gone)?.as_fd())
    }
}

/// An epoll instance that is readable whenever one of these events holds for the socket.
fn epoll_of(socket: RawFd, events: libc::c_int) -> io::Result<OwnedFd> {
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
            socket,
            &raw mut event,
        )
    };
    if added < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(instance)
}
