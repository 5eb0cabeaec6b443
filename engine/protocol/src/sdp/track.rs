//! Tracks: what a stream keeps of each medium of a description.
//!
//! Input is a [`SessionDescription`]; output is one [`TrackDescription`] per `m=` line, in order. A
//! medium with several payload types is led by the first; the others pass through with their lines.

use std::fmt;

use super::codec::Codec;
use super::{Attribute, MediaDescription, SessionDescription};
use crate::codec::access_unit::AccessUnitTracker;
use crate::container::rtp::PayloadType;

/// The most payload types of one medium: RTP has no more.
pub const PAYLOAD_TYPES_MAX: usize = 128;

/// The clock rate of a medium that is neither video nor audio and says none: ONVIF metadata and KLV
/// both use this one.
const METADATA_CLOCK_RATE: u32 = 90_000;

/// Attributes that belong to one connection, not to the stream: where and how its packets travel, and
/// the range of a recording that a live stream does not have.
const PER_CONNECTION_ATTRIBUTES: [&str; 26] = [
    "control",
    "range",
    "sendrecv",
    "sendonly",
    "recvonly",
    "inactive",
    "rtcp",
    "rtcp-mux",
    "rtcp-mux-only",
    "rtcp-rsize",
    "rtcp-fb",
    "setup",
    "connection",
    "fingerprint",
    "crypto",
    "key-mgmt",
    "candidate",
    "end-of-candidates",
    "ice-ufrag",
    "ice-pwd",
    "ice-options",
    "mid",
    "msid",
    "ssrc",
    "ssrc-group",
    "source-filter",
];

/// What a medium is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MediaKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Data that goes with them.
    Application,
    /// What cameras write instead, such as `metadata` or `application/TP-LINK`.
    Other(String),
}

impl From<&str> for MediaKind {
    fn from(media: &str) -> Self {
        match media.to_ascii_lowercase().as_str() {
            "video" => Self::Video,
            "audio" => Self::Audio,
            "application" => Self::Application,
            _ => Self::Other(media.to_owned()),
        }
    }
}

impl fmt::Display for MediaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Application => "application",
            Self::Other(media) => media,
        })
    }
}

/// One track of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrackDescription {
    /// What it is for.
    pub kind: MediaKind,
    /// Its codec, that of the leading payload type. Parameter sets put here later, when the stream
    /// brings new ones, are what readers are told.
    pub codec: Codec,
    /// Ticks per second of its RTP timestamps. Never 0.
    pub clock_rate: u32,
    /// Channels of its sound, where the rtpmap says them.
    pub channels: Option<u8>,
    /// The leading payload type.
    pub payload_type: PayloadType,
    /// Payload types that may appear beside it.
    pub other_payload_types: Vec<PayloadType>,
    /// The leading payload type's rtpmap, as in `H264/90000`.
    pub rtpmap: Option<String>,
    /// Its format parameters, as in `packetization-mode=1`.
    pub fmtp: Option<String>,
    /// The control URL that the description gave (RFC 2326 §C.1.1).
    pub control: Option<String>,
    /// `b=` lines.
    pub bandwidth: Vec<String>,
    /// All other attributes that belong to the stream, in order, those of other payload types
    /// included.
    pub attributes: Vec<Attribute>,
}

impl TrackDescription {
    /// A tracker of this track's access units.
    #[must_use]
    pub const fn access_unit_tracker(&self) -> AccessUnitTracker {
        AccessUnitTracker::new(self.codec.access_units())
    }

    /// The encoding name: what precedes the slash in the rtpmap, or the static payload type's.
    pub(super) fn encoding(&self) -> &str {
        encoding_of(self.rtpmap.as_deref(), self.payload_type)
    }
}

/// A medium that cannot become a track. The publisher is at fault.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("SDP line {line}, medium {medium}: {what}")]
pub struct TrackError {
    /// The medium, counted from 0.
    pub medium: usize,
    /// The line of its `m=`, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: TrackErrorKind,
}

/// What is wrong with a medium.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TrackErrorKind {
    /// The transport is not plain RTP. Encrypted packets would be passed on as if they were not.
    #[error("transport '{0}' instead of RTP/AVP")]
    Transport(String),
    /// The format is no payload type, and no rtpmap names one.
    #[error("format '{0}' is no RTP payload type")]
    PayloadType(String),
    /// More than [`PAYLOAD_TYPES_MAX`].
    #[error("more than {PAYLOAD_TYPES_MAX} payload types")]
    TooManyPayloadTypes,
    /// The payload type is dynamic and no rtpmap tells its clock rate, or that is 0.
    #[error("the clock rate of payload type {0} is not known")]
    ClockRate(u8),
}

