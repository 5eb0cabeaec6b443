//! The sequence parameter set of H.265 (§7.3.2.2, annex E), and the ids in all kinds of sets.
//!
//! Input is a NAL unit; output is the part of it that people are shown, or why it is no parameter set.
//! It is read up to its extensions, usability information included: what a decoder would trip over is
//! refused.

use super::super::bits::{Bits, without_emulation_prevention};
use super::super::{FrameRate, Level, ParameterError, PictureSize, Profile, VideoParameters};
use super::reference_pictures::ReferencePictureSets;
use super::{HEADER_BYTES, PPS, SPS, VPS, nal_type};

/// Highest id of a sequence parameter set (§7.4.3.2.1).
const SPS_ID_MAX: u32 = 15;
/// Highest id of a picture parameter set (§7.4.3.3.1).
const PPS_ID_MAX: u32 = 63;
/// Highest `sps_max_sub_layers_minus1`.
const SUB_LAYERS_MAX: u8 = 6;
/// Bits of a profile, without the level (§7.3.3).
const PROFILE_BITS: usize = 88;
/// Bits of a level.
const LEVEL_BITS: usize = 8;
/// `log2_max_pic_order_cnt_lsb_minus4` at most.
const ORDER_BITS_MAX: u32 = 12;
/// Most long-term reference pictures (§7.4.3.2.1).
const LONG_TERM_MAX: u32 = 32;
/// `aspect_ratio_idc` of a ratio that is written out (table E.1).
const EXTENDED_SAR: u8 = 255;
/// Most `cpb_cnt_minus1` (§E.3.2).
const BUFFERS_MAX: u32 = 31;

/// What a sequence parameter set says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SequenceParameters {
    /// Its id, 0 to 15.
    pub id: u8,
    /// What pictures are like.
    pub video: VideoParameters,
}

impl SequenceParameters {
    /// Reads a NAL unit.
    ///
    /// # Errors
    /// [`ParameterError`].
    pub fn parse(unit: &[u8]) -> Result<Self, ParameterError> {
        let content = content_of(unit, SPS)?;
        let mut bits = Bits::new(&content);
        let _vps = bits.small(4)?;
        let sub_layers = bits.small(3)?;
        if sub_layers > SUB_LAYERS_MAX {
            return Err(ParameterError::Value("sps_max_sub_layers_minus1"));
        }
        bits.skip(1)?;
        let (profile, level) = profile_tier_level(&mut bits, sub_layers)?;
        let id = id(&mut bits, SPS_ID_MAX, "sps_seq_parameter_set_id")?;
        let size = size(&mut bits)?;
        let frame_rate = behind_size(&mut bits, sub_layers).map_err(of_usability)?;
        Ok(Self {
            id,
            video: VideoParameters {
                size: Some(size),
                profile: Some(Profile::H265(profile)),
                level: Some(Level::H265(level)),
                frame_rate,
                ..VideoParameters::default()
            },
        })
    }
}

/// The id of a video parameter set (§7.3.2.1).
///
/// # Errors
/// [`ParameterError`].
pub fn vps_id(unit: &[u8]) -> Result<u8, ParameterError> {
    Bits::new(&content_of(unit, VPS)?).small(4)
}

/// The id of a picture parameter set (§7.3.2.3).
///
/// # Errors
/// [`ParameterError`].
pub fn pps_id(unit: &[u8]) -> Result<u8, ParameterError> {
    // The two ids take 4 bytes at most.
    let content = content_of(unit.get(..16).unwrap_or(unit), PPS)?;
    let mut bits = Bits::new(&content);
    let own = id(&mut bits, PPS_ID_MAX, "pps_pic_parameter_set_id")?;
    id(&mut bits, SPS_ID_MAX, "pps_seq_parameter_set_id")?;
    Ok(own)
}

fn content_of(unit: &[u8], kind: u8) -> Result<Vec<u8>, ParameterError> {
    if nal_type(unit) != Some(kind) {
        return Err(ParameterError::Kind);
    }
    let content = unit.get(HEADER_BYTES..).unwrap_or_default();
    Ok(without_emulation_prevention(content))
}

fn id(bits: &mut Bits<'_>, max: u32, field: &'static str) -> Result<u8, ParameterError> {
    let id = bits.golomb_up_to(max, field)?;
    u8::try_from(id).map_err(|_error| ParameterError::Value(field))
}

/// The general profile and level (§7.3.3); those of the sub-layers are passed over.
fn profile_tier_level(bits: &mut Bits<'_>, sub_layers: u8) -> Result<(u8, u8), ParameterError> {
    bits.skip(3)?;
    let profile = bits.small(5)?;
    bits.skip(PROFILE_BITS - 8)?;
    let level = bits.byte()?;
    let mut present = Vec::with_capacity(usize::from(sub_layers));
    for _ in 0..sub_layers {
        present.push((bits.flag()?, bits.flag()?));
    }
    if sub_layers > 0 {
        // Pairs of bits fill up to eight sub-layers.
        bits.skip(2 * (8 - usize::from(sub_layers)))?;
    }
    for (has_profile, has_level) in present {
        bits.skip(if has_profile { PROFILE_BITS } else { 0 })?;
        bits.skip(if has_level { LEVEL_BITS } else { 0 })?;
    }
    Ok((profile, level))
}

