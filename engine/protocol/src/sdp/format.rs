//! Formats: from `a=rtpmap` and `a=fmtp` to a codec, and back.
//!
//! Input are an encoding name (or a static payload type's) and the format parameters of one payload
//! type; output is a [`Codec`] whose name is the one that MediaMTX shows for the same track, and the
//! parameters that readers have to be told of one that has changed.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::{Buf, Bytes};

use super::codec::Codec;
use crate::codec::parameter_sets::PARAMETER_SETS_MAX;
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

/// The format parameters that list parameter sets (RFC 6184 §8.1, RFC 7798 §7.1).
const SET_PARAMETERS: [&str; 4] = [
    "sprop-parameter-sets",
    "sprop-vps",
    "sprop-sps",
    "sprop-pps",
];

/// Format parameters by name, in the order in which they are written.
pub(super) type FormatParameters = Vec<(&'static str, String)>;

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
            "mp4v-es" => Self::Mpeg4Video {
                config: hex_parameter(fmtp, "config"),
            },
            "mpv" => Self::Mpeg1Video,
            "mp2t" => Self::MpegTs,
            "opus" | "multiopus" => Self::Opus,
            "vorbis" => Self::Vorbis {
                config: parameter(fmtp, "configuration")
                    .and_then(|config| BASE64.decode(config).ok())
                    .unwrap_or_default()
                    .into(),
            },
            "mpeg4-generic" => Self::Aac {
                config: hex_parameter(fmtp, "config"),
            },
            "mp4a-latm" => Self::AacLatm {
                config: hex_parameter(fmtp, "config"),
                // Present, unless it is said otherwise (RFC 6416 §7.3).
                is_in_packets: parameter(fmtp, "cpresent") != Some("0"),
            },
            "mpa" => Self::Mpeg1Audio,
            "ac3" => Self::Ac3,
            "speex" => Self::Speex,
            "g722" => Self::G722,
            "pcmu" => Self::G711 { mu_law: true },
            "pcma" => Self::G711 { mu_law: false },
            "l8" => Self::Lpcm { bits: 8 },
            "l16" => Self::Lpcm { bits: 16 },
            "l24" => Self::Lpcm { bits: 24 },
            "smpte336m" => Self::Klv,
            other => g726_from(other).unwrap_or_else(|| Self::Other(name.to_owned())),
        }
    }

    /// The format parameters that readers have to be told and `fmtp` does not say: all of the codec's own
    /// where it says another codec, or sets that trip readers up; else a mode that was raised. One that is
    /// empty is to be left out.
    pub(super) fn unsaid_parameters(&self, encoding: &str, fmtp: &str) -> FormatParameters {
        let lists = SET_PARAMETERS
            .iter()
            .filter_map(|name| parameter(fmtp, name));
        let is_plain = !self.has_parameter_sets() || lists.into_iter().all(is_plain_list);
        if !is_plain || Self::from_encoding(encoding, fmtp) != *self {
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

    const fn has_parameter_sets(&self) -> bool {
        matches!(self, Self::H264 { .. } | Self::H265 { .. })
    }

    /// The format parameters that say what the codec holds, where it can hold any.
    fn format_parameters(&self) -> FormatParameters {
        match self {
            Self::H264 {
                sps,
                pps,
                packetization_mode,
            } => h264_parameters(sps, pps, *packetization_mode),
            Self::H265 { vps, sps, pps } => {
                let lists = [("sprop-vps", vps), ("sprop-sps", sps), ("sprop-pps", pps)];
                let written = lists.map(|(name, sets)| (name, encode_sets(sets)));
                written.into()
            }
            _ => FormatParameters::new(),
        }
    }
}

/// Whether a list of parameter sets is such as RFC 6184 §8.1 wants it: base64 throughout, without start
/// codes and empty places. Players refuse a description over less.
fn is_plain_list(list: &str) -> bool {
    let is_set = |set: Vec<u8>| set.first().is_some_and(|header| *header != 0);
    list.split(',')
        .all(|set| BASE64.decode(set.trim()).is_ok_and(is_set))
}

/// G.726 by its rate in kbit/s, which is eight times the bits of a sample (RFC 3551 §4.5.4).
fn g726_from(name: &str) -> Option<Codec> {
    let aal2 = name.strip_prefix("aal2-");
    let bits = match aal2.unwrap_or(name) {
        "g726-16" => 2,
        "g726-24" => 3,
        "g726-32" => 4,
        "g726-40" => 5,
        _ => return None,
    };
    let is_aal2 = aal2.is_some();
    Some(Codec::G726 { bits, is_aal2 })
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
    parameters.push(("sprop-parameter-sets", encode_sets(&sets)));
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

/// A format parameter in hexadecimal digits.
fn hex_parameter(fmtp: &str, name: &str) -> Bytes {
    parameter(fmtp, name).map(decode_hex).unwrap_or_default()
}

/// Hexadecimal digits as bytes; nothing when they are not that, or too many.
fn decode_hex(digits: &str) -> Bytes {
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
    fn what_readers_are_told_once_is_part_of_the_codec() {
        for (name, fmtp, other_name, other_fmtp) in [
            (
                "MP4V-ES",
                "config=000001b001",
                "MP4V-ES",
                "config=000001b002",
            ),
            (
                "MP4A-LATM",
                "cpresent=0;config=40002620",
                "MP4A-LATM",
                "cpresent=0;config=40002420",
            ),
            ("MP4A-LATM", "cpresent=0", "MP4A-LATM", ""),
            ("G726-32", "", "G726-16", ""),
            ("G726-32", "", "AAL2-G726-32", ""),
            (
                "vorbis",
                "configuration=AAAA",
                "vorbis",
                "configuration=AAAB",
            ),
        ] {
            let one = Codec::from_encoding(name, fmtp);
            let other = Codec::from_encoding(other_name, other_fmtp);
            assert!(
                one.continues_as(&one) && !one.continues_as(&other),
                "{name} {fmtp}"
            );
            assert!(!matches!(one, Codec::Other(_)), "{name}");
        }
        let unknown = Codec::from_encoding("G726-48", "");
        assert_eq!(unknown, Codec::Other("G726-48".into()));
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
