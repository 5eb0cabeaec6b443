//! Tracks: what a stream keeps of each medium of a description.
//!
//! Input is a [`SessionDescription`]; output is one [`TrackDescription`] per `m=` line, in order. A
//! medium with several payload types is led by the first; the others pass through with their lines.

use std::fmt;

use super::codec::Codec;
use super::error::{SdpError, SdpErrorKind};
use super::static_encoding::static_encoding;
use super::{Attribute, MediaDescription, SessionDescription};
use crate::codec::access_unit::AccessUnitTracker;
use crate::container::rtp::PayloadType;

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

/// The tracks of a description, one per medium, in order.
///
/// # Errors
/// [`SdpError`] of the first medium that cannot become a track, with the line of its `m=`.
pub fn tracks(session: &SessionDescription) -> Result<Vec<TrackDescription>, SdpError> {
    let track = |media: &MediaDescription| {
        track(media).map_err(|what| SdpError {
            line: media.line,
            column: 1,
            what,
        })
    };
    session.media.iter().map(track).collect()
}

/// Whether a stream's readers can go on when a publisher with other tracks takes over: the same
/// number, kinds, codecs, clock rates and channels, in order. Parameter sets may differ, and payload
/// types too, which are only numbers: packets are given those that the readers know.
#[must_use]
pub fn same_tracks(one: &[TrackDescription], other: &[TrackDescription]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| {
            one.kind == other.kind
                && one.codec.continues_as(&other.codec)
                && one.clock_rate == other.clock_rate
                && one.channels == other.channels
                && one.other_payload_types.len() == other.other_payload_types.len()
        })
}

