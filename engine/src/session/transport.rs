//! The stream under a session: plain TCP today; TLS and tunnels have the same shape.

use std::io;
use std::net::IpAddr;

use shardcast_platform::{
    Cancel, Gather, IdleSocket, Outcome, ReadHalf, SendBuffer, Slab, TcpStream, WriteHalf,
};

/// What a session reads from.
pub trait Source: 'static {
    /// Appends what has come; see [`TcpStream::read_or`].
    fn read_or(&mut self, slab: Slab, cancel: &Cancel) -> impl Future<Output = (Outcome, Slab)>;
}

/// What a session writes to.
pub trait Sink: 'static {
    /// One write; see [`TcpStream::write_or`].
    fn write_or(
        &mut self,
        gather: Gather,
        cancel: &Cancel,
    ) -> impl Future<Output = (Outcome, Gather)>;
    /// Bytes that the kernel holds for the peer; see [`WriteHalf::unacknowledged_bytes`].
    ///
    /// # Errors
    /// Those of the system.
    fn unacknowledged_bytes(&self) -> io::Result<usize>;
    /// Tells the peer that nothing more comes.
    ///
    /// # Errors
    /// Those of the system.
    fn shutdown_write(&mut self) -> impl Future<Output = io::Result<()>>;
}

/// A connection, whole or in halves.
pub trait Transport: Source + Sink + Sized {
    /// The half that reads.
    type Source: Source;
    /// The half that writes.
    type Sink: Sink;

    /// Takes it apart, for two tasks.
    fn split(self) -> (Self::Source, Self::Sink);
    /// Puts the halves together again.
    fn reunite(source: Self::Source, sink: Self::Sink) -> Self;
    /// Bounds what the kernel holds for a reader.
    ///
    /// # Errors
    /// Those of the system; the bounds stay as they were.
    fn bound_send_buffer(&self, bound: SendBuffer) -> io::Result<()>;
    /// Our own address, as the peer knows it.
    fn local_ip(&self) -> Option<IpAddr>;
    /// Whether it can go on on another shard.
    fn is_movable(&self) -> bool;
    /// Lets go of the socket, to go on with it on another shard.
    ///
    /// # Errors
    /// Itself, where that cannot be.
    fn release(self) -> Result<IdleSocket, Self>;
}

impl Source for TcpStream {
    fn read_or(&mut self, slab: Slab, cancel: &Cancel) -> impl Future<Output = (Outcome, Slab)> {
        Self::read_or(self, slab, cancel)
    }
}

impl Sink for TcpStream {
    fn write_or(
        &mut self,
        gather: Gather,
        cancel: &Cancel,
    ) -> impl Future<Output = (Outcome, Gather)> {
        Self::write_or(self, gather, cancel)
    }

    fn unacknowledged_bytes(&self) -> io::Result<usize> {
        Self::unacknowledged_bytes(self)
    }

    fn shutdown_write(&mut self) -> impl Future<Output = io::Result<()>> {
        Self::shutdown_write(self)
    }
}

impl Transport for TcpStream {
    type Source = ReadHalf;
    type Sink = WriteHalf;

    fn split(self) -> (ReadHalf, WriteHalf) {
        Self::split(self)
    }

    fn reunite(source: ReadHalf, sink: WriteHalf) -> Self {
        Self::reunite(source, sink)
    }

    fn bound_send_buffer(&self, bound: SendBuffer) -> io::Result<()> {
        Self::bound_send_buffer(self, bound)
    }

    fn local_ip(&self) -> Option<IpAddr> {
        let address = Self::local_addr(self).ok()?;
        Some(address.ip().to_canonical())
    }

    fn is_movable(&self) -> bool {
        true
    }

    fn release(self) -> Result<IdleSocket, Self> {
        Self::release(self)
    }
}

impl Source for ReadHalf {
    fn read_or(&mut self, slab: Slab, cancel: &Cancel) -> impl Future<Output = (Outcome, Slab)> {
        Self::read_or(self, slab, cancel)
    }
}

impl Sink for WriteHalf {
    fn write_or(
        &mut self,
        gather: Gather,
        cancel: &Cancel,
    ) -> impl Future<Output = (Outcome, Gather)> {
        Self::write_or(self, gather, cancel)
    }

    fn unacknowledged_bytes(&self) -> io::Result<usize> {
        Self::unacknowledged_bytes(self)
    }

    fn shutdown_write(&mut self) -> impl Future<Output = io::Result<()>> {
        Self::shutdown_write(self)
    }
}
