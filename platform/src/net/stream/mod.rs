//! A TCP connection with owned buffers: a buffer is lent to each read and write, and comes back
//! with its result.
//!
//! One write is one system write. Whoever wants the whole gather written loops, or calls
//! [`TcpStream::write_all`], which does. Calls that never wait, and lend nothing, are in [`now`], and a
//! stream that is polled, as other crates want it, is in [`polled`].

mod now;
mod polled;

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};

use socket2::Socket;

use crate::backend;
use crate::buffer::{Gather, Slab};
use crate::burst::Burst;
use crate::cancel::{Cancel, Outcome};

pub use now::Arrived;
#[cfg(not(target_os = "linux"))]
pub(crate) use now::discard_by_reading;
pub use polled::PolledStream;

/// Waits of [`ReadHalf::readable_or`] before everything else on the thread has a turn: each is
/// followed by a read that does not wait, which takes about as long as a turn.
const WAITS_MAX: u32 = 32;

/// A connection on this thread's event loop. `TCP_NODELAY` is always set.
///
/// Dropping it closes the connection. See the crate's rule about operations in flight: a future of
/// a read or a write is awaited to its end.
#[derive(Debug)]
pub struct TcpStream {
    read: ReadHalf,
    write: WriteHalf,
}

/// The reading half of a split stream. Dropping it alone changes nothing for the peer; the
/// connection closes when both halves are gone.
#[derive(Debug)]
pub struct ReadHalf {
    half: backend::ReadHalf,
    /// See [`ReadHalf::readable_or`].
    waits: Burst,
}

/// The writing half of a split stream. Dropping it alone changes nothing for the peer: say
/// [`WriteHalf::shutdown_write`] to end the direction.
#[derive(Debug)]
pub struct WriteHalf(backend::WriteHalf);

/// A connection on no event loop, on its way to another thread.
#[derive(Debug)]
pub struct IdleSocket(pub(crate) std::net::TcpStream);

/// Bounds of what the kernel holds for a peer that does not read: part of that reader's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendBuffer {
    /// `TCP_NOTSENT_LOWAT`: bytes not sent yet above which the socket takes no more. On Windows,
    /// which has no such bound, the send buffer is fixed at this size, at least 64 KiB.
    pub not_sent_lowat: Option<u32>,
    /// `SO_SNDBUF`: bytes not acknowledged yet. Linux doubles it for its own bookkeeping.
    pub send_buffer: Option<u32>,
}

impl TcpStream {
    pub(crate) fn from_backend(read: backend::ReadHalf, write: backend::WriteHalf) -> Self {
        Self {
            read: ReadHalf {
                half: read,
                waits: Burst::new(WAITS_MAX),
            },
            write: WriteHalf(write),
        }
    }

    /// Connects to `address`.
    ///
    /// # Errors
    /// What the system says: refused, unreachable, timed out.
    pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
        let (read, write) = backend::connect(address).await?;
        Ok(Self::from_backend(read, write))
    }

    /// The peer's address.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        ip_address(&self.read.half.with_socket(Socket::peer_addr)?)
    }

    /// Our own address of this connection.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        ip_address(&self.read.half.with_socket(Socket::local_addr)?)
    }

    /// Bounds what the kernel queues for the peer.
    ///
    /// # Errors
    /// When the system refuses a value.
    pub fn bound_send_buffer(&self, bounds: SendBuffer) -> io::Result<()> {
        self.write.bound_send_buffer(bounds)
    }

    /// See [`WriteHalf::unacknowledged_bytes`].
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn unacknowledged_bytes(&self) -> io::Result<usize> {
        self.write.unacknowledged_bytes()
    }

    /// See [`ReadHalf::read`].
    pub fn read(&mut self, slab: Slab) -> impl Future<Output = (io::Result<usize>, Slab)> {
        self.read.read(slab)
    }

    /// See [`ReadHalf::read_or`].
    pub fn read_or(
        &mut self,
        slab: Slab,
        cancel: &Cancel,
    ) -> impl Future<Output = (Outcome, Slab)> {
        self.read.read_or(slab, cancel)
    }

    /// See [`WriteHalf::write`].
    pub fn write(&mut self, gather: Gather) -> impl Future<Output = (io::Result<usize>, Gather)> {
        self.write.write(gather)
    }

    /// See [`WriteHalf::write_or`].
    pub fn write_or(
        &mut self,
        gather: Gather,
        cancel: &Cancel,
    ) -> impl Future<Output = (Outcome, Gather)> {
        self.write.write_or(gather, cancel)
    }

    /// See [`WriteHalf::write_all`].
    pub fn write_all(&mut self, gather: Gather) -> impl Future<Output = (io::Result<()>, Gather)> {
        self.write.write_all(gather)
    }

    /// See [`WriteHalf::shutdown_write`].
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn shutdown_write(&mut self) -> impl Future<Output = io::Result<()>> {
        self.write.shutdown_write()
    }

    /// Two halves that two tasks can use at once.
    #[must_use]
    pub fn split(self) -> (ReadHalf, WriteHalf) {
        (self.read, self.write)
    }

    /// The stream again.
    ///
    /// # Panics
    /// When the halves belong to different streams.
    #[must_use]
    pub fn reunite(read: ReadHalf, write: WriteHalf) -> TcpStream {
        assert!(read.half.is_of(&write.0), "halves of different streams");
        Self { read, write }
    }

    /// Takes the connection off this event loop, so that another thread can [`TcpStream::adopt`]
    /// it. Bytes that arrive meanwhile wait in the kernel.
    ///
    /// # Errors
    /// Gives the stream back when the driver cannot do that ([`crate::Capabilities::move_live`]),
    /// or when the future of an operation was dropped before it had completed.
    pub fn release(self) -> Result<IdleSocket, TcpStream> {
        backend::release(self.read.half, self.write.0)
            .map(IdleSocket)
            .map_err(|(read, write)| Self::from_backend(read, write))
    }

    /// Puts a connection on this thread's event loop.
    ///
    /// # Errors
    /// When the driver cannot register it; the connection is closed then.
    ///
    /// # Panics
    /// Outside [`crate::block_on`].
    pub fn adopt(socket: IdleSocket) -> io::Result<TcpStream> {
        let (read, write) = backend::adopt(socket.0)?;
        Ok(Self::from_backend(read, write))
    }
}

