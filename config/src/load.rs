//! From a file and the environment to a configuration.
//!
//! Called by the daemon at its start and by `shardcast check`. Files are read once, in full; what
//! happens to them later is for a reload to see.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

use crate::config::Config;
use crate::document::{Document, Origin};
use crate::error::{ConfigError, Report};
use crate::place::Place;
use crate::saved;

/// The largest file that is read: ten thousand paths with a dozen keys and comments.
pub const FILE_BYTES_MAX: u64 = 4 << 20;

/// Where a file is looked for when none is named, the first that exists wins: the working
/// directory, then where MediaMTX looks. Not so on Windows, where any user may create those
/// directories.
pub const SEARCHED: &[&str] = if cfg!(windows) {
    &["shardcast.yml", "mediamtx.yml"]
} else {
    &[
        "shardcast.yml",
        "mediamtx.yml",
        "/usr/local/etc/shardcast.yml",
        "/usr/local/etc/mediamtx.yml",
        "/usr/etc/shardcast.yml",
        "/usr/etc/mediamtx.yml",
        "/etc/shardcast/shardcast.yml",
        "/etc/mediamtx/mediamtx.yml",
    ]
};

/// A configuration with what there is to say about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The same, to be changed while a server runs with it.
    pub document: Document,
    /// What an operator should read once, each a line: at most one that names every key that
    /// is not built yet, one for deprecated keys, one for unknown variables, one when no path
    /// is configured.
    pub warnings: Vec<String>,
    /// The file, if there was one.
    pub source: Option<PathBuf>,
}

impl Loaded {
    fn of(document: Document) -> Self {
        Self {
            config: Config::clone(document.config()),
            warnings: document.warnings().to_vec(),
            source: document.file().map(Path::to_owned),
            document,
        }
    }

    /// One line about what was loaded: `mediamtx.yml: 3 paths, RTSP on :8554`.
    #[must_use]
    pub fn summary(&self) -> String {
        let source = match &self.source {
            Some(file) => file.display().to_string(),
            None => "built-in defaults".to_owned(),
        };
        let paths = match self.config.paths.len() {
            1 => "1 path".to_owned(),
            count => format!("{count} paths"),
        };
        let rtsp = match &self.config.rtsp {
            rtsp if rtsp.enabled => format!("RTSP on {}", rtsp.address),
            _ => "RTSP off".to_owned(),
        };
        format!("{source}: {paths}, {rtsp}")
    }
}

/// Loads `file`, or else the first of [`SEARCHED`] that exists, or else the defaults, and puts
/// the changes over it that are kept beside it, and the variables of `environment` over these.
///
/// # Errors
/// Every problem that was found, not only the first. A file that is named and missing is one.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let found = match file {
        Some(file) => Some(file.to_owned()),
        None => first_that_exists(SEARCHED.iter().map(PathBuf::from)),
    };
    let document = Document::open(Origin {
        changes_file: Some(saved::changes_file(found.as_deref())),
        file: found,
        variables: environment.collect(),
    })?;
    Ok(Loaded::of(document))
}

/// Judges `text`, the content of `file`, as [`load`] does, but keeps no changes. Without a file and
/// without paths in `environment` every path is open, as `all_others`; a file says itself which
/// paths there are.
///
/// # Errors
/// Every problem that was found.
pub fn parse(
    file: Option<&Path>,
    text: &str,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigError> {
    let origin = Origin {
        file: file.map(Path::to_owned),
        changes_file: None,
        variables: environment.collect(),
    };
    Document::of_text(origin, text).map(Loaded::of)
}

/// The environment of this process. What is no Unicode is replaced, so that the checks see it.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

/// A file that exists and cannot be looked at counts: silently taking another would be worse.
fn first_that_exists(mut candidates: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    candidates.find(|file| !matches!(file.try_exists(), Ok(false)))
}

pub(crate) fn read_file(file: &Path) -> Result<Vec<u8>, ConfigError> {
    let unreadable = |source: io::Error| ConfigError::Unreadable {
        file: file.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(unreadable)?;
    let read = opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge {
            file: file.to_owned(),
            bytes_max: FILE_BYTES_MAX,
        });
    }
    Ok(bytes)
}

/// `bytes`, the content of `file`, as text.
pub(crate) fn read_text(file: &Path, bytes: Vec<u8>) -> Result<String, ConfigError> {
    String::from_utf8(bytes).map_err(|error| not_text(file, &error))
}

fn not_text(file: &Path, error: &FromUtf8Error) -> ConfigError {
    let valid = error
        .as_bytes()
        .split_at(error.utf8_error().valid_up_to())
        .0;
    let text = String::from_utf8_lossy(valid);
    let last_line = text.rsplit('\n').next().unwrap_or_default();
    let place = Place::File {
        line: text.matches('\n').count() + 1,
        column: last_line.chars().count() + 1,
    };
    let mut report = Report::default();
    report.add(&place, || "expected UTF-8 text".to_owned());
    report.into_error(Some(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_file_that_exists_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let names = ["a.yml", "b.yml", "c.yml"].map(|name| directory.path().join(name));
        assert_eq!(first_that_exists(names.iter().cloned()), None);
        std::fs::write(&names[1], "").unwrap();
        std::fs::write(&names[2], "").unwrap();
        assert_eq!(
            first_that_exists(names.iter().cloned()).as_ref(),
            names.get(1)
        );
    }

    #[test]
    fn our_own_file_goes_before_that_of_mediamtx() {
        assert_eq!(
            SEARCHED.first_chunk(),
            Some(&["shardcast.yml", "mediamtx.yml"])
        );
    }
}
