//! VP9 in RTP (RFC 9628): what a payload holds.
//!
//! Input is one RTP payload in place; output is a [`PacketKind`], or what a key frame's header says (VP9
//! bitstream specification §6.2). The descriptor alone does not tell a key frame: an intra-only frame is
//! predicted from no other either, and ffmpeg leaves that bit off every frame.

use super::bits::Bits;
use super::{PacketKind, ParameterError, PictureSize, Profile, VideoParameters};

/// Bits of the payload descriptor's first byte (RFC 9628 §4.2).
const PICTURE_ID_BIT: u8 = 0x80;
const PREDICTED_BIT: u8 = 0x40;
const LAYERS_BIT: u8 = 0x20;
const FLEXIBLE_BIT: u8 = 0x10;
const BEGIN_BIT: u8 = 0x08;
const STRUCTURE_BIT: u8 = 0x02;

/// Bit of a picture id that has two bytes.
const LONG_ID_BIT: u8 = 0x80;
/// Bits of the layer indices that say the spatial layer.
const SPATIAL_MASK: u8 = 0x0e;
/// Bit of a reference that says that another follows, and the most there are.
const MORE_BIT: u8 = 0x01;
const REFERENCES_MAX: usize = 3;

/// What a key frame's header begins its second part with.
const SYNC_CODE: u32 = 0x49_83_42;
/// The colour space without sub-sampling.
const RGB: u8 = 7;

/// A payload's descriptor, as far as anybody asks, and its part of a frame.
struct Described<'a> {
    is_predicted: bool,
    begins: bool,
    frame: &'a [u8],
}

/// What `payload` holds.
#[must_use]
pub fn inspect(payload: &[u8]) -> PacketKind {
    let Some(described) = described(payload) else {
        return if payload.is_empty() {
            PacketKind::default()
        } else {
            PacketKind::OPAQUE
        };
    };
    PacketKind {
        picture: true,
        picture_start: described.begins,
        key: described.is_key(),
        ..PacketKind::default()
    }
}

/// What the key frame that begins in `payload` says; nothing where none begins.
///
/// # Errors
/// [`ParameterError`] of a key frame whose header cannot be read.
pub fn parameters(payload: &[u8]) -> Result<Option<VideoParameters>, ParameterError> {
    let described = described(payload).filter(Described::is_key);
    described.map(|described| read(described.frame)).transpose()
}

impl Described<'_> {
    fn is_key(&self) -> bool {
        self.begins
            && !self.is_predicted
            && matches!(key_frame(&mut Bits::new(self.frame)), Ok(Some(_)))
    }
}

/// Reads the descriptor; nothing if the payload ends within it.
fn described(payload: &[u8]) -> Option<Described<'_>> {
    let (first, mut rest) = payload.split_first()?;
    let has = |bit: u8| first & bit != 0;
    if has(PICTURE_ID_BIT) {
        let bytes = 1 + usize::from(rest.first()? & LONG_ID_BIT != 0);
        rest = rest.get(bytes..)?;
    }
    let mut is_base = true;
    if has(LAYERS_BIT) {
        is_base = rest.first()? & SPATIAL_MASK == 0;
        // Without flexible mode the index of the lowest layer's picture follows.
        rest = rest.get(1 + usize::from(!has(FLEXIBLE_BIT))..)?;
    }
    if has(FLEXIBLE_BIT) && has(PREDICTED_BIT) {
        rest = skip_references(rest)?;
    }
    if has(STRUCTURE_BIT) {
        rest = skip_structure(rest)?;
    }
    Some(Described {
        is_predicted: has(PREDICTED_BIT),
        begins: has(BEGIN_BIT) && is_base,
        frame: rest,
    })
}

fn skip_references(mut rest: &[u8]) -> Option<&[u8]> {
    for _ in 0..REFERENCES_MAX {
        let (reference, after) = rest.split_first()?;
        rest = after;
        if reference & MORE_BIT == 0 {
            break;
        }
    }
    Some(rest)
}

/// The scalability structure (RFC 9628 §4.2.1): sizes of the layers, then the pictures of a group with
/// their references.
fn skip_structure(rest: &[u8]) -> Option<&[u8]> {
    let (head, mut rest) = rest.split_first()?;
    if head & 0x10 != 0 {
        rest = rest.get(4 * (usize::from(head >> 5) + 1)..)?;
    }
    if head & 0x08 != 0 {
        let (pictures, mut pictures_rest) = rest.split_first()?;
        for _ in 0..*pictures {
            let (picture, after) = pictures_rest.split_first()?;
            pictures_rest = after.get(usize::from((picture >> 2) & 3)..)?;
        }
        rest = pictures_rest;
    }
    Some(rest)
}

