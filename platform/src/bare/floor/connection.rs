//! One connection of the floor: its requests until it publishes or plays, and what a partial send left over.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, TcpStream};
use std::os::fd::{AsRawFd as _, RawFd};

use super::request::Request;
use super::{FRAME_MAGIC, frames};

/// Bytes of a request at most, its body included.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// Tracks of a reader over UDP at most: as many as publishers have channels for.
const TRACKS_MAX: usize = 128;
/// Bytes read at once while requests are expected.
const READ_BYTES: usize = 2048;

/// What a connection has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Asking,
    Publisher,
    Reader,
}

/// A connection of either kind.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    pub(super) role: Role,
    /// The ports that it wants its packets at, over UDP: one per track, as they were set up.
    datagrams_to: Vec<u16>,
    unread: Vec<u8>,
    owed: Vec<u8>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            role: Role::Asking,
            datagrams_to: Vec::new(),
            unread: Vec::new(),
            owed: Vec::new(),
        })
    }

    pub(super) fn descriptor(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The next track's packets are wanted here.
    pub(super) fn want_datagrams_at(&mut self, port: u16) {
        if self.datagrams_to.len() < TRACKS_MAX {
            self.datagrams_to.push(port);
        }
    }

    /// It plays no more, and may begin anew.
    pub(super) fn leave(&mut self) {
        self.role = Role::Asking;
        self.datagrams_to.clear();
    }

    pub(super) fn datagrams_to(&self) -> &[u16] {
        &self.datagrams_to
    }

    /// # Errors
    /// When it is gone.
    pub(super) fn peer(&self) -> io::Result<IpAddr> {
        Ok(self.stream.peer_addr()?.ip())
    }

    /// The requests that are complete.
    ///
    /// # Errors
    /// When the peer has closed, or sends what is no request.
    pub(super) fn read_requests(&mut self) -> io::Result<Vec<Request>> {
        let mut buffer = [0; READ_BYTES];
        let count = match self.stream.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Vec::new()),
            other => other?,
        };
        self.unread.extend_from_slice(&buffer[..count]);
        if count == 0 || self.unread.len() > REQUEST_BYTES_MAX {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut requests = Vec::new();
        while let Some(request) = self.next_request() {
            requests.push(request);
        }
        Ok(requests)
    }

    /// What a reader says in frames, its reports, is passed over; a publisher's first frames wait.
    fn next_request(&mut self) -> Option<Request> {
        if self.role == Role::Reader {
            let reports: usize = frames(&self.unread).map(<[u8]>::len).sum();
            self.unread.drain(..reports);
        }
        if self.unread.first() == Some(&FRAME_MAGIC) {
            return None;
        }
        let (request, length) = Request::parse(&self.unread)?;
        self.unread.drain(..length);
        Some(request)
    }

    /// What came after the last request.
    pub(super) fn take_unread(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.unread)
    }

    /// Sends an answer behind what is owed; false if some of it is owed now.
    pub(super) fn answer(&mut self, bytes: &[u8]) -> bool {
        self.owe(bytes);
        self.flush()
    }

    /// Sends what the socket takes and owes the rest; false if there is a rest. Without any room the bytes are skipped.
    pub(super) fn send(&mut self, bytes: &[u8]) -> bool {
        match (&self.stream).write(bytes) {
            Ok(count) if count < bytes.len() => {
                self.owe(&bytes[count..]);
                false
            }
            // Of a closed connection epoll will tell.
            Ok(_) | Err(_) => true,
        }
    }

    pub(super) fn owe(&mut self, bytes: &[u8]) {
        self.owed.extend_from_slice(bytes);
    }

    /// Sends what is owed; whether nothing is owed any more.
    pub(super) fn flush(&mut self) -> bool {
        if !self.owed.is_empty()
            && let Ok(count) = (&self.stream).write(&self.owed)
        {
            self.owed.drain(..count);
        }
        self.owed.is_empty()
    }
}