/// The tracks of a description, one per medium, in order.
///
/// # Errors
/// [`TrackError`] of the first medium that cannot become a track.
pub fn tracks(session: &SessionDescription) -> Result<Vec<TrackDescription>, TrackError> {
    let track = |(medium, description): (usize, &MediaDescription)| {
        track(description).map_err(|what| TrackError {
            medium,
            line: description.line,
            what,
        })
    };
    session.media.iter().enumerate().map(track).collect()
}

/// Whether a stream's readers can go on when a publisher with other tracks takes over: the same
/// number, kinds, codecs, clock rates, channels and payload types, in order. Parameter sets may
/// differ.
#[must_use]
pub fn same_tracks(one: &[TrackDescription], other: &[TrackDescription]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| {
            one.kind == other.kind
                && one.codec.continues_as(&other.codec)
                && one.clock_rate == other.clock_rate
                && one.channels == other.channels
                && one.payload_type == other.payload_type
                && one.other_payload_types == other.other_payload_types
        })
}

fn track(media: &MediaDescription) -> Result<TrackDescription, TrackErrorKind> {
    if !is_plain_rtp(&media.protocol) {
        return Err(TrackErrorKind::Transport(media.protocol.clone()));
    }
    let (payload_type, other_payload_types) = payload_types(media)?;
    let kind = MediaKind::from(media.media.as_str());
    let rtpmap = of_payload_type(media, "rtpmap", payload_type);
    let fmtp = of_payload_type(media, "fmtp", payload_type);
    let (clock_rate, channels) = clock(rtpmap, payload_type, &kind)?;
    let encoding = encoding_of(rtpmap, payload_type);
    Ok(TrackDescription {
        codec: Codec::from_encoding(encoding, fmtp.unwrap_or_default()),
        kind,
        clock_rate,
        channels,
        payload_type,
        other_payload_types,
        rtpmap: rtpmap.map(str::to_owned),
        fmtp: fmtp.map(str::to_owned),
        control: media.attribute("control").map(str::to_owned),
        bandwidth: media.bandwidth.clone(),
        attributes: passed_through(media, payload_type),
    })
}

/// `RTP/AVP` and `RTP/AVPF`, also with the transport under it in front or behind.
fn is_plain_rtp(protocol: &str) -> bool {
    let is = |name: &str| protocol.eq_ignore_ascii_case(name);
    [
        "RTP/AVP",
        "RTP/AVPF",
        "RTP/AVP/TCP",
        "RTP/AVP/UDP",
        "TCP/RTP/AVP",
        "UDP/RTP/AVP",
    ]
    .into_iter()
    .any(is)
}

/// The leading payload type and the others.
fn payload_types(
    media: &MediaDescription,
) -> Result<(PayloadType, Vec<PayloadType>), TrackErrorKind> {
    if media.formats.len() > PAYLOAD_TYPES_MAX {
        return Err(TrackErrorKind::TooManyPayloadTypes);
    }
    let (first, others) = media.formats.split_first().ok_or_else(|| {
        // The reader refuses such a line; a description that was made may lack formats.
        TrackErrorKind::PayloadType(String::new())
    })?;
    // TP-Link and Mercury cameras write `smart/1/90000` and name the type in the rtpmap alone.
    let leading = parse_payload_type(first)
        .or_else(|| {
            let (word, _) = split_payload_type(media.attribute("rtpmap")?)?;
            parse_payload_type(word)
        })
        .ok_or_else(|| TrackErrorKind::PayloadType(first.clone()))?;
    let others = others.iter().filter_map(|word| parse_payload_type(word));
    Ok((leading, others.collect()))
}

fn parse_payload_type(word: &str) -> Option<PayloadType> {
    word.parse().ok().and_then(PayloadType::new)
}

/// Splits `96 H264/90000` into its payload type and the rest.
fn split_payload_type(value: &str) -> Option<(&str, &str)> {
    let (word, rest) = value.trim().split_once(|c: char| c.is_ascii_whitespace())?;
    Some((word, rest.trim()))
}

