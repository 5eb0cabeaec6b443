//! VP8 in RTP (RFC 7741): what a payload holds.
//!
//! Input is one RTP payload in place; output is a [`PacketKind`], or the size that a key frame's header
//! says (RFC 6386 §9.1).

use super::{PacketKind, ParameterError, PictureSize, VideoParameters};

/// Bits of the payload descriptor's first byte (RFC 7741 §4.2).
const EXTENDED_BIT: u8 = 0x80;
const NOT_REFERRED_BIT: u8 = 0x20;
const START_BIT: u8 = 0x10;
const PARTITION_MASK: u8 = 0x07;
/// Bits of its second byte: which fields follow.
const PICTURE_ID_BIT: u8 = 0x80;
const PICTURE_INDEX_BIT: u8 = 0x40;
const LAYER_OR_KEY_INDEX_BITS: u8 = 0x30;
/// Bit of a picture id that has two bytes.
const LONG_ID_BIT: u8 = 0x80;

/// Bit of the frame's first byte that a key frame has not.
const INTER_FRAME_BIT: u8 = 0x01;
/// What follows the first three bytes of a key frame.
const START_CODE: [u8; 3] = [0x9d, 0x01, 0x2a];
/// Bits of a side in a key frame's header; above them stands how it is scaled.
const SIDE_MASK: u16 = 0x3fff;

/// What `payload` holds.
#[must_use]
pub fn inspect(payload: &[u8]) -> PacketKind {
    let Some(descriptor) = payload.first() else {
        return PacketKind::default();
    };
    let picture_start = starts_frame(*descriptor);
    let begin = frame(payload).and_then(<[u8]>::first);
    PacketKind {
        picture: true,
        picture_start,
        key: picture_start && begin.is_some_and(|byte| byte & INTER_FRAME_BIT == 0),
        droppable: descriptor & NOT_REFERRED_BIT != 0,
        ..PacketKind::default()
    }
}

/// What the key frame that begins in `payload` says; nothing where none begins.
///
/// # Errors
/// [`ParameterError`] of a key frame whose header cannot be read.
pub fn parameters(payload: &[u8]) -> Result<Option<VideoParameters>, ParameterError> {
    if !inspect(payload).key {
        return Ok(None);
    }
    let header = frame(payload).and_then(|frame| frame.first_chunk::<10>());
    let [_, _, _, a, b, c, width @ .., y1, y2] = header.ok_or(ParameterError::Truncated)?;
    if [*a, *b, *c] != START_CODE {
        return Err(ParameterError::Value("start_code"));
    }
    let side = |bytes: [u8; 2]| u64::from(u16::from_le_bytes(bytes) & SIDE_MASK);
    Ok(Some(VideoParameters {
        size: Some(PictureSize::new(side(*width), side([*y1, *y2]))?),
        ..VideoParameters::default()
    }))
}

/// Whether the first partition of a frame begins.
const fn starts_frame(descriptor: u8) -> bool {
    descriptor & START_BIT != 0 && descriptor & PARTITION_MASK == 0
}

/// What follows the payload descriptor.
fn frame(payload: &[u8]) -> Option<&[u8]> {
    let (first, rest) = payload.split_first()?;
    if first & EXTENDED_BIT == 0 {
        return Some(rest);
    }
    let (fields, rest) = rest.split_first()?;
    let mut bytes = 0;
    if fields & PICTURE_ID_BIT != 0 {
        bytes += 1 + usize::from(rest.first()? & LONG_ID_BIT != 0);
    }
    bytes += usize::from(fields & PICTURE_INDEX_BIT != 0);
    bytes += usize::from(fields & LAYER_OR_KEY_INDEX_BITS != 0);
    rest.get(bytes..)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key frame of 640 x 480, as a frame's first bytes.
    const KEY: [u8; 10] = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x41];

    fn payload(descriptor: &[u8], frame: &[u8]) -> Vec<u8> {
        [descriptor, frame].concat()
    }

    #[test]
    fn a_key_frame_and_its_size_are_found_behind_any_descriptor() {
        let descriptors: [&[u8]; 6] = [
            &[0x10],
            &[0x90, 0x00],
            &[0x90, 0x80, 0x11],
            &[0x90, 0x80, 0x91, 0x11],
            &[0x90, 0xf0, 0x91, 0x11, 0x01, 0x02],
            &[0x90, 0x20, 0x02],
        ];
        for descriptor in descriptors {
            let payload = payload(descriptor, &KEY);
            let kind = inspect(&payload);
            assert!(kind.key && kind.picture_start && !kind.droppable);
            let video = parameters(&payload).unwrap().unwrap();
            assert_eq!(video.to_string(), "640 x 480");
        }
    }

    #[test]
    fn other_frames_partitions_and_fragments_are_no_key_frames() {
        for descriptor in [0x00, 0x11, 0x01] {
            let payload = payload(&[descriptor], &KEY);
            assert!(!inspect(&payload).key && inspect(&payload).picture);
            assert_eq!(parameters(&payload), Ok(None));
        }
        let inter = inspect(&payload(&[0x30], &[0x11]));
        assert!(!inter.key && inter.picture_start && inter.droppable);
    }

    #[test]
    fn a_key_frame_cut_anywhere_is_refused_or_unknown() {
        let payload = payload(&[0x90, 0x80, 0x91, 0x11], &KEY);
        for cut in 0..payload.len() {
            let cut = &payload[..cut];
            assert!(!matches!(parameters(cut), Ok(Some(_))));
        }
        let mut broken = payload;
        broken[7] = 0;
        assert_eq!(
            parameters(&broken),
            Err(ParameterError::Value("start_code"))
        );
    }
}
