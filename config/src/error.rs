//! What can be wrong with a configuration, and how it is told: one line per problem, with its
//! place, its key, what was expected, and the nearest known key.
//!
//! Problems are gathered by the YAML reader, the environment and the checks, so that an
//! operator mends a file in one round; `load` hands them out.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::place::Place;

/// The most problems that are told at once; what follows a wrong indentation is noise.
pub const PROBLEMS_MAX: usize = 50;

/// Why there is no configuration. All of these are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Unreadable {
        /// The file as it was named.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is larger than any configuration may be.
    #[error("{}: larger than {bytes_max} bytes", file.display())]
    TooLarge {
        /// The file as it was named.
        file: PathBuf,
        /// The most that is read.
        bytes_max: u64,
    },
    /// The configuration was read and is wrong.
    #[error("{0}")]
    Invalid(Problems),
}

/// At least one problem, in the order of the file.
#[derive(Debug)]
pub struct Problems {
    lines: Vec<String>,
    more: usize,
}

impl Problems {
    /// One line per problem: `mediamtx.yml:12:3: unknown key 'rtspAdress', …`.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.lines.join("\n"))?;
        match self.more {
            0 => Ok(()),
            more => write!(formatter, "\nand {more} more"),
        }
    }
}

/// Where problems are gathered.
#[derive(Default)]
pub(crate) struct Report {
    problems: Vec<(Place, String)>,
    more: usize,
}

impl Report {
    /// Takes a problem, or only counts it when there are too many.
    pub(crate) fn add(&mut self, place: &Place, text: impl FnOnce() -> String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push((place.clone(), text()));
        } else {
            self.more += 1;
        }
    }

    /// `Ok` when nothing was wrong.
    pub(crate) fn finish(self, file: Option<&Path>) -> Result<(), ConfigError> {
        match self.problems.is_empty() {
            true => Ok(()),
            false => Err(self.into_error(file)),
        }
    }

    /// What was gathered, for whoever knows that it is something.
    pub(crate) fn into_error(mut self, file: Option<&Path>) -> ConfigError {
        self.problems.sort_by_key(|(place, _)| order(place));
        let lines = self.problems.iter();
        let lines = lines.map(|(place, text)| format!("{}: {text}", prefix(file, place)));
        ConfigError::Invalid(Problems {
            lines: lines.collect(),
            more: self.more,
        })
    }
}

/// The file from top to bottom, then the changes to it, then the environment.
fn order(place: &Place) -> (u8, usize, usize, String) {
    match place {
        Place::File { line, column } => (0, *line, *column, String::new()),
        Place::Changes { line, column, .. } => (1, *line, *column, String::new()),
        Place::Body(pointer) => (2, 0, 0, pointer.to_string()),
        Place::Variable(name) => (3, 0, 0, name.to_string()),
    }
}

/// `mediamtx.yml:12:3` or `MTX_RTSPADDRESS`.
fn prefix(file: Option<&Path>, place: &Place) -> String {
    match (place, file) {
        (Place::File { line, column }, Some(file)) => {
            format!("{}:{line}:{column}", file.display())
        }
        (Place::File { line, column }, None) => format!("{line}:{column}"),
        (Place::Changes { file, line, column }, _) => format!("{file}:{line}:{column}"),
        (Place::Body(_) | Place::Variable(_), _) => place.to_string(),
    }
}
