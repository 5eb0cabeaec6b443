//! Which codec a track has, and its parameters, from `a=rtpmap` and `a=fmtp`.
//!
//! Input are an encoding name (or a static payload type) and the format parameters of one payload
//! type; output is a [`Codec`] whose name is the one that MediaMTX shows for the same track.

use std::fmt;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::{Buf, Bytes};

use crate::codec::access_unit::Unit;
use crate::codec::parameter_sets::{PARAMETER_SETS_MAX, ParameterSets};
use crate::codec::{h264, h265};

/// The longest configuration kept. Those of AAC have 2 to 11 bytes (ISO 14496-3 §1.6), those of MPEG-4
/// video up to 100.
const CONFIG_BYTES_MAX: usize = 256;

/// Base64 as cameras write it: with padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Format parameters by name, in the order in which they are written.
pub(super) type FormatParameters = Vec<(&'static str, String)>;

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
    Mpeg4Video,
    /// MPEG-1 and MPEG-2 video (RFC 2250).
    Mpeg1Video,
    /// MPEG transport stream in RTP (RFC 2250).
    MpegTs,
    /// Opus (RFC 7587).
    Opus,
    /// Vorbis (RFC 5215).
    Vorbis,
    /// AAC in generic packets (RFC 3640).
    Aac {
        /// The `AudioSpecificConfig` of `config=`.
        config: Bytes,
    },
    /// AAC in LATM (RFC 6416).
    AacLatm,
    /// MPEG-1 and MPEG-2 audio, MP3 among them (RFC 2250).
    Mpeg1Audio,
    /// AC-3 (RFC 4184).
    Ac3,
    /// Speex (RFC 5574).
    Speex,
    /// G.726 (RFC 3551).
    G726,
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
    /// The codec of an encoding name, with the parameters that `fmtp` gives. A parameter that is
    /// missing or cannot be read is left out: the stream itself may carry it.
    pub(super) fn from_encoding(name: &str, fmtp: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "h264" => h264_from(fmtp),
            "h265" | "hevc" => h265_from(fmtp),
            "av1" => Self::Av1,
            "vp8" => Self::Vp8,
            "vp9" => Self::Vp9,
            "jpeg" => Self::Mjpeg,
            "mp4v-es" => Self::Mpeg4Video,
            "mpv" => Self::Mpeg1Video,
            "mp2t" => Self::MpegTs,
            "opus" | "multiopus" => Self::Opus,
            "vorbis" => Self::Vorbis,
            "mpeg4-generic" => Self::Aac {
                config: parameter(fmtp, "config")
                    .map(decode_hex)
                    .unwrap_or_default(),
            },
            "mp4a-latm" => Self::AacLatm,
            "mpa" => Self::Mpeg1Audio,
            "ac3" => Self::Ac3,
            "speex" => Self::Speex,
            "g726-16" | "g726-24" | "g726-32" | "g726-40" | "aal2-g726-16" | "aal2-g726-24"
            | "aal2-g726-32" | "aal2-g726-40" => Self::G726,
            "g722" => Self::G722,
            "pcmu" => Self::G711 { mu_law: true },
            "pcma" => Self::G711 { mu_law: false },
            "l8" => Self::Lpcm { bits: 8 },
            "l16" => Self::Lpcm { bits: 16 },
            "l24" => Self::Lpcm { bits: 24 },
            "smpte336m" => Self::Klv,
            _ => Self::Other(name.to_owned()),
        }
    }

    /// How this codec's access units are told apart.
    #[must_use]
    pub const fn access_units(&self) -> Unit {
        match self {
            Self::H264 { .. } => Unit::H264,
            Self::H265 { .. } => Unit::H265,
            Self::Av1 => Unit::Av1,
            Self::Vp8 => Unit::Vp8,
            Self::Vp9 => Unit::Vp9,
            Self::Mpeg4Video => Unit::Mpeg4Video,
            Self::Mpeg1Video => Unit::MpegVideo,
            Self::Mjpeg => Unit::Mjpeg,
            Self::MpegTs => Unit::MpegTs,
            // The marker of these begins a talk spurt or means nothing (RFC 3551 §4.1, RFC 7587 §4.1).
            Self::Opus
            | Self::Vorbis
            | Self::Mpeg1Audio
            | Self::Speex
            | Self::G726
            | Self::G722
            | Self::G711 { .. }
            | Self::Lpcm { .. } => Unit::Packet,
            _ => Unit::Marked,
        }
    }

    /// The format parameters that readers have to be told and `fmtp` does not say: all of the codec's own
    /// where it says another codec, else a mode that was raised.
    pub(super) fn unsaid_parameters(&self, encoding: &str, fmtp: &str) -> FormatParameters {
        if Self::from_encoding(encoding, fmtp) != *self {
            return self.format_parameters();
        }
        match self {
            Self::H264 {
                packetization_mode: mode,
                ..
            } if packetization_mode(fmtp) != Some(*mode) => {
                vec![("packetization-mode", mode.to_string())]
            }
            _ => FormatParameters::new(),
        }
    }

    /// The format parameters that say what the codec holds, where it holds any.
    fn format_parameters(&self) -> FormatParameters {
        match self {
            Self::H264 {
                sps,
                pps,
                packetization_mode,
            } => h264_parameters(sps, pps, *packetization_mode),
            Self::H265 { vps, sps, pps } => {
                let lists = [("sprop-vps", vps), ("sprop-sps", sps), ("sprop-pps", pps)];
                let written = lists.into_iter().filter(|(_, sets)| !sets.is_empty());
                written
                    .map(|(name, sets)| (name, encode_sets(sets)))
                    .collect()
            }
            _ => FormatParameters::new(),
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
    /// codec, and for AAC the same configuration, since nothing in the stream repeats it. Parameter
    /// sets of video may differ, since they precede key pictures.
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
            Self::Mpeg4Video => "MPEG-4 Video",
            Self::Mpeg1Video => "MPEG-1/2 Video",
            Self::MpegTs => "MPEG-TS",
            Self::Opus => "Opus",
            Self::Vorbis => "Vorbis",
            Self::Aac { .. } => "MPEG-4 Audio",
            Self::AacLatm => "MPEG-4 Audio LATM",
            Self::Mpeg1Audio => "MPEG-1/2 Audio",
            Self::Ac3 => "AC-3",
            Self::Speex => "Speex",
            Self::G726 => "G726",
            Self::G722 => "G722",
            Self::G711 { .. } => "G711",
            Self::Lpcm { .. } => "LPCM",
            Self::Klv => "KLV",
            Self::Other(_) => "Generic",
        })
    }
}

