//! MPEG-1 and MPEG-2 video in RTP (RFC 2250 §3): what a payload holds.
//!
//! Input is one RTP payload in place; output is a [`PacketKind`], or what the sequence header in it says
//! (ISO 13818-2 §6.2.2.1).

use super::bits::Bits;
use super::{FrameRate, PacketKind, ParameterError, PictureSize, VideoParameters};

/// Length of the video header, and of its extension for MPEG-2 (RFC 2250 §3.4).
const HEADER_BYTES: usize = 4;
/// Bit of the header's first byte: the extension follows.
const EXTENSION_BIT: u8 = 0x04;
/// Bits of its third byte: a sequence header is there; the picture's type.
const SEQUENCE_BIT: u8 = 0x20;
const TYPE_MASK: u8 = 0x07;
/// Picture types.
const INTRA: u8 = 1;
const BIDIRECTIONAL: u8 = 3;

/// Start codes (ISO 13818-2 table 6-1).
const PICTURE_CODE: [u8; 4] = [0, 0, 1, 0];
const SEQUENCE_CODE: [u8; 4] = [0, 0, 1, 0xb3];
const GROUP_CODE: [u8; 4] = [0, 0, 1, 0xb8];

/// Pictures and seconds by `frame_rate_code`, from 1 on (ISO 13818-2 table 6-4).
const FRAME_RATES: [(u32, u32); 8] = [
    (24_000, 1001),
    (24, 1),
    (25, 1),
    (30_000, 1001),
    (30, 1),
    (50, 1),
    (60_000, 1001),
    (60, 1),
];

/// What `payload` holds. A decoder can start at an intra picture behind a sequence header.
#[must_use]
pub fn inspect(payload: &[u8]) -> PacketKind {
    let Some((header, body)) = split(payload) else {
        return PacketKind::default();
    };
    let starts = |code: &[u8]| body.starts_with(code);
    let has_sequence = header[2] & SEQUENCE_BIT != 0 || starts(&SEQUENCE_CODE);
    let kind = header[2] & TYPE_MASK;
    PacketKind {
        picture: true,
        picture_start: starts(&SEQUENCE_CODE) || starts(&GROUP_CODE) || starts(&PICTURE_CODE),
        key: has_sequence && kind == INTRA,
        parameter_sets: false,
        droppable: kind == BIDIRECTIONAL,
        ..PacketKind::default()
    }
}

/// What the sequence header at the front of `payload` says; nothing where there is none.
///
/// # Errors
/// [`ParameterError`] of one that cannot be read.
pub fn parameters(payload: &[u8]) -> Result<Option<VideoParameters>, ParameterError> {
    let body = split(payload).map_or(&[][..], |(_, body)| body);
    let Some(sequence) = body.strip_prefix(&SEQUENCE_CODE) else {
        return Ok(None);
    };
    let mut bits = Bits::new(sequence);
    let width = u64::from(bits.bits(12)?);
    let height = u64::from(bits.bits(12)?);
    bits.skip(4)?;
    let code = usize::from(bits.small(4)?);
    let rate = FRAME_RATES.get(code.wrapping_sub(1));
    Ok(Some(VideoParameters {
        size: Some(PictureSize::new(width, height)?),
        frame_rate: rate.and_then(|(pictures, seconds)| FrameRate::new(*pictures, *seconds)),
        ..VideoParameters::default()
    }))
}

/// The video header and what follows it and its extension.
fn split(payload: &[u8]) -> Option<(&[u8; HEADER_BYTES], &[u8])> {
    let (header, body) = payload.split_first_chunk::<HEADER_BYTES>()?;
    if header[0] & EXTENSION_BIT == 0 {
        return Some((header, body));
    }
    Some((header, body.get(HEADER_BYTES..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEQUENCE: [u8; 8] = [0, 0, 1, 0xb3, 0x28, 0x01, 0xe0, 0x33];

    #[test]
    fn an_intra_picture_behind_a_sequence_header_is_key() {
        for header in [&[0, 0, 0x39, 0][..], &[4, 0, 0x39, 0, 0, 0, 0, 0]] {
            let payload = [header, &SEQUENCE].concat();
            let kind = inspect(&payload);
            assert!(kind.key && kind.picture_start && !kind.droppable);
            let video = parameters(&payload).unwrap().unwrap();
            assert_eq!(video.to_string(), "640 x 480, 25/1");
        }
        // A sender that does not mark the sequence header.
        assert!(inspect(&[&[0, 0, 0x11, 0][..], &SEQUENCE].concat()).key);
    }

    #[test]
    fn other_pictures_are_not() {
        let intra = inspect(&[0, 0, 0x11, 0, 0, 0, 1, 0]);
        assert!(intra.picture_start && !intra.key && !intra.droppable);
        let bidirectional = inspect(&[0, 0, 0x13, 0, 0, 0, 1, 7]);
        assert!(bidirectional.droppable && !bidirectional.picture_start);
        assert_eq!(inspect(&[0, 0, 0x39]), PacketKind::default());
        assert_eq!(inspect(&[4, 0, 0x39, 0, 1]), PacketKind::default());
        assert_eq!(parameters(&[0, 0, 0x11, 0, 0, 0, 1, 0]), Ok(None));
        let cut = [&[0, 0, 0x39, 0][..], &SEQUENCE[..7]].concat();
        assert_eq!(parameters(&cut), Err(ParameterError::Truncated));
    }
}
