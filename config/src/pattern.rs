//! A regular expression of a configuration: the name of a path, or the path of a permission,
//! that begins with `~`.
//!
//! Compiled once, when the configuration is read.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

use crate::paths::PATH_NAME_BYTES_MAX;

/// The largest compiled regular expression, in bytes: room for some thousand literal names,
/// and 256 MiB for all paths in the worst case.
const PATTERN_BYTES_MAX: usize = 256 << 10;

/// A compiled expression. Matching is linear in the length of the name that is tried.
///
/// Classes are ASCII, as names are and as in Go, whose dialect operators write here.
#[derive(Clone)]
pub(crate) struct Pattern {
    entry: String,
    regex: Regex,
}

impl Pattern {
    /// Compiles `entry`, which begins with `~`.
    ///
    /// # Errors
    /// What was expected instead.
    pub(crate) fn new(entry: &str) -> Result<Self, String> {
        let text = entry.strip_prefix('~').unwrap_or(entry);
        if text.is_empty() || entry.len() > PATH_NAME_BYTES_MAX {
            return Err(format!(
                "a regular expression of 1 to {PATH_NAME_BYTES_MAX} bytes after '~'"
            ));
        }
        let regex = RegexBuilder::new(text)
            .unicode(false)
            .size_limit(PATTERN_BYTES_MAX)
            .dfa_size_limit(PATTERN_BYTES_MAX)
            .build()
            .map_err(|error| format!("a regular expression after '~' ({})", last_line(&error)))?;
        let entry = entry.to_owned();
        Ok(Self { entry, regex })
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        self.regex.is_match(name.as_bytes())
    }

    /// What its groups have matched in `name`; `None` if it does not match at all.
    pub(crate) fn groups<'name>(&self, name: &'name str) -> Option<Vec<&'name str>> {
        let captures = self.regex.captures(name.as_bytes())?;
        let group = captures.iter().skip(1).map(|group| {
            let found = group.and_then(|group| name.get(group.range()));
            found.unwrap_or_default()
        });
        Some(group.collect())
    }
}

/// The part of a regular expression's error that is not a drawing.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.entry == other.entry
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.entry)
    }
}
