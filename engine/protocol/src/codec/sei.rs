//! Supplemental enhancement information: the one message that matters here, a recovery point.
//!
//! Input is the body of an SEI NAL unit, after the NAL header, of H.264 (§7.3.2.3) or H.265
//! (§7.3.5), which agree in this. It may be cut short by fragmentation.

/// SEI payload type of a recovery point, the same number in H.264 (§D.1) and H.265 (§D.2).
const RECOVERY_POINT: u32 = 6;

/// SEI messages looked at in one NAL unit. Encoders write a handful; a peer that writes thousands of
/// empty ones gets no more of our time.
const MESSAGES_MAX: usize = 32;

/// Whether a recovery point is among the messages. Emulation prevention bytes are not removed: type
/// and size of the messages in front of a recovery point hold none, their payloads could shift the
/// walk, and the price is a start point missed.
pub(super) fn has_recovery_point(mut messages: &[u8]) -> bool {
    for _ in 0..MESSAGES_MAX {
        let Some((kind, rest)) = read_number(messages) else {
            return false;
        };
        // The last message is followed by the stop bit alone.
        let Some((size, rest)) = read_number(rest) else {
            return false;
        };
        if kind == RECOVERY_POINT {
            return true;
        }
        let Some(next) = usize::try_from(size).ok().and_then(|size| rest.get(size..)) else {
            return false;
        };
        messages = next;
    }
    false
}

/// Reads a number in SEI's way: every 255 says that more follows.
fn read_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut number = 0u32;
    let mut rest = bytes;
    loop {
        let (byte, after) = rest.split_first()?;
        number = number.checked_add(u32::from(*byte))?;
        rest = after;
        if *byte != 255 {
            return Some((number, rest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_point_is_found_behind_other_messages() {
        assert!(has_recovery_point(&[6, 1, 0xc4, 0x80]));
        assert!(has_recovery_point(&[0, 2, 1, 2, 6, 1, 0xc4, 0x80]));
        let mut long = vec![5, 255, 45];
        long.extend([7; 300]);
        assert!(!has_recovery_point(&long));
        long.extend([6, 1, 0xc4, 0x80]);
        assert!(has_recovery_point(&long));
    }

    #[test]
    fn what_is_cut_short_is_no_recovery_point() {
        for cut in [&[][..], &[6], &[5, 16, 1], &[255, 255], &[0x80]] {
            assert!(!has_recovery_point(cut), "{cut:?}");
        }
    }

    #[test]
    fn only_so_many_messages_are_looked_at() {
        let mut messages = [1u8, 0].repeat(MESSAGES_MAX - 1);
        messages.extend([6, 1, 0x80]);
        assert!(has_recovery_point(&messages));
        let mut messages = [1u8, 0].repeat(MESSAGES_MAX);
        messages.extend([6, 1, 0x80]);
        assert!(!has_recovery_point(&messages));
    }
}