/// `sprop-parameter-sets` holds SPS and PPS in one list (RFC 6184 §8.1).
fn h264_from(fmtp: &str) -> Codec {
    let sets = parameter_sets(fmtp, "sprop-parameter-sets");
    let of_kind = |kind: u8| {
        let of_kind = |set: &&Bytes| h264::nal_type(set) == Some(kind);
        sets.iter().filter(of_kind).cloned().collect()
    };
    Codec::H264 {
        sps: of_kind(h264::SPS),
        pps: of_kind(h264::PPS),
        packetization_mode: packetization_mode(fmtp).unwrap_or(0).max(1),
    }
}

/// The mode that a description says.
fn packetization_mode(fmtp: &str) -> Option<u8> {
    parameter(fmtp, "packetization-mode")?.parse().ok()
}

fn h264_parameters(sps: &[Bytes], pps: &[Bytes], packetization_mode: u8) -> FormatParameters {
    let mut parameters = vec![("packetization-mode", packetization_mode.to_string())];
    // Profile, constraints and level follow the SPS's NAL header (RFC 6184 §8.1).
    if let Some([_, profile, constraints, level, ..]) = sps.first().map(Bytes::as_ref) {
        let id = format!("{profile:02X}{constraints:02X}{level:02X}");
        parameters.push(("profile-level-id", id));
    }
    let sets: Vec<Bytes> = sps.iter().chain(pps).cloned().collect();
    if !sets.is_empty() {
        parameters.push(("sprop-parameter-sets", encode_sets(&sets)));
    }
    parameters
}

fn encode_sets(sets: &[Bytes]) -> String {
    let texts: Vec<String> = sets.iter().map(|set| BASE64.encode(set)).collect();
    texts.join(",")
}

/// Each kind has a list of its own (RFC 7798 §7.1).
fn h265_from(fmtp: &str) -> Codec {
    let of_kind = |name: &str, kind: u8| {
        let mut sets = parameter_sets(fmtp, name);
        sets.retain(|set| h265::nal_type(set) == Some(kind));
        sets
    };
    Codec::H265 {
        vps: of_kind("sprop-vps", h265::VPS),
        sps: of_kind("sprop-sps", h265::SPS),
        pps: of_kind("sprop-pps", h265::PPS),
    }
}

