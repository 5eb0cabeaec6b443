//! A connection by plain calls that do not wait, beside its operations that do.
//!
//! They are for programs that look at thousands of connections in turns: one call takes what has
//! arrived, nobody is woken for it, and nothing is lent to the kernel. A direction that is used
//! this way has no operation in flight meanwhile: which of both got the bytes would be chance.

use std::future::Future;
use std::io;
#[cfg(not(target_os = "linux"))]
use std::mem::MaybeUninit;
use std::time::{Duration, SystemTime};

use super::{ReadHalf, TcpStream, WriteHalf, no_room};
use crate::cancel::Cancel;
use crate::net::Readiness;
use crate::os;

/// Bytes that are thrown away by one read, on the stack.
#[cfg(not(target_os = "linux"))]
const SCRATCH_BYTES: usize = 16 * 1024;

/// What [`ReadHalf::read_now`] took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// How many bytes; 0 is the peer's end.
    pub bytes: usize,
    /// When the kernel received the last of them from the network, by the clock of the wall: see
    /// [`ReadHalf::stamp_arrivals`].
    pub at: Option<SystemTime>,
}

impl ReadHalf {
    /// Throws away what has arrived, at most so many bytes, and says how many they were: `None`
    /// when nothing has arrived, 0 at the peer's end. On Linux nothing is copied.
    ///
    /// # Errors
    /// What the system says: reset by the peer, timed out.
    pub fn discard_now(&self, bytes_max: usize) -> io::Result<Option<usize>> {
        if bytes_max == 0 {
            return Err(no_room());
        }
        or_nothing(
            self.half
                .with_socket(|socket| os::discard_now(socket, bytes_max)),
        )
    }

    /// Takes what has arrived, as far as the buffer holds it; `None` when nothing has.
    ///
    /// # Errors
    /// What the system says: reset by the peer, timed out; `InvalidInput` when the buffer is empty.
    pub fn read_now(&self, buffer: &mut [u8]) -> io::Result<Option<Arrived>> {
        if buffer.is_empty() {
            return Err(no_room());
        }
        or_nothing(
            self.half
                .with_socket(|socket| os::receive_now(socket, buffer)),
        )
    }

    /// Has the kernel note when bytes arrive, for [`Arrived::at`]. False where the system has no
    /// such stamps: all but Linux. What arrives within the first milliseconds from then on may have
    /// none either, because Linux begins to stamp when the first socket asks for it.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn stamp_arrivals(&self) -> io::Result<bool> {
        self.half.with_socket(os::stamp_arrivals)
    }

    /// `SO_RCVBUF`, in bytes: what waits for a program that looks now and then. Without it the
    /// system lets the buffer grow as it is read. It gives no more than it allows (Linux:
    /// `net.core.rmem_max`).
    ///
    /// # Errors
    /// When the system refuses.
    pub fn set_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        self.half
            .with_socket(|socket| socket.set_recv_buffer_size(bytes))
    }

    /// Has the kernel acknowledge what arrives next at once, instead of with the next bytes that
    /// leave. It falls back to its own ways after a while. On Linux alone; elsewhere nothing
    /// happens.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn acknowledge_at_once(&self) -> io::Result<()> {
        self.half.with_socket(acknowledge_at_once)
    }

    /// Waits until a read is worth a try, also because the peer has ended or is gone, unless
    /// `cancel` is raised. One task waits at a time; dropping the future is safe.
    ///
    /// # Errors
    /// When the driver cannot wait; and it may be here, instead of in the read that follows, that a
    /// connection's end by an error is told.
    pub async fn readable_or(&self, cancel: &Cancel) -> io::Result<Readiness> {
        if self.waits.is_over() {
            crate::yield_now().await;
        }
        if cancel.is_cancelled() {
            return Ok(Readiness::Cancelled);
        }
        match self.half.readable(cancel).await {
            None => Ok(Readiness::Cancelled),
            Some(ready) => ready.map(|()| Readiness::Ready),
        }
    }
}

