//! MPEG-1 and MPEG-2 audio in RTP (RFC 2250 §3.5), MP3 among it: what the frame that begins in a payload
//! says of itself (ISO 11172-3 §2.4.1.3).
//!
//! Input is one RTP payload in place; output is what people are shown of the sound.

use super::{AudioParameters, ParameterError};

/// Length of the payload's header: zeros, and the fragment's offset in its frame.
const HEADER_BYTES: usize = 4;
/// Sample rates of MPEG-1 by index; MPEG-2 halves them, MPEG-2.5 again.
const SAMPLE_RATES: [u32; 3] = [44_100, 48_000, 32_000];
/// Mode of a single channel.
const MONO: u8 = 3;

/// What the first frame of `payload` says; nothing of a payload that begins with the rest of one.
///
/// # Errors
/// [`ParameterError`].
pub fn parameters(payload: &[u8]) -> Result<Option<AudioParameters>, ParameterError> {
    let (header, frame) = payload
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(ParameterError::Truncated)?;
    if header[2..] != [0, 0] {
        return Ok(None);
    }
    let [first, second, third, fourth] =
        *frame.first_chunk::<4>().ok_or(ParameterError::Truncated)?;
    if first != 0xff || second & 0xe0 != 0xe0 {
        return Err(ParameterError::Value("syncword"));
    }
    let halvings = match (second >> 3) & 3 {
        3 => 0,
        2 => 1,
        0 => 2,
        _ => return Err(ParameterError::Value("ID")),
    };
    let rate = SAMPLE_RATES.get(usize::from((third >> 2) & 3));
    let rate = rate.ok_or(ParameterError::Value("sampling_frequency"))?;
    Ok(Some(AudioParameters {
        sample_rate: Some(rate >> halvings),
        channels: Some(if fourth >> 6 == MONO { 1 } else { 2 }),
        ..AudioParameters::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_channels_are_read() {
        for (frame, expected) in [
            ([0xff, 0xfb, 0x90, 0x64], "44100 Hz, 2 channels"),
            ([0xff, 0xfb, 0x94, 0xc4], "48000 Hz, 1 channel"),
            ([0xff, 0xf3, 0x84, 0xc4], "24000 Hz, 1 channel"),
            ([0xff, 0xe3, 0x18, 0x40], "8000 Hz, 2 channels"),
        ] {
            let payload = [[0; 4], frame].concat();
            let told = parameters(&payload).unwrap().unwrap().to_string();
            assert_eq!(told, expected);
            assert!(parameters(&payload[..7]).is_err());
        }
        assert_eq!(parameters(&[0, 0, 1, 0, 1, 2, 3, 4]), Ok(None));
        for frame in [
            [0xff, 0x1b, 0x90, 0x64],
            [0xff, 0xeb, 0x90, 0x64],
            [0xff, 0xfb, 0x9c, 0x64],
        ] {
            assert!(parameters(&[[0; 4], frame].concat()).is_err());
        }
    }
}
