//! hyper over the platform's streams, as sites are served, and hyper on tokio's current-thread runtime: each serves the same
//! small responses to the same connections over loopback, and says what CPU time its thread has had.
//!
//! The server's thread is on a CPU of its own. The load is one thread that sends a request on each connection and the next
//! one when it has the whole response; it reads no more of a response than its length.

use std::cell::Cell;
use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use shardcast::SessionId;
use shardcast::session::{HyperStream, Scratch};
use shardcast::shard::SessionHandle;
use shardcast_platform::{AcceptOutcome, Cancel, Driver, DriverRequest, ListenAddress};

use crate::BenchError;
use crate::fanout::Cpus;
use crate::thread_time::ThreadTime;

/// Connections that one load holds: one byte names each in `mio`'s tokens and more would say nothing else.
pub const CONNECTIONS_MAX: usize = 4096;

/// A request as scripts send it.
const REQUEST: &[u8] =
    b"GET /v3/info HTTP/1.1\r\nHost: 127.0.0.1:9997\r\nUser-Agent: load\r\nAccept: */*\r\n\r\n";

/// Who serves.
#[derive(Clone, Copy, Debug)]
pub enum HttpServer {
    /// hyper over the platform's streams.
    Platform(DriverRequest),
    /// hyper on tokio's current-thread runtime.
    Tokio,
}

/// What is asked of it.
#[derive(Clone, Copy, Debug)]
pub struct HttpShape {
    /// Connections at once.
    pub connections: usize,
    /// Requests over all of them.
    pub requests: usize,
    /// Bytes of each response's body.
    pub body_bytes: usize,
}

/// Has the server serve so many requests: its CPU time for each, in nanoseconds.
///
/// # Errors
/// When sockets or the driver fail, and when a response is not what it should be.
pub fn measure(cpus: Cpus, server: HttpServer, shape: HttpShape) -> Result<f64, BenchError> {
    let (tell, told) = channel();
    let thread = cpus
        .beside(|| Ok(std::thread::Builder::new().spawn(move || serve(server, shape, &tell))?))?;
    let Ok(address) = told.recv() else {
        return match thread.join() {
            Ok(Err(error)) => Err(error.into()),
            _ => Err(BenchError::NotListening),
        };
    };
    Load::connect(address, shape)?.run(shape.requests)?;
    let used = thread.join().map_err(|_| BenchError::Panicked)??;
    Ok(used.as_nanos() as f64 / shape.requests as f64)
}

fn serve(server: HttpServer, shape: HttpShape, tell: &Sender<SocketAddr>) -> io::Result<Duration> {
    let before = ThreadTime::now();
    match server {
        HttpServer::Platform(request) => {
            let driver = shardcast_platform::choose_driver(request).map_err(io::Error::other)?;
            serve_by_platform(driver.driver, shape, tell)?;
        }
        HttpServer::Tokio => serve_by_tokio(shape, tell)?,
    }
    Ok(ThreadTime::now().saturating_sub(before))
}

/// Serves as many connections as there are, until all have ended.
fn serve_by_platform(
    driver: Driver,
    shape: HttpShape,
    tell: &Sender<SocketAddr>,
) -> io::Result<()> {
    let address: ListenAddress = "127.0.0.1:0".parse().map_err(io::Error::other)?;
    let bound = shardcast_platform::bind(&address, 1).map_err(io::Error::other)?;
    let body = body_of(shape);
    shardcast_platform::block_on(driver, async move {
        let acceptor = bound.acceptors.into_iter().next();
        let acceptor = acceptor.ok_or(io::ErrorKind::NotFound)?;
        let listener = acceptor.start()?;
        let _load_waits = tell.send(bound.local_addr);
        let (scratch, left) = (Scratch::default(), Rc::new(Cell::new(shape.connections)));
        let all_ended = Cancel::new();
        for number in 0..shape.connections {
            let (stream, peer) = match listener.accept(&Cancel::new()).await {
                AcceptOutcome::Accepted(stream, peer) => (stream, peer),
                AcceptOutcome::Failed(error) => return Err(error),
                AcceptOutcome::Cancelled => return Err(io::ErrorKind::Interrupted.into()),
            };
            let id = SessionId::new(number as u64);
            let session = SessionHandle::over_http(id, peer, "load", shardcast_platform::now());
            let stream = HyperStream::plain(stream, Rc::new(session), scratch.clone());
            let (body, left, ended) = (body.clone(), Rc::clone(&left), all_ended.clone());
            shardcast_platform::spawn(async move {
                let answer = service_fn(move |request| answer(request, body.clone()));
                let _peer_has_closed = http1::Builder::new().serve_connection(stream, answer).await;
                left.set(left.get() - 1);
                if left.get() == 0 {
                    ended.cancel();
                }
            });
        }
        all_ended.cancelled().await;
        Ok(())
    })?
}

