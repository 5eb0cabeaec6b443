//! A connection from its first byte to its last: TLS or not, HTTP/1.1 or HTTP/2, served until it ends, and then closed so
//! that its peer reads what was said last.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use http::StatusCode;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use shardcast_platform::{PolledStream, TcpStream};
use shardcast_runtime::local::{Either, race};

use super::executor::StreamExecutor;
use super::first::{First, first_of};
use super::io::{HyperStream, Stream};
use super::refused::raw;
use super::request::Connected;
use super::response::Exchange;
use super::{HEAD_BYTES_MAX, HttpService, ended};
use crate::event::SessionEnd;
use crate::refusal::RefusalReason;
use crate::session::tls;
use crate::shard::{Exchanges, SessionHandle, Shard};

/// Streams of one connection at once (RFC 9113, section 5.1.2 recommends no less than 100).
const STREAMS_MAX: u32 = 100;

/// Streams that were reset before they were looked at, and errors of the peer's that reset one: more end the connection
/// with GOAWAY. Both are what a flood is made of.
const RESETS_MAX: usize = 20;
const LOCAL_RESETS_MAX: usize = 256;

/// Bytes of requests' bodies that a peer may send ahead, per stream and over all of them: bodies are read at once, so that
/// this is only what is under way.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
const WINDOW_BYTES: u32 = 256 << 10;

/// Bytes of a response that wait for the peer's window, per stream.
const SEND_BUFFER_BYTES: usize = 256 << 10;

/// Bytes that are read and thrown away after the last response: of a body that was refused, until its peer has noticed.
const DISCARD_BYTES_MAX: usize = 16 << 20;

/// What a peer is told that is too many.
const TOO_MANY: &str = "there are too many connections already";

/// Serves a connection until it ends.
pub(in crate::session) async fn serve(
    shard: &Rc<Shard>,
    session: &Rc<SessionHandle>,
    stream: TcpStream,
    service: HttpService,
) -> SessionEnd {
    let Some(_seat) = service.seats.take() else {
        let refusal = service
            .site
            .refusal(StatusCode::SERVICE_UNAVAILABLE, TOO_MANY);
        let io = HyperStream::plain(stream, session.clone(), service.scratch.clone());
        if service.tls.is_none() {
            let _peer_may_be_gone = io.say(&raw(&refusal)).await;
        }
        return SessionEnd::Protocol(RefusalReason::TooManyConnections, TOO_MANY.into());
    };
    let connected = Rc::new(Connected::new(shard.clone(), session.clone(), service));
    let stream = PolledStream::new(stream, session.cancel.clone());
    // What a connection holds while it begins is taken from the heap for that long.
    match Box::pin(connected.begin(stream)).await {
        Ok((io, First::Http2)) => connected.serve_http2(io).await,
        Ok((io, _)) => connected.serve_http1(io).await,
        Err(end) => end,
    }
}

impl Connected {
    /// Shakes hands where that is due, and tells which HTTP is spoken.
    async fn begin(&self, mut stream: PolledStream) -> Result<(HyperStream, First), SessionEnd> {
        let session = &self.session;
        // The handshake, or the first bytes, have a time of their own; a connection without a byte is idle.
        if self.service.tls.is_some() {
            session.note_message(true, shardcast_platform::now());
        }
        let first = first_of(&mut stream, session);
        let first = match race(first, self.winding_down()).await {
            Either::First(first) => first.map_err(|error| ended(session, &error))?,
            Either::Second(()) => return Err(ended(session, &"shut down")),
        };
        match (&self.service.tls, first) {
            (_, First::Nothing) => Err(SessionEnd::PeerClosed),
            (None, First::Tls) => {
                let what = "Client sent a TLS handshake to an HTTP server.";
                Err(self.turn_away(stream, what, RefusalReason::Tls).await)
            }
            (None, first) => Ok((self.io(Stream::Plain(stream), first), first)),
            (Some(tls), First::Tls) => {
                self.shard.session_turns.wait_alone().await;
                let shaken = match race(tls.accept(stream), self.winding_down()).await {
                    Either::First(shaken) => shaken.map_err(|error| tls_failed(session, &error))?,
                    Either::Second(()) => return Err(ended(session, &"shut down")),
                };
                session.note_message_end();
                let first = match tls::has_chosen(&shaken, b"h2") {
                    true => First::Http2,
                    false => First::Http1,
                };
                Ok((self.io(Stream::Tls(Box::new(shaken)), first), first))
            }
            (Some(_), _) => {
                // In Go's words, for whoever looks for them.
                let what = "Client sent an HTTP request to an HTTPS server.";
                Err(self.turn_away(stream, what, RefusalReason::NoTls).await)
            }
        }
    }

    fn io(&self, stream: Stream, first: First) -> HyperStream {
        let scratch = self.service.scratch.clone();
        HyperStream::new(stream, self.session.clone(), scratch, first != First::Http2)
    }

    /// Says that the peer speaks something else.
    async fn turn_away(
        &self,
        stream: PolledStream,
        what: &'static str,
        reason: RefusalReason,
    ) -> SessionEnd {
        let io = self.io(Stream::Plain(stream), First::Http1);
        let answer = crate::control::line(StatusCode::BAD_REQUEST, what);
        let _peer_may_be_gone = io.say(&raw(&answer)).await;
        self.close(&io, SessionEnd::Protocol(reason, what.into()))
            .await
    }

