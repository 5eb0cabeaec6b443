//! Ways in which the same bytes may arrive. A target reads its input in each of them and compares.

/// Longest fragment of the ragged way.
const RAGGED_BYTES_MAX: u64 = 48;

/// Multiplier of a linear congruential generator (Knuth, MMIX): fragments need no better randomness.
const MULTIPLIER: u64 = 6_364_136_223_846_793_005;

/// Lengths of fragments: byte by byte, halved, and ragged. The ragged way follows from the bytes themselves, so that an
/// input is a recording and nothing else, and each change of the fuzzer's cuts it anew.
pub(crate) fn ways(bytes: &[u8]) -> [Vec<usize>; 3] {
    let half = bytes.len() / 2;
    [
        vec![1; bytes.len()],
        vec![half, bytes.len() - half],
        ragged(bytes),
    ]
}

fn ragged(bytes: &[u8]) -> Vec<usize> {
    let mut state = bytes.iter().fold(1, |state: u64, byte| {
        (state ^ u64::from(*byte)).wrapping_mul(MULTIPLIER)
    });
    let mut left = bytes.len();
    let mut fragments = Vec::new();
    while left > 0 {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(1);
        let wanted = 1 + (state >> 33) % RAGGED_BYTES_MAX;
        let fragment = left.min(usize::try_from(wanted).unwrap_or(1));
        fragments.push(fragment);
        left -= fragment;
    }
    fragments
}
