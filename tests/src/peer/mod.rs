//! A raw RTSP peer over blocking sockets: publishes synthetic packets that carry counters, and reads them back packet
//! by packet, over TCP and over UDP.
//!
//! Deliberately absent: anything from the crates under test, retries, and patience. A wait for the other side ends
//! after [`READ_TIMEOUT`] with an error.

pub mod connection;
pub mod credentials;
pub mod message;
pub mod publisher;
pub mod reader;
pub mod synthetic;
pub mod tally;
pub mod udp;
pub mod verifier;

use std::io;
use std::time::Duration;

/// How long the peer waits for bytes before it calls the other side dead: above every time limit of the server that a
/// test could meet by mistake, below a test runner's patience.
pub const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// What goes wrong between the raw peer and the server under test.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The connection could not be opened, written or read.
    #[error("socket: {0}")]
    Io(#[from] io::Error),
    /// The server ended the connection where an answer or the rest of a message was due.
    #[error("the server closed the connection in the middle of {during}")]
    Closed {
        /// What was being waited for.
        during: &'static str,
    },
    /// The server refused a request.
    #[error("{method} was answered with {status}")]
    Refused {
        /// The request's method.
        method: String,
        /// The answer's status code.
        status: u16,
    },
    /// The server sent what is neither a message nor a frame.
    #[error("not a message: {0}")]
    Garbage(String),
    /// A packet is not the one that is due.
    #[error(transparent)]
    Flaw(#[from] verifier::Flaw),
}