/// The profile of a frame that is a key frame; leaves `bits` behind its type.
fn key_frame(bits: &mut Bits<'_>) -> Result<Option<u8>, ParameterError> {
    if bits.small(2)? != 2 {
        return Err(ParameterError::Value("frame_marker"));
    }
    let profile = bits.small(1)? | bits.small(1)? << 1;
    if profile == 3 {
        bits.skip(1)?;
    }
    let shows_another = bits.flag()?;
    let is_inter = bits.flag()?;
    Ok((!shows_another && !is_inter).then_some(profile))
}

fn read(frame: &[u8]) -> Result<VideoParameters, ParameterError> {
    let mut bits = Bits::new(frame);
    let profile = key_frame(&mut bits)?.ok_or(ParameterError::Kind)?;
    bits.skip(2)?;
    if bits.bits(24)? != SYNC_CODE {
        return Err(ParameterError::Value("frame_sync_code"));
    }
    if profile >= 2 {
        bits.skip(1)?;
    }
    let is_rgb = bits.small(3)? == RGB;
    let has_sampling = profile == 1 || profile == 3;
    bits.skip(match (is_rgb, has_sampling) {
        (false, true) => 4,
        (false, false) | (true, true) => 1,
        (true, false) => 0,
    })?;
    let width = u64::from(bits.bits(16)?) + 1;
    let height = u64::from(bits.bits(16)?) + 1;
    Ok(VideoParameters {
        size: Some(PictureSize::new(width, height)?),
        profile: Some(Profile::Number(profile)),
        ..VideoParameters::default()
    })
}

#[cfg(test)]
mod tests {
    use super::super::bits::Written;
    use super::*;

    /// A key frame of profile 0 with 640 x 480, as a frame's first bytes.
    fn key() -> Vec<u8> {
        let written = Written::default().bits(2, 2).bits(2, 0).bits(4, 0b0010);
        let written = written.bits(24, u64::from(SYNC_CODE)).bits(4, 0b0100);
        written.bits(16, 639).bits(16, 479).after(&[])
    }

    #[test]
    fn a_key_frame_and_its_size_are_found_behind_any_descriptor() {
        let descriptors: [&[u8]; 6] = [
            // As ffmpeg writes it.
            &[0x08],
            &[0x88, 0x11],
            &[0x88, 0x91, 0x11],
            // Layers, with the lowest one's index, and in flexible mode.
            &[0xa8, 0x11, 0x00, 0x05],
            &[0xb8, 0x11, 0x00],
            // A structure of two layers with sizes, and two pictures with references.
            &[0x0a, 0x38, 1, 2, 3, 4, 5, 6, 7, 8, 2, 0x04, 9, 0x08, 9, 9],
        ];
        for descriptor in descriptors {
            let payload = [descriptor, &key()].concat();
            let kind = inspect(&payload);
            assert!(kind.key && kind.picture_start, "{descriptor:x?}");
            let video = parameters(&payload).unwrap().unwrap();
            assert_eq!(video.to_string(), "profile 0, 640 x 480");
        }
    }

    #[test]
    fn other_frames_layers_and_fragments_are_no_key_frames() {
        let inter = Written::default().bits(8, 0b1000_0110).after(&[]);
        let references: &[u8] = &[0x58, 0x03, 0x03, 0x02];
        for payload in [
            [&[0x08][..], &inter].concat(),
            [references, &key()].concat(),
            [&[0x48][..], &key()].concat(),
            [&[0x04][..], &key()].concat(),
            // The second spatial layer of a key picture.
            [&[0x28][..], &[0x02, 0x05], &key()].concat(),
        ] {
            assert!(!inspect(&payload).key && inspect(&payload).picture);
            assert_eq!(parameters(&payload), Ok(None));
        }
    }

    #[test]
    fn a_key_frame_cut_anywhere_is_refused_or_unknown() {
        let payload = [&[0xa8, 0x11, 0x00, 0x05][..], &key()].concat();
        for cut in 0..payload.len() - 1 {
            assert!(!matches!(parameters(&payload[..cut]), Ok(Some(_))));
        }
        assert!(!inspect(&payload[..2]).key && inspect(&payload[..2]).picture);
    }
}
