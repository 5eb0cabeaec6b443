//! AAC: the configuration that descriptions and LATM carry (ISO 14496-3 §1.6.2.1, §1.7.3).
//!
//! Input are the bytes of `config=`, or a LATM payload; output is what people are shown of the sound.

use super::bits::Bits;
use super::{AudioParameters, ParameterError};

/// Object types (ISO 14496-3 table 1.17).
const SBR: u8 = 5;
const PS: u8 = 29;
const ER_BSAC: u8 = 22;
/// The object type that says that a longer one follows.
const LONG_TYPE: u8 = 31;
/// Object types whose configuration is that of general audio coding (§4.4.1).
const GENERAL_AUDIO: [u8; 12] = [1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23];

/// Sample rates by index (table 1.18). Index 15 says that the rate is written out.
const SAMPLE_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
const WRITTEN_OUT: usize = 15;

/// Channels by configuration, from 1 on; 0 where there is none (table 1.19).
const CHANNELS: [u8; 14] = [1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 0, 8];

/// What announces spectral band replication behind the configuration (§1.6.2.1).
const SYNC_EXTENSION: u32 = 0x2b7;

/// Reads an `AudioSpecificConfig`.
///
/// # Errors
/// [`ParameterError`].
pub fn parameters(config: &[u8]) -> Result<AudioParameters, ParameterError> {
    specific_config(&mut Bits::new(config))
}

/// Reads a `StreamMuxConfig`, as descriptions of LATM have it.
///
/// # Errors
/// [`ParameterError`].
pub fn latm_parameters(config: &[u8]) -> Result<AudioParameters, ParameterError> {
    stream_mux_config(&mut Bits::new(config))
}

/// Reads the configuration that a LATM payload begins with; nothing of one that goes on with the last.
///
/// # Errors
/// [`ParameterError`].
pub fn latm_parameters_in(payload: &[u8]) -> Result<Option<AudioParameters>, ParameterError> {
    let mut bits = Bits::new(payload);
    if bits.flag()? {
        return Ok(None);
    }
    stream_mux_config(&mut bits).map(Some)
}

/// §1.7.3.1: that of the first layer of the first program.
fn stream_mux_config(bits: &mut Bits<'_>) -> Result<AudioParameters, ParameterError> {
    let is_versioned = bits.flag()?;
    if is_versioned {
        if bits.flag()? {
            return Err(ParameterError::Value("audioMuxVersionA"));
        }
        skip_value(bits)?;
    }
    // Framing, sub-frames, programs, layers.
    bits.skip(1 + 6 + 4 + 3)?;
    if is_versioned {
        skip_value(bits)?;
    }
    specific_config(bits)
}

/// `LatmGetValue`: one to four bytes, and how many there are.
fn skip_value(bits: &mut Bits<'_>) -> Result<(), ParameterError> {
    let bytes = usize::from(bits.small(2)?) + 1;
    bits.skip(8 * bytes)
}

fn specific_config(bits: &mut Bits<'_>) -> Result<AudioParameters, ParameterError> {
    let mut object_type = object_type(bits)?;
    let sample_rate = sample_rate(bits)?;
    let channel_config = usize::from(bits.small(4)?);
    let mut extension_sample_rate = None;
    let mut is_parametric = false;
    if object_type == SBR || object_type == PS {
        is_parametric = object_type == PS;
        extension_sample_rate = Some(self::sample_rate(bits)?);
        object_type = self::object_type(bits)?;
        if object_type == ER_BSAC {
            bits.skip(4)?;
        }
    }
    let mut channels = CHANNELS
        .get(channel_config.wrapping_sub(1))
        .copied()
        .filter(|channels| *channels > 0);
    if GENERAL_AUDIO.contains(&object_type) {
        let elements = general_audio(bits, object_type, channel_config)?;
        channels = channels.or(elements);
    }
    if extension_sample_rate.is_none()
        && let Ok(Some((rate, parametric))) = announced_extension(&mut bits.clone())
    {
        extension_sample_rate = Some(rate);
        is_parametric = parametric;
    }
    if is_parametric && channels == Some(1) {
        channels = Some(2);
    }
    Ok(AudioParameters {
        sample_rate: Some(sample_rate),
        extension_sample_rate,
        channels,
    })
}

fn object_type(bits: &mut Bits<'_>) -> Result<u8, ParameterError> {
    match bits.small(5)? {
        LONG_TYPE => Ok(32 + bits.small(6)?),
        short => Ok(short),
    }
}

fn sample_rate(bits: &mut Bits<'_>) -> Result<u32, ParameterError> {
    let index = usize::from(bits.small(4)?);
    let rate = if index == WRITTEN_OUT {
        Some(bits.bits(24)?)
    } else {
        SAMPLE_RATES.get(index).copied()
    };
    rate.filter(|rate| *rate > 0)
        .ok_or(ParameterError::Value("samplingFrequencyIndex"))
}

