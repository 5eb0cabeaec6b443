//! Paths of a configuration: what each of them may do, and which entry serves a given name.
//!
//! Filled by `load`; asked by the engine for every publisher and reader. Names that come here
//! are canonical already (the engine has one canonicaliser); `check_name` says what a
//! configuration may call a path.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::pattern::Pattern;
use crate::settings::Settings;

/// The most regular expressions among the paths, and among the permissions of users: a name is
/// tried on each.
pub const PATTERNS_MAX: usize = 1024;

/// The longest name of a path, in bytes. It has to fit into a request line with room to spare.
pub const PATH_NAME_BYTES_MAX: usize = 1024;

/// What a path may do. Every default is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathConfig {
    /// Where its stream comes from.
    pub source: Source,
    /// `maxReaders`; `None` is no limit.
    pub max_readers: Option<NonZeroUsize>,
    /// `overridePublisher`: a new publisher closes the one that is there, else it is refused.
    pub override_publisher: bool,
    /// `publisherGrace`: readers wait so long for a lost publisher to return.
    pub publisher_grace: Duration,
    /// `logBytes`: memory of the path's log on one shard.
    pub log_bytes: usize,
    /// `logAge`: age of the path's log on one shard.
    pub log_age: Duration,
    /// `slowReader`: what happens when a reader's queue passes its limit.
    pub slow_reader: SlowReader,
    /// `readerQueueBytes`: lag in bytes that a reader may have.
    pub reader_queue_bytes: usize,
    /// `readerQueueAge`: lag in time that a reader may have.
    pub reader_queue_age: Duration,
    /// `start`: where a reader's stream begins.
    pub start: Start,
}

/// `source`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Publishers bring the stream.
    Publisher,
    /// The stream is to come from somewhere else, which is not built yet. Nobody may publish
    /// here: the operator has not opened this path to publishers.
    Elsewhere(String),
}

/// `slowReader`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowReader {
    /// It is closed.
    Disconnect,
    /// It goes on at the next start point.
    DropToKeyFrame,
    /// It is not sent what no other picture refers to, and goes on at the next start point where that is not enough.
    SkipNonReference,
}

/// `start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the next packet.
    Live,
    /// At the next key frame.
    KeyFrame,
    /// At the newest key frame that the log has, sent at once.
    Gop,
    /// There too, with timestamps that bring it to the live pictures at once.
    CatchUp,
}

impl Default for PathConfig {
    fn default() -> Self {
        Self {
            source: Source::Publisher,
            max_readers: None,
            override_publisher: true,
            publisher_grace: Duration::ZERO,
            log_bytes: 32 << 20,
            log_age: Duration::from_secs(30),
            slow_reader: SlowReader::DropToKeyFrame,
            reader_queue_bytes: 8 << 20,
            reader_queue_age: Duration::from_secs(5),
            start: Start::CatchUp,
        }
    }
}

/// Bytes that a packet of MediaMTX's write queue stands for: the most that `udpMaxPayloadSize` can be.
const WRITE_QUEUE_PACKET_BYTES: usize = 1472;

/// As little as `readerQueueBytes` can be: a queue below a few frames could hold none.
const QUEUE_BYTES_MIN: usize = 64 << 10;

impl PathConfig {
    /// So many packets may wait for a reader, unless the path says how many bytes.
    pub(crate) fn take_write_queue(&mut self, packets: usize) {
        let bytes = packets.saturating_mul(WRITE_QUEUE_PACKET_BYTES);
        self.reader_queue_bytes = bytes.max(QUEUE_BYTES_MIN);
    }

    /// Takes over what one path, or `pathDefaults`, says.
    pub(crate) fn apply(&mut self, settings: &Settings) {
        let mut source = String::new();
        settings.text("source", &mut source);
        match source.as_str() {
            "" => {}
            "publisher" => self.source = Source::Publisher,
            _ => self.source = Source::Elsewhere(source),
        }
        settings.optional_count("maxReaders", &mut self.max_readers);
        settings.switch("overridePublisher", &mut self.override_publisher);
        settings.duration("publisherGrace", &mut self.publisher_grace);
        settings.count("logBytes", &mut self.log_bytes);
        settings.duration("logAge", &mut self.log_age);
        settings.choice(
            "slowReader",
            &[
                ("disconnect", SlowReader::Disconnect),
                ("dropToKeyFrame", SlowReader::DropToKeyFrame),
                ("skipNonReference", SlowReader::SkipNonReference),
            ],
            &mut self.slow_reader,
        );
        settings.count("readerQueueBytes", &mut self.reader_queue_bytes);
        settings.duration("readerQueueAge", &mut self.reader_queue_age);
        settings.choice(
            "start",
            &[
                ("live", Start::Live),
                ("keyFrame", Start::KeyFrame),
                ("gop", Start::Gop),
                ("catchUp", Start::CatchUp),
            ],
            &mut self.start,
        );
    }
}