    async fn serve_http1(self: &Rc<Self>, io: HyperStream) -> SessionEnd {
        let mut builder = http1::Builder::new();
        builder.max_header_size(HEAD_BYTES_MAX);
        let answer = service_fn(|request| self.clone().respond(request));
        let mut connection = Box::pin(builder.serve_connection(io.clone(), answer));
        let mut winding_down = pin!(self.winding_down());
        let mut is_told = false;
        let served = poll_fn(|context| {
            if !is_told && winding_down.as_mut().poll(context).is_ready() {
                is_told = true;
                if self.is_late() {
                    return Poll::Ready(None);
                }
                connection.as_mut().graceful_shutdown();
            }
            connection.as_mut().poll(context).map(Some)
        });
        let served = served.await;
        drop(connection);
        if served.is_none() {
            let (status, what) = (
                StatusCode::REQUEST_TIMEOUT,
                "the request did not come in time",
            );
            let answer = self.service.site.refusal(status, what);
            let _peer_may_be_gone = io.say(&raw(&answer)).await;
        }
        let end = self.end_of(served.unwrap_or(Ok(())));
        self.close(&io, end).await
    }

    async fn serve_http2(self: &Rc<Self>, io: HyperStream) -> SessionEnd {
        let executor = StreamExecutor::new(&self.shard, &self.session);
        let mut builder = http2::Builder::new(executor);
        builder
            .max_concurrent_streams(STREAMS_MAX)
            .max_pending_accept_reset_streams(RESETS_MAX)
            .max_local_error_reset_streams(LOCAL_RESETS_MAX)
            .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .keep_alive_interval(None);
        let answer = service_fn(|request| self.clone().respond(request));
        let mut connection = Box::pin(builder.serve_connection(io.clone(), answer));
        let mut winding_down = pin!(self.winding_down());
        let mut is_told = false;
        let served = poll_fn(|context| {
            if !is_told && winding_down.as_mut().poll(context).is_ready() {
                is_told = true;
                connection.as_mut().graceful_shutdown();
            }
            connection.as_mut().poll(context)
        });
        let end = self.end_of(served.await);
        drop(connection);
        self.close(&io, end).await
    }

    async fn respond(
        self: Rc<Self>,
        request: http::Request<hyper::body::Incoming>,
    ) -> Result<http::Response<super::response::Watched>, Infallible> {
        let exchange = Exchange::begin(&self.session);
        let response = self.answer(request).await;
        Ok(exchange.respond(response))
    }

    /// Why it is over, in the session's words where it has some.
    fn end_of(&self, served: hyper::Result<()>) -> SessionEnd {
        if let Some(end) = self.session.ended() {
            return end.clone();
        }
        match served {
            Ok(()) => SessionEnd::PeerClosed,
            Err(error) if error.is_parse_too_large() => {
                SessionEnd::Protocol(RefusalReason::HeadTooLarge, error.to_string())
            }
            Err(error) if error.is_parse() => {
                SessionEnd::Protocol(RefusalReason::MalformedMessage, error.to_string())
            }
            Err(error) => http2_end(&error),
        }
    }

    /// Ends our direction and reads on until the peer has ended too: what is closed with unread bytes is reset, and takes
    /// from the peer what is on its way to it.
    async fn close(&self, io: &HyperStream, end: SessionEnd) -> SessionEnd {
        self.session.linger(end, shardcast_platform::now());
        if io.shutdown().await.is_ok() {
            let mut bytes = 0;
            while let Ok(count @ 1..) = io.discard().await {
                bytes += count;
                if bytes > DISCARD_BYTES_MAX {
                    break;
                }
            }
        }
        ended(&self.session, &"closed")
    }

    fn exchanges(&self) -> Option<&Exchanges> {
        self.session.exchanges.as_deref()
    }

    fn is_late(&self) -> bool {
        self.exchanges().is_some_and(Exchanges::is_late)
    }

    async fn winding_down(&self) {
        match self.exchanges() {
            Some(exchanges) => exchanges.winding_down.cancelled().await,
            None => std::future::pending().await,
        }
    }
}

/// Why an HTTP/2 connection has failed.
fn http2_end(error: &hyper::Error) -> SessionEnd {
    let source = std::error::Error::source(error);
    let Some(cause) = source.and_then(|source| source.downcast_ref::<h2::Error>()) else {
        return SessionEnd::Connection(error.to_string());
    };
    let what = cause.to_string();
    match cause.reason() {
        // The peer's own words are no refusal.
        _ if cause.is_remote() || cause.is_io() => SessionEnd::Connection(what),
        Some(h2::Reason::ENHANCE_YOUR_CALM) => {
            SessionEnd::Protocol(RefusalReason::Http2Flood, what)
        }
        Some(_) => SessionEnd::Protocol(RefusalReason::MalformedMessage, what),
        None => SessionEnd::Connection(what),
    }
}

fn tls_failed(session: &SessionHandle, error: &std::io::Error) -> SessionEnd {
    match session.ended() {
        Some(end) => end.clone(),
        None => SessionEnd::Protocol(RefusalReason::TlsHandshake, error.to_string()),
    }
}