/// `GASpecificConfig` (§4.4.1): the channels of its program config element, if it has one.
fn general_audio(
    bits: &mut Bits<'_>,
    object_type: u8,
    channel_config: usize,
) -> Result<Option<u8>, ParameterError> {
    bits.skip(1)?;
    if bits.flag()? {
        bits.skip(14)?;
    }
    let has_extension = bits.flag()?;
    let channels = if channel_config == 0 {
        Some(program_config(bits)?)
    } else {
        None
    };
    if object_type == 6 || object_type == 20 {
        bits.skip(3)?;
    }
    if has_extension {
        bits.skip(match object_type {
            ER_BSAC => 16,
            17 | 19 | 20 | 23 => 3,
            _ => 0,
        })?;
        bits.skip(1)?;
    }
    Ok(channels)
}

/// The channels of a program config element (§4.4.1.1), which is left before its comment.
fn program_config(bits: &mut Bits<'_>) -> Result<u8, ParameterError> {
    bits.skip(10)?;
    let mut elements = 0u8;
    for _ in 0..3 {
        elements += bits.small(4)?;
    }
    let low_frequency = bits.small(2)?;
    bits.skip(3 + 4)?;
    for mixdown_bits in [4, 4, 3] {
        if bits.flag()? {
            bits.skip(mixdown_bits)?;
        }
    }
    // At most 45 elements of one or two channels, and 3 more.
    let mut channels = low_frequency;
    for _ in 0..elements {
        channels += 1 + u8::from(bits.flag()?);
        bits.skip(4)?;
    }
    Ok(channels)
}

/// Rate of the band replication that is announced behind the configuration, so that older decoders pass
/// over it, and whether stereo is parametric.
fn announced_extension(bits: &mut Bits<'_>) -> Result<Option<(u32, bool)>, ParameterError> {
    if bits.bits(11)? != SYNC_EXTENSION || object_type(bits)? != SBR || !bits.flag()? {
        return Ok(None);
    }
    let rate = sample_rate(bits)?;
    let is_parametric = bits.bits(11) == Ok(0x548) && bits.flag() == Ok(true);
    Ok(Some((rate, is_parametric)))
}

#[cfg(test)]
mod tests {
    use super::super::bits::Written;
    use super::*;
    use crate::codec::test_bytes::hex;

    fn told(config: &str) -> String {
        parameters(&hex(config)).unwrap().to_string()
    }

    #[test]
    fn configurations_of_encoders_are_read() {
        for (config, expected) in [
            // AAC-LC: ffmpeg, cameras, six channels, eight channels.
            ("1190", "48000 Hz, 2 channels"),
            ("1210", "44100 Hz, 2 channels"),
            ("1408", "16000 Hz, 1 channel"),
            ("11b056e500", "48000 Hz, 6 channels"),
            ("11b8", "48000 Hz, 8 channels"),
            // The rate written out.
            ("17806b6c10", "55000 Hz, 2 channels"),
            // HE-AAC, told at once and told behind; HE-AAC v2.
            ("2b920800", "22050 Hz (44100 Hz), 2 channels"),
            ("139056e5a0", "22050 Hz (44100 Hz), 2 channels"),
            ("eb8a0800", "22050 Hz (44100 Hz), 2 channels"),
        ] {
            assert_eq!(told(config), expected, "{config}");
        }
    }

    #[test]
    fn channels_are_counted_where_a_program_tells_them() {
        let written = Written::default()
            .bits(5, 2)
            .bits(4, 3)
            .bits(4, 0)
            .bits(3, 0);
        // Two front elements of which one is a pair, none at the sides, a pair behind, one low.
        let written = written
            .bits(10, 0)
            .bits(4, 2)
            .bits(4, 0)
            .bits(4, 1)
            .bits(2, 1);
        let written = written.bits(7, 0).bits(3, 0);
        let written = written.bits(5, 0).bits(5, 0b10000).bits(5, 0b10000);
        let config = written.after(&[]);
        assert_eq!(parameters(&config).unwrap().channels, Some(6));
        for cut in 0..config.len() {
            assert!(parameters(&config[..cut]).is_err(), "cut {cut}");
        }
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        for config in ["", "11", "16", "1690", "178000000000", "f9"] {
            assert!(parameters(&hex(config)).is_err(), "{config}");
        }
    }

    #[test]
    fn latm_tells_its_configuration_in_descriptions_and_in_payloads() {
        // As live555 and ffmpeg describe it.
        let config = hex("40002620");
        let expected = "24000 Hz, 2 channels";
        assert_eq!(latm_parameters(&config).unwrap().to_string(), expected);
        let written = Written::default().bits(1, 0).bits(15, 0).bits(16, 0x1190);
        let in_band = latm_parameters_in(&written.after(&[])).unwrap().unwrap();
        assert_eq!(in_band.to_string(), "48000 Hz, 2 channels");
        assert_eq!(latm_parameters_in(&[0x80]), Ok(None));
        assert_eq!(latm_parameters_in(&[]), Err(ParameterError::Truncated));
    }
}
