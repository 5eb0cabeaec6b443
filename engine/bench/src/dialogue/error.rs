//! Why a conversation did not come to what was asked for, in words that name what the server did.

use std::io;
use std::net::SocketAddr;

use shardcast_protocol::rtsp::MessageError;
use shardcast_protocol::rtsp::client::{ClientError, ClientEvent};
use shardcast_protocol::sdp::SdpError;

use super::ANSWER_TIMEOUT;
use crate::BenchError;

/// What a system says of a process, or of itself, that has no descriptor left.
const OUT_OF_DESCRIPTORS: &[i32] = if cfg!(windows) {
    &[10_024]
} else {
    // EMFILE and ENFILE, the same on Linux and macOS.
    &[24, 23]
};

/// Why a conversation did not come to what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialogueError {
    /// There is nobody.
    #[error("cannot connect to {address}: {error}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The system, about the connection or a socket for datagrams.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The server refused, or its answer does not fit.
    #[error("{}", words(.0))]
    Client(#[from] ClientError),
    /// The server's bytes are no message.
    #[error("the server answered what is no RTSP: {0}")]
    Message(#[from] MessageError),
    /// The server's description is none.
    #[error("the server described the stream in a way that makes no sense: {0}")]
    Description(#[from] SdpError),
    /// Something came of it, and not what was asked for.
    #[error("the server answered what was not asked: {0:?}")]
    Unexpected(ClientEvent),
    /// The server hung up.
    #[error("the server closed the connection in the middle of the conversation")]
    Ended,
    /// No answer in time.
    #[error("the server did not answer for {} s", ANSWER_TIMEOUT.as_secs())]
    Late,
    /// The run is over.
    #[error("the run has ended")]
    Stopped,
}

fn words(error: &ClientError) -> String {
    match error {
        ClientError::Refused { method, status } => {
            format!("the server refused {method} with {status}")
        }
        other => other.to_string(),
    }
}

impl DialogueError {
    /// Whether the server understood, and said no.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Client(ClientError::Refused { .. }))
    }

    /// Whether there was no descriptor for it.
    pub(crate) fn is_out_of_descriptors(&self) -> bool {
        let (Self::Connect { error, .. } | Self::Io(error)) = self else {
            return false;
        };
        let code = error.raw_os_error();
        code.is_some_and(|code| OUT_OF_DESCRIPTORS.contains(&code))
    }

    /// As the run's error: whose (`publisher` or `reader`), on which path, and with how many readers that play.
    pub(crate) fn into_bench_error(
        self,
        whose: &'static str,
        url: &str,
        readers: usize,
    ) -> BenchError {
        if self.is_out_of_descriptors() {
            let limit = shardcast_platform::raise_descriptor_limit().unwrap_or(0);
            return BenchError::Descriptors { readers, limit };
        }
        match self {
            Self::Connect { address, error } => BenchError::Unreachable { address, error },
            other => BenchError::Session {
                whose,
                url: url.to_owned(),
                reason: other.to_string(),
            },
        }
    }
}
