//! HTTP: the connections of sites, served by hyper over the shard's own streams.
//!
//! A connection stays on the shard that accepted it. Its deadlines are those of all sessions (the shard's sweep); hyper has
//! no timer. Nothing here knows what a site is for: it has routes, an action to ask `admit` for, and a way to say no.

mod authorise;
mod body;
mod cors;
mod io;
mod proxies;
mod refused;
mod request;
mod target;

use std::rc::Rc;
use std::sync::Arc;

use hyper::service::service_fn;

use super::transport::Transport;
use crate::control::{ControlState, Site};
use crate::event::SessionEnd;
use crate::shard::{SessionHandle, Shard};

use authorise::Proven;
use io::HyperStream;
use request::Connected;

/// The longest head of a request with its request line. Browsers and proxies send 2 KiB at most and servers commonly take
/// 8 KiB; twice that leaves room for long tokens in `Authorization`.
const HEAD_BYTES_MAX: usize = 16 << 10;

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
    let connected = Rc::new(Connected {
        shard: shard.clone(),
        session: session.clone(),
        service,
        proven: Proven::default(),
    });
    let answer = service_fn(|request| {
        session.note_request(shardcast_platform::now());
        let connected = connected.clone();
        async move { Ok::<_, std::convert::Infallible>(connected.answer(request).await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.max_header_size(HEAD_BYTES_MAX);
    match builder.serve_connection(io, answer).await {
        Ok(()) => SessionEnd::PeerClosed,
        Err(error) => session
            .ended()
            .cloned()
            .unwrap_or_else(|| SessionEnd::Connection(error.to_string())),
    }
}
