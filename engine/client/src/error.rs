//! What can go wrong with a command, and the exit status that says so.

use std::io;

/// Why a command has not done what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// There is no answer.
    #[error("{api}: {error}")]
    Unreachable {
        /// Where the server was looked for.
        api: String,
        /// What is wrong.
        error: Box<ureq::Error>,
    },
    /// What was asked for is not there.
    #[error("{0}")]
    NotFound(String),
    /// The server has refused.
    #[error("{status}: {message}")]
    Refused {
        /// The response's status.
        status: u16,
        /// What the server says.
        message: String,
    },
    /// An answer that is none of this API.
    #[error("{api} does not answer as Shardcast's API does: {what}")]
    Unexpected {
        /// Who has answered.
        api: String,
        /// What is wrong with it.
        what: String,
    },
    /// A file cannot be read.
    #[error("{file}: {error}")]
    File {
        /// Which.
        file: String,
        /// What the system says.
        error: io::Error,
    },
    /// Standard output does not take more.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

impl ClientError {
    /// The exit status for it.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Refused { .. } | Self::Unexpected { .. } | Self::Output(_) => 1,
            Self::Usage(_) | Self::File { .. } => 2,
            Self::NotFound(_) => 3,
            Self::Unreachable { .. } => 4,
        }
    }
}
