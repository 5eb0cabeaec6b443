//! AV1 in RTP (the AV1 payload format of the Alliance for Open Media, §4): what a payload holds.
//!
//! Input is one RTP payload in place; output is a [`PacketKind`], or what the sequence header in it says
//! of pictures. Where a coded video sequence begins is told by the aggregation header, and by the
//! sequence header itself, since not every sender sets that bit.

use super::bits::Bits;
use super::{FrameRate, Level, PacketKind, ParameterError, PictureSize, Profile, VideoParameters};

/// Bit of the aggregation header: the first element goes on from the packet before.
const CONTINUED_BIT: u8 = 0x80;
/// Bits of the aggregation header that count the elements; 0 where each has its length.
const COUNT_MASK: u8 = 0x30;
/// Bit of the aggregation header: a coded video sequence begins.
const SEQUENCE_BIT: u8 = 0x08;

/// Type of a sequence header (AV1 §6.2.2).
const SEQUENCE_HEADER: u8 = 1;
/// Bits of an OBU's header: it has an extension, it has a size.
const EXTENSION_BIT: u8 = 0x04;
const SIZE_BIT: u8 = 0x02;

/// Elements of a packet that are looked at. A temporal unit begins with its sequence header, behind a
/// delimiter at most.
const ELEMENTS_MAX: usize = 8;

/// Lowest level with two tiers (AV1 §5.5.1).
const TIERED_LEVEL_MIN: u8 = 8;

/// What `payload` holds.
#[must_use]
pub fn inspect(payload: &[u8]) -> PacketKind {
    let Some((header, _)) = payload.split_first() else {
        return PacketKind::default();
    };
    let is_first = header & SEQUENCE_BIT != 0 || sequence_header(payload).is_some();
    PacketKind {
        picture: true,
        picture_start: header & CONTINUED_BIT == 0,
        key: is_first,
        ..PacketKind::default()
    }
}

/// What the sequence header in `payload` says; nothing where there is none, or not all of it.
///
/// # Errors
/// [`ParameterError`] of one that cannot be read.
pub fn parameters(payload: &[u8]) -> Result<Option<VideoParameters>, ParameterError> {
    sequence_header(payload).map(read).transpose()
}

/// The content of the first sequence header that begins in `payload`.
fn sequence_header(payload: &[u8]) -> Option<&[u8]> {
    let (header, rest) = payload.split_first()?;
    let elements = Elements {
        rest,
        left: (header & COUNT_MASK) >> 4,
        is_counted: header & COUNT_MASK != 0,
    };
    elements
        .take(ELEMENTS_MAX)
        .skip(usize::from(header & CONTINUED_BIT != 0))
        .find_map(content_of_sequence_header)
}

fn content_of_sequence_header(obu: &[u8]) -> Option<&[u8]> {
    let (header, mut rest) = obu.split_first()?;
    if (header >> 3) & 0x0f != SEQUENCE_HEADER {
        return None;
    }
    if header & EXTENSION_BIT != 0 {
        rest = rest.get(1..)?;
    }
    if header & SIZE_BIT == 0 {
        return Some(rest);
    }
    let (size, rest) = leb128(rest)?;
    rest.get(..size)
}

/// The OBU elements of a packet: each with its length in front, but for the last one of a packet that
/// counts them.
struct Elements<'a> {
    rest: &'a [u8],
    left: u8,
    is_counted: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        if self.is_counted && self.left <= 1 {
            return Some(std::mem::take(&mut self.rest));
        }
        let (size, rest) = leb128(self.rest)?;
        let (element, rest) = rest.split_at_checked(size)?;
        self.rest = rest;
        self.left = self.left.saturating_sub(1);
        Some(element)
    }
}

/// A number of up to 32 bits, seven to a byte, the lowest first (AV1 §4.10.5).
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut number = 0u64;
    let mut rest = bytes;
    for place in 0..8 {
        let (byte, after) = rest.split_first()?;
        rest = after;
        number |= u64::from(byte & 0x7f) << (place * 7);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(number).ok()?, rest));
        }
    }
    None
}

/// Reads a sequence header up to the size (AV1 §5.5.1).
fn read(header: &[u8]) -> Result<VideoParameters, ParameterError> {
    let mut bits = Bits::new(header);
    let profile = bits.small(3)?;
    bits.skip(1)?;
    let is_reduced = bits.flag()?;
    let (level, tier, frame_rate) = if is_reduced {
        (bits.small(5)?, 0, None)
    } else {
        operating_points(&mut bits)?
    };
    let width_bits = bits.bits(4)? + 1;
    let height_bits = bits.bits(4)? + 1;
    let width = u64::from(bits.bits(width_bits)?) + 1;
    let height = u64::from(bits.bits(height_bits)?) + 1;
    Ok(VideoParameters {
        size: Some(PictureSize::new(width, height)?),
        profile: Some(Profile::Number(profile)),
        level: Some(Level::Number(level)),
        tier: Some(tier),
        frame_rate,
    })
}

