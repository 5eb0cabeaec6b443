//! One connection of the floor: its requests until it publishes or plays, and what a partial send left over.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, TcpStream};
use std::os::fd::{AsRawFd as _, RawFd};

use super::request::Request;

/// Bytes of a request at most, its body included.
const REQUEST_BYTES_MAX: usize = 16 * 1024;
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
    /// The port that it wants its packets at, over UDP.
    pub(super) datagrams_to: Option<u16>,
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
            datagrams_to: None,
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
        while let Some((request, length)) = Request::parse(&self.unread) {
            self.unread.drain(..length);
            requests.push(request);
        }
        Ok(requests)
    }

    /// What came after the last request.
    pub(super) fn take_unread(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.unread)
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
