//! MPEG-4 part 2 video in RTP (RFC 6416) and in descriptions: what a payload or a configuration holds.
//!
//! Input is one RTP payload in place, or the configuration of `config=`; output is a [`PacketKind`], or
//! what the video object layer in it says (ISO 14496-2 §6.2.3). A payload has no header of its own:
//! what begins in it begins with a start code at its front.

use super::bits::Bits;
use super::{FrameRate, Level, PacketKind, ParameterError, PictureSize, Profile, VideoParameters};

/// What precedes a start code's value.
const START_CODE_PREFIX: [u8; 3] = [0, 0, 1];

/// Start codes (ISO 14496-2 table 6-3).
const LAYER_FIRST: u8 = 0x20;
const LAYER_LAST: u8 = 0x2f;
const SEQUENCE: u8 = 0xb0;
const GROUP: u8 = 0xb3;
const OBJECT: u8 = 0xb5;
const PICTURE: u8 = 0xb6;

/// How far into a payload start codes are looked for. Headers in front of a picture take about 50 bytes,
/// with user data 200.
const HEADERS_BYTES_MAX: usize = 1024;

/// `aspect_ratio_info` of a ratio that is written out.
const EXTENDED_PAR: u8 = 15;
/// Bits of the decoder buffer's parameters.
const BUFFER_BITS: usize = 79;
/// `video_object_layer_shape` of a rectangle.
const RECTANGULAR: u8 = 0;

/// What `payload` holds.
#[must_use]
pub fn inspect(payload: &[u8]) -> PacketKind {
    if !payload.starts_with(&START_CODE_PREFIX) {
        return if payload.is_empty() {
            PacketKind::default()
        } else {
            PacketKind::OPAQUE
        };
    }
    let mut kind = PacketKind::default();
    for (code, body) in start_codes(payload) {
        match code {
            LAYER_FIRST..=LAYER_LAST | SEQUENCE | OBJECT => kind.parameter_sets = true,
            GROUP => {}
            PICTURE => {
                kind.picture = true;
                kind.picture_start = true;
                // Coding type 0 is intra (§6.3.5).
                kind.key = body.first().is_some_and(|byte| byte >> 6 == 0);
                break;
            }
            _ => {}
        }
    }
    kind
}

/// What the object layer in `headers` says, a payload or a configuration; nothing where there is none.
///
/// # Errors
/// [`ParameterError`] of a layer that cannot be read.
pub fn parameters(headers: &[u8]) -> Result<Option<VideoParameters>, ParameterError> {
    let is_layer = |code: u8| (LAYER_FIRST..=LAYER_LAST).contains(&code);
    let Some((_, layer)) = start_codes(headers).find(|(code, _)| is_layer(*code)) else {
        return Ok(None);
    };
    let mut video = read_layer(layer)?;
    let sequence = start_codes(headers).find(|(code, _)| *code == SEQUENCE);
    if let Some([profile_and_level, ..]) = sequence.map(|(_, sequence)| sequence) {
        video.profile = Some(Profile::Number(profile_and_level >> 4));
        video.level = Some(Level::Number(profile_and_level & 0x0f));
    }
    Ok(Some(video))
}

/// The start codes near the front, each with all that follows it.
fn start_codes(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let front = bytes.get(..HEADERS_BYTES_MAX).unwrap_or(bytes);
    front.windows(4).enumerate().filter_map(|(at, window)| {
        let code = window.strip_prefix(&START_CODE_PREFIX)?.first()?;
        Some((*code, bytes.get(at + 4..)?))
    })
}

fn read_layer(layer: &[u8]) -> Result<VideoParameters, ParameterError> {
    let mut bits = Bits::new(layer);
    bits.skip(9)?;
    let mut version = 1;
    if bits.flag()? {
        version = bits.small(4)?;
        bits.skip(3)?;
    }
    if bits.small(4)? == EXTENDED_PAR {
        bits.skip(16)?;
    }
    if bits.flag()? {
        bits.skip(3)?;
        if bits.flag()? {
            bits.skip(BUFFER_BITS)?;
        }
    }
    let shape = bits.small(2)?;
    if shape == 3 && version != 1 {
        bits.skip(4)?;
    }
    bits.skip(1)?;
    let resolution = bits.bits(16)?;
    bits.skip(1)?;
    let frame_rate = if bits.flag()? {
        // As many bits as the highest increment has.
        let increment_bits = u32::BITS - resolution.saturating_sub(1).leading_zeros();
        FrameRate::new(resolution, bits.bits(increment_bits.max(1))?)
    } else {
        None
    };
    let size = if shape == RECTANGULAR {
        bits.skip(1)?;
        let width = u64::from(bits.bits(13)?);
        bits.skip(1)?;
        Some(PictureSize::new(width, u64::from(bits.bits(13)?))?)
    } else {
        None
    };
    Ok(VideoParameters {
        size,
        frame_rate,
        ..VideoParameters::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::test_bytes::hex;

    /// Headers of ffmpeg and Xvid for 640 x 362.
    const FFMPEG: &str = "000001b001000001b58913000001000000012000c48d8800cd14042d5443000001b2";
    const XVID: &str = "000001b003000001b509000001000000012000bc0406c5d4c307d314042d5463000001b2";

    #[test]
    fn headers_of_encoders_are_read() {
        for (headers, expected) in [
            (FFMPEG, "0 1, 640 x 362"),
            (XVID, "0 3, 640 x 362, 30000/1001"),
        ] {
            let video = parameters(&hex(headers)).unwrap().unwrap();
            assert_eq!(video.to_string(), expected);
        }
        assert_eq!(parameters(&[]), Ok(None));
        assert_eq!(parameters(&hex("000001b610")), Ok(None));
        let headers = hex(FFMPEG);
        for cut in 0..headers.len() - 4 {
            let parsed = parameters(&headers[..cut]);
            let is_whole = matches!(parsed, Ok(Some(video)) if video.size.is_some());
            assert!(!is_whole || cut >= 29, "cut {cut}");
        }
    }

    #[test]
    fn an_intra_picture_is_key_with_its_headers_or_alone() {
        let key = inspect(&hex("000001b61060b182"));
        assert!(key.key && key.picture_start && !key.parameter_sets);
        let with_headers = inspect(&hex(&format!("{FFMPEG}000001b300100700 0001b61060")));
        assert!(with_headers.key && with_headers.picture_start && with_headers.parameter_sets);
        let group = inspect(&hex("000001b300100700 0001b61060"));
        assert!(group.key && group.picture);
        let inter = inspect(&hex("000001b65060"));
        assert!(!inter.key && inter.picture_start);
        let headers = inspect(&hex(FFMPEG));
        assert!(headers.parameter_sets && !headers.picture);
        let fragment = inspect(&[1, 0, 0, 1, 0xb6, 0x10]);
        assert!(fragment == PacketKind::OPAQUE);
        assert_eq!(inspect(&[]), PacketKind::default());
    }

    #[test]
    fn headers_are_looked_for_near_the_front_alone() {
        let far =
            |bytes: usize| [&hex("000001b2")[..], &vec![7; bytes], &hex("000001b610")].concat();
        assert!(inspect(&far(HEADERS_BYTES_MAX - 8)).key);
        assert!(!inspect(&far(HEADERS_BYTES_MAX - 7)).key);
    }
}
