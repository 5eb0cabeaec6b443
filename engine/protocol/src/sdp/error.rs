//! What can be wrong with a description: with its text, or with a medium that cannot become a track.
//!
//! Made by the reader and by [`tracks`](super::tracks); it goes to the peer's connection, which
//! answers 400 and logs the place.

use crate::codec::ParameterError;

use super::parse::{FORMATS_MAX, LINE_BYTES_MAX, LINES_MAX, MEDIA_MAX, SDP_BYTES_MAX};

/// Why a text is no description, or a medium no track, and where. The peer that sent it is at fault.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("SDP line {line}, column {column}: {what}")]
pub struct SdpError {
    /// The line, counted from 1.
    pub line: usize,
    /// The byte in the line, counted from 1; 1 where the whole line is meant.
    pub column: usize,
    /// What is wrong there.
    pub what: SdpErrorKind,
}

/// What is wrong with a text, or with a medium of it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SdpErrorKind {
    /// More than [`SDP_BYTES_MAX`].
    #[error("more than {SDP_BYTES_MAX} bytes")]
    TooLong,
    /// More than [`LINES_MAX`].
    #[error("more than {LINES_MAX} lines")]
    TooManyLines,
    /// More than [`LINE_BYTES_MAX`] in a line.
    #[error("more than {LINE_BYTES_MAX} bytes in a line")]
    LineTooLong,
    /// More than [`MEDIA_MAX`].
    #[error("more than {MEDIA_MAX} media")]
    TooManyMedia,
    /// More than [`FORMATS_MAX`].
    #[error("more than {FORMATS_MAX} formats")]
    TooManyFormats,
    /// The line is not a letter, an equals sign and a value.
    #[error("expected <letter>=<value>")]
    NotALine,
    /// A null byte.
    #[error("a null byte")]
    NullByte,
    /// The `m=` line ends before its port, transport or formats.
    #[error("expected m=<media> <port> <transport> <format> ...")]
    MediaIncomplete,
    /// The port of an `m=` line is no number up to 65535.
    #[error("expected a port")]
    Port,
    /// There is not one line.
    #[error("no line at all")]
    Empty,
    /// The transport is not plain RTP. Encrypted packets would be passed on as if they were not.
    #[error("transport '{0}' instead of RTP/AVP")]
    Transport(String),
    /// The format is no payload type, and no rtpmap names one.
    #[error("format '{0}' is no RTP payload type")]
    PayloadType(String),
    /// The payload type is dynamic and no rtpmap tells its clock rate, or that is 0.
    #[error("the clock rate of payload type {0} is not known")]
    ClockRate(u8),
    /// A parameter set of the track is absurd: a decoder could be made to fail by it.
    #[error("a parameter set is refused: {0}")]
    Parameters(ParameterError),
}
