//! Finds messages and interleaved frames in the bytes of a connection. The session hands in its
//! unconsumed bytes after every read, and gets back what stands at their front.
//!
//! Invariants: no byte of a head is looked at twice for its end, however small the fragments are;
//! memory is taken for bytes that have come, never for a length that was declared; what is over a
//! limit is refused as soon as the limit is passed.

#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::Bytes;

use super::head::{self, Head, StartLine};
use super::{Request, Response, StatusCode};

/// The longest line of a head. A URL with a JSON Web Token in its query has 1 to 4 KiB.
pub const LINE_BYTES_MAX: usize = 8 * 1024;
/// The most header lines of a message. Real clients send under 20.
pub const HEADERS_MAX: usize = 128;
/// The most bytes of a head: room for the longest line and a token in a header, and small enough
/// that thousands of half-sent heads do not hurt.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;
/// The longest body. Session descriptions have 0.5 to 4 KiB; key management adds some more.
pub const BODY_BYTES_MAX: usize = 128 * 1024;

const FRAME_MARK: u8 = b'$';
const FRAME_HEADER_BYTES: usize = 4;

/// What a [`MessageReader`] takes at most.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one line, its end not counted.
    pub line_bytes: usize,
    /// Header lines of one message.
    pub headers: usize,
    /// Bytes of one head, its last blank line included.
    pub head_bytes: usize,
    /// Bytes of one body.
    pub body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_bytes: LINE_BYTES_MAX,
            headers: HEADERS_MAX,
            head_bytes: HEAD_BYTES_MAX,
            body_bytes: BODY_BYTES_MAX,
        }
    }
}

/// What stands at the front of the bytes. `consumed` counts from their start; the caller drops so
/// many bytes before the next [`MessageReader::poll`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// More bytes are needed.
    Incomplete {
        /// A message or frame has begun: a deadline for its rest applies.
        begun: bool,
        /// Blank lines between messages, which may be dropped. Zero once a message has begun.
        consumed: usize,
    },
    /// A frame of interleaved data (RFC 2326, section 10.12).
    Frame {
        /// The channel.
        channel: u8,
        /// Where the payload stands in the bytes.
        payload: Range<usize>,
        /// Bytes of the frame and of blank lines before it.
        consumed: usize,
    },
    /// A request.
    Request {
        /// The request.
        request: Request,
        /// Bytes of the request and of blank lines before it.
        consumed: usize,
    },
    /// A response.
    Response {
        /// The response.
        response: Response,
        /// Bytes of the response and of blank lines before it.
        consumed: usize,
    },
}

/// A message that the peer should not have sent. The connection cannot go on: where the next
/// message starts is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}, at byte {at} of the message")]
pub struct MessageError {
    /// What is wrong.
    pub kind: MessageErrorKind,
    /// The message's number, when one could be read.
    pub cseq: Option<u32>,
    /// How far into the message.
    pub at: usize,
}

/// What is wrong with a message. The peer is at fault, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageErrorKind {
    /// The first line is over [`Limits::line_bytes`].
    #[error("the first line is too long")]
    StartLineTooLong,
    /// A header line is over [`Limits::line_bytes`].
    #[error("a header line is too long")]
    FieldTooLong,
    /// More than [`Limits::headers`].
    #[error("too many header lines")]
    TooManyFields,
    /// The head is over [`Limits::head_bytes`].
    #[error("the head is too long")]
    HeadTooLong,
    /// The body is over [`Limits::body_bytes`].
    #[error("the body is too long")]
    BodyTooLong,
    /// A control character in the head, a carriage return alone among them.
    #[error("a control character")]
    ControlCharacter,
    /// The first line is neither a request's nor a response's.
    #[error("the first line is not RTSP")]
    StartLine,
    /// Another version of RTSP, or HTTP.
    #[error("not version 1.0 of RTSP")]
    Version,
    /// A header line that is none.
    #[error("not a header line")]
    Field,
    /// A request without `CSeq`.
    #[error("no CSeq")]
    CSeqMissing,
    /// `CSeq` is no 32-bit number, or given twice and different.
    #[error("an invalid CSeq")]
    CSeq,
    /// `Content-Length` is no number, or given twice and different.
    #[error("an invalid Content-Length")]
    ContentLength,
}

