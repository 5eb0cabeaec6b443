//! A limit that stands in a session's way, and how its peer and the operator are told: by a status (453 for what is
//! counted out, 503 for what the server cannot do just now), by a text in the answer's first line, and by a reason of its
//! own in events and counters.

use shardcast_protocol::rtsp::StatusCode;

use crate::refusal::RefusalReason;

/// A limit that is reached, with its value. The texts are ASCII and short: ffmpeg keeps 255 bytes of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reached {
    /// `maxReaders` of the path.
    #[error("maxReaders: all {0} of this path are taken")]
    MaxReaders(usize),
    /// `readers`.
    #[error("readers: all {0} are taken")]
    Readers(usize),
    /// `egress`, in bits per second.
    #[error("egress: too little is left of {0} bit/s")]
    Egress(u64),
    /// `sessionsPerAddress`.
    #[error("sessionsPerAddress: too many sessions of this address")]
    SessionsPerAddress,
    /// `connectionsPerAddress`.
    #[error("connectionsPerAddress: this address has all of its {0}")]
    ConnectionsPerAddress(usize),
    /// `memory`, in bytes.
    #[error("memory: too little is left of {} MiB", .0 >> 20)]
    Memory(u64),
    /// `cpu`, in percent.
    #[error("cpu: busier than {0} %")]
    Cpu(usize),
}

impl Reached {
    /// How the peer is answered (RFC 2326 sections 11.3.4 and 7.1.1).
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::MaxReaders(_) | Self::Readers(_) | Self::Egress(_) | Self::SessionsPerAddress => {
                StatusCode::NOT_ENOUGH_BANDWIDTH
            }
            Self::ConnectionsPerAddress(_) | Self::Memory(_) | Self::Cpu(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// What is counted.
    #[must_use]
    pub fn reason(self) -> RefusalReason {
        match self {
            Self::MaxReaders(_) => RefusalReason::TooManyPathReaders,
            Self::Readers(_) => RefusalReason::TooManyReaders,
            Self::Egress(_) => RefusalReason::EgressTaken,
            Self::SessionsPerAddress => RefusalReason::TooManySessions,
            Self::ConnectionsPerAddress(_) => RefusalReason::TooManyOfAddress,
            Self::Memory(_) => RefusalReason::MemoryTaken,
            Self::Cpu(_) => RefusalReason::ShardsBusy,
        }
    }
}