impl WriteHalf {
    /// Sends as much of this as the socket takes now: 0 when it has no room.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.with_socket(|socket| os::send_now(socket, bytes));
        or_nothing(sent).map(Option::unwrap_or_default)
    }

    /// Waits until a write is worth a try, also because the connection is gone, unless `cancel` is
    /// raised. One task waits at a time; dropping the future is safe.
    ///
    /// # Errors
    /// When the driver cannot wait; and it may be here, instead of in the write that follows, that
    /// a connection's end by an error is told.
    pub async fn writable_or(&self, cancel: &Cancel) -> io::Result<Readiness> {
        if cancel.is_cancelled() {
            return Ok(Readiness::Cancelled);
        }
        match self.0.writable(cancel).await {
            None => Ok(Readiness::Cancelled),
            Some(ready) => ready.map(|()| Readiness::Ready),
        }
    }
}

impl TcpStream {
    /// See [`ReadHalf::discard_now`].
    ///
    /// # Errors
    /// As there.
    pub fn discard_now(&self, bytes_max: usize) -> io::Result<Option<usize>> {
        self.read.discard_now(bytes_max)
    }

    /// See [`ReadHalf::read_now`].
    ///
    /// # Errors
    /// As there.
    pub fn read_now(&self, buffer: &mut [u8]) -> io::Result<Option<Arrived>> {
        self.read.read_now(buffer)
    }

    /// See [`WriteHalf::write_now`].
    ///
    /// # Errors
    /// As there.
    pub fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write.write_now(bytes)
    }

    /// See [`ReadHalf::stamp_arrivals`].
    ///
    /// # Errors
    /// As there.
    pub fn stamp_arrivals(&self) -> io::Result<bool> {
        self.read.stamp_arrivals()
    }

    /// See [`ReadHalf::set_receive_buffer`].
    ///
    /// # Errors
    /// As there.
    pub fn set_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        self.read.set_receive_buffer(bytes)
    }

    /// See [`ReadHalf::acknowledge_at_once`].
    ///
    /// # Errors
    /// As there.
    pub fn acknowledge_at_once(&self) -> io::Result<()> {
        self.read.acknowledge_at_once()
    }

    /// See [`ReadHalf::readable_or`].
    ///
    /// # Errors
    /// As there.
    pub fn readable_or(&self, cancel: &Cancel) -> impl Future<Output = io::Result<Readiness>> {
        self.read.readable_or(cancel)
    }

    /// See [`WriteHalf::writable_or`].
    ///
    /// # Errors
    /// As there.
    pub fn writable_or(&self, cancel: &Cancel) -> impl Future<Output = io::Result<Readiness>> {
        self.write.writable_or(cancel)
    }

    /// Closes the connection as if this program had crashed: the peer sees a reset instead of an
    /// end, and what was not sent or read is lost.
    pub fn abort(self) {
        // A connection that is gone already needs no reset.
        let _ = self
            .read
            .half
            .with_socket(|socket| socket.set_linger(Some(Duration::ZERO)));
    }
}

pub(super) fn or_nothing<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Throws bytes away by reading them to where nobody looks, where the system has no other way.
#[cfg(not(target_os = "linux"))]
pub(crate) fn discard_by_reading(
    bytes_max: usize,
    mut read: impl FnMut(&mut [MaybeUninit<u8>]) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut scratch = [MaybeUninit::uninit(); SCRATCH_BYTES];
    let mut bytes = 0;
    while bytes < bytes_max {
        let room = SCRATCH_BYTES.min(bytes_max - bytes);
        match read(&mut scratch[..room]) {
            Ok(count) if count > 0 => bytes += count,
            // The end, and an error, come again.
            _ if bytes > 0 => break,
            ended => return ended,
        }
    }
    Ok(bytes)
}

#[cfg(target_os = "linux")]
fn acknowledge_at_once(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_tcp_quickack(true)
}

#[cfg(not(target_os = "linux"))]
fn acknowledge_at_once(_: &socket2::Socket) -> io::Result<()> {
    Ok(())
}
