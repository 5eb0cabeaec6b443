//! The headers of the made-up H.264 stream: parameter sets, and slices that say where they begin in their picture. What
//! follows a slice's header is no picture; whoever decodes sees nothing, and whoever only looks at headers sees a camera's
//! stream of 1920 x 1080 in the baseline profile.

use super::bits::Bits;
use super::packets::FILLER;
use super::probe::SLICE_PROBE_OFFSET;

/// Pictures in macroblocks of 16 x 16, the last row cut in half.
const COLUMNS: u32 = 120;
const ROWS: u32 = 68;
const MACROBLOCKS: usize = (COLUMNS * ROWS) as usize;
/// Rows of samples that are cut off, in pairs.
const CROPPED_PAIRS: u32 = 4;
/// The profile, its constraints (it is Constrained Baseline), and level 4.0.
const PROFILE_AND_LEVEL: [u8; 3] = [66, 0xc0, 40];

/// Headers of NAL units, to which other pictures refer (H.264 §7.3.1).
const NAL_SLICE: u8 = 0x61;
const NAL_IDR: u8 = 0x65;
const NAL_SPS: u8 = 0x67;
const NAL_PPS: u8 = 0x68;

/// The type of a fragment, the bits of a header that are not its type, and what marks the first and the last fragment
/// (RFC 6184, section 5.8).
const FRAGMENT: u8 = 28;
const NOT_TYPE: u8 = 0xe0;
const FRAGMENT_START: u8 = 0x80;
const FRAGMENT_END: u8 = 0x40;

/// Bits of a frame's number.
const FRAME_NUMBER_BITS: u32 = 8;
/// Pictures come in the order in which they are shown, and slices say nothing about it.
const ORDER_IS_THAT_OF_FRAMES: u32 = 2;
/// Types of slices, of which all others in the picture have the same (table 7-6).
const ALL_P: u32 = 5;
const ALL_I: u32 = 7;

/// The sequence parameter set (H.264 §7.3.2.1.1).
pub(super) fn sequence_parameters() -> Vec<u8> {
    let [profile, constraints, level] = PROFILE_AND_LEVEL.map(u32::from);
    let bits = Bits::default().bits(8, profile).bits(8, constraints);
    // Its level and id, bits of a frame's number above 4, the order of pictures.
    let bits = bits.bits(8, level).golomb(0).golomb(FRAME_NUMBER_BITS - 4);
    let bits = bits.golomb(ORDER_IS_THAT_OF_FRAMES);
    // One reference picture, no gaps, the size, whole frames, inference as level 4.0 wants it.
    let bits = bits
        .golomb(1)
        .bits(1, 0)
        .golomb(COLUMNS - 1)
        .golomb(ROWS - 1);
    let bits = bits.bits(1, 1).bits(1, 1);
    // Cropping: left, right, top, bottom. No usability information.
    let bits = bits.bits(1, 1).golomb(0).golomb(0).golomb(0);
    let bits = bits.golomb(CROPPED_PAIRS).bits(1, 0);
    [NAL_SPS]
        .into_iter()
        .chain(bits.trailing().escaped())
        .collect()
}

/// The picture parameter set (H.264 §7.3.2.2).
pub(super) fn picture_parameters() -> Vec<u8> {
    // Its id, that of its sequence; variable lengths, no order for fields, one group of slices, one reference each way.
    let bits = Bits::default().golomb(0).golomb(0).bits(2, 0);
    let bits = bits.golomb(0).golomb(0).golomb(0);
    // No weights; quantisers as they are by default; nothing that slices would have to say.
    let bits = bits.bits(3, 0).golomb(0).golomb(0).golomb(0).bits(3, 0);
    [NAL_PPS]
        .into_iter()
        .chain(bits.trailing().escaped())
        .collect()
}

/// What a fragment of the NAL unit with this header begins with.
pub(super) fn fragment_head(nal: u8, is_first: bool, is_last: bool) -> [u8; 2] {
    let start = if is_first { FRAGMENT_START } else { 0 };
    let end = if is_last { FRAGMENT_END } else { 0 };
    [nal & NOT_TYPE | FRAGMENT, start | end | nal & !NOT_TYPE]
}

/// A picture's place in the stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picture {
    /// Whether decoding can start at it.
    pub(super) is_key: bool,
    /// How many pictures there were since the last key picture.
    pub(super) since_key: u64,
    /// How many key pictures there were before it.
    pub(super) keys_before: u64,
}

impl Picture {
    /// What a slice begins with, up to the place of its probe (H.264 §7.3.3): the `index`-th of so many of its picture.
    pub(super) fn slice_head(self, index: usize, slices: usize) -> [u8; SLICE_PROBE_OFFSET] {
        let mut head = [FILLER; SLICE_PROBE_OFFSET];
        let nal = if self.is_key { NAL_IDR } else { NAL_SLICE };
        let bytes = [nal]
            .into_iter()
            .chain(self.slice_bits(index, slices).filled().escaped());
        head.iter_mut()
            .zip(bytes)
            .for_each(|(place, byte)| *place = byte);
        head
    }

    fn slice_bits(self, index: usize, slices: usize) -> Bits {
        let first_macroblock = (index * MACROBLOCKS / slices.max(1)) as u32;
        let frame_number = (self.since_key % (1 << FRAME_NUMBER_BITS)) as u32;
        let kind = if self.is_key { ALL_I } else { ALL_P };
        // Then the id of its picture parameters.
        let bits = Bits::default()
            .golomb(first_macroblock)
            .golomb(kind)
            .golomb(0);
        let bits = bits.bits(FRAME_NUMBER_BITS, frame_number);
        match self.is_key {
            // The id, which key pictures that follow each other do not share; all references end.
            true => bits.golomb((self.keys_before % 2) as u32).bits(2, 0),
            // References as they are by default, and as they come.
            false => bits.bits(3, 0),
        }
        // The quantiser of the picture.
        .golomb(0)
    }
}
