//! The floor of a relay: RTSP over TCP, one publisher, and whatever one read of it brought goes to every reader in one
//! `send`, or in one io_uring submission for all of them. To readers over UDP it goes in one send per run of packets of
//! equal size.
//!
//! A reader that cannot take all of a chunk is given the rest of it when its socket has room, and skips the chunks that
//! come meanwhile: frames stay whole, and nothing is queued. What the socket for UDP cannot take is lost.
//!
//! It has one path, whatever it is asked for, and one publisher, with whose leave it ends. Channels stay the publisher's:
//! a reader that sets up all tracks in their order gets what it expects, as clients do that count up from 0.
//!
//! Deliberately absent: start points, time limits, publishers over UDP, and every refusal that a load does not need to be
//! told: before there is a description, or when somebody else publishes.

mod connection;
mod datagrams;
mod request;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd as _, RawFd};

use connection::{Connection, Role};
use datagrams::Datagrams;
use request::Request;
use socket2::{Domain, Socket, Type};

use super::epoll::{Epoll, Events, Interest};
use super::ring::{SendRing, Target};

/// Bytes of the publisher at a time: above what a socket holds between two reads at the bit rates that are measured.
const CHUNK_BYTES: usize = 256 * 1024;
/// With which an interleaved frame begins, and no request.
const FRAME_MAGIC: u8 = b'$';
/// Connections that wait to be accepted: all that a join storm brings between two turns.
const BACKLOG: i32 = 4096;
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
    is_published: bool,
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
        let listener = listen(address)?;
        let epoll = Epoll::new()?;
        epoll.add(listener.as_raw_fd())?;
        Ok(Self {
            listener,
            epoll,
            connections: Vec::new(),
            readers: Vec::new(),
            datagrams: Datagrams::bind(address.ip())?,
            description: Vec::new(),
            is_published: false,
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

    /// Accepts all that wait.
    fn accept(&mut self) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.begin(Connection::new(stream)?)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // It left while it waited.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn begin(&mut self, connection: Connection) -> io::Result<()> {
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
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
                Ok(0) | Err(_) => Ok(false),
                Ok(_) => self.publish(descriptor),
            };
        }
        match connection.read_requests() {
            Ok(requests) => {
                for request in requests {
                    if !self.answer(descriptor, request)? {
                        return Ok(false);
                    }
                }
            }
            Err(_ended) => self.close(descriptor),
        }
        Ok(true)
    }

    /// Relays what the publisher has sent, and answers what it asks between its frames; false when it leaves.
    fn publish(&mut self, descriptor: RawFd) -> io::Result<bool> {
        loop {
            self.relay()?;
            let Some(request) = self.chunk.take_request() else {
                return Ok(true);
            };
            let leaves = request.method == "TEARDOWN";
            self.reply(descriptor, &request.answer(&[], 0))?;
            if leaves {
                return Ok(false);
            }
        }
    }

    /// Answers, and does as asked; false when it was the publisher, and leaves.
    fn answer(&mut self, descriptor: RawFd, request: Request) -> io::Result<bool> {
        if let Some(status) = self.refusal(&request) {
            self.reply(descriptor, &request.refuse(status))?;
            return Ok(true);
        }
        let answer = request.answer(&self.description, self.datagrams.port());
        self.reply(descriptor, &answer)?;
        let Some(connection) = connection(&mut self.connections, descriptor) else {
            return Ok(true);
        };
        match request.method.as_str() {
            "ANNOUNCE" => self.description = request.body,
            "SETUP" => {
                if let Some(port) = request.client_port() {
                    connection.want_datagrams_at(port);
                }
            }
            "PLAY" => self.play(descriptor),
            "RECORD" => {
                connection.role = Role::Publisher;
                self.is_published = true;
                self.chunk.begin(&connection.take_unread());
                return self.publish(descriptor);
            }
            "TEARDOWN" => {
                connection.leave();
                self.forget(descriptor);
            }
            _ => {}
        }
        Ok(true)
    }

    /// Why it is not answered as it wishes.
    fn refusal(&self, request: &Request) -> Option<&'static str> {
        match request.method.as_str() {
            "DESCRIBE" if self.description.is_empty() => Some("404 Not Found"),
            "ANNOUNCE" | "RECORD" if self.is_published => Some("403 Forbidden"),
            "SETUP" if request.offers_datagrams() => Some("461 Unsupported Transport"),
            _ => None,
        }
    }

    fn reply(&mut self, descriptor: RawFd, answer: &[u8]) -> io::Result<()> {
        let connection = connection(&mut self.connections, descriptor);
        if connection.is_some_and(|connection| !connection.answer(answer)) {
            self.epoll.change(descriptor, Interest::ReadAndWrite)?;
        }
        Ok(())
    }

    fn play(&mut self, descriptor: RawFd) {
        let Some(connection) = connection(&mut self.connections, descriptor) else {
            return;
        };
        if connection.role == Role::Reader {
            return;
        }
        connection.role = Role::Reader;
        match (connection.datagrams_to(), connection.peer()) {
            ([], _) => self.readers.push(descriptor),
            (ports, Ok(ip)) => self.datagrams.add(descriptor, ip, ports),
            // It is gone, as the next read will tell.
            (_, Err(_)) => {}
        }
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
        self.forget(descriptor);
        let place = usize::try_from(descriptor).unwrap_or_default();
        if let Some(place) = self.connections.get_mut(place) {
            *place = None;
        }
    }

    /// It gets no packets any more.
    fn forget(&mut self, descriptor: RawFd) {
        self.readers.retain(|reader| *reader != descriptor);
        self.datagrams.remove(descriptor);
    }
}

/// As the standard library does, with more room for those who wait.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The interleaved frames of these bytes, headers included, up to the last that is whole.
fn frames(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let [FRAME_MAGIC, _, high, low] = *bytes.first_chunk::<FRAME_HEADER_BYTES>()? else {
            return None;
        };
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

    /// What the publisher asks where a frame would begin.
    fn take_request(&mut self) -> Option<Request> {
        let bytes = &self.buffer[..self.filled];
        if *bytes.first()? == FRAME_MAGIC {
            return None;
        }
        let (request, length) = Request::parse(bytes)?;
        self.consume(length);
        Some(request)
    }

    fn consume(&mut self, bytes: usize) {
        self.buffer.copy_within(bytes..self.filled, 0);
        self.filled -= bytes;
    }
}
