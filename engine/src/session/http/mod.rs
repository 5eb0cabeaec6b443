//! HTTP: the connections of sites, served by hyper over the shard's own streams.
//!
//! A connection stays on the shard that accepted it. Its deadlines are those of all sessions (the shard's sweep); hyper has
//! no timer.

mod io;

use std::rc::Rc;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::service::service_fn;

use super::transport::Transport;
use crate::control::{Body, ControlState, Handler, Request, Response, Site, refusal};
use crate::event::SessionEnd;
use crate::shard::{SessionHandle, Shard};

use io::HyperStream;

/// The longest body of a request.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What a listener serves.
#[derive(Clone, Debug)]
pub(crate) struct HttpService {
    /// The site.
    pub(crate) site: Arc<Site>,
    /// What its handlers work with.
    pub(crate) state: Arc<ControlState>,
}

/// Serves a connection until it ends.
pub(super) async fn serve(
    shard: &Rc<Shard>,
    session: &Rc<SessionHandle>,
    stream: impl Transport,
    service: HttpService,
) -> SessionEnd {
    let io = HyperStream::new(stream, session.cancel.clone());
    let answer = service_fn(|request| {
        session.note_request(shardcast_platform::now());
        answer(shard.clone(), session.clone(), service.clone(), request)
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(io, answer);
    match connection.await {
        Ok(()) => SessionEnd::PeerClosed,
        Err(error) => session
            .ended()
            .cloned()
            .unwrap_or_else(|| SessionEnd::Connection(error.to_string())),
    }
}

async fn answer(
    shard: Rc<Shard>,
    session: Rc<SessionHandle>,
    service: HttpService,
    request: http::Request<Incoming>,
) -> Result<Response, std::convert::Infallible> {
    let (head, body) = request.into_parts();
    let Some(found) = service.site.find(head.uri.path()) else {
        return Ok(refusal(StatusCode::NOT_FOUND).map(Body::Whole));
    };
    let method = match &head.method {
        &Method::HEAD => &Method::GET,
        method => method,
    };
    let handler = found
        .route
        .methods
        .iter()
        .find(|(known, _)| known == method);
    let Some((_, handler)) = handler.cloned() else {
        return Ok(refusal(StatusCode::METHOD_NOT_ALLOWED).map(Body::Whole));
    };
    let Some(body) = read_whole(body).await else {
        return Ok(refusal(StatusCode::PAYLOAD_TOO_LARGE).map(Body::Whole));
    };
    let request = Request {
        method: head.method,
        uri: head.uri,
        headers: head.headers,
        body,
        peer: session.peer,
        captures: found.captures,
    };
    let state = service.state.clone();
    Ok(match handler {
        Handler::Shard(handler) => handler(shard, state, request).await,
        Handler::Clerk(handler) => {
            let work = move || handler(&state, &request);
            let worked_out = service.state.clerk.work_out(&shard, work).await;
            worked_out
                .unwrap_or_else(|| refusal(StatusCode::SERVICE_UNAVAILABLE))
                .map(Body::Whole)
        }
    })
}

async fn read_whole(mut body: Incoming) -> Option<Bytes> {
    let mut whole = BytesMut::new();
    loop {
        let frame =
            std::future::poll_fn(|context| std::pin::Pin::new(&mut body).poll_frame(context));
        match frame.await {
            None => return Some(whole.freeze()),
            Some(Err(_)) => return None,
            Some(Ok(frame)) => {
                let data = frame.into_data().unwrap_or_default();
                if whole.len() + data.len() > BODY_BYTES_MAX {
                    return None;
                }
                whole.extend_from_slice(&data);
            }
        }
    }
}
