//! A plain peer over HTTP/1.1: one request on a blocking connection of its own, and the response as it came.
//!
//! It owes nothing to the code under test: it writes the request's bytes and reads the response's by itself. Bodies end by
//! their length, by chunks, or with the connection. Deliberately absent: keep-alive, redirects, TLS.

use std::io::{self, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long a server may keep silent.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// The longest body that is read: larger than any answer of a test.
const BODY_BYTES_MAX: u64 = 256 << 20;

/// A response.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header with this name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        let read = serde_json::from_slice(&self.body);
        read.unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// A request: `Request::new("GET", "/v3/info").send(address)`.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// Without headers of its own and without a body.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// The same with this header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with this body, whatever it is.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The same with a body of JSON.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json")
            .body(body.to_string())
    }

    /// Sends it on a connection of its own, and reads the response to its end.
    ///
    /// # Errors
    /// When the connection fails, or what comes is no response.
    pub fn send(&self, address: SocketAddr) -> io::Result<Response> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream.write_all(&self.bytes(address))?;
        read_response(BufReader::new(stream), &self.method)
    }

    fn bytes(&self, address: SocketAddr) -> Vec<u8> {
        let (method, target) = (&self.method, &self.target);
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {address}\r\n");
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let length = self.body.len();
        head += &format!("content-length: {length}\r\nconnection: close\r\n\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}

/// GET `target`.
///
/// # Panics
/// When there is no response.
pub fn get(address: SocketAddr, target: &str) -> Response {
    let response = Request::new("GET", target).send(address);
    response.unwrap_or_else(|error| panic!("GET {target}: {error}"))
}

/// `method` of `target` with a body of JSON.
///
/// # Panics
/// When there is no response.
pub fn send_json(address: SocketAddr, method: &str, target: &str, body: &Value) -> Response {
    let response = Request::new(method, target).json(body).send(address);
    response.unwrap_or_else(|error| panic!("{method} {target}: {error}"))
}

/// Reads one response to a request with `method`.
///
/// # Errors
/// When the connection fails, or what comes is no response.
pub fn read_response(mut stream: impl io::BufRead, method: &str) -> io::Result<Response> {
    let status = read_line(&mut stream)?;
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| malformed("a status line"))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(&mut stream)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed("a header"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut response = Response {
        status,
        headers,
        body: Vec::new(),
    };
    if method != "HEAD" && status != 204 && status != 304 {
        response.body = read_body(&mut stream, &response)?;
    }
    Ok(response)
}

fn read_body(stream: &mut impl io::BufRead, head: &Response) -> io::Result<Vec<u8>> {
    if head.header("transfer-encoding") == Some("chunked") {
        return read_chunks(stream);
    }
    let length = head.header("content-length").map(str::parse::<u64>);
    let mut body = Vec::new();
    match length {
        Some(Ok(length)) => {
            let read = stream
                .take(length.min(BODY_BYTES_MAX))
                .read_to_end(&mut body)?;
            if read as u64 != length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Some(Err(_)) => return Err(malformed("a length")),
        None => {
            stream.take(BODY_BYTES_MAX).read_to_end(&mut body)?;
        }
    }
    Ok(body)
}

/// RFC 9112, section 7.1; trailers are dropped.
fn read_chunks(stream: &mut impl io::BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream)?;
        let length = line.split(';').next().unwrap_or_default().trim();
        let length = u64::from_str_radix(length, 16).map_err(|_| malformed("a chunk"))?;
        if length == 0 {
            while !read_line(stream)?.is_empty() {}
            return Ok(body);
        }
        stream.take(length).read_to_end(&mut body)?;
        read_line(stream)?;
    }
}

fn read_line(stream: &mut impl io::BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("expected {what}"))
}
