//! Motion JPEG in RTP (RFC 2435): what a payload holds.
//!
//! Input is one RTP payload in place; output is a [`PacketKind`], or the size that its header says.

use super::{PacketKind, ParameterError, PictureSize, VideoParameters};

/// Length of the main header (RFC 2435 §3.1).
const HEADER_BYTES: usize = 8;
/// Samples in a unit of the header's sides.
const SIDE_UNIT: u64 = 8;

/// What `payload` holds. Every frame is a key frame; its first packet has fragment offset 0.
#[must_use]
pub fn inspect(payload: &[u8]) -> PacketKind {
    let is_first = matches!(payload, [_, 0, 0, 0, ..]);
    PacketKind {
        picture: true,
        picture_start: is_first,
        key: is_first,
        ..PacketKind::default()
    }
}

/// What the frame that begins in `payload` says; nothing where none begins, or where a side is 0 because
/// it is too long to be said.
///
/// # Errors
/// [`ParameterError::Truncated`].
pub fn parameters(payload: &[u8]) -> Result<Option<VideoParameters>, ParameterError> {
    if !inspect(payload).key {
        return Ok(None);
    }
    let header = payload.first_chunk::<HEADER_BYTES>();
    let [.., width, height] = *header.ok_or(ParameterError::Truncated)?;
    if width == 0 || height == 0 {
        return Ok(None);
    }
    let side = |side: u8| u64::from(side) * SIDE_UNIT;
    Ok(Some(VideoParameters {
        size: Some(PictureSize::new(side(width), side(height))?),
        ..VideoParameters::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_begins_at_offset_0_and_says_its_size() {
        let first = [0, 0, 0, 0, 1, 255, 80, 60, 0, 0];
        assert!(inspect(&first).key && inspect(&first).picture_start);
        let video = parameters(&first).unwrap().unwrap();
        assert_eq!(video.to_string(), "640 x 480");
        let later = [0, 0, 5, 0x78, 1, 255, 80, 60, 0, 0];
        assert!(!inspect(&later).key && inspect(&later).picture);
        assert_eq!(parameters(&later), Ok(None));
        let too_long = [0, 0, 0, 0, 1, 255, 0, 60, 0, 0];
        assert_eq!(parameters(&too_long), Ok(None));
        assert_eq!(parameters(&first[..7]), Err(ParameterError::Truncated));
        assert_eq!(parameters(&[]), Ok(None));
    }
}
