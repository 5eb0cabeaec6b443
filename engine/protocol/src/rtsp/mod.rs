//! RTSP 1.0 (RFC 2326): messages, URLs, transports, and the state machines of server and client.
//!
//! Bytes of a connection go into [`MessageReader`]; requests come out and go into [`ServerSession`],
//! whose answers the caller writes back. [`client::ClientSession`] is the other side of the same
//! conversation: pull sources, the load generator and tests drive it. What a request says about who
//! sends it is read by [`auth`].
//!
//! Deliberately absent: who may do what (the caller refuses with 401), RTSP 2.0, RTSP over HTTP
//! tunnels.

pub mod auth;
pub mod client;
mod control;
mod head;
mod headers;
mod message;
mod method;
mod reader;
mod rtp_info;
mod server;
mod status;
mod transport;
mod url;

pub use control::resolve as resolve_control;
pub use headers::{Headers, InvalidHeader};
pub use message::{Request, Response};
pub use method::Method;
pub use reader::{
    BODY_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX, LINE_BYTES_MAX, Limits, MessageError,
    MessageErrorKind, MessageReader, Parsed,
};
pub use rtp_info::{RtpInfo, RtpInfoEntry};
pub use server::{
    Question, REFUSALS_MAX, ServerConfig, ServerSession, ServerState, SetupAnswer, Step,
    TRACKS_MAX, TrackSetup, Transports,
};
pub use status::StatusCode;
pub use transport::{
    Interleaved, Lower, Mode, MulticastGroup, PortPair, TransportError, TransportKind,
    TransportSpec,
};
pub use url::{RtspUrl, Target, UrlError};