/// The value of the first attribute `name` that speaks of `payload_type`.
fn of_payload_type<'a>(
    media: &'a MediaDescription,
    name: &str,
    payload_type: PayloadType,
) -> Option<&'a str> {
    media
        .attributes
        .iter()
        .find_map(|attribute| value_for(attribute, name, payload_type))
}

fn value_for<'a>(
    attribute: &'a Attribute,
    name: &str,
    payload_type: PayloadType,
) -> Option<&'a str> {
    if !attribute.name.eq_ignore_ascii_case(name) {
        return None;
    }
    let (word, rest) = split_payload_type(attribute.value.as_deref()?)?;
    (parse_payload_type(word) == Some(payload_type)).then_some(rest)
}

/// All attributes but those of the connection, and but the leading payload type's own two.
fn passed_through(media: &MediaDescription, payload_type: PayloadType) -> Vec<Attribute> {
    let passes = |attribute: &&Attribute| {
        let name = attribute.name.as_str();
        let is_name = |other: &&str| name.eq_ignore_ascii_case(other);
        !PER_CONNECTION_ATTRIBUTES
            .iter()
            .any(|other| is_name(&other))
            && value_for(attribute, "rtpmap", payload_type).is_none()
            && value_for(attribute, "fmtp", payload_type).is_none()
    };
    media.attributes.iter().filter(passes).cloned().collect()
}

fn encoding_of(rtpmap: Option<&str>, payload_type: PayloadType) -> &str {
    match rtpmap {
        Some(rtpmap) => rtpmap.split('/').next().unwrap_or_default().trim(),
        None => static_encoding(payload_type).map_or("", |known| known.name),
    }
}

/// Clock rate and channels from the rtpmap, else from the static payload type.
fn clock(
    rtpmap: Option<&str>,
    payload_type: PayloadType,
    kind: &MediaKind,
) -> Result<(u32, Option<u8>), TrackErrorKind> {
    let mut parts = rtpmap.unwrap_or_default().split('/').skip(1).map(str::trim);
    let said = parts.next().and_then(|rate| rate.parse().ok());
    let channels = parts.next().and_then(|channels| channels.parse().ok());
    let known = static_encoding(payload_type);
    let by_kind = match kind {
        MediaKind::Video | MediaKind::Audio => None,
        MediaKind::Application | MediaKind::Other(_) => Some(METADATA_CLOCK_RATE),
    };
    let clock_rate = said
        .or(known.map(|known| known.clock_rate))
        .or(by_kind)
        .filter(|rate| *rate > 0)
        .ok_or(TrackErrorKind::ClockRate(payload_type.value()))?;
    let channels = channels.or(known
        .filter(|_| rtpmap.is_none())
        .and_then(|known| known.channels));
    Ok((clock_rate, channels))
}

/// What a payload type means without an rtpmap.
#[derive(Clone, Copy)]
struct StaticEncoding {
    name: &'static str,
    clock_rate: u32,
    channels: Option<u8>,
}

/// RFC 3551 §6, tables 4 and 5.
const fn static_encoding(payload_type: PayloadType) -> Option<StaticEncoding> {
    let (name, clock_rate, channels) = match payload_type.value() {
        0 => ("PCMU", 8_000, Some(1)),
        3 => ("GSM", 8_000, Some(1)),
        4 => ("G723", 8_000, Some(1)),
        5 => ("DVI4", 8_000, Some(1)),
        6 => ("DVI4", 16_000, Some(1)),
        7 => ("LPC", 8_000, Some(1)),
        8 => ("PCMA", 8_000, Some(1)),
        9 => ("G722", 8_000, Some(1)),
        10 => ("L16", 44_100, Some(2)),
        11 => ("L16", 44_100, Some(1)),
        12 => ("QCELP", 8_000, Some(1)),
        13 => ("CN", 8_000, Some(1)),
        14 => ("MPA", 90_000, None),
        15 => ("G728", 8_000, Some(1)),
        16 => ("DVI4", 11_025, Some(1)),
        17 => ("DVI4", 22_050, Some(1)),
        18 => ("G729", 8_000, Some(1)),
        25 => ("CelB", 90_000, None),
        26 => ("JPEG", 90_000, None),
        28 => ("nv", 90_000, None),
        31 => ("H261", 90_000, None),
        32 => ("MPV", 90_000, None),
        33 => ("MP2T", 90_000, None),
        34 => ("H263", 90_000, None),
        _ => return None,
    };
    Some(StaticEncoding {
        name,
        clock_rate,
        channels,
    })
}