impl MessageError {
    /// The status of the answer to such a request.
    pub fn status(&self) -> StatusCode {
        match self.kind {
            MessageErrorKind::StartLineTooLong => StatusCode::REQUEST_URI_TOO_LARGE,
            MessageErrorKind::BodyTooLong => StatusCode::REQUEST_ENTITY_TOO_LARGE,
            MessageErrorKind::Version => StatusCode::RTSP_VERSION_NOT_SUPPORTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The answer, to be sent before the connection is closed.
    pub fn response(&self, server: &str) -> Response {
        let mut response = Response::new(self.status(), self.cseq);
        response.headers.put("Server", server);
        response
    }
}

/// Reads messages and frames from the front of a connection's unconsumed bytes.
#[derive(Debug)]
pub struct MessageReader {
    limits: Limits,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing of a message yet.
    Between,
    /// The head's end is looked for.
    Head(HeadScan),
    /// The head is read, the body is not all there.
    Body { head: Box<Head>, body: Range<usize> },
    /// A message was refused.
    Failed(MessageError),
}

/// How far the search for the head's end has come. All offsets count from the bytes' start.
#[derive(Clone, Copy, Debug)]
struct HeadScan {
    start: usize,
    line_start: usize,
    scanned: usize,
    lines: usize,
    after_return: bool,
}

impl MessageReader {
    /// A reader at the start of a connection.
    pub fn new(limits: Limits) -> Self {
        let state = State::Between;
        Self { limits, state }
    }

    /// Looks at what stands at the front of `input`, the connection's unconsumed bytes: those of
    /// the last call that were not `consumed`, and whatever has come since.
    ///
    /// # Errors
    /// [`MessageError`] when the peer's bytes are no message or exceed a limit. All later calls
    /// return it again.
    pub fn poll(&mut self, input: &[u8]) -> Result<Parsed, MessageError> {
        if matches!(self.state, State::Between) {
            let blank = input
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'));
            let start = blank.count();
            match input.get(start) {
                None => {
                    return Ok(Parsed::Incomplete {
                        begun: false,
                        consumed: start,
                    });
                }
                Some(&FRAME_MARK) => return Ok(poll_frame(input, start)),
                Some(_) => self.state = State::Head(HeadScan::new(start)),
            }
        }
        let outcome = self.poll_message(input);
        if let Err(error) = &outcome {
            self.state = State::Failed(error.clone());
        }
        outcome
    }

    fn poll_message(&mut self, input: &[u8]) -> Result<Parsed, MessageError> {
        if let State::Head(scan) = &mut self.state {
            let scanned = scan.find_end(input, &self.limits);
            let start = scan.start;
            let fail = |kind, at| message_error(input.get(start..), kind, at);
            let Some(end) = scanned.map_err(|(kind, at)| fail(kind, at - start))? else {
                return Ok(WAIT);
            };
            let bytes = input.get(start..end).unwrap_or_default();
            let head = head::parse(bytes, &self.limits)
                .map_err(|error| message_error(Some(bytes), error.kind, error.at))?;
            let body = end..end.saturating_add(head.body_bytes);
            let head = Box::new(head);
            self.state = State::Body { head, body };
        }
        self.poll_body(input)
    }

    fn poll_body(&mut self, input: &[u8]) -> Result<Parsed, MessageError> {
        match std::mem::replace(&mut self.state, State::Between) {
            State::Body { head, body } => match input.get(body.clone()) {
                Some(bytes) => Ok(finish(*head, Bytes::copy_from_slice(bytes), body.end)),
                None => {
                    self.state = State::Body { head, body };
                    Ok(WAIT)
                }
            },
            State::Failed(error) => Err(error),
            State::Between | State::Head(_) => Ok(WAIT),
        }
    }
}

const WAIT: Parsed = Parsed::Incomplete {
    begun: true,
    consumed: 0,
};

impl HeadScan {
    fn new(start: usize) -> Self {
        Self {
            start,
            line_start: start,
            scanned: start,
            lines: 0,
            after_return: false,
        }
    }

    /// Looks on for the blank line and returns the offset behind it, once it is there.
    fn find_end(
        &mut self,
        input: &[u8],
        limits: &Limits,
    ) -> Result<Option<usize>, (MessageErrorKind, usize)> {
        let fresh = input.get(self.scanned..).unwrap_or_default();
        for &byte in fresh {
            let at = self.scanned;
            let ended = self.take(byte, limits).map_err(|kind| (kind, at))?;
            self.scanned = at + 1;
            if ended {
                return Ok(Some(self.scanned));
            }
        }
        Ok(None)
    }

    /// Takes one byte; true when it ends the head.
    fn take(&mut self, byte: u8, limits: &Limits) -> Result<bool, MessageErrorKind> {
        if self.scanned - self.start >= limits.head_bytes {
            return Err(MessageErrorKind::HeadTooLong);
        }
        let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
        match byte {
            b'\n' => self.end_line(after_return, limits),
            _ if after_return => Err(MessageErrorKind::ControlCharacter),
            b'\r' => Ok(false),
            b'\t' => self.check_line(limits),
            _ if byte.is_ascii_control() => Err(MessageErrorKind::ControlCharacter),
            _ if self.scanned == self.start && !head::is_token(byte) => {
                Err(MessageErrorKind::StartLine)
            }
            _ => self.check_line(limits),
        }
    }

    fn check_line(&self, limits: &Limits) -> Result<bool, MessageErrorKind> {
        match self.scanned - self.line_start < limits.line_bytes {
            true => Ok(false),
            false if self.lines == 0 => Err(MessageErrorKind::StartLineTooLong),
            false => Err(MessageErrorKind::FieldTooLong),
        }
    }

    fn end_line(&mut self, after_return: bool, limits: &Limits) -> Result<bool, MessageErrorKind> {
        let bytes = self.scanned - self.line_start - usize::from(after_return);
        self.line_start = self.scanned + 1;
        if bytes == 0 {
            return Ok(true);
        }
        // The first line is not a header line.
        if self.lines > limits.headers {
            return Err(MessageErrorKind::TooManyFields);
        }
        self.lines += 1;
        Ok(false)
    }
}

fn poll_frame(input: &[u8], start: usize) -> Parsed {
    let frame = input.get(start..).unwrap_or_default();
    let Some(&[_, channel, high, low]) = frame.first_chunk::<FRAME_HEADER_BYTES>() else {
        return WAIT;
    };
    let payload_start = start + FRAME_HEADER_BYTES;
    let payload = payload_start..payload_start + usize::from(u16::from_be_bytes([high, low]));
    match payload.end <= input.len() {
        true => Parsed::Frame {
            channel,
            consumed: payload.end,
            payload,
        },
        false => WAIT,
    }
}

fn finish(head: Head, body: Bytes, consumed: usize) -> Parsed {
    let headers = head.headers;
    match head.start {
        StartLine::Request {
            method,
            target,
            cseq,
        } => Parsed::Request {
            request: Request {
                method,
                target,
                cseq,
                headers,
                body,
            },
            consumed,
        },
        StartLine::Response { status, cseq } => Parsed::Response {
            response: Response {
                status,
                why: None,
                cseq,
                headers,
                body,
            },
            consumed,
        },
    }
}

fn message_error(message: Option<&[u8]>, kind: MessageErrorKind, at: usize) -> MessageError {
    let cseq = head::find_cseq(message.unwrap_or_default());
    MessageError { kind, cseq, at }
}
