//! Where a key or value was written, so that an error can point at it.
//!
//! Made by the readers of YAML and JSON and by the environment, carried by every node, shown in errors.

use std::fmt;
use std::sync::Arc;

/// A position in a file or in a request, or the name of an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the configuration file; lines and columns count from 1, columns in characters.
    File { line: usize, column: usize },
    /// In the file of changes that were made at run time.
    Changes {
        file: Arc<str>,
        line: usize,
        column: usize,
    },
    /// In the body of a request, at this JSON pointer (RFC 6901).
    Body(Arc<str>),
    /// In the variable of this name.
    Variable(Arc<str>),
}

impl Place {
    /// Whether both were written in the same layer: two keys that exclude each other are an
    /// error there, while between layers the environment wins.
    pub(crate) fn same_layer(&self, other: &Self) -> bool {
        self.is_variable() == other.is_variable()
    }

    /// Whether this is a variable.
    pub(crate) fn is_variable(&self) -> bool {
        matches!(self, Self::Variable(_))
    }
}

/// As a sentence names it: `line 3`, `MTX_RTSP`.
impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { line, .. } => write!(formatter, "line {line}"),
            Self::Changes { file, line, .. } => write!(formatter, "{file}, line {line}"),
            Self::Body(pointer) if pointer.is_empty() => formatter.write_str("request"),
            Self::Body(pointer) => write!(formatter, "request body, {pointer}"),
            Self::Variable(name) => formatter.write_str(name),
        }
    }
}