/// The same on tokio.
fn serve_by_tokio(shape: HttpShape, tell: &Sender<SocketAddr>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let tasks = tokio::task::LocalSet::new();
    let body = body_of(shape);
    tasks.block_on(&runtime, async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let _load_waits = tell.send(listener.local_addr()?);
        let mut connections = Vec::with_capacity(shape.connections);
        for _ in 0..shape.connections {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (stream, body) = (TokioIo::new(stream), body.clone());
            connections.push(tokio::task::spawn_local(async move {
                let answer = service_fn(move |request| answer(request, body.clone()));
                let _peer_has_closed = http1::Builder::new().serve_connection(stream, answer).await;
            }));
        }
        for connection in connections {
            connection.await.map_err(io::Error::other)?;
        }
        Ok(())
    })
}

fn body_of(shape: HttpShape) -> Bytes {
    vec![b'x'; shape.body_bytes].into()
}

async fn answer(_: Request<Incoming>, body: Bytes) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(body)))
}

/// Connections that ask, one request after the other.
struct Load {
    poll: Poll,
    connections: Vec<Connection>,
}

struct Connection {
    stream: TcpStream,
    /// Bytes that are missing of the response.
    missing: usize,
}

impl Load {
    fn connect(address: SocketAddr, shape: HttpShape) -> io::Result<Self> {
        let poll = Poll::new()?;
        let connections = (0..shape.connections.min(CONNECTIONS_MAX)).map(|number| {
            let stream = std::net::TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry()
                .register(&mut stream, Token(number), Interest::READABLE)?;
            Ok(Connection { stream, missing: 0 })
        });
        let connections = connections.collect::<io::Result<_>>()?;
        Ok(Self { poll, connections })
    }

    /// Sends so many requests, and has all their responses.
    fn run(mut self, requests: usize) -> io::Result<()> {
        let length = self.first_length()?;
        let (mut sent, mut answered) = (1, 1);
        for connection in self.connections.iter_mut().take(requests - 1) {
            connection.ask(length)?;
            sent += 1;
        }
        let mut events = Events::with_capacity(CONNECTIONS_MAX);
        while answered < requests {
            self.poll.poll(&mut events, Some(Duration::from_secs(10)))?;
            if events.is_empty() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            for event in &events {
                let Some(connection) = self.connections.get_mut(event.token().0) else {
                    continue;
                };
                while connection.take()? {
                    answered += 1;
                    if sent == requests {
                        break;
                    }
                    connection.ask(length)?;
                    sent += 1;
                }
            }
        }
        Ok(())
    }

    /// The length of every response, by the first one.
    fn first_length(&mut self) -> io::Result<usize> {
        let Some(connection) = self.connections.first_mut() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        connection.ask(0)?;
        let (mut response, mut piece) = (Vec::new(), [0; 4096]);
        let mut events = Events::with_capacity(1);
        loop {
            if let Some(length) = length_of(&response).filter(|&length| length <= response.len()) {
                return Ok(length);
            }
            match connection.stream.read(&mut piece) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => response.extend_from_slice(piece.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.poll.poll(&mut events, Some(Duration::from_secs(10)))?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Connection {
    fn ask(&mut self, length: usize) -> io::Result<()> {
        self.missing = length;
        self.stream.write_all(REQUEST)
    }

    /// Reads on; whether the response is whole.
    fn take(&mut self) -> io::Result<bool> {
        let mut piece = [0; 4096];
        while self.missing > 0 {
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.missing = self.missing.saturating_sub(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
            if self.missing == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// How long a response is with its head, once that is here.
fn length_of(response: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(response).ok()?;
    let (head, _) = text.split_once("\r\n\r\n")?;
    let length = head.to_lowercase();
    let (_, length) = length.split_once("content-length: ")?;
    let digits = length.split("\r\n").next()?;
    Some(head.len() + 4 + digits.parse::<usize>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_as_long_as_it_says() {
        assert_eq!(length_of(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n"), None);
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(length_of(whole), Some(whole.len()));
    }

    #[test]
    fn both_sides_serve_all_that_is_asked_of_them() {
        let shape = HttpShape {
            connections: 3,
            requests: 50,
            body_bytes: 64,
        };
        for server in [HttpServer::Platform(DriverRequest::Auto), HttpServer::Tokio] {
            let nanos = measure(Cpus::choose(), server, shape).expect("it serves");
            assert!(nanos > 0.0, "{server:?}");
        }
    }
}
