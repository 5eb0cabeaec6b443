//! SDP (RFC 8866): what a publisher announces, and what a reader is told.
//!
//! Input is the body of an ANNOUNCE or of a DESCRIBE answer, as cameras and clients write it; output
//! is a [`SessionDescription`], from it the [`TrackDescription`]s that a stream keeps, and from those
//! the text that readers get. Reading is lenient, writing is strict.
//!
//! The model keeps lines as text where nobody asks for their parts: session ids of more than 64 bits,
//! addresses and times pass as they came.
//!
//! Deliberately absent: offer and answer, ICE, and everything else that only WebRTC needs.

mod codec;
mod describe;
mod error;
mod format;
mod parameters;
mod parse;
mod static_encoding;
mod track;

use std::fmt;

pub use codec::Codec;
pub use describe::{Origin, describe, over_ipv6};
pub use error::{SdpError, SdpErrorKind};
pub use parse::{FORMATS_MAX, LINE_BYTES_MAX, LINES_MAX, MEDIA_MAX, SDP_BYTES_MAX, parse};
pub use track::{MediaKind, TrackDescription, same_tracks, tracks};

/// One `a=` line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attribute {
    /// What precedes the first colon.
    pub name: String,
    /// What follows it; nothing of a flag such as `a=recvonly`.
    pub value: Option<String>,
}

impl Attribute {
    /// An attribute with a value.
    #[must_use]
    pub fn new(name: &str, value: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: Some(value.to_owned()),
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}:{value}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// The lines of a whole description. What is missing is `None` or empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SessionDescription {
    /// `o=`, whole.
    pub origin: Option<String>,
    /// `s=`.
    pub name: Option<String>,
    /// `i=`.
    pub information: Option<String>,
    /// `c=`, whole.
    pub connection: Option<String>,
    /// `b=` lines.
    pub bandwidth: Vec<String>,
    /// `t=`, the first one whole.
    pub timing: Option<String>,
    /// `a=` lines in front of the first medium.
    pub attributes: Vec<Attribute>,
    /// The media, in order.
    pub media: Vec<MediaDescription>,
}

impl SessionDescription {
    /// The session's `a=control`: the URL that aggregate requests go to (RFC 2326 §C.1.1).
    #[must_use]
    pub fn control(&self) -> Option<&str> {
        value_of(&self.attributes, "control")
    }
}

/// One `m=` line and what belongs to it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MediaDescription {
    /// The medium: `video`, `audio`, `application`, or what cameras write instead.
    pub media: String,
    /// The port; 0 in RTSP.
    pub port: u16,
    /// The transport, as in `RTP/AVP`.
    pub protocol: String,
    /// The formats: payload types, where the transport is RTP.
    pub formats: Vec<String>,
    /// `i=`.
    pub title: Option<String>,
    /// `c=`, whole.
    pub connection: Option<String>,
    /// `b=` lines.
    pub bandwidth: Vec<String>,
    /// `a=` lines.
    pub attributes: Vec<Attribute>,
    /// The line in the text that was read, counted from 1; 0 of a description that was made.
    pub line: usize,
}

impl MediaDescription {
    /// The value of the first attribute called `name`.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        value_of(&self.attributes, name)
    }
}

fn value_of<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    attributes
        .iter()
        .find(|attribute| attribute.name.eq_ignore_ascii_case(name))
        .and_then(|attribute| attribute.value.as_deref())
}

/// Writes the text in the order that RFC 8866 §5 asks for, with what it requires and the description
/// lacks filled in.
impl fmt::Display for SessionDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("v=0\r\n")?;
        let origin = self.origin.as_deref();
        write!(f, "o={}\r\n", origin.unwrap_or("- 0 0 IN IP4 127.0.0.1"))?;
        // "-" is the name of a session that has none (RFC 8866 §5.3).
        write!(f, "s={}\r\n", self.name.as_deref().unwrap_or("-"))?;
        write_line(f, 'i', self.information.as_deref())?;
        write_line(f, 'c', self.connection.as_deref())?;
        write_lines(f, 'b', &self.bandwidth)?;
        write!(f, "t={}\r\n", self.timing.as_deref().unwrap_or("0 0"))?;
        write_lines(f, 'a', &self.attributes)?;
        self.media.iter().try_for_each(|media| write!(f, "{media}"))
    }
}

impl fmt::Display for MediaDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {} {}", self.media, self.port, self.protocol)?;
        for format in &self.formats {
            write!(f, " {format}")?;
        }
        f.write_str("\r\n")?;
        write_line(f, 'i', self.title.as_deref())?;
        write_line(f, 'c', self.connection.as_deref())?;
        write_lines(f, 'b', &self.bandwidth)?;
        write_lines(f, 'a', &self.attributes)
    }
}

fn write_line(f: &mut fmt::Formatter<'_>, kind: char, value: Option<&str>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, "{kind}={value}\r\n"))
}

fn write_lines(
    f: &mut fmt::Formatter<'_>,
    kind: char,
    values: &[impl fmt::Display],
) -> fmt::Result {
    values
        .iter()
        .try_for_each(|value| write!(f, "{kind}={value}\r\n"))
}
