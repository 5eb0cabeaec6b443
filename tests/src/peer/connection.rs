//! One RTSP connection of the raw peer: sends requests, keeps the frames that arrive between answers, and hands both
//! out in the order of their kind.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::message::{self, Frame, Item, Response};
use super::{PeerError, READ_TIMEOUT};

/// Bytes asked of the socket at once.
const READ_BYTES: usize = 64 * 1024;

/// A connection to the server under test.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    /// How far `input` has been consumed.
    consumed: usize,
    frames: VecDeque<Frame>,
    responses: VecDeque<Response>,
    cseq: u32,
    session: Option<String>,
}

impl Connection {
    /// Connects to `address`.
    ///
    /// # Errors
    /// When nobody answers there.
    pub fn open(address: SocketAddr) -> Result<Self, PeerError> {
        let stream = TcpStream::connect_timeout(&address, READ_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        stream.set_write_timeout(Some(READ_TIMEOUT))?;
        Ok(Self {
            stream,
            input: Vec::new(),
            consumed: 0,
            frames: VecDeque::new(),
            responses: VecDeque::new(),
            cseq: 0,
            session: None,
        })
    }

    /// The socket, for tests that shrink its buffers or close it their own way.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// The session that the server has named, without its parameters.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Leaves the session out of later requests, as after its end.
    pub fn forget_session(&mut self) {
        self.session = None;
    }

    /// An interleaved frame that came before the last answer and was not handed out yet. Never waits.
    pub fn take_frame(&mut self) -> Option<Frame> {
        self.frames.pop_front()
    }

    /// Sends a request and waits for its answer, whatever its status. Once the server has named a session, requests
    /// carry it.
    ///
    /// # Errors
    /// When the connection breaks, the answer is no message, or it answers another request.
    pub fn ask(
        &mut self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, PeerError> {
        self.cseq += 1;
        let session = self.session.clone();
        let mut headers = headers.to_vec();
        if let Some(session) = &session {
            headers.push(("Session", session));
        }
        let request = message::write_request(method, url, self.cseq, &headers, body);
        self.stream.write_all(&request)?;
        let response = self.next_response()?;
        if response.header("CSeq") != Some(self.cseq.to_string().as_str()) {
            return Err(PeerError::Garbage(format!(
                "an answer to another request: {response:?}"
            )));
        }
        self.keep_session(&response);
        Ok(response)
    }

    /// As [`Self::ask`], for an answer that has to be 200.
    ///
    /// # Errors
    /// As [`Self::ask`], and when the server refuses.
    pub fn request(
        &mut self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, PeerError> {
        let response = self.ask(method, url, headers, body)?;
        if response.status == 200 {
            return Ok(response);
        }
        Err(PeerError::Refused {
            method: method.to_owned(),
            status: response.status,
        })
    }

    /// Sends bytes as they are: frames, several requests at once, garbage.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that nothing more will be sent, and goes on reading.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn half_close(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// The next answer; frames before it are kept.
    ///
    /// # Errors
    /// When the connection ends or breaks first.
    pub fn next_response(&mut self) -> Result<Response, PeerError> {
        loop {
            if let Some(response) = self.responses.pop_front() {
                return Ok(response);
            }
            if !self.read_more()? {
                return Err(PeerError::Closed {
                    during: "an answer",
                });
            }
        }
    }

    /// The next interleaved frame; `None` after an orderly end. Answers before it are kept.
    ///
    /// # Errors
    /// When the connection breaks or ends within a message.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, PeerError> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(Some(frame));
            }
            if !self.read_more()? {
                return Ok(None);
            }
        }
    }

    /// Waits until the server has closed the connection, dropping what still comes.
    ///
    /// # Errors
    /// When the connection breaks or stays silent.
    pub fn wait_closed(&mut self) -> Result<(), PeerError> {
        while self.read_more()? {
            self.frames.clear();
            self.responses.clear();
        }
        Ok(())
    }

    /// Reads one byte, for peers that take no more; false at the connection's end.
    ///
    /// # Errors
    /// When the connection breaks or stays silent.
    pub fn read_byte(&mut self) -> Result<bool, PeerError> {
        self.read_into(&mut [0])
    }

    /// Reads once and takes the items apart; false at the connection's end.
    fn read_more(&mut self) -> Result<bool, PeerError> {
        self.read_into(&mut [0; READ_BYTES])
    }

    fn read_into(&mut self, buffer: &mut [u8]) -> Result<bool, PeerError> {
        let length = self.read(buffer)?;
        if length == 0 {
            return self.end();
        }
        self.input.drain(..self.consumed);
        self.consumed = 0;
        self.input.extend(buffer.iter().take(length));
        self.take_items()?;
        Ok(true)
    }

    /// One read. A socket with a time limit is not read on by the system after an interruption (signal(7)), which a
    /// ring that this thread has closed may cause.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    fn end(&self) -> Result<bool, PeerError> {
        if self.consumed < self.input.len() {
            return Err(PeerError::Closed {
                during: "a message",
            });
        }
        Ok(false)
    }

    fn take_items(&mut self) -> Result<(), PeerError> {
        while let Some(rest) = self.input.get(self.consumed..) {
            let Some((item, taken)) = message::read_item(rest)? else {
                break;
            };
            self.consumed += taken;
            match item {
                Item::Frame(frame) => self.frames.push_back(frame),
                Item::Response(response) => self.responses.push_back(response),
            }
        }
        Ok(())
    }

    fn keep_session(&mut self, response: &Response) {
        let named = response.header("Session");
        if let Some(id) = named.and_then(|value| value.split(';').next()) {
            self.session = Some(id.to_owned());
        }
    }
}
