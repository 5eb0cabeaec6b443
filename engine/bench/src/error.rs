//! Why a load could not be made, or not be measured.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a load could not be made, or not be measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Sockets, threads, processes.
    #[error("{doing}: {error}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        error: io::Error,
    },
    /// The target cannot be reached.
    #[error("cannot connect to {address}: {error}")]
    Unreachable {
        /// Where it should be.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// The target is none.
    #[error("--{option}: {reason}")]
    Option {
        /// The option.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The server refused, or answered what makes no sense.
    #[error("{whose} on {url}: {reason}")]
    Session {
        /// `publisher` or `reader`.
        whose: &'static str,
        /// Of the path.
        url: String,
        /// What it did.
        reason: String,
    },
    /// The file to publish cannot be.
    #[error("{}: {reason}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// The server that was started here does not work.
    #[error("the server: {0}")]
    Server(String),
    /// Descriptors have run out.
    #[error(
        "descriptors have run out at {readers} readers: raise the limit of open files (ulimit -n, now {limit})"
    )]
    Descriptors {
        /// Readers that had joined.
        readers: usize,
        /// The limit.
        limit: u64,
    },
    /// A file for results cannot be written.
    #[error("cannot write {}: {reason}", file.display())]
    Output {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// A thread of ours has panicked.
    #[error("the thread {0} has panicked")]
    Panicked(&'static str),
}

impl BenchError {
    /// The exit status of a process that it ends: that of wrong options is clap's.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Option { .. } => 2,
            _ => 1,
        }
    }

    /// An error of the system, with what was being done.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |error| Self::Io { doing, error }
    }
}
