//! Why a file cannot be published.

use std::io;

/// Why a file cannot be published. Whoever wrote the file is at fault, or named the wrong one.
#[derive(Debug, thiserror::Error)]
pub(in crate::stream) enum FileError {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It has more bytes than are taken into memory.
    #[error("it has more than {max} MiB")]
    TooLarge {
        /// What is taken.
        max: u64,
    },
    /// It is neither MP4 nor a byte stream of H.264.
    #[error("it is neither an MP4 file nor an H.264 byte stream")]
    Unknown,
    /// It ends early.
    #[error("it is truncated: it ends within {0}")]
    Truncated(&'static str),
    /// It lacks a part.
    #[error("it has no {0}")]
    Missing(&'static str),
    /// A part contradicts another one or its standard.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// A part is over a limit of ours.
    #[error("it has more than {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are taken.
        max: usize,
    },
    /// Its tracks are encrypted.
    #[error("it is encrypted")]
    Encrypted,
    /// It has tracks, and none that can be published.
    #[error("it has no track of H.264, H.265 or AAC, only {found}")]
    NoTrack {
        /// The codes of those that it has.
        found: String,
    },
}
