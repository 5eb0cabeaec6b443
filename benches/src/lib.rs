//! What the benchmarks share: a server in a process of its own, a made-up stream, a publisher, a
//! set of readers that one thread serves, and the CPU time of the server's threads.
//!
//! Deliberately absent: assertions about speed. A figure depends on the machine; what counts is its ratio to bare system
//! calls in the same run, and `README.md` says how to take it.
#![forbid(unsafe_code)]

pub mod beside;
pub mod broadcast;
pub mod cost;
pub mod datagrams;
pub mod fanout;
pub mod http;
pub mod joins;
pub mod limit;
pub mod neighbours;
pub mod parameters;
pub mod peer;
pub mod readers;
pub mod relay;
pub mod role;
pub mod server;
pub mod settings;
pub mod stamp;
mod steady;
pub mod summary;
pub mod synthetic;
pub mod tally;
pub mod thread_time;

use std::io;

use shardcast_protocol::rtsp::client::ClientError;
use shardcast_protocol::rtsp::{MessageError, UrlError};
use shardcast_protocol::sdp::SdpError;

/// Why a benchmark could not be run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Sockets, processes or `/proc`.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The target is no RTSP address.
    #[error("the target: {0}")]
    Url(#[from] UrlError),
    /// The server refused, or answered out of turn.
    #[error("the server: {0}")]
    Client(#[from] ClientError),
    /// The server sent what is no message.
    #[error("the server sent no message: {0}")]
    Message(#[from] MessageError),
    /// The server's description cannot be read.
    #[error("the server's description: {0}")]
    Sdp(#[from] SdpError),
    /// The server ended before it listened.
    #[error("the server ended instead of listening")]
    NotListening,
    /// The server closed a connection too early.
    #[error("the server closed the connection of {0}")]
    Closed(&'static str),
    /// Readers lack bytes and nothing more comes.
    #[error("{readers} readers still wait after {seconds} s without a byte")]
    Stuck {
        /// How many.
        readers: usize,
        /// For how long nothing came.
        seconds: u64,
    },
    /// A program that is measured printed something else.
    #[error("the bare sender printed '{0}'")]
    Limit(String),
    /// The range of a histogram.
    #[error("latencies: {0}")]
    Latency(#[from] hdrhistogram::CreationError),
    /// The load generator.
    #[error("{0}")]
    Load(#[from] shardcast_bench::BenchError),
    /// A thread of the benchmark has ended by a panic.
    #[error("the publisher's thread has panicked")]
    Panicked,
}
