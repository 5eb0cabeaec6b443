//! The methods of RTSP 1.0, as they stand first in a request line. Read by `head`, written by
//! `message`.

use std::fmt;

/// A request's method (RFC 2326, section 10). Names are case-sensitive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// `OPTIONS`: which methods are there; also used to keep a session alive.
    Options,
    /// `DESCRIBE`: the stream's session description.
    Describe,
    /// `ANNOUNCE`: a publisher's session description.
    Announce,
    /// `SETUP`: the transport of one track.
    Setup,
    /// `PLAY`: start, or go on, sending to a reader.
    Play,
    /// `PAUSE`: stop for a while, keeping the session.
    Pause,
    /// `RECORD`: start receiving from a publisher.
    Record,
    /// `TEARDOWN`: end the session.
    Teardown,
    /// `GET_PARAMETER`: read parameters; with no body, a keep-alive.
    GetParameter,
    /// `SET_PARAMETER`: write parameters; with no body, a keep-alive.
    SetParameter,
    /// Any other token, as it was sent.
    Other(String),
}

impl Method {
    /// The method of this name.
    pub fn from_name(name: &str) -> Self {
        match name {
            "OPTIONS" => Self::Options,
            "DESCRIBE" => Self::Describe,
            "ANNOUNCE" => Self::Announce,
            "SETUP" => Self::Setup,
            "PLAY" => Self::Play,
            "PAUSE" => Self::Pause,
            "RECORD" => Self::Record,
            "TEARDOWN" => Self::Teardown,
            "GET_PARAMETER" => Self::GetParameter,
            "SET_PARAMETER" => Self::SetParameter,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The name as it stands in a request line.
    pub fn name(&self) -> &str {
        match self {
            Self::Options => "OPTIONS",
            Self::Describe => "DESCRIBE",
            Self::Announce => "ANNOUNCE",
            Self::Setup => "SETUP",
            Self::Play => "PLAY",
            Self::Pause => "PAUSE",
            Self::Record => "RECORD",
            Self::Teardown => "TEARDOWN",
            Self::GetParameter => "GET_PARAMETER",
            Self::SetParameter => "SET_PARAMETER",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
