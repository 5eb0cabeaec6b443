//! The tone in a clip's audio: one steady sine, so that a lost or repeated frame shows as a jump of its phase.
//!
//! Input are a reader's decoded samples: mono, 16 bits, little-endian, at [`SAMPLE_RATE`]. What it cannot catch: a run
//! of lost frames that happens to be whole periods long (none below five frames of either codec), and what is lost
//! before the first sample or after the last, which the duration bounds.

use std::f64::consts::TAU;
use std::time::Duration;

/// Samples per second after decoding.
pub const SAMPLE_RATE: usize = 8000;
/// The tone. One AAC frame (1024 samples at 44.1 kHz) is 10.29 periods and one Opus frame (20 ms) 8.86.
pub const TONE_HZ: u32 = 443;
/// The phase is taken over blocks of 20 ms.
const BLOCK: usize = SAMPLE_RATE / 50;
/// A steady tone's phase moves by less than this over two blocks; one lost frame moves it by 0.14 turns or more.
const TURN_MAX: f64 = 0.08;
/// Blocks weaker than this are silence: an encoder's or resampler's edge.
const AMPLITUDE_MIN: f64 = 400.0;
/// Blocks at either end where codecs fade in and out.
const EDGE_BLOCKS: usize = 4;

/// What is wrong with a reader's audio.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ToneFlaw {
    /// Less was decoded than belongs to the video.
    #[error("{found:?} of audio where {due:?} was due")]
    Short {
        /// What belongs to the video.
        due: Duration,
        /// What came.
        found: Duration,
    },
    /// The tone is interrupted.
    #[error(
        "the tone breaks {at:?} after the first sample: {turns:.2} turns, amplitude {amplitude:.0}"
    )]
    Break {
        /// Where.
        at: Duration,
        /// By how much the phase jumps.
        turns: f64,
        /// How strong the tone is there.
        amplitude: f64,
    },
}

/// Checks that the samples in `pcm` last at least `due` and are one uninterrupted tone.
///
/// # Errors
/// When they are not.
pub fn check(pcm: &[u8], due: Duration) -> Result<(), ToneFlaw> {
    let samples: Vec<f64> = pcm
        .as_chunks()
        .0
        .iter()
        .map(|bytes| f64::from(i16::from_le_bytes(*bytes)))
        .collect();
    let found = duration(samples.len());
    if found < due {
        return Err(ToneFlaw::Short { due, found });
    }
    let blocks: Vec<Block> = samples
        .chunks_exact(BLOCK)
        .enumerate()
        .map(Block::measure)
        .collect();
    let inner = blocks.len().saturating_sub(2 * EDGE_BLOCKS);
    let inner = blocks.iter().skip(EDGE_BLOCKS).take(inner);
    // Against the block before last: the one between may hold the jump and have a phase of both sides.
    let pairs = inner.clone().zip(inner.skip(2));
    for (index, (before, block)) in pairs.enumerate() {
        let turns = block.turns_since(before);
        if turns > TURN_MAX || block.amplitude < AMPLITUDE_MIN {
            let at = duration((EDGE_BLOCKS + index + 2) * BLOCK);
            let amplitude = block.amplitude;
            return Err(ToneFlaw::Break {
                at,
                turns,
                amplitude,
            });
        }
    }
    Ok(())
}

fn duration(samples: usize) -> Duration {
    Duration::from_secs(1).mul_f64(samples as f64 / SAMPLE_RATE as f64)
}

/// Phase and strength of the tone in one block, against an undisturbed tone from the first sample on.
struct Block {
    phase_turns: f64,
    amplitude: f64,
}

impl Block {
    fn measure((index, samples): (usize, &[f64])) -> Self {
        let step = TAU * f64::from(TONE_HZ) / SAMPLE_RATE as f64;
        let (mut real, mut imaginary) = (0.0, 0.0);
        for (offset, sample) in samples.iter().enumerate() {
            let angle = step * (index * BLOCK + offset) as f64;
            real += sample * angle.cos();
            imaginary -= sample * angle.sin();
        }
        Self {
            phase_turns: imaginary.atan2(real) / TAU,
            amplitude: 2.0 * real.hypot(imaginary) / samples.len() as f64,
        }
    }

    /// How far the phase has moved since an earlier block, 0 to 0.5 turns.
    fn turns_since(&self, before: &Self) -> f64 {
        let turns = (self.phase_turns - before.phase_turns).rem_euclid(1.0);
        turns.min(1.0 - turns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(samples: usize) -> Vec<u8> {
        let step = TAU * f64::from(TONE_HZ) / SAMPLE_RATE as f64;
        let wave = (0..samples).map(|index| (4000.0 * (step * index as f64).sin()) as i16);
        wave.flat_map(i16::to_le_bytes).collect()
    }

    #[test]
    fn a_steady_tone_passes() {
        assert_eq!(check(&tone(SAMPLE_RATE), Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn a_short_tone_is_found() {
        let flaw = check(&tone(SAMPLE_RATE / 2), Duration::from_secs(1));
        assert!(matches!(flaw, Err(ToneFlaw::Short { .. })));
    }

    #[test]
    fn one_to_four_lost_frames_of_either_codec_are_found() {
        for frame_samples in [1024.0 * 8.0 / 44.1, 160.0] {
            for lost in 1..=4 {
                let mut pcm = tone(SAMPLE_RATE);
                let bytes = 2 * (frame_samples * f64::from(lost)).round() as usize;
                pcm.drain(8000..8000 + bytes);
                let flaw = check(&pcm, Duration::ZERO);
                assert!(
                    matches!(flaw, Err(ToneFlaw::Break { .. })),
                    "{lost} of {frame_samples}"
                );
            }
        }
    }

    #[test]
    fn silence_within_is_found() {
        let mut pcm = tone(SAMPLE_RATE);
        pcm[8000..9000].fill(0);
        assert!(matches!(
            check(&pcm, Duration::ZERO),
            Err(ToneFlaw::Break { .. })
        ));
    }
}
