//! The floor of a relay: RTSP over TCP, one publisher, and whatever one read of it brought goes to every reader in one
//! `send`, or in one io_uring submission for all of them. To readers over UDP it goes in one send per run of packets of
//! equal size.
//!
//! A reader that cannot take all of a chunk is given the rest of it when its socket has room, and skips the chunks that
//! come meanwhile: frames stay whole, and nothing is queued. What the socket for UDP cannot take is lost.
//!
//! Deliberately absent: paths, tracks, start points, time limits, refusals. Every request is answered with 200.

mod connection;
mod datagrams;
mod request;
#[cfg(test)]
mod tests;

use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd as _, RawFd};

use connection::{Connection, Role};
use datagrams::Datagrams;
use request::Request;

use super::epoll::{Epoll, Events, Interest};
use super::ring::{SendRing, Target};

/// Bytes of the publisher at a time: above what a socket holds between two reads at the bit rates that are measured.
const CHUNK_BYTES: usize = 256 * 1024;
/// Of an interleaved frame: magic, channel, length (RFC 2326, section 10.12).
const FRAME_HEADER_BYTES: usize = 4;

/// How readers are sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloorDriver {
    /// One `send` per reader.
    Epoll,
    /// One io_uring submission for all readers.
    Uring,
}

/// A relay that listens.
pub struct Floor {
    listener: TcpListener,
    epoll: Epoll,
    /// By descriptor.
    connections: Vec<Option<Connection>>,
    readers: Vec<RawFd>,
    datagrams: Datagrams,
    description: Vec<u8>,
    chunk: Chunk,
    driver: FloorDriver,
    ring: Option<SendRing>,
}

/// What the publisher sent, up to the end of its last whole frame, and the begun one after it.
struct Chunk {
    buffer: Vec<u8>,
    filled: usize,
}

