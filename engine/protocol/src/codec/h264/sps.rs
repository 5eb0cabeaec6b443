//! The sequence parameter set of H.264 (§7.3.2.1.1, annex E), and the ids in both kinds of sets.
//!
//! Input is a NAL unit; output is the part of it that people are shown, or why it is no parameter set.
//! It is read to its end, usability information included: what a decoder would trip over is refused.

use super::super::bits::{Bits, without_emulation_prevention};
use super::super::{FrameRate, Level, ParameterError, PictureSize, Profile, VideoParameters};
use super::{HEADER_BYTES, PPS, SPS, nal_type};

/// Highest id of a sequence parameter set (§7.4.2.1.1).
const SPS_ID_MAX: u32 = 31;
/// Highest id of a picture parameter set (§7.4.2.2).
const PPS_ID_MAX: u32 = 255;

/// Profiles whose sets say how colours are sampled (§7.3.2.1.1).
const PROFILES_WITH_CHROMA: [u8; 13] =
    [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

/// `aspect_ratio_idc` of a ratio that is written out (table E-1).
const EXTENDED_SAR: u8 = 255;
/// Most `cpb_cnt_minus1` (§E.2.2).
const BUFFERS_MAX: u32 = 31;

/// What a sequence parameter set says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SequenceParameters {
    /// Its id, 0 to 31.
    pub id: u8,
    /// What pictures are like.
    pub video: VideoParameters,
}

/// How colours are sampled, as far as cropping depends on it.
#[derive(Clone, Copy)]
struct Chroma {
    format: u32,
    separate_planes: bool,
}

impl SequenceParameters {
    /// Reads a NAL unit.
    ///
    /// # Errors
    /// [`ParameterError`].
    pub fn parse(unit: &[u8]) -> Result<Self, ParameterError> {
        if nal_type(unit) != Some(SPS) {
            return Err(ParameterError::Kind);
        }
        let content = without_emulation_prevention(unit.get(HEADER_BYTES..).unwrap_or_default());
        let mut bits = Bits::new(&content);
        let profile = bits.byte()?;
        let _constraints = bits.byte()?;
        let level = bits.byte()?;
        let id = id(&mut bits, SPS_ID_MAX, "seq_parameter_set_id")?;
        let chroma = chroma(&mut bits, profile)?;
        skip_picture_order(&mut bits)?;
        let size = size(&mut bits, chroma)?;
        let frame_rate = if bits.flag()? {
            usability(&mut bits).map_err(of_usability)?
        } else {
            None
        };
        Ok(Self {
            id,
            video: VideoParameters {
                size: Some(size),
                profile: Some(Profile::H264(profile)),
                level: Some(Level::H264(level)),
                frame_rate,
                ..VideoParameters::default()
            },
        })
    }
}

/// The id of a picture parameter set (§7.3.2.2).
///
/// # Errors
/// [`ParameterError`].
pub fn pps_id(unit: &[u8]) -> Result<u8, ParameterError> {
    if nal_type(unit) != Some(PPS) {
        return Err(ParameterError::Kind);
    }
    // The two ids take 9 bytes at most, escapes included.
    let ids = unit.get(HEADER_BYTES..).unwrap_or_default();
    let content = without_emulation_prevention(ids.get(..16).unwrap_or(ids));
    let mut bits = Bits::new(&content);
    let own = id(&mut bits, PPS_ID_MAX, "pic_parameter_set_id")?;
    id(&mut bits, SPS_ID_MAX, "seq_parameter_set_id")?;
    Ok(own)
}

fn id(bits: &mut Bits<'_>, max: u32, field: &'static str) -> Result<u8, ParameterError> {
    let id = bits.golomb_up_to(max, field)?;
    u8::try_from(id).map_err(|_error| ParameterError::Value(field))
}

