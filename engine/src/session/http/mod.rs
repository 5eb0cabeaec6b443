//! HTTP: the connections of sites, served by hyper over the shard's own streams.
//!
//! A connection stays on the shard that accepted it. Its deadlines are those of all sessions (the shard's sweep); hyper has
//! no timer. Nothing here knows what a site is for: it has routes, an action to ask `admit` for, and a way to say no.

mod authorise;
mod body;
mod connection;
mod executor;
mod first;
mod io;
mod refused;
mod request;
mod response;
mod seats;

use std::fmt::Display;
use std::sync::Arc;

use super::tls::TlsListener;
use crate::control::{ControlState, Site};
use crate::event::SessionEnd;
use crate::shard::SessionHandle;

pub(super) use connection::serve;
pub use io::{HyperStream, Scratch};
pub(crate) use seats::Seats;

/// The longest head of a request with its request line. Browsers and proxies send 2 KiB at most and servers commonly take
/// 8 KiB; twice that leaves room for long tokens in `Authorization`.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// What a listener serves on one shard.
#[derive(Clone, Debug)]
pub(crate) struct HttpService {
    /// The site.
    pub(crate) site: Arc<Site>,
    /// What its handlers work with.
    pub(crate) state: Arc<ControlState>,
    /// What is done with a connection first, where it is encrypted.
    pub(crate) tls: Option<TlsListener>,
    /// How many connections there may be.
    pub(crate) seats: Seats,
    /// Where they read.
    pub(crate) scratch: Scratch,
}

/// Why a session is over whose connection has failed like this.
fn ended(session: &SessionHandle, error: &dyn Display) -> SessionEnd {
    let ended = session.ended().cloned();
    ended.unwrap_or_else(|| SessionEnd::Connection(error.to_string()))
}
