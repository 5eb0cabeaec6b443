//! A path's canonical name: made from the path of a peer's URL, used as key everywhere after.

use std::fmt;
use std::sync::Arc;

/// Longest name in bytes, after decoding. Long enough for every nesting seen in the field, short enough for log lines,
/// file names and metric labels.
pub const PATH_NAME_BYTES_MAX: usize = 512;

/// A canonical path name: `[0-9a-zA-Z_\-/.]+`, no slash at either end, no empty, `.` or `..` segment.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathName(Arc<str>);

/// Why a peer's text names no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathNameError {
    /// Nothing is left of the name.
    #[error("path name is empty")]
    Empty,
    /// Longer than [`PATH_NAME_BYTES_MAX`].
    #[error("path name is longer than {PATH_NAME_BYTES_MAX} bytes")]
    TooLong,
    /// A byte outside the permitted set.
    #[error("path name can contain only alphanumeric characters, underscore, dot, minus or slash")]
    BadCharacter,
    /// An empty, `.` or `..` segment.
    #[error("path name has an empty or dot segment")]
    BadSegment,
}

impl PathName {
    /// Checks the path part of a URL, without scheme, host and query, after its one percent-decoding (the protocols do
    /// that). One slash at either end is dropped.
    ///
    /// # Errors
    /// The first rule of [`PathName`] that the text breaks.
    pub fn from_url_path(decoded: &str) -> Result<Self, PathNameError> {
        let trimmed = decoded.strip_prefix('/').unwrap_or(decoded);
        let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
        Self::new(trimmed)
    }

    /// Checks a name.
    ///
    /// # Errors
    /// The first rule of [`PathName`] that the text breaks.
    pub fn new(name: &str) -> Result<Self, PathNameError> {
        if name.is_empty() {
            return Err(PathNameError::Empty);
        }
        if name.len() > PATH_NAME_BYTES_MAX {
            return Err(PathNameError::TooLong);
        }
        if !name.bytes().all(is_name_byte) {
            return Err(PathNameError::BadCharacter);
        }
        if name
            .split('/')
            .any(|segment| matches!(segment, "" | "." | ".."))
        {
            return Err(PathNameError::BadSegment);
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PathName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PathName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'/' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slash_at_either_end_is_not_part_of_the_name() {
        for raw in ["cam/1", "/cam/1", "cam/1/", "/cam/1/"] {
            assert_eq!(
                PathName::from_url_path(raw).map(|n| n.to_string()),
                Ok("cam/1".into()),
                "{raw}"
            );
        }
    }

    #[test]
    fn what_could_leave_the_tree_is_refused_in_every_spelling() {
        for raw in ["..", "a/../b", "../a", "a/..", "a//b", "//a", "."] {
            assert_eq!(
                PathName::from_url_path(raw).unwrap_err(),
                PathNameError::BadSegment,
                "{raw}"
            );
        }
    }

    #[test]
    fn what_no_name_can_hold_is_refused() {
        for raw in [
            "a\0b", "a%0", "%2e%2e", "a b", "a\u{e9}", "$(id)", "a?b", "a\nb",
        ] {
            assert_eq!(
                PathName::from_url_path(raw).unwrap_err(),
                PathNameError::BadCharacter,
                "{raw:?}"
            );
        }
        assert_eq!(
            PathName::from_url_path("").unwrap_err(),
            PathNameError::Empty
        );
        assert_eq!(
            PathName::from_url_path("/").unwrap_err(),
            PathNameError::Empty
        );
    }

    #[test]
    fn the_longest_name_is_taken_and_one_more_byte_is_not() {
        assert!(PathName::new(&"a".repeat(PATH_NAME_BYTES_MAX)).is_ok());
        assert_eq!(
            PathName::new(&"a".repeat(PATH_NAME_BYTES_MAX + 1)),
            Err(PathNameError::TooLong)
        );
    }
}
