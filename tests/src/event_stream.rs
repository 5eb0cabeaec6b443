//! A peer that listens to `/v3/events`: reads server-sent events as the WHATWG HTML standard has them (section 9.2.6), or lines
//! of JSON, from a response in chunks.
//!
//! It owes nothing to the code under test. Deliberately absent: connecting again by itself.

use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long a stream may keep silent: longer than its heartbeat.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// An event as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct SentEvent {
    /// The id that is the last one after it.
    pub id: String,
    /// Its kind, as the stream's framing says.
    pub kind: String,
    /// Its data.
    pub data: Value,
}

/// A stream of events.
#[derive(Debug)]
pub struct EventStream {
    body: BufReader<Chunks>,
    /// The response's status.
    pub status: u16,
    /// The response's `content-type`.
    pub content_type: String,
    /// The id that the stream has named last.
    pub last_id: String,
}

impl EventStream {
    /// GETs `target`, with `headers` (lines that end in CRLF), and reads the response's head.
    ///
    /// # Panics
    /// When there is no response.
    pub fn open(address: SocketAddr, target: &str, headers: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        Self::on(stream, target, headers)
    }

    /// As [`Self::open`], on this connection.
    ///
    /// # Panics
    /// When there is no response.
    pub fn on(mut stream: TcpStream, target: &str, headers: &str) -> Self {
        let request = format!("GET {target} HTTP/1.1\r\nhost: shardcast\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).expect("it is sent");
        stream
            .set_read_timeout(Some(SILENCE_LIMIT))
            .expect("it can be set");
        Self::answered(BufReader::new(stream)).expect("a response")
    }

    fn answered(mut stream: BufReader<TcpStream>) -> io::Result<Self> {
        let mut status = String::new();
        stream.read_line(&mut status)?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut content_type = String::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some(("content-type", value)) => value.clone_into(&mut content_type),
                Some(_) => {}
                None => break,
            }
        }
        let chunks = Chunks { stream, left: 0 };
        Ok(Self {
            body: BufReader::new(chunks),
            status: status.unwrap_or_default(),
            content_type,
            last_id: String::new(),
        })
    }

    /// The next line of the body without its end; `None` at the body's end.
    ///
    /// # Panics
    /// When the connection fails, or is silent for too long.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self
            .body
            .read_line(&mut line)
            .expect("the stream goes on or ends");
        (read > 0).then(|| line.trim_end_matches('\n').to_owned())
    }

    /// The next event; `None` when the stream has ended.
    ///
    /// # Panics
    /// When the connection fails, or what comes is no event.
    pub fn next_event(&mut self) -> Option<SentEvent> {
        let (mut kind, mut data) = (String::new(), String::new());
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("id", id)) => id.clone_into(&mut self.last_id),
                Some(("event", value)) => value.clone_into(&mut kind),
                Some(("data", value)) => data += value,
                _ if line.is_empty() && !data.is_empty() => break,
                _ => assert!(line.is_empty() || line.starts_with(':'), "no field: {line}"),
            }
        }
        Some(SentEvent {
            id: self.last_id.clone(),
            kind,
            data: serde_json::from_str(&data).expect("data in JSON"),
        })
    }

    /// The next event of this kind.
    ///
    /// # Panics
    /// When the stream ends before.
    pub fn wait(&mut self, kind: &str) -> SentEvent {
        loop {
            let event = self.next_event();
            let event = event.unwrap_or_else(|| panic!("the stream has ended without {kind}"));
            if event.kind == kind {
                return event;
            }
        }
    }
}

/// A body in chunks (RFC 9112, section 7.1), which ends with an empty one.
#[derive(Debug)]
struct Chunks {
    stream: BufReader<TcpStream>,
    /// Bytes of the chunk that are still to come.
    left: usize,
}

impl Read for Chunks {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let mut size = String::new();
            self.stream.read_line(&mut size)?;
            let size = usize::from_str_radix(size.trim(), 16);
            self.left = size.map_err(|_| io::ErrorKind::InvalidData)?;
            if self.left == 0 {
                return Ok(0);
            }
        }
        let most = room.len().min(self.left);
        let read = self.stream.read(room.get_mut(..most).unwrap_or_default())?;
        self.left -= read;
        if self.left == 0 {
            self.stream.read_exact(&mut [0; 2])?;
        }
        Ok(read)
    }
}
