//! Which codec a track has, and its parameters.
//!
//! [`format`](super::format) makes it from `a=rtpmap` and `a=fmtp`, and writes those of it that have
//! changed; a stream keeps it, with the parameter sets that it has brought since.

use std::fmt;

use bytes::Bytes;

use crate::codec::access_unit::Unit;
use crate::codec::parameter_sets::ParameterSets;

/// A track's codec. Its [`Display`](fmt::Display) is MediaMTX's name for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Codec {
    /// H.264 (RFC 6184).
    H264 {
        /// Sequence parameter sets, as NAL units.
        sps: Vec<Bytes>,
        /// Picture parameter sets, as NAL units.
        pps: Vec<Bytes>,
        /// `packetization-mode`, at least 1: what mode 0 sends is valid in mode 1 (RFC 6184 §5.4), and
        /// pieces of a packet that is cut are not valid in mode 0.
        packetization_mode: u8,
    },
    /// H.265 (RFC 7798).
    H265 {
        /// Video parameter sets, as NAL units.
        vps: Vec<Bytes>,
        /// Sequence parameter sets, as NAL units.
        sps: Vec<Bytes>,
        /// Picture parameter sets, as NAL units.
        pps: Vec<Bytes>,
    },
    /// AV1.
    Av1,
    /// VP8 (RFC 7741).
    Vp8,
    /// VP9 (RFC 9628).
    Vp9,
    /// Motion JPEG (RFC 2435).
    Mjpeg,
    /// MPEG-4 part 2 (RFC 6416).
    Mpeg4Video {
        /// The headers of `config=`; nothing where the stream has them.
        config: Bytes,
    },
    /// MPEG-1 and MPEG-2 video (RFC 2250).
    Mpeg1Video,
    /// MPEG transport stream in RTP (RFC 2250).
    MpegTs,
    /// Opus (RFC 7587).
    Opus,
    /// Vorbis (RFC 5215).
    Vorbis {
        /// The packed headers of `configuration=`.
        config: Bytes,
    },
    /// AAC in generic packets (RFC 3640).
    Aac {
        /// The `AudioSpecificConfig` of `config=`.
        config: Bytes,
    },
    /// AAC in LATM (RFC 6416).
    AacLatm {
        /// The `StreamMuxConfig` of `config=`; nothing where the packets have it.
        config: Bytes,
        /// `cpresent`: the packets have it, whatever the description says.
        is_in_packets: bool,
    },
    /// MPEG-1 and MPEG-2 audio, MP3 among them (RFC 2250).
    Mpeg1Audio,
    /// AC-3 (RFC 4184).
    Ac3,
    /// Speex (RFC 5574).
    Speex,
    /// G.726 (RFC 3551).
    G726 {
        /// Bits of a sample: 2 to 5.
        bits: u8,
        /// Samples lie in the order of AAL2 (ITU-T I.366.2 annex E), the first one high.
        is_aal2: bool,
    },
    /// G.722 (RFC 3551).
    G722,
    /// G.711, A-law or µ-law (RFC 3551).
    G711 {
        /// µ-law (PCMU) and not A-law (PCMA).
        mu_law: bool,
    },
    /// Uncompressed samples (RFC 3551, RFC 3190).
    Lpcm {
        /// Bits of a sample: 8, 16 or 24.
        bits: u8,
    },
    /// Metadata in SMPTE 336 (RFC 6597).
    Klv,
    /// Anything else, by its encoding name in the rtpmap, which may be empty. It passes through.
    Other(String),
}

impl Codec {
    /// How this codec's access units are told apart.
    #[must_use]
    pub const fn access_units(&self) -> Unit {
        match self {
            Self::H264 { .. } => Unit::H264,
            Self::H265 { .. } => Unit::H265,
            Self::Av1 => Unit::Av1,
            Self::Vp8 => Unit::Vp8,
            Self::Vp9 => Unit::Vp9,
            Self::Mpeg4Video { .. } => Unit::Mpeg4Video,
            Self::Mpeg1Video => Unit::MpegVideo,
            Self::Mjpeg => Unit::Mjpeg,
            Self::MpegTs => Unit::MpegTs,
            // The marker of these begins a talk spurt or means nothing (RFC 3551 §4.1, RFC 7587 §4.1).
            Self::Opus
            | Self::Vorbis { .. }
            | Self::Mpeg1Audio
            | Self::Speex
            | Self::G726 { .. }
            | Self::G722
            | Self::G711 { .. }
            | Self::Lpcm { .. } => Unit::Packet,
            _ => Unit::Marked,
        }
    }

    /// The parameter sets that the codec holds, in the order in which decoders need them.
    pub fn parameter_sets(&self) -> impl Iterator<Item = &Bytes> {
        let lists: [&[Bytes]; 3] = match self {
            Self::H264 { sps, pps, .. } => [&[], sps, pps],
            Self::H265 { vps, sps, pps } => [vps, sps, pps],
            _ => [&[]; 3],
        };
        lists.into_iter().flatten()
    }

    /// The same codec with `sets` in the place of those that it was described with.
    #[must_use]
    pub fn with_parameter_sets(&self, sets: &ParameterSets) -> Self {
        let (sps, pps) = (sets.sps().cloned(), sets.pps().cloned());
        match self {
            Self::H264 {
                packetization_mode, ..
            } => Self::H264 {
                sps: sps.collect(),
                pps: pps.collect(),
                packetization_mode: *packetization_mode,
            },
            Self::H265 { .. } => Self::H265 {
                vps: sets.vps().cloned().collect(),
                sps: sps.collect(),
                pps: pps.collect(),
            },
            other => other.clone(),
        }
    }

    /// Whether a reader of a stream with `self` can go on when the publisher sends `other`: the same
    /// codec with the same configuration, since nothing in the stream repeats that. Parameter sets of
    /// H.264 and H.265 may differ, since they precede key pictures.
    #[must_use]
    pub fn continues_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::H264 { .. }, Self::H264 { .. }) | (Self::H265 { .. }, Self::H265 { .. }) => true,
            (one, other) => one == other,
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::H264 { .. } => "H264",
            Self::H265 { .. } => "H265",
            Self::Av1 => "AV1",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::Mjpeg => "M-JPEG",
            Self::Mpeg4Video { .. } => "MPEG-4 Video",
            Self::Mpeg1Video => "MPEG-1/2 Video",
            Self::MpegTs => "MPEG-TS",
            Self::Opus => "Opus",
            Self::Vorbis { .. } => "Vorbis",
            Self::Aac { .. } => "MPEG-4 Audio",
            Self::AacLatm { .. } => "MPEG-4 Audio LATM",
            Self::Mpeg1Audio => "MPEG-1/2 Audio",
            Self::Ac3 => "AC3",
            Self::Speex => "Speex",
            Self::G726 { .. } => "G726",
            Self::G722 => "G722",
            Self::G711 { .. } => "G711",
            Self::Lpcm { .. } => "LPCM",
            Self::Klv => "KLV",
            Self::Other(_) => "Generic",
        })
    }
}
