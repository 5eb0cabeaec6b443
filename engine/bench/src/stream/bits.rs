//! Writes the bits of short headers: parameter sets and slices of the made-up stream.

/// Bits, most significant first; 128 at most.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bits {
    value: u128,
    len: u32,
}

impl Bits {
    /// Adds the low `count` bits of a number.
    pub(super) const fn bits(self, count: u32, number: u32) -> Self {
        Self {
            value: self.value << count | number as u128,
            len: self.len + count,
        }
    }

    /// Adds an Exp-Golomb number, `ue(v)` (H.264 §9.1); a signed one that is 0 looks the same.
    pub(super) const fn golomb(self, number: u32) -> Self {
        let length = u32::BITS - (number + 1).leading_zeros();
        self.bits(2 * length - 1, number + 1)
    }

    /// Ends the content of a NAL unit: a set bit, and zeros up to a whole byte.
    pub(super) const fn trailing(self) -> Self {
        let ended = self.bits(1, 1);
        ended.bits(ended.to_whole_byte(), 0)
    }

    /// Fills up to a whole byte with set bits.
    pub(super) const fn filled(self) -> Self {
        let missing = self.to_whole_byte();
        self.bits(missing, (1 << missing) - 1)
    }

    const fn to_whole_byte(self) -> u32 {
        (8 - self.len % 8) % 8
    }

    /// The whole bytes, with a 3 between two zeros and what would make a start code of them (H.264 §7.4.1).
    pub(super) fn escaped(self) -> impl Iterator<Item = u8> {
        let bytes =
            (0..self.len / 8).map(move |index| (self.value >> (self.len - 8 - 8 * index)) as u8);
        let mut zeros = 0;
        bytes.flat_map(move |byte| {
            let escape = (zeros >= 2 && byte <= 3).then_some(3);
            let before = if escape.is_some() { 0 } else { zeros };
            zeros = if byte == 0 { before + 1 } else { 0 };
            escape.into_iter().chain([byte])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_numbers_are_those_of_the_standard() {
        let numbers = (0..5).fold(Bits::default(), Bits::golomb);
        let bytes: Vec<u8> = numbers.filled().escaped().collect();
        assert_eq!(bytes, [0b1010_0110, 0b0100_0010, 0b1111_1111]);
    }

    #[test]
    fn what_would_be_a_start_code_is_escaped() {
        let bits = Bits::default().bits(24, 1).bits(32, 0).bits(8, 4);
        let bytes: Vec<u8> = bits.trailing().escaped().collect();
        assert_eq!(bytes, [0, 0, 3, 1, 0, 0, 3, 0, 0, 4, 0x80]);
    }
}
