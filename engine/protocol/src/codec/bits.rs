//! Bits of a header, one after the other, most significant first.
//!
//! Input are the bytes of a parameter set, a configuration or a frame header; output are its numbers.
//! Every read is checked against the end, so a loop over what a header declares ends with its bytes.

use super::ParameterError;

/// Most leading zeros of an Exp-Golomb number: with one more it would not fit 32 bits (H.264 §9.1).
const LEADING_ZEROS_MAX: u32 = 31;

/// A place in a header.
#[derive(Clone, Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// How many bits of the first byte are taken, 0 to 7.
    taken: u32,
}

impl<'a> Bits<'a> {
    /// The begin of `bytes`.
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, taken: 0 }
    }

    /// The next bit.
    pub(super) fn flag(&mut self) -> Result<bool, ParameterError> {
        let (first, rest) = self.bytes.split_first().ok_or(ParameterError::Truncated)?;
        let bit = first & (0x80 >> self.taken) != 0;
        self.taken += 1;
        if self.taken == 8 {
            (self.bytes, self.taken) = (rest, 0);
        }
        Ok(bit)
    }

    /// The next `count` bits as a number; at most 32.
    pub(super) fn bits(&mut self, count: u32) -> Result<u32, ParameterError> {
        let mut number = 0;
        for _ in 0..count.min(u32::BITS) {
            number = (number << 1) | u32::from(self.flag()?);
        }
        Ok(number)
    }

    /// The next 8 bits.
    pub(super) fn byte(&mut self) -> Result<u8, ParameterError> {
        self.small(8)
    }

    /// The next `count` bits as a small number; at most 8.
    pub(super) fn small(&mut self, count: u32) -> Result<u8, ParameterError> {
        let mut number = 0;
        for _ in 0..count.min(u8::BITS) {
            number = (number << 1) | u8::from(self.flag()?);
        }
        Ok(number)
    }

    /// Passes over `count` bits.
    pub(super) fn skip(&mut self, count: usize) -> Result<(), ParameterError> {
        (0..count).try_for_each(|_| self.flag().map(drop))
    }

    /// An unsigned Exp-Golomb number, `ue(v)` (H.264 §9.1, H.265 §9.2).
    pub(super) fn golomb(&mut self) -> Result<u32, ParameterError> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > LEADING_ZEROS_MAX {
                return Err(ParameterError::NumberTooLong);
            }
        }
        let rest = self.bits(zeros)?;
        Ok((1u32 << zeros).wrapping_sub(1).wrapping_add(rest))
    }

    /// An unsigned Exp-Golomb number of at most `max`, named `field` where it is more.
    pub(super) fn golomb_up_to(
        &mut self,
        max: u32,
        field: &'static str,
    ) -> Result<u32, ParameterError> {
        let number = self.golomb()?;
        if number > max {
            return Err(ParameterError::Value(field));
        }
        Ok(number)
    }

    /// A signed Exp-Golomb number, `se(v)`.
    pub(super) fn signed_golomb(&mut self) -> Result<i64, ParameterError> {
        let number = i64::from(self.golomb()?);
        let magnitude = (number + 1) / 2;
        Ok(if number % 2 == 0 {
            -magnitude
        } else {
            magnitude
        })
    }

    /// Passes over `count` Exp-Golomb numbers, signed or not.
    pub(super) fn skip_golombs(&mut self, count: usize) -> Result<(), ParameterError> {
        (0..count).try_for_each(|_| self.golomb().map(drop))
    }
}

/// The content of a NAL unit without the bytes that keep start codes out of it: a 3 after two zeros
/// (H.264 §7.4.1, H.265 §7.4.2).
pub(super) fn without_emulation_prevention(unit: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(unit.len());
    let mut zeros = 0u32;
    for byte in unit {
        if zeros >= 2 && *byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        content.push(*byte);
    }
    content
}

/// Writes what [`Bits`] reads, for tests of the parsers.
#[cfg(test)]
#[derive(Clone, Default)]
pub(super) struct Written(Vec<bool>);

#[cfg(test)]
impl Written {
    pub(super) fn bits(mut self, count: u32, number: u64) -> Self {
        self.0
            .extend((0..count).rev().map(|at| number >> at & 1 == 1));
        self
    }

    pub(super) fn golombs(self, numbers: &[u64]) -> Self {
        numbers.iter().fold(self, |written, number| {
            let length = 64 - (number + 1).leading_zeros();
            written.bits(2 * length - 1, number + 1)
        })
    }

    /// The bytes, filled up with zeros; `front` stands before them.
    pub(super) fn after(&self, front: &[u8]) -> Vec<u8> {
        let byte = |bits: &[bool]| {
            let bits = bits.iter().zip((0..8).rev());
            bits.fold(0, |byte, (bit, at)| byte | u8::from(*bit) << at)
        };
        let bytes = self.0.chunks(8).map(byte);
        front.iter().copied().chain(bytes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_over_the_ends_of_bytes() {
        let mut bits = Bits::new(&[0b1010_0101, 0b1100_0011, 0xff]);
        assert_eq!(bits.bits(3), Ok(0b101));
        assert_eq!(bits.small(7), Ok(0b10111));
        assert!(!bits.flag().unwrap());
        assert_eq!(bits.skip(5), Ok(()));
        assert_eq!(bits.byte(), Ok(0xff));
        assert_eq!(bits.flag(), Err(ParameterError::Truncated));
        assert_eq!(bits.skip(usize::MAX), Err(ParameterError::Truncated));
    }

    #[test]
    fn exp_golomb_numbers_are_those_of_the_standard() {
        // H.264 table 9-2 and §9.1.1: 1 010 011 00100 00101.
        let bytes = [0b1010_0110, 0b0100_0010, 0b1000_0000];
        let mut bits = Bits::new(&bytes);
        let numbers: Vec<u32> = (0..5).map(|_| bits.golomb().unwrap()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        let mut bits = Bits::new(&bytes);
        let numbers: Vec<i64> = (0..5).map(|_| bits.signed_golomb().unwrap()).collect();
        assert_eq!(numbers, [0, 1, -1, 2, -2]);
    }

    #[test]
    fn thirty_one_leading_zeros_are_a_number_and_one_more_is_not() {
        // 31 zeros, a one, 31 ones.
        let longest = [0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfe];
        assert_eq!(Bits::new(&longest).golomb(), Ok(u32::MAX - 1));
        let refused = Bits::new(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff]).golomb();
        assert_eq!(refused, Err(ParameterError::NumberTooLong));
        assert_eq!(Bits::new(&[0, 0]).golomb(), Err(ParameterError::Truncated));
        assert_eq!(
            Bits::new(&[0b0010_1000]).golomb_up_to(3, "field"),
            Err(ParameterError::Value("field"))
        );
    }

    #[test]
    fn emulation_prevention_is_taken_out() {
        let unit = [0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 3, 0, 3];
        assert_eq!(
            without_emulation_prevention(&unit),
            [0, 0, 1, 0, 0, 0, 0, 3, 0, 3]
        );
    }
}