impl ReadHalf {
    /// Appends to the slab what has arrived, waiting until something has. 0 is the peer's end.
    ///
    /// # Errors
    /// (in the tuple) what the system says; `InvalidInput` when the slab has no room, because that
    /// would look like the peer's end.
    pub async fn read(&mut self, slab: Slab) -> (io::Result<usize>, Slab) {
        if slab.spare() == 0 {
            return (Err(no_room()), slab);
        }
        self.half.read(slab).await
    }

    /// As [`ReadHalf::read`], until `cancel` is raised. A cancelled read has taken no byte.
    pub fn read_or(
        &mut self,
        slab: Slab,
        cancel: &Cancel,
    ) -> impl Future<Output = (Outcome, Slab)> {
        // An `async fn` would hold the slab twice, and every session waits in one of these.
        let half = &mut self.half;
        async move {
            if slab.spare() == 0 {
                return (Outcome::Done(Err(no_room())), slab);
            }
            if cancel.is_cancelled() {
                return (Outcome::Cancelled, slab);
            }
            half.read_or(slab, cancel).await
        }
    }
}

impl WriteHalf {
    /// One system write of the gather, waiting until the socket takes something. The gather comes
    /// back without what was taken, and unchanged after an error. An empty gather is 0 at once.
    pub async fn write(&mut self, gather: Gather) -> (io::Result<usize>, Gather) {
        if gather.is_empty() {
            return (Ok(0), gather);
        }
        let (result, mut gather) = self.0.write(gather).await;
        if let Ok(count) = result {
            gather.advance(count);
        }
        (result, gather)
    }

    /// As [`WriteHalf::write`], until `cancel` is raised. A cancelled write has sent no byte.
    pub fn write_or(
        &mut self,
        gather: Gather,
        cancel: &Cancel,
    ) -> impl Future<Output = (Outcome, Gather)> {
        let half = &mut self.0;
        async move {
            if gather.is_empty() {
                return (Outcome::Done(Ok(0)), gather);
            }
            if cancel.is_cancelled() {
                return (Outcome::Cancelled, gather);
            }
            let (outcome, mut gather) = half.write_or(gather, cancel).await;
            if let Outcome::Done(Ok(count)) = outcome {
                gather.advance(count);
            }
            (outcome, gather)
        }
    }

    /// Writes until the gather is empty. After an error it comes back with what is left.
    pub async fn write_all(&mut self, mut gather: Gather) -> (io::Result<()>, Gather) {
        while !gather.is_empty() {
            let (result, rest) = self.write(gather).await;
            gather = rest;
            match result {
                Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), gather),
                Ok(_) => {}
                Err(error) => return (Err(error), gather),
            }
        }
        (Ok(()), gather)
    }

    /// Ends our direction after everything written; the peer reads an end, and may still send.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn shutdown_write(&mut self) -> io::Result<()> {
        self.0
            .with_socket(|socket| socket.shutdown(Shutdown::Write))
    }

    /// Bytes that were written and that the peer has not acknowledged: what the kernel holds for it. Where the system does
    /// not tell (Windows), the size of the send buffer: worth asking only when a write has had to wait.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn unacknowledged_bytes(&self) -> io::Result<usize> {
        self.0.with_socket(crate::os::unacknowledged_bytes)
    }

    /// See [`TcpStream::bound_send_buffer`].
    ///
    /// # Errors
    /// When the system refuses a value.
    pub fn bound_send_buffer(&self, bounds: SendBuffer) -> io::Result<()> {
        self.0.with_socket(|socket| {
            if let Some(bytes) = bounds.not_sent_lowat {
                set_not_sent_lowat(socket, bytes)?;
            }
            match bounds.send_buffer {
                Some(bytes) => {
                    socket.set_send_buffer_size(usize::try_from(bytes).unwrap_or(usize::MAX))
                }
                None => Ok(()),
            }
        })
    }
}

#[cfg(target_os = "linux")]
fn set_not_sent_lowat(socket: &Socket, bytes: u32) -> io::Result<()> {
    socket.set_tcp_notsent_lowat(bytes)
}

#[cfg(not(target_os = "linux"))]
fn set_not_sent_lowat(socket: &Socket, bytes: u32) -> io::Result<()> {
    crate::os::set_not_sent_lowat(socket, bytes)
}

fn ip_address(address: &socket2::SockAddr) -> io::Result<SocketAddr> {
    address
        .as_socket()
        .ok_or_else(|| io::Error::other("the socket has no IP address"))
}

fn no_room() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "the slab has no room for a read",
    )
}