/// Level and tier of the first operating point, and the frame rate.
fn operating_points(bits: &mut Bits<'_>) -> Result<(u8, u8, Option<FrameRate>), ParameterError> {
    let mut frame_rate = None;
    let mut delay_bits = None;
    if bits.flag()? {
        frame_rate = timing(bits)?;
        if bits.flag()? {
            delay_bits = Some(bits.bits(5)? + 1);
            bits.skip(32 + 5 + 5)?;
        }
    }
    let has_display_delay = bits.flag()?;
    let mut first = None;
    for _ in 0..=bits.bits(5)? {
        bits.skip(12)?;
        let level = bits.small(5)?;
        let tier = if level >= TIERED_LEVEL_MIN {
            u8::from(bits.flag()?)
        } else {
            0
        };
        if let Some(delay_bits) = delay_bits
            && bits.flag()?
        {
            bits.bits(delay_bits)?;
            bits.bits(delay_bits)?;
            bits.skip(1)?;
        }
        if has_display_delay && bits.flag()? {
            bits.skip(4)?;
        }
        first.get_or_insert((level, tier));
    }
    let (level, tier) = first.unwrap_or_default();
    Ok((level, tier, frame_rate))
}

fn timing(bits: &mut Bits<'_>) -> Result<Option<FrameRate>, ParameterError> {
    let ticks = bits.bits(32)?;
    let per_second = bits.bits(32)?;
    if !bits.flag()? {
        return Ok(None);
    }
    let per_picture = bits.golomb()?.saturating_add(1);
    Ok(FrameRate::new(
        per_second,
        ticks.saturating_mul(per_picture),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::bits::Written;
    use crate::codec::test_bytes::hex;

    /// The sequence header of libaom for 640 x 362, with its OBU header and size.
    const HEADER: &str = "0a0b0000000cc4ff6936be4010";

    /// A packet of elements with their lengths.
    fn packet(aggregation: u8, elements: &[&[u8]]) -> Vec<u8> {
        let mut packet = vec![aggregation];
        for element in elements {
            packet.push(u8::try_from(element.len()).unwrap());
            packet.extend(*element);
        }
        packet
    }

    #[test]
    fn a_sequence_begins_where_the_sender_says_so_or_its_header_stands() {
        let header = hex(HEADER);
        let frame = [0x30, 1, 2, 3];
        for payload in [
            packet(0x08, &[&frame]),
            packet(0x00, &[&header, &frame]),
            packet(0x00, &[&[0x12, 0x00], &header]),
            [&[0x10][..], &header].concat(),
            [&[0x20, 13][..], &header, &frame].concat(),
        ] {
            assert!(inspect(&payload).key && inspect(&payload).picture_start);
        }
        let other = inspect(&packet(0x00, &[&frame]));
        assert!(!other.key && other.picture && other.picture_start);
        // What goes on from the packet before is no header, whatever it looks like.
        let continued = inspect(&packet(0x80, &[&header]));
        assert!(!continued.key && !continued.picture_start);
        assert_eq!(inspect(&[]), PacketKind::default());
    }

    #[test]
    fn sequence_headers_of_encoders_are_read() {
        let payload = packet(0x08, &[&hex(HEADER), &[0x30]]);
        let video = parameters(&payload).unwrap().unwrap();
        assert_eq!(video.to_string(), "0 1, 640 x 362");
        assert_eq!(video.tier, Some(0));
        assert_eq!(parameters(&packet(0x08, &[&[0x30, 1]])), Ok(None));
    }

    #[test]
    fn timing_and_operating_points_are_read() {
        let written = Written::default().bits(3, 1).bits(2, 0).bits(1, 1);
        let written = written.bits(32, 1).bits(32, 50).bits(1, 1).golombs(&[1]);
        // A decoder model, display delays, two operating points of which one has the high tier.
        let written = written
            .bits(1, 1)
            .bits(5, 9)
            .bits(32, 1)
            .bits(10, 0)
            .bits(1, 1);
        let written = written.bits(5, 1).bits(12, 0).bits(5, 9).bits(1, 1);
        let written = written.bits(1, 1).bits(21, 0).bits(5, 0b1_0001);
        let written = written.bits(12, 0).bits(5, 5).bits(2, 0);
        let written = written.bits(4, 10).bits(4, 9).bits(11, 1919).bits(10, 539);
        let header = written.after(&[0x08]);
        let video = parameters(&packet(0, &[&header])).unwrap().unwrap();
        assert_eq!(video.to_string(), "1 9, 1920 x 540, 50/2");
        assert_eq!(video.tier, Some(1));
        for cut in 1..header.len() {
            let refused = parameters(&packet(0, &[&header[..cut]]));
            assert_eq!(refused, Err(ParameterError::Truncated), "cut {cut}");
        }
    }

    #[test]
    fn absurd_sizes_and_numbers_are_refused() {
        let reduced = Written::default().bits(3, 0).bits(2, 0b11).bits(5, 8);
        let absurd = reduced
            .bits(8, 0xff)
            .bits(16, 65_535)
            .bits(16, 65_535)
            .after(&[0x08]);
        let refused = parameters(&packet(0, &[&absurd])).unwrap_err();
        assert!(matches!(
            refused,
            ParameterError::Size { width: 65_536, .. }
        ));
        let timing = Written::default()
            .bits(5, 0)
            .bits(1, 1)
            .bits(32, 1)
            .bits(32, 1);
        let long = timing.bits(1, 1).bits(32, 0).bits(32, 1).after(&[0x08]);
        let refused = parameters(&packet(0, &[&long])).unwrap_err();
        assert_eq!(refused, ParameterError::NumberTooLong);
    }
}