impl Floor {
    /// Listens there; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is in use, or the system refuses.
    pub fn bind(address: SocketAddr, driver: FloorDriver) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let epoll = Epoll::new()?;
        epoll.add(listener.as_raw_fd())?;
        Ok(Self {
            listener,
            epoll,
            connections: Vec::new(),
            readers: Vec::new(),
            datagrams: Datagrams::bind(address.ip())?,
            description: Vec::new(),
            chunk: Chunk {
                buffer: vec![0; CHUNK_BYTES],
                filled: 0,
            },
            driver,
            ring: None,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Relays until the publisher leaves.
    ///
    /// # Errors
    /// When the system refuses to wait, to accept, or to give an io_uring.
    pub fn serve(mut self) -> io::Result<()> {
        if self.driver == FloorDriver::Uring {
            // It belongs to the thread that makes it.
            self.ring = Some(SendRing::new()?);
        }
        let mut events = Events::new();
        loop {
            self.epoll.wait(&mut events)?;
            for (descriptor, only_write) in events.iter() {
                if descriptor == self.listener.as_raw_fd() {
                    self.accept()?;
                } else if only_write {
                    self.flush(descriptor)?;
                } else if !self.read(descriptor)? {
                    return Ok(());
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        let (stream, _) = self.listener.accept()?;
        let connection = Connection::new(stream)?;
        let descriptor = connection.descriptor();
        self.epoll.add(descriptor)?;
        let place = usize::try_from(descriptor).unwrap_or_default();
        if self.connections.len() <= place {
            self.connections.resize_with(place + 1, || None);
        }
        self.connections[place] = Some(connection);
        Ok(())
    }

    /// Reads what a connection has; false when it was the publisher's, and has ended.
    fn read(&mut self, descriptor: RawFd) -> io::Result<bool> {
        let Some(connection) = connection(&mut self.connections, descriptor) else {
            return Ok(true);
        };
        if connection.role == Role::Publisher {
            return match self.chunk.read(connection) {
                Ok(0) | Err(_) => Ok(false),
                Ok(_) => self.relay().map(|()| true),
            };
        }
        match connection.read_requests() {
            Ok(requests) => self.answer(descriptor, requests)?,
            Err(_ended) => self.close(descriptor),
        }
        Ok(true)
    }

    fn answer(&mut self, descriptor: RawFd, requests: Vec<Request>) -> io::Result<()> {
        for request in requests {
            let Some(connection) = connection(&mut self.connections, descriptor) else {
                return Ok(());
            };
            connection.send(&request.answer(&self.description, self.datagrams.port()));
            if let Some(port) = request.client_port() {
                connection.datagrams_to = Some(port);
            }
            match request.method.as_str() {
                "ANNOUNCE" => self.description = request.body,
                "PLAY" => {
                    connection.role = Role::Reader;
                    match connection.datagrams_to {
                        None => self.readers.push(descriptor),
                        Some(port) => self.datagrams.add(descriptor, connection.peer()?, port),
                    }
                }
                "RECORD" => {
                    connection.role = Role::Publisher;
                    self.chunk.begin(&connection.take_unread());
                    self.relay()?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Sends the whole frames of the chunk to every reader.
    fn relay(&mut self) -> io::Result<()> {
        let whole = self.chunk.whole_frames();
        if whole > 0 {
            let bytes = &self.chunk.buffer[..whole];
            self.datagrams.relay(bytes)?;
            match &mut self.ring {
                None => send(&self.epoll, &mut self.connections, &self.readers, bytes)?,
                Some(ring) => {
                    send_by_ring(
                        ring,
                        &self.epoll,
                        &mut self.connections,
                        &self.readers,
                        bytes,
                    )?;
                }
            }
            self.chunk.consume(whole);
        }
        Ok(())
    }

    /// Sends what is left of a chunk to a reader whose socket has room again.
    fn flush(&mut self, descriptor: RawFd) -> io::Result<()> {
        let connection = connection(&mut self.connections, descriptor);
        if connection.is_some_and(Connection::flush) {
            self.epoll.change(descriptor, Interest::Read)?;
        }
        Ok(())
    }

    fn close(&mut self, descriptor: RawFd) {
        self.readers.retain(|reader| *reader != descriptor);
        self.datagrams.remove(descriptor);
        let place = usize::try_from(descriptor).unwrap_or_default();
        if let Some(place) = self.connections.get_mut(place) {
            *place = None;
        }
    }
}

/// The interleaved frames of these bytes, headers included, up to the last that is whole.
fn frames(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let [_, _, high, low] = *bytes.first_chunk::<FRAME_HEADER_BYTES>()?;
        let length = FRAME_HEADER_BYTES + usize::from(u16::from_be_bytes([high, low]));
        let (frame, rest) = bytes.split_at_checked(length)?;
        bytes = rest;
        Some(frame)
    })
}

fn connection(
    connections: &mut [Option<Connection>],
    descriptor: RawFd,
) -> Option<&mut Connection> {
    let place = usize::try_from(descriptor).ok()?;
    connections.get_mut(place)?.as_mut()
}

/// One `send` per reader that owes nothing.
fn send(
    epoll: &Epoll,
    connections: &mut [Option<Connection>],
    readers: &[RawFd],
    bytes: &[u8],
) -> io::Result<()> {
    for reader in readers {
        if let Some(connection) = connection(connections, *reader)
            && connection.flush()
            && !connection.send(bytes)
        {
            epoll.change(*reader, Interest::ReadAndWrite)?;
        }
    }
    Ok(())
}

/// One submission for all readers that owe nothing.
fn send_by_ring(
    ring: &mut SendRing,
    epoll: &Epoll,
    connections: &mut [Option<Connection>],
    readers: &[RawFd],
    bytes: &[u8],
) -> io::Result<()> {
    let is_free =
        |reader: &&RawFd| connection(connections, **reader).is_some_and(Connection::flush);
    let free: Vec<RawFd> = readers.iter().filter(is_free).copied().collect();
    let targets: Vec<Target> = free.iter().copied().map(Target::Descriptor).collect();
    let mut partial = Vec::new();
    ring.send_to_all(&targets, bytes, false, |place, result| {
        // What failed is a closed connection, of which epoll will tell; or no room at all, and the chunk is skipped.
        let sent = result.unwrap_or(bytes.len());
        if sent < bytes.len() {
            partial.push((free[place], sent));
        }
    })?;
    for (reader, sent) in partial {
        if let Some(connection) = connection(connections, reader) {
            connection.owe(&bytes[sent..]);
            epoll.change(reader, Interest::ReadAndWrite)?;
        }
    }
    Ok(())
}

impl Chunk {
    fn begin(&mut self, bytes: &[u8]) {
        self.buffer[..bytes.len()].copy_from_slice(bytes);
        self.filled = bytes.len();
    }

    fn read(&mut self, connection: &mut Connection) -> io::Result<usize> {
        let count = connection.stream().read(&mut self.buffer[self.filled..])?;
        self.filled += count;
        Ok(count)
    }

    /// The bytes up to the end of the last frame that is whole.
    fn whole_frames(&self) -> usize {
        frames(&self.buffer[..self.filled]).map(<[u8]>::len).sum()
    }

    fn consume(&mut self, bytes: usize) {
        self.buffer.copy_within(bytes..self.filled, 0);
        self.filled -= bytes;
    }
}