/// A comma-separated list of NAL units in base64. Some cameras put Annex B start codes in front.
fn parameter_sets(fmtp: &str, name: &str) -> Vec<Bytes> {
    parameter(fmtp, name)
        .unwrap_or_default()
        .split(',')
        .filter_map(|set| BASE64.decode(set.trim()).ok())
        .map(without_start_code)
        .filter(|set| !set.is_empty())
        .take(PARAMETER_SETS_MAX)
        .collect()
}

fn without_start_code(set: Vec<u8>) -> Bytes {
    let mut set = Bytes::from(set);
    for start_code in [&[0, 0, 0, 1][..], &[0, 0, 1]] {
        if set.starts_with(start_code) {
            set.advance(start_code.len());
        }
    }
    set
}

/// The value of one format parameter; names are told apart without regard to case.
pub(super) fn parameter<'a>(fmtp: &'a str, name: &str) -> Option<&'a str> {
    fmtp.split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// Hexadecimal digits as bytes; nothing when they are not that, or too many.
pub(super) fn decode_hex(digits: &str) -> Bytes {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > CONFIG_BYTES_MAX {
        return Bytes::new();
    }
    let byte = |pair: &[u8; 2]| {
        let text = str::from_utf8(pair).ok()?;
        u8::from_str_radix(text, 16).ok()
    };
    pairs
        .iter()
        .map(byte)
        .collect::<Option<Vec<u8>>>()
        .unwrap_or_default()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_sets_of_h264_are_told_apart_by_their_type() {
        let fmtp = "packetization-mode=1; sprop-parameter-sets=Z0LAHg==,aM4G4g==, aM48gA==;x";
        let Codec::H264 {
            sps,
            pps,
            packetization_mode,
        } = Codec::from_encoding("h264", fmtp)
        else {
            panic!("an H.264 track");
        };
        assert_eq!(sps, [&[0x67, 0x42, 0xc0, 0x1e][..]]);
        assert_eq!(
            pps,
            [&[0x68, 0xce, 0x06, 0xe2][..], &[0x68, 0xce, 0x3c, 0x80]]
        );
        assert_eq!(packetization_mode, 1);
    }

    #[test]
    fn start_codes_and_missing_padding_are_taken() {
        let Codec::H265 { vps, sps, pps } = Codec::from_encoding(
            "H265",
            "sprop-vps=AAAAAUABDAE;sprop-sps=AAABQgEB;SPROP-PPS=RAHB",
        ) else {
            panic!("an H.265 track");
        };
        assert_eq!(vps, [&[0x40, 0x01, 0x0c, 0x01][..]]);
        assert_eq!(sps, [&[0x42, 0x01, 0x01][..]]);
        assert_eq!(pps, [&[0x44, 0x01, 0xc1][..]]);
    }

    #[test]
    fn parameters_that_cannot_be_read_are_left_out() {
        let none = Codec::H264 {
            sps: vec![],
            pps: vec![],
            packetization_mode: 1,
        };
        for fmtp in [
            "",
            "sprop-parameter-sets",
            "sprop-parameter-sets=",
            "sprop-parameter-sets=%%%,,====",
            "packetization-mode=one",
            "packetization-mode=999",
        ] {
            assert_eq!(Codec::from_encoding("H264", fmtp), none, "{fmtp}");
        }
        for config in ["", "119", "xy", "1190é", &"11".repeat(CONFIG_BYTES_MAX + 1)] {
            let codec = Codec::from_encoding("mpeg4-generic", &format!("config={config}"));
            assert_eq!(
                codec,
                Codec::Aac {
                    config: Bytes::new()
                },
                "{config}"
            );
        }
        let longest = format!("config={}", "11".repeat(CONFIG_BYTES_MAX));
        let Codec::Aac { config } = Codec::from_encoding("MPEG4-GENERIC", &longest) else {
            panic!("an AAC track");
        };
        assert_eq!(config.len(), CONFIG_BYTES_MAX);
    }

    #[test]
    fn only_so_many_parameter_sets_are_kept() {
        let of = |count: usize| format!("sprop-pps={}", vec!["RAHB"; count].join(","));
        for count in [PARAMETER_SETS_MAX, PARAMETER_SETS_MAX + 1] {
            let Codec::H265 { pps, .. } = Codec::from_encoding("H265", &of(count)) else {
                panic!("an H.265 track");
            };
            assert_eq!(pps.len(), PARAMETER_SETS_MAX);
        }
    }
}