/// The entries of `paths`, in the order in which they are tried.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Paths {
    exact: BTreeMap<String, PathConfig>,
    patterns: BTreeMap<String, (Pattern, PathConfig)>,
    others: Option<PathConfig>,
}

/// The name under which [`Paths`] gives out the entry that takes every other path.
pub const ALL_OTHERS: &str = "all_others";

/// Names that match everything, of which there may be one. The expression keeps its turn among
/// the others, as in MediaMTX, and the two words come last.
const CATCH_ALL_NAMES: [&str; 3] = [ALL_OTHERS, "all", "~^.*$"];

impl Paths {
    /// The entry that serves `name`, with the name that the entry has in the configuration.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(&str, &PathConfig)> {
        if let Some((entry, path)) = self.exact.get_key_value(name) {
            return Some((entry, path));
        }
        let matching =
            |(_, (pattern, _)): &(&String, &(Pattern, PathConfig))| pattern.matches(name);
        match self.patterns.iter().find(matching) {
            Some((entry, (_, path))) => Some((entry, path)),
            None => self.others.as_ref().map(|path| (ALL_OTHERS, path)),
        }
    }

    /// What the groups of the regular expression that serves `name` have matched, the first group
    /// first: hooks and sources know them as `$G1`, `$G2` … A group that took no part is empty.
    #[must_use]
    pub fn groups<'name>(&self, name: &'name str) -> Vec<&'name str> {
        if self.exact.contains_key(name) {
            return Vec::new();
        }
        let mut patterns = self.patterns.values();
        let groups = patterns.find_map(|(pattern, _)| pattern.groups(name));
        groups.unwrap_or_default()
    }

    /// Every entry with its name: exact ones, regular expressions, `all_others`, each sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &PathConfig)> {
        let exact = self.exact.iter().map(|(name, path)| (name.as_str(), path));
        let patterns = self
            .patterns
            .iter()
            .map(|(name, (_, path))| (name.as_str(), path));
        let others = self.others.iter().map(|path| (ALL_OTHERS, path));
        exact.chain(patterns).chain(others)
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exact.len() + self.patterns.len() + usize::from(self.others.is_some())
    }

    /// Whether there is no entry, so that every path is refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn set_others(&mut self, path: PathConfig) {
        self.others = Some(path);
    }

    /// Whether one of [`CATCH_ALL_NAMES`] is there.
    fn has_catch_all(&self) -> bool {
        let is_catch_all = |name: &String| CATCH_ALL_NAMES.contains(&name.as_str());
        self.others.is_some() || self.patterns.keys().any(is_catch_all)
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// What was expected instead of `name`.
    pub(crate) fn insert(&mut self, name: &str, path: PathConfig) -> Result<(), String> {
        if CATCH_ALL_NAMES.contains(&name) && self.has_catch_all() {
            return Err(format!("only one of {}", CATCH_ALL_NAMES.join(", ")));
        }
        if [ALL_OTHERS, "all"].contains(&name) {
            self.others = Some(path);
        } else if name.starts_with('~') {
            if self.patterns.len() == PATTERNS_MAX {
                return Err(format!("at most {PATTERNS_MAX} regular expressions"));
            }
            let pattern = Pattern::new(name)?;
            self.patterns.insert(name.to_owned(), (pattern, path));
        } else {
            check_name(name)?;
            self.exact.insert(name.to_owned(), path);
        }
        Ok(())
    }
}

/// Says what is wrong with the name of a path, if anything.
fn check_name(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-/.".contains(&byte);
    if name.is_empty() || name.len() > PATH_NAME_BYTES_MAX || !name.bytes().all(allowed) {
        return Err(format!(
            "a path name of 1 to {PATH_NAME_BYTES_MAX} letters, digits, '_', '-', '.' and '/'"
        ));
    }
    if name.starts_with('/') || name.ends_with('/') {
        return Err("a path name without a slash at its start or end".to_owned());
    }
    if name
        .split('/')
        .any(|segment| segment == "." || segment == "..")
    {
        return Err("a path name without '.' or '..' as a segment".to_owned());
    }
    Ok(())
}
