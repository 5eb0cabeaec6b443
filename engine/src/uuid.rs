//! UUIDs (RFC 9562), as the API names sessions and connections: read from a request's path, written into answers.

use std::fmt;
use std::str::FromStr;

/// A UUID.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Uuid(u128);

/// Why a text is no UUID, in the words of MediaMTX's API.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UuidError {
    /// Neither 32 nor 36 bytes, nor 36 with what may stand around them.
    #[error("invalid UUID length: {0}")]
    Length(usize),
    /// Other characters, or hyphens in other places (RFC 9562, section 4).
    #[error("invalid UUID format")]
    Format,
}

impl Uuid {
    /// Of these 128 bits.
    #[must_use]
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// Its 128 bits, the first one highest.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = |shift: u32, digits: u32| (self.0 >> shift) & ((1 << (4 * digits)) - 1);
        let (time, mid) = (group(96, 8), group(80, 4));
        let (high, sequence, node) = (group(64, 4), group(48, 4), group(0, 12));
        write!(
            f,
            "{time:08x}-{mid:04x}-{high:04x}-{sequence:04x}-{node:012x}"
        )
    }
}

/// With hyphens or without, in braces or behind `urn:uuid:`, in either case.
impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        match text.len() {
            32 => digits(text),
            36 => hyphenated(text),
            38 => {
                let inner = text
                    .strip_prefix('{')
                    .and_then(|text| text.strip_suffix('}'));
                hyphenated(inner.ok_or(UuidError::Format)?)
            }
            45 => {
                let (prefix, rest) = text.split_at_checked(9).ok_or(UuidError::Format)?;
                match prefix.eq_ignore_ascii_case("urn:uuid:") {
                    true => hyphenated(rest),
                    false => Err(UuidError::Format),
                }
            }
            length => Err(UuidError::Length(length)),
        }
    }
}

fn hyphenated(text: &str) -> Result<Uuid, UuidError> {
    let groups = text.split('-');
    if !groups.map(str::len).eq([8, 4, 4, 4, 12]) {
        return Err(UuidError::Format);
    }
    digits(&text.replace('-', ""))
}

fn digits(text: &str) -> Result<Uuid, UuidError> {
    // A sign would be read as part of the number.
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(UuidError::Format);
    }
    let bits = u128::from_str_radix(text, 16);
    bits.map(Uuid).map_err(|_error| UuidError::Format)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "0123abcd-4567-89ab-8def-0123456789ab";

    #[test]
    fn a_uuid_is_read_in_every_form_and_written_in_one() {
        let plain = TEXT.replace('-', "");
        let forms = [
            TEXT.to_owned(),
            TEXT.to_uppercase(),
            plain,
            format!("{{{TEXT}}}"),
            format!("urn:uuid:{TEXT}"),
        ];
        for form in forms {
            let read: Uuid = form.parse().unwrap();
            assert_eq!(read.to_string(), TEXT, "{form}");
        }
    }

    #[test]
    fn what_is_no_uuid_is_told_as_such() {
        assert_eq!("".parse::<Uuid>(), Err(UuidError::Length(0)));
        assert_eq!("1234".parse::<Uuid>(), Err(UuidError::Length(4)));
        let malformed = [
            TEXT.replace('a', "g"),
            TEXT.replace("0123abcd-", "0123abc-d"),
            TEXT.replacen('0', "+", 1),
            format!("({TEXT})"),
            format!("urn-uuid:{TEXT}"),
            "ä".repeat(16),
        ];
        for text in malformed {
            assert_eq!(text.parse::<Uuid>(), Err(UuidError::Format), "{text}");
        }
    }
}