fn size(bits: &mut Bits<'_>) -> Result<PictureSize, ParameterError> {
    let chroma = bits.golomb_up_to(3, "chroma_format_idc")?;
    let separate_planes = chroma == 3 && bits.flag()?;
    let width = u64::from(bits.golomb()?);
    let coded = PictureSize::new(width, u64::from(bits.golomb()?))?;
    if !bits.flag()? {
        return Ok(coded);
    }
    let (x, y) = match (separate_planes, chroma) {
        (false, 1) => (2, 2),
        (false, 2) => (2, 1),
        _ => (1, 1),
    };
    let columns = u64::from(bits.golomb()?) + u64::from(bits.golomb()?);
    let rows = u64::from(bits.golomb()?) + u64::from(bits.golomb()?);
    coded.cropped(columns * x, rows * y)
}

/// All that follows the size, up to the extensions.
fn behind_size(bits: &mut Bits<'_>, sub_layers: u8) -> Result<Option<FrameRate>, ParameterError> {
    bits.golomb_up_to(8, "bit_depth_luma_minus8")?;
    bits.golomb_up_to(8, "bit_depth_chroma_minus8")?;
    let order_bits = bits.golomb_up_to(ORDER_BITS_MAX, "log2_max_pic_order_cnt_lsb_minus4")? + 4;
    let said_per_layer = bits.flag()?;
    for _ in 0..=(if said_per_layer { sub_layers } else { 0 }) {
        bits.skip_golombs(3)?;
    }
    // Sizes of blocks, and depths of their trees.
    bits.skip_golombs(6)?;
    if bits.flag()? && bits.flag()? {
        skip_scaling_lists(bits)?;
    }
    bits.skip(2)?;
    if bits.flag()? {
        bits.skip(8)?;
        bits.skip_golombs(2)?;
        bits.skip(1)?;
    }
    ReferencePictureSets::skip(bits)?;
    if bits.flag()? {
        let long_term = bits.golomb_up_to(LONG_TERM_MAX, "num_long_term_ref_pics_sps")?;
        for _ in 0..long_term {
            bits.bits(order_bits)?;
            bits.skip(1)?;
        }
    }
    bits.skip(2)?;
    if bits.flag()? {
        usability(bits, sub_layers)
    } else {
        Ok(None)
    }
}

/// §7.3.4.
fn skip_scaling_lists(bits: &mut Bits<'_>) -> Result<(), ParameterError> {
    for size in 0..4u32 {
        // Of the largest size there are two lists and not six.
        for _ in 0..(if size == 3 { 2 } else { 6 }) {
            if !bits.flag()? {
                bits.skip_golombs(1)?;
                continue;
            }
            let coefficients = 64.min(1usize << (4 + (size << 1)));
            bits.skip_golombs(coefficients + usize::from(size > 1))?;
        }
    }
    Ok(())
}

/// Reads the usability information to its end (§E.2.1); of interest is the frame rate.
fn usability(bits: &mut Bits<'_>, sub_layers: u8) -> Result<Option<FrameRate>, ParameterError> {
    skip_video_signal(bits)?;
    // Chroma phase, fields, frames of fields.
    bits.skip(3)?;
    if bits.flag()? {
        bits.skip_golombs(4)?;
    }
    let frame_rate = if bits.flag()? {
        let ticks = bits.bits(32)?;
        let per_second = bits.bits(32)?;
        if bits.flag()? {
            bits.skip_golombs(1)?;
        }
        if bits.flag()? {
            skip_buffers(bits, sub_layers)?;
        }
        FrameRate::new(per_second, ticks)
    } else {
        None
    };
    if bits.flag()? {
        bits.skip(3)?;
        bits.skip_golombs(5)?;
    }
    Ok(frame_rate)
}

fn skip_video_signal(bits: &mut Bits<'_>) -> Result<(), ParameterError> {
    if bits.flag()? && bits.byte()? == EXTENDED_SAR {
        bits.skip(32)?;
    }
    if bits.flag()? {
        bits.skip(1)?;
    }
    if bits.flag()? {
        bits.skip(4)?;
        if bits.flag()? {
            bits.skip(24)?;
        }
    }
    if bits.flag()? {
        bits.skip_golombs(2)?;
    }
    Ok(())
}

