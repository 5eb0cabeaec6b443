//! Sessions: the connections of peers. One folder per protocol; each feeds its protocol's state machine and owns its socket.
//!
//! A session accepts, reads, asks `admit`, and hands media to `ingest` or takes it from `egress`. It may import every room
//! below; nothing but the server's assembly imports it.

mod begun;
mod http;
mod listener;
mod rtsp;
mod sniff;
mod tls;
mod transport;
mod writing;

pub(crate) use http::{HttpService, Seats};
pub use http::{HyperStream, Scratch};
pub use listener::serve;
pub(crate) use listener::{ListenerSeed, Service, listen};
pub(crate) use tls::{PairError, PairFiles, TlsListener, Watch};
pub use transport::{Sink, Source, Transport};
