//! Short-term reference picture sets of H.265 (§7.3.7), which stand in a sequence parameter set in
//! front of what people are shown. Each may be told by its difference to the one before, so how long it
//! is depends on that one; nothing else is kept.

use super::super::ParameterError;
use super::super::bits::Bits;

/// Most sets (§7.4.3.2.1).
const SETS_MAX: u32 = 64;
/// Most pictures of a set, in either direction: a decoder holds 16 (§A.4.2).
const PICTURES_MAX: u32 = 16;

/// How many pictures the last set has.
pub(super) struct ReferencePictureSets {
    pictures: u32,
}

impl ReferencePictureSets {
    /// Passes over all sets, their number included.
    pub(super) fn skip(bits: &mut Bits<'_>) -> Result<(), ParameterError> {
        let count = bits.golomb_up_to(SETS_MAX, "num_short_term_ref_pic_sets")?;
        let mut sets = Self { pictures: 0 };
        for index in 0..count {
            if index > 0 && bits.flag()? {
                sets.skip_difference(bits)?;
            } else {
                sets.skip_written_out(bits)?;
            }
        }
        Ok(())
    }

    /// Of each picture of the set before, and of that set's own, it is said whether it is in this one.
    fn skip_difference(&mut self, bits: &mut Bits<'_>) -> Result<(), ParameterError> {
        bits.skip(1)?;
        bits.skip_golombs(1)?;
        let mut pictures = 0;
        for _ in 0..=self.pictures {
            let is_used = bits.flag()?;
            if is_used || bits.flag()? {
                pictures += 1;
            }
        }
        if pictures > 2 * PICTURES_MAX {
            return Err(ParameterError::Value("used_by_curr_pic_flag"));
        }
        self.pictures = pictures;
        Ok(())
    }

    fn skip_written_out(&mut self, bits: &mut Bits<'_>) -> Result<(), ParameterError> {
        let before = bits.golomb_up_to(PICTURES_MAX, "num_negative_pics")?;
        let after = bits.golomb_up_to(PICTURES_MAX, "num_positive_pics")?;
        self.pictures = before + after;
        for _ in 0..self.pictures {
            bits.skip_golombs(1)?;
            bits.skip(1)?;
        }
        Ok(())
    }
}