/// Parameters of the hypothetical decoder's buffers (§E.2.2).
fn skip_buffers(bits: &mut Bits<'_>, sub_layers: u8) -> Result<(), ParameterError> {
    let kinds = [bits.flag()?, bits.flag()?];
    let mut has_sub_pictures = false;
    if kinds != [false, false] {
        has_sub_pictures = bits.flag()?;
        bits.skip(if has_sub_pictures { 19 } else { 0 })?;
        bits.skip(8)?;
        bits.skip(if has_sub_pictures { 4 } else { 0 })?;
        bits.skip(15)?;
    }
    for _ in 0..=sub_layers {
        let is_fixed = bits.flag()?;
        let is_fixed_within_sequence = is_fixed || bits.flag()?;
        let low_delay = if is_fixed_within_sequence {
            bits.skip_golombs(1)?;
            false
        } else {
            bits.flag()?
        };
        let count = if low_delay {
            1
        } else {
            bits.golomb_up_to(BUFFERS_MAX, "cpb_cnt_minus1")? + 1
        };
        for _ in 0..kinds.iter().filter(|kind| **kind).count() {
            for _ in 0..count {
                bits.skip_golombs(if has_sub_pictures { 4 } else { 2 })?;
                bits.skip(1)?;
            }
        }
    }
    Ok(())
}

/// What ends behind the size lacks usability information.
const fn of_usability(error: ParameterError) -> ParameterError {
    match error {
        ParameterError::Truncated => ParameterError::Usability,
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::bits::Written;
    use super::*;
    use crate::codec::test_bytes::hex;

    /// Sets of encoders and cameras, with what they say.
    const KNOWN: [(&str, &str); 4] = [
        // x265, Main, and Main 10 with layers, scaling lists and buffers.
        (
            "420101016000000300900000030000030078a003c08010e596566924caf0168080000003008000000c84",
            "Main 4, 1920 x 1080, 25/1",
        ),
        (
            "42010102200000030090000003000003003fa005020171f2365959a49395e02d0100000303e9000075306014966e000f424001e84880",
            "Main 10 2.1, 640 x 362, 30000/1001",
        ),
        (
            "42010101600000030090000003000003001ea0208316595952930bc05a020000030002000003000a10",
            "Main 1, 64 x 48, 5/1",
        ),
        // A camera.
        (
            "420101016000000300b0000003000003005aa0058201e1636b92452fcdc14181410000030001000003000ca1",
            "Main 3, 704 x 480, 12/1",
        ),
    ];

    #[test]
    fn sets_of_encoders_and_cameras_are_read() {
        for (set, expected) in KNOWN {
            let parsed = SequenceParameters::parse(&hex(set)).unwrap();
            assert_eq!(parsed.video.to_string(), expected);
            assert_eq!(parsed.id, 0);
        }
    }

    #[test]
    fn a_set_cut_anywhere_is_refused_or_says_the_same() {
        for (set, _) in KNOWN {
            let set = hex(set);
            let whole = SequenceParameters::parse(&set).unwrap();
            for cut in 0..set.len() {
                match SequenceParameters::parse(&set[..cut]) {
                    Ok(parsed) => assert!(parsed == whole && cut + 2 >= set.len(), "cut {cut}"),
                    Err(ParameterError::Kind) => assert_eq!(cut, 0),
                    Err(error) => assert!(
                        matches!(error, ParameterError::Truncated | ParameterError::Usability),
                        "{error:?}"
                    ),
                }
            }
        }
    }

    /// A set of the Main profile up to its size.
    fn of_size(width: u64, height: u64) -> Written {
        let written = Written::default().bits(8, 1).bits(8, 1).bits(32, u64::MAX);
        let written = written.bits(16, u64::MAX).bits(32, u64::MAX).bits(8, 30);
        written.golombs(&[0, 1, width, height]).bits(1, 0)
    }

    #[test]
    fn absurd_sizes_and_numbers_refuse_the_track() {
        let front = [SPS << 1, 1];
        let stub = SequenceParameters::parse(&of_size(640, 480).after(&front)).unwrap_err();
        assert_eq!(stub, ParameterError::Usability);
        let absurd = of_size(70_000, 70_000).after(&front);
        let (width, height) = (70_000, 70_000);
        let refused = Err(ParameterError::Size { width, height });
        assert_eq!(SequenceParameters::parse(&absurd), refused);
        let long = of_size(640, 480).golombs(&[0, 0]).bits(40, 1).after(&front);
        // The bytes that keep start codes out are not put in, so that more zeros than meant are read.
        let refused = SequenceParameters::parse(&long);
        assert_eq!(refused, Err(ParameterError::NumberTooLong));
    }

    #[test]
    fn sets_are_told_apart_by_their_ids() {
        assert_eq!(vps_id(&[VPS << 1, 1, 0x3c]), Ok(3));
        assert_eq!(vps_id(&[VPS << 1, 1]), Err(ParameterError::Truncated));
        let written = Written::default().golombs(&[63, 15]).after(&[PPS << 1, 1]);
        assert_eq!(pps_id(&written), Ok(63));
        let written = Written::default().golombs(&[64, 15]).after(&[PPS << 1, 1]);
        assert!(pps_id(&written).is_err());
        assert_eq!(pps_id(&[SPS << 1, 1]), Err(ParameterError::Kind));
    }
}
