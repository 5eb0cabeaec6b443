//! Waiting for descriptors that are no streams: listening sockets and the counters of bells.
//!
//! glommio waits for the readiness of its own streams alone, so a duplicate of the descriptor is
//! made one. A new stream asks the kernel at once when it is readable; only then would it receive,
//! which fails on what is no stream, and takes nothing. So a readiness serves for one wait.

use std::future::poll_fn;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd};
use std::pin::Pin;
use std::time::Duration;

use futures_io::AsyncRead;
use glommio::net::TcpStream;

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