fn chroma(bits: &mut Bits<'_>, profile: u8) -> Result<Chroma, ParameterError> {
    if !PROFILES_WITH_CHROMA.contains(&profile) {
        return Ok(Chroma {
            format: 1,
            separate_planes: false,
        });
    }
    let format = bits.golomb_up_to(3, "chroma_format_idc")?;
    let separate_planes = format == 3 && bits.flag()?;
    bits.golomb_up_to(6, "bit_depth_luma_minus8")?;
    bits.golomb_up_to(6, "bit_depth_chroma_minus8")?;
    let _lossless = bits.flag()?;
    if bits.flag()? {
        let lists = if format == 3 { 12 } else { 8 };
        for list in 0..lists {
            if bits.flag()? {
                skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Ok(Chroma {
        format,
        separate_planes,
    })
}

/// §7.3.2.1.1.1: a difference follows until one makes the next scale 0.
fn skip_scaling_list(bits: &mut Bits<'_>, coefficients: usize) -> Result<(), ParameterError> {
    let mut last = 8i64;
    for _ in 0..coefficients {
        let next = (last + bits.signed_golomb()?).rem_euclid(256);
        if next == 0 {
            return Ok(());
        }
        last = next;
    }
    Ok(())
}

/// Numbers of frames and the order of pictures, up to the size.
fn skip_picture_order(bits: &mut Bits<'_>) -> Result<(), ParameterError> {
    bits.golomb_up_to(12, "log2_max_frame_num_minus4")?;
    match bits.golomb_up_to(2, "pic_order_cnt_type")? {
        0 => {
            bits.golomb_up_to(12, "log2_max_pic_order_cnt_lsb_minus4")?;
        }
        1 => {
            bits.flag()?;
            bits.skip_golombs(2)?;
            let cycle = bits.golomb_up_to(255, "num_ref_frames_in_pic_order_cnt_cycle")?;
            (0..cycle).try_for_each(|_| bits.golomb().map(drop))?;
        }
        _ => {}
    }
    let _reference_frames = bits.golomb()?;
    bits.skip(1)
}

/// The size in macroblocks, and what is cut off (§7.4.2.1.1).
fn size(bits: &mut Bits<'_>, chroma: Chroma) -> Result<PictureSize, ParameterError> {
    let macroblocks = u64::from(bits.golomb()?) + 1;
    let map_units = u64::from(bits.golomb()?) + 1;
    let frames_only = bits.flag()?;
    if !frames_only {
        bits.skip(1)?;
    }
    let _direct_8x8 = bits.flag()?;
    let rows = if frames_only { 1 } else { 2 };
    let coded = PictureSize::new(macroblocks * 16, map_units * 16 * rows)?;
    if !bits.flag()? {
        return Ok(coded);
    }
    let (x, y) = match (chroma.separate_planes, chroma.format) {
        (false, 1) => (2, 2),
        (false, 2) => (2, 1),
        _ => (1, 1),
    };
    let columns = (u64::from(bits.golomb()?) + u64::from(bits.golomb()?)) * x;
    let lines = (u64::from(bits.golomb()?) + u64::from(bits.golomb()?)) * y * rows;
    coded.cropped(columns, lines)
}

/// Reads the usability information to its end (§E.1.1); of interest is the frame rate, which counts
/// fields.
fn usability(bits: &mut Bits<'_>) -> Result<Option<FrameRate>, ParameterError> {
    skip_video_signal(bits)?;
    let frame_rate = if bits.flag()? {
        let ticks = bits.bits(32)?;
        let per_second = bits.bits(32)?;
        let _fixed = bits.flag()?;
        FrameRate::new(per_second, ticks.saturating_mul(2))
    } else {
        None
    };
    let mut has_buffers = false;
    for _ in 0..2 {
        if bits.flag()? {
            skip_buffers(bits)?;
            has_buffers = true;
        }
    }
    if has_buffers {
        bits.skip(1)?;
    }
    let _picture_structure = bits.flag()?;
    if bits.flag()? {
        bits.skip(1)?;
        bits.skip_golombs(6)?;
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

/// Parameters of the hypothetical decoder's buffers (§E.1.2).
fn skip_buffers(bits: &mut Bits<'_>) -> Result<(), ParameterError> {
    let count = bits.golomb_up_to(BUFFERS_MAX, "cpb_cnt_minus1")? + 1;
    bits.skip(8)?;
    for _ in 0..count {
        bits.skip_golombs(2)?;
        bits.skip(1)?;
    }
    bits.skip(20)
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
    use crate::codec::parameters::PICTURE_SIDE_MAX;
    use crate::codec::test_bytes::hex;

    /// Sets of encoders and cameras, with what they say.
    const KNOWN: [(&str, &str); 7] = [
        // x264, profiles High, Baseline, High 4:2:2 with fields and buffers, High 4:4:4 with an aspect ratio.
        (
            "67640028acd940780227e5c044000003000400000300c83c60c658",
            "High 4, 1920 x 1080, 50/2",
        ),
        (
            "6742c01ed900a02ff9301100000303e90000ea600f162e48",
            "Baseline 3, 640 x 362, 60000/2002",
        ),
        (
            "677a0020b6cd940500bbf138088000000300800000323020007a12000f425269c07c58b658",
            "High 4:2:2 3.2, 1280 x 720, 100/2",
        ),
        (
            "67f40020919b280a00b77fe00360020d40408090000003001000000780f1831960",
            "High 4:4:4 Predictive 3.2, 1280 x 720, 120/2",
        ),
        // Cameras of Axis, Hikvision and Dahua.
        (
            "674d0029e2900f0044fcb80b7010101a41e24454",
            "Main 4.1, 1920 x 1080",
        ),
        (
            "674d400aeca23d80880000030008000003005078912cb0",
            "Main 1, 64 x 48, 10/2",
        ),
        ("67640033ac1514a02800b590", "High 5.1, 2560 x 1440"),
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

    /// A set of the Baseline profile with these sides in macroblocks, up to its usability information.
    fn of_size(width: u64, height: u64) -> Written {
        let written = Written::default().golombs(&[0, 0, 0, 0, 1]).bits(1, 0);
        written.golombs(&[width - 1, height - 1]).bits(3, 0b110)
    }

    fn parse(written: &Written) -> Result<SequenceParameters, ParameterError> {
        let bytes = written.after(&[]);
        // Emulation prevention, as an encoder puts it in.
        let mut unit = vec![0x67, 66, 0, 30];
        for byte in bytes {
            if byte <= 3 && unit.ends_with(&[0, 0]) {
                unit.push(3);
            }
            unit.push(byte);
        }
        SequenceParameters::parse(&unit)
    }

    #[test]
    fn the_largest_pictures_pass_and_absurd_ones_are_refused() {
        let max = u64::from(PICTURE_SIDE_MAX / 16);
        assert!(parse(&of_size(max, max).bits(1, 0)).is_ok());
        for (width, height) in [(max + 1, 1), (1, max + 1), (u64::from(u32::MAX), 1)] {
            let refused = parse(&of_size(width, height).bits(1, 0)).unwrap_err();
            let (width, height) = (width * 16, height * 16);
            assert_eq!(refused, ParameterError::Size { width, height });
            assert!(refused.refuses_track());
        }
    }

    #[test]
    fn cropping_that_leaves_nothing_is_refused() {
        let written = Written::default().golombs(&[0, 0, 0, 0, 1]).bits(1, 0);
        let cropped = |columns: u64| {
            let written = written.clone().golombs(&[1, 1]).bits(3, 0b111);
            written.golombs(&[0, columns, 0, 0]).bits(2, 0b01)
        };
        let size = parse(&cropped(15)).unwrap().video.size;
        assert_eq!(
            size,
            Some(PictureSize {
                width: 2,
                height: 32
            })
        );
        assert!(matches!(
            parse(&cropped(16)),
            Err(ParameterError::Size { width: 0, .. })
        ));
    }

    #[test]
    fn thirty_two_leading_zeros_refuse_the_track_wherever_they_stand() {
        let long = |written: Written| written.bits(32, 0).bits(33, u64::MAX);
        for written in [
            long(Written::default()),
            long(Written::default().golombs(&[0, 0, 0, 0, 1]).bits(1, 0)),
            // Usability information with a chroma position alone.
            long(of_size(4, 4).bits(1, 1).bits(4, 0b0001)),
        ] {
            let refused = parse(&written).unwrap_err();
            assert_eq!(refused, ParameterError::NumberTooLong);
            assert!(refused.refuses_track());
        }
    }

    #[test]
    fn usability_information_that_is_cut_refuses_the_track_and_too_little_does_not() {
        let timing = of_size(4, 4).bits(1, 1).bits(5, 1).bits(32, 1).bits(16, 0);
        assert_eq!(parse(&timing), Err(ParameterError::Usability));
        assert!(ParameterError::Usability.refuses_track());
        let stub = SequenceParameters::parse(&[0x67, 0x42, 0x00, 0x1f, 0x96]).unwrap_err();
        assert!(stub == ParameterError::Truncated && !stub.refuses_track());
    }

    #[test]
    fn picture_parameter_sets_are_told_apart_by_their_ids() {
        assert_eq!(pps_id(&[0x68, 0xce, 0x3c, 0x80]), Ok(0));
        let written = Written::default().golombs(&[255, 31]).after(&[0x68]);
        assert_eq!(pps_id(&written), Ok(255));
        let written = Written::default().golombs(&[256, 31]).after(&[0x68]);
        assert_eq!(
            pps_id(&written),
            Err(ParameterError::Value("pic_parameter_set_id"))
        );
        assert_eq!(pps_id(&[0x68]), Err(ParameterError::Truncated));
        assert_eq!(pps_id(&[0x67, 0xce]), Err(ParameterError::Kind));
    }
}
