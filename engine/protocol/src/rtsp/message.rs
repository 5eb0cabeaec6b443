//! Requests and responses as values, and how they are written to the wire. `reader` makes them
//! from bytes; `server` and `client` make them anew.

use std::fmt;

use bytes::Bytes;

use super::{Headers, Method, RtspUrl, StatusCode};

const VERSION: &str = "RTSP/1.0";
const CSEQ: &str = "CSeq";
const CONTENT_LENGTH: &str = "Content-Length";

/// A request (RFC 2326, section 6).
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub method: Method,
    /// The request's URL exactly as it was sent, credentials included: do not log it.
    pub target: String,
    /// The request's number, which its response repeats.
    pub cseq: u32,
    /// All fields but `CSeq`, and for a request to be written, without `Content-Length`.
    pub headers: Headers,
    /// The body; its length is written as `Content-Length`.
    pub body: Bytes,
}

impl Request {
    /// A request without fields and body.
    pub fn new(method: Method, target: impl Into<String>, cseq: u32) -> Self {
        Self {
            method,
            target: target.into(),
            cseq,
            headers: Headers::new(),
            body: Bytes::new(),
        }
    }

    /// Appends the wire form.
    pub fn write(&self, out: &mut Vec<u8>) {
        let line = format!("{} {} {VERSION}\r\n", self.method, self.target);
        out.extend_from_slice(line.as_bytes());
        write_rest(Some(self.cseq), &self.headers, &self.body, out);
    }
}

/// Credentials in the URL are not shown.
impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = match RtspUrl::parse(&self.target) {
            Ok(url) => url.to_string(),
            Err(_) if self.target == "*" => self.target.clone(),
            Err(error) => format!("({error})"),
        };
        formatter
            .debug_struct("Request")
            .field("method", &self.method)
            .field("target", &target)
            .field("cseq", &self.cseq)
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// A response (RFC 2326, section 7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// What became of the request.
    pub status: StatusCode,
    /// More about it, for people: it follows the usual phrase in the first line, in brackets. Of a response that was read
    /// nothing is kept.
    pub why: Option<Box<str>>,
    /// The number of the request it answers. Absent when the request had none that could be read.
    pub cseq: Option<u32>,
    /// All fields but `CSeq`, and for a response to be written, without `Content-Length`.
    pub headers: Headers,
    /// The body; its length is written as `Content-Length`.
    pub body: Bytes,
}

impl Response {
    /// A response without fields and body.
    pub fn new(status: StatusCode, cseq: Option<u32>) -> Self {
        Self {
            status,
            why: None,
            cseq,
            headers: Headers::new(),
            body: Bytes::new(),
        }
    }

    /// Appends the wire form.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{VERSION} {}", self.status).as_bytes());
        if let Some(why) = &self.why {
            out.extend_from_slice(format!(" ({why})").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        write_rest(self.cseq, &self.headers, &self.body, out);
    }

    /// The wire form.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::new();
        self.write(&mut out);
        out.into()
    }
}

/// Writes what stands below the first line. `CSeq` and `Content-Length` are computed, so fields of
/// these names, which a message read from the wire has, are passed over.
fn write_rest(cseq: Option<u32>, headers: &Headers, body: &[u8], out: &mut Vec<u8>) {
    if let Some(cseq) = cseq {
        write_field(CSEQ, &cseq.to_string(), out);
    }
    for (name, value) in headers.iter() {
        if !name.eq_ignore_ascii_case(CSEQ) && !name.eq_ignore_ascii_case(CONTENT_LENGTH) {
            write_field(name, value, out);
        }
    }
    if !body.is_empty() {
        write_field(CONTENT_LENGTH, &body.len().to_string(), out);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

fn write_field(name: &str, value: &str, out: &mut Vec<u8>) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}