fn track(media: &MediaDescription) -> Result<TrackDescription, SdpErrorKind> {
    if !is_plain_rtp(&media.protocol) {
        return Err(SdpErrorKind::Transport(media.protocol.clone()));
    }
    let (payload_type, other_payload_types) = payload_types(media)?;
    let kind = MediaKind::from(media.media.as_str());
    let rtpmap = of_payload_type(media, "rtpmap", payload_type);
    let fmtp = of_payload_type(media, "fmtp", payload_type);
    let (clock_rate, channels) = clock(rtpmap, payload_type, &kind)?;
    let encoding = encoding_of(rtpmap, payload_type);
    let codec = Codec::from_encoding(encoding, fmtp.unwrap_or_default());
    codec
        .check_parameter_sets()
        .map_err(SdpErrorKind::Parameters)?;
    Ok(TrackDescription {
        codec,
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
) -> Result<(PayloadType, Vec<PayloadType>), SdpErrorKind> {
    let (first, others) = media.formats.split_first().ok_or_else(|| {
        // The reader refuses such a line; a description that was made may lack formats.
        SdpErrorKind::PayloadType(String::new())
    })?;
    // TP-Link and Mercury cameras write `smart/1/90000` and name the type in the rtpmap alone.
    let leading = parse_payload_type(first)
        .or_else(|| {
            let (word, _) = split_payload_type(media.attribute("rtpmap")?)?;
            parse_payload_type(word)
        })
        .ok_or_else(|| SdpErrorKind::PayloadType(first.clone()))?;
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
        !PER_CONNECTION_ATTRIBUTES.iter().any(is_name)
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
) -> Result<(u32, Option<u8>), SdpErrorKind> {
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
        .ok_or(SdpErrorKind::ClockRate(payload_type.value()))?;
    let channels = channels.or(known
        .filter(|_| rtpmap.is_none())
        .and_then(|known| known.channels));
    Ok((clock_rate, channels))
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use crate::codec::access_unit::Unit;

    fn read(text: &str) -> Result<Vec<TrackDescription>, SdpError> {
        tracks(&parse(text.as_bytes()).unwrap())
    }

    fn one(text: &str) -> TrackDescription {
        read(text).unwrap().remove(0)
    }

    #[test]
    fn codec_clock_channels_and_control_are_found() {
        let track = one("m=audio 0 RTP/AVP 97\na=rtpmap:97 opus/48000/2\na=control:streamid=1\n");
        assert_eq!(track.kind, MediaKind::Audio);
        assert_eq!(track.codec, Codec::Opus);
        assert_eq!((track.clock_rate, track.channels), (48_000, Some(2)));
        assert_eq!(track.payload_type.value(), 97);
        assert_eq!(track.control.as_deref(), Some("streamid=1"));
        assert_eq!(track.rtpmap.as_deref(), Some("opus/48000/2"));
        assert_eq!(track.attributes, []);
        assert_eq!(track.codec.access_units(), Unit::Packet);
    }

    #[test]
    fn static_payload_types_need_no_rtpmap() {
        for (media, payload_type, name, clock_rate) in [
            ("audio", 0, "G711", 8_000),
            ("audio", 8, "G711", 8_000),
            ("audio", 9, "G722", 8_000),
            ("audio", 10, "LPCM", 44_100),
            ("audio", 14, "MPEG-1/2 Audio", 90_000),
            ("video", 26, "M-JPEG", 90_000),
            ("video", 32, "MPEG-1/2 Video", 90_000),
            ("video", 33, "MPEG-TS", 90_000),
        ] {
            let track = one(&format!("m={media} 0 RTP/AVP {payload_type}\n"));
            assert_eq!(track.codec.to_string(), name);
            assert_eq!(track.clock_rate, clock_rate);
        }
    }

    #[test]
    fn an_rtpmap_outranks_the_static_meaning() {
        let track = one("m=audio 0 RTP/AVP 0\na=rtpmap:0 PCMA/16000/2\n");
        assert_eq!(track.codec, Codec::G711 { mu_law: false });
        assert_eq!((track.clock_rate, track.channels), (16_000, Some(2)));
    }

    #[test]
    fn the_first_payload_type_leads_and_the_others_pass() {
        let track = one(
            "m=video 0 RTP/AVP 96 97 0 300\na=rtpmap:97 rtx/90000\na=rtpmap:96 VP8/90000\n\
             a=fmtp:97 apt=96\na=fmtp:96 max-fr=30\n",
        );
        assert_eq!(track.codec, Codec::Vp8);
        assert_eq!(track.fmtp.as_deref(), Some("max-fr=30"));
        let others: Vec<_> = track
            .other_payload_types
            .iter()
            .map(|other| other.value())
            .collect();
        assert_eq!(others, [97, 0]);
        let kept = [
            Attribute::new("rtpmap", "97 rtx/90000"),
            Attribute::new("fmtp", "97 apt=96"),
        ];
        assert_eq!(track.attributes, kept);
    }

    #[test]
    fn attributes_of_the_connection_stay_behind() {
        let track = one(
            "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:x\na=recvonly\n\
             a=range:npt=0-10\na=Setup:actpass\na=framerate:25\na=x-dimensions:640,480\n",
        );
        let kept = [
            Attribute::new("framerate", "25"),
            Attribute::new("x-dimensions", "640,480"),
        ];
        assert_eq!(track.attributes, kept);
    }

    #[test]
    fn a_payload_type_that_only_the_rtpmap_names_is_found() {
        let track =
            one("m=application/TP-LINK 0 RTP/AVP smart/1/90000\na=rtpmap:95 TP-LINK/90000\n");
        assert_eq!(track.kind, MediaKind::Other("application/TP-LINK".into()));
        assert_eq!(track.payload_type.value(), 95);
        assert_eq!(track.codec, Codec::Other("TP-LINK".into()));
        assert_eq!(track.codec.to_string(), "Generic");
    }

    #[test]
    fn metadata_without_a_clock_gets_the_usual_one() {
        let track = one("m=application 0 RTP/AVP 107\na=rtpmap:107 vnd.onvif.metadata\n");
        assert_eq!(track.clock_rate, 90_000);
        assert_eq!(one("m=metadata 0 RTP/AVP 107\n").clock_rate, 90_000);
    }

    #[test]
    fn what_cannot_be_a_track_is_refused_with_its_line() {
        use SdpErrorKind::*;
        for (medium, what) in [
            ("m=video 0 RTP/SAVP 96", Transport("RTP/SAVP".into())),
            ("m=video 0 udp 96", Transport("udp".into())),
            ("m=video 0 RTP/AVP h264", PayloadType("h264".into())),
            ("m=video 0 RTP/AVP 128", PayloadType("128".into())),
            ("m=video 0 RTP/AVP 96", ClockRate(96)),
            ("m=video 0 RTP/AVP 96\na=rtpmap:96 H264/0", ClockRate(96)),
            (
                "m=audio 0 RTP/AVP 96\na=rtpmap:96 opus/99999999999",
                ClockRate(96),
            ),
        ] {
            let error = read(&format!("v=0\nm=audio 0 RTP/AVP 0\n{medium}\n")).unwrap_err();
            assert_eq!((error.line, error.what), (3, what));
        }
    }

    #[test]
    fn other_parameter_sets_are_the_same_track_and_other_codecs_are_not() {
        let video = |fmtp: &str| {
            format!("m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 {fmtp}\n")
        };
        let audio = |config: &str| {
            format!(
                "m=audio 0 RTP/AVP 97\na=rtpmap:97 mpeg4-generic/48000/2\na=fmtp:97 config={config}\n"
            )
        };
        let same = |one: &str, other: &str| same_tracks(&read(one).unwrap(), &read(other).unwrap());
        let (a, b) = (
            video("sprop-parameter-sets=Z0IAH5Y=,aM4="),
            video("packetization-mode=1"),
        );
        assert!(same(&a, &b));
        assert!(same(&audio("1190"), &audio("1190")));
        assert!(!same(&audio("1190"), &audio("1188")));
        assert!(!same(&a, &a.replace("H264", "H265")));
        assert!(!same(&a, &a.replace("90000", "48000")));
        assert!(same(&a, &a.replace("96", "98")));
        assert!(!same(&a, &a.replace("AVP 96", "AVP 96 98")));
        assert!(!same(&a, &a.replace("video", "audio")));
        assert!(!same(&a, &format!("{a}{}", audio("1190"))));
    }
}
