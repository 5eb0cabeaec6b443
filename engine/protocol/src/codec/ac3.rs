//! AC-3 in RTP (RFC 4184): what the frame that begins in a payload says of itself (ATSC A/52 §5.3).
//!
//! Input is one RTP payload in place; output is what people are shown of the sound.

use super::bits::Bits;
use super::{AudioParameters, ParameterError};

/// Length of the payload's header (RFC 4184 §4.1).
const HEADER_BYTES: usize = 2;
/// Frame type of a fragment that is not the first.
const LATER_FRAGMENT: u8 = 3;
/// What a frame begins with.
const SYNC_WORD: [u8; 2] = [0x0b, 0x77];
/// Sample rates by code.
const SAMPLE_RATES: [u32; 3] = [48_000, 44_100, 32_000];
/// Channels by mode, without the one for low frequencies.
const CHANNELS: [u8; 8] = [2, 1, 2, 3, 3, 4, 4, 5];

/// What the first frame of `payload` says; nothing of a payload that begins with the rest of one.
///
/// # Errors
/// [`ParameterError`].
pub fn parameters(payload: &[u8]) -> Result<Option<AudioParameters>, ParameterError> {
    let (header, frame) = payload
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(ParameterError::Truncated)?;
    if header[0] & 3 == LATER_FRAGMENT {
        return Ok(None);
    }
    let rest = frame
        .strip_prefix(&SYNC_WORD)
        .ok_or(ParameterError::Value("syncword"))?;
    let mut bits = Bits::new(rest);
    bits.skip(16)?;
    let rate = SAMPLE_RATES.get(usize::from(bits.small(2)?)).copied();
    bits.skip(6 + 5 + 3)?;
    let mode = bits.small(3)?;
    // Levels of what is mixed down, where there is a centre, or surround, or matrix stereo.
    let has_centre = mode & 1 != 0 && mode != 1;
    for is_there in [has_centre, mode & 4 != 0, mode == 2] {
        bits.skip(if is_there { 2 } else { 0 })?;
    }
    let low_frequency = u8::from(bits.flag()?);
    let channels = CHANNELS.get(usize::from(mode)).copied().unwrap_or_default();
    Ok(Some(AudioParameters {
        sample_rate: Some(rate.ok_or(ParameterError::Value("fscod"))?),
        channels: Some(channels + low_frequency),
        ..AudioParameters::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::super::bits::Written;
    use super::*;

    fn frame(mode: u64, more: &[(u32, u64)]) -> Vec<u8> {
        let front = [0, 1, 0x0b, 0x77, 0, 0];
        let written = Written::default().bits(2, 0).bits(6, 20).bits(8, 0x40);
        let fold = |written: Written, (count, number): &(u32, u64)| written.bits(*count, *number);
        more.iter().fold(written.bits(3, mode), fold).after(&front)
    }

    #[test]
    fn rate_and_channels_are_read() {
        let surround = frame(7, &[(2, 1), (2, 1), (1, 1)]);
        let told = parameters(&surround).unwrap().unwrap().to_string();
        assert_eq!(told, "48000 Hz, 6 channels");
        let stereo = frame(2, &[(2, 0), (1, 0)]);
        let told = parameters(&stereo).unwrap().unwrap().to_string();
        assert_eq!(told, "48000 Hz, 2 channels");
        assert_eq!(parameters(&[3, 1, 0x0b, 0x77]), Ok(None));
        for cut in 0..8 {
            assert!(parameters(&surround[..cut]).is_err());
        }
    }
}
