//! The configuration of a running server: what the operator has written, what was changed since,
//! and what holds.
//!
//! Four layers, the later wins: the file, changes that are kept in a file of their own, changes
//! that last until the server ends, and the environment. After every change the whole is judged
//! anew, so that a change over the API meets the checks and the errors that a file meets; what is
//! wrong changes nothing. The Control API and the signal for a reload come here, `load` makes the
//! first one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::change::{Change, ChangeError, Changed};
use crate::config::Config;
use crate::differences::{Difference, differences};
use crate::draft::Draft;
use crate::env;
use crate::error::{ConfigError, Report};
use crate::keys::{Key, waiting_for_restart};
use crate::kind::Value;
use crate::layer::Layer;
use crate::load::{read_file, read_text};
use crate::notice::Notices;
use crate::place::Place;
use crate::resolve::{Resolved, resolve};
use crate::saved;
use crate::settings::Settings;
use crate::tree::{Content, Entry, Node};
use crate::view;
use crate::yaml::{self, NODES_MAX};

/// Where a configuration comes from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The configuration file, if there is one.
    pub(crate) file: Option<PathBuf>,
    /// Where changes are kept, if they can be.
    pub(crate) changes_file: Option<PathBuf>,
    /// The environment.
    pub(crate) variables: Vec<(String, String)>,
}

/// The configuration of a running server.
#[derive(Clone)]
pub struct Document {
    origin: Origin,
    /// The file's tree.
    written: Arc<Node>,
    pub(crate) saved: Layer,
    pub(crate) unsaved: Layer,
    /// What file and environment say by themselves.
    pub(crate) unchanged: Said,
    /// What holds, waiting for a restart or not.
    pub(crate) now: Said,
    /// What the top level said when the server was started.
    started: Settings,
    config: Arc<Config>,
    warnings: Vec<String>,
}

/// What the maps of a configuration give.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) global: Settings,
    pub(crate) defaults: Settings,
    pub(crate) paths: BTreeMap<String, Settings>,
}

/// A tree that was judged and found right.
pub(crate) struct Judged {
    pub(crate) root: Node,
    pub(crate) resolved: Resolved,
    pub(crate) warnings: Vec<String>,
}

impl Document {
    /// Reads the files of `origin`, and judges all.
    pub(crate) fn open(origin: Origin) -> Result<Self, ConfigError> {
        let text = match &origin.file {
            Some(file) => read_text(file, read_file(file)?)?,
            None => String::new(),
        };
        Self::of_text(origin, &text)
    }

    /// As [`Self::open`], with the content of the configuration file.
    pub(crate) fn of_text(origin: Origin, text: &str) -> Result<Self, ConfigError> {
        let mut report = Report::default();
        let Some(root) = yaml::read(text, &mut report) else {
            return Err(report.into_error(origin.file.as_deref()));
        };
        let root = match origin.file.is_none() && names_no_path(&root, &origin.variables) {
            true => with_every_path(&root),
            false => root,
        };
        let (saved, nothing) = (read_changes(&origin)?, Layer::default());
        // The checks of the whole come with the reader's own findings, at once.
        let judged = origin.judge(&root, [&saved, &nothing], report)?;
        let unchanged = match saved.is_empty() {
            true => None,
            false => Some(origin.judge(&root, [&nothing, &nothing], Report::default())?),
        };
        let (now, config) = Said::of(judged.resolved);
        Ok(Self {
            origin,
            written: Arc::new(root),
            saved,
            unsaved: nothing,
            unchanged: unchanged.map_or_else(|| now.clone(), |it| Said::of(it.resolved).0),
            started: now.global.clone(),
            now,
            config: Arc::new(config),
            warnings: judged.warnings,
        })
    }

    /// What the server runs with. Keys that wait for a restart have the value that they had at the
    /// start.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// What an operator should read once, each a line.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The configuration file, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.origin.file.as_deref()
    }

    /// The file in which changes are kept, if they can be.
    #[must_use]
    pub fn changes_file(&self) -> Option<&Path> {
        self.origin.changes_file.as_deref()
    }

    /// How many kept changes lie over the file: keys, and paths that were added or removed.
    #[must_use]
    pub fn kept_changes(&self) -> usize {
        let layer = &self.saved;
        layer.global.len() + layer.defaults.len() + layer.paths.len() + layer.removed.len()
    }

    /// The top level as the API shows it: an object of all keys but `pathDefaults` and `paths`.
    #[must_use]
    pub fn global_json(&self) -> String {
        view::global(&self.now.global)
    }

    /// `pathDefaults`, likewise.
    #[must_use]
    pub fn defaults_json(&self) -> String {
        view::path("", &self.now.defaults, &Settings::default())
    }

    /// A path by the name that its entry has, likewise; `None`: there is no such entry.
    #[must_use]
    pub fn path_json(&self, name: &str) -> Option<String> {
        let settings = self.now.paths.get(name)?;
        Some(view::path(name, settings, &self.now.defaults))
    }

    /// The names of all entries of `paths`, sorted.
    pub fn path_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.now.paths.keys().map(String::as_str)
    }

    /// How what holds differs from what file and environment say, in the order of the keys.
    #[must_use]
    pub fn differences(&self) -> Vec<Difference> {
        differences(self)
    }

    /// The keys whose change has effect only at the next start.
    #[must_use]
    pub fn waiting(&self) -> Vec<&'static str> {
        let now = &self.now.global;
        let waits = |key: &&Key| !same(key, now, &self.started);
        let keys = waiting_for_restart().filter(waits);
        keys.map(|key| key.name).collect()
    }

    /// Makes a change, for good when `persist`, else until the server ends or the changes are
    /// dropped.
    ///
    /// # Errors
    /// Why it was not made; nothing has changed then.
    pub fn change(&mut self, change: Change, persist: bool) -> Result<Changed, ChangeError> {
        if persist && self.origin.changes_file.is_none() {
            return Err(ChangeError::NothingKept);
        }
        let draft = Draft::of(self, change, persist)?;
        let judged = self.judge(&draft.saved, &draft.unsaved)?;
        let draft = draft.checked(self, &judged)?;
        if persist {
            // It has to be right also by itself, at the next start.
            if !draft.unsaved.is_empty() {
                self.judge(&draft.saved, &Layer::default())?;
            }
            self.keep(&draft.saved)?;
        }
        (self.saved, self.unsaved) = (draft.saved, draft.unsaved);
        Ok(self.take(judged))
    }

    /// Drops all changes, kept ones too.
    ///
    /// # Errors
    /// Why they were not dropped; nothing has changed then.
    pub fn revert(&mut self) -> Result<Changed, ChangeError> {
        let nothing = Layer::default();
        let judged = self.judge(&nothing, &nothing)?;
        self.keep(&nothing)?;
        (self.saved, self.unsaved) = (nothing.clone(), nothing);
        Ok(self.take(judged))
    }

    /// Reads the files again. Changes that are not kept stay.
    ///
    /// # Errors
    /// What is wrong with them; nothing has changed then.
    pub fn reload(&mut self) -> Result<Changed, ConfigError> {
        let mut next = Self::open(self.origin.clone())?;
        next.unsaved = self.unsaved.clone();
        let judged = next.judge(&next.saved, &next.unsaved)?;
        next.started = self.started.clone();
        next.config = self.config.clone();
        next.warnings = std::mem::take(&mut self.warnings);
        let changed = next.take(judged);
        *self = next;
        Ok(changed)
    }

    fn judge(&self, saved: &Layer, unsaved: &Layer) -> Result<Judged, ConfigError> {
        let layers = [saved, unsaved];
        self.origin.judge(&self.written, layers, Report::default())
    }

    /// Writes what is to last.
    fn keep(&self, layer: &Layer) -> Result<(), ChangeError> {
        let Some(file) = &self.origin.changes_file else {
            return Ok(());
        };
        let done = match layer.is_empty() {
            true => saved::remove(file),
            false => {
                let text = layer.to_text();
                // What cannot be read again must not wait for the next start to say so.
                parse_changes(file, &text)?;
                saved::replace(file, &text)
            }
        };
        done.map_err(ChangeError::NotKept)
    }

    /// Goes over to what was judged.
    fn take(&mut self, judged: Judged) -> Changed {
        let (now, config) = Said::of(judged.resolved);
        self.now = now;
        let mut config = self.running(config);
        if config.access == self.config.access {
            config.access = self.config.access.clone();
        }
        self.config = Arc::new(config);
        let known = std::mem::replace(&mut self.warnings, judged.warnings);
        let is_new = |warning: &&String| !known.contains(warning);
        Changed {
            warnings: self.warnings.iter().filter(is_new).cloned().collect(),
            waiting: self.waiting(),
        }
    }

    /// `config`, but where a key waits for a restart, what it was at the start.
    fn running(&self, mut config: Config) -> Config {
        let mut kept = Settings::default();
        for key in waiting_for_restart().filter(|key| !same(key, &self.now.global, &self.started)) {
            if let Some(value) = effective(key, &self.started) {
                kept.insert(key.name, value);
            }
        }
        config.apply(&kept);
        config
    }

    /// Whether the environment says something of paths.
    pub(crate) fn has_path_variables(&self) -> bool {
        let mut names = self.origin.variables.iter();
        names.any(|(name, _)| env::names_a_path(name))
    }

    /// Whether a change of `key` to what `settings` give would have to wait for a restart, and does
    /// not wait already.
    pub(crate) fn would_wait(&self, key: &Key, settings: &Settings) -> bool {
        !same(key, settings, &self.started) && !same(key, settings, &self.now.global)
    }
}

/// Without what was written, which may hold credentials.
impl fmt::Debug for Document {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Document")
            .field("file", &self.origin.file)
            .field("changes_file", &self.origin.changes_file)
            .field("paths", &self.now.paths.len())
            .finish_non_exhaustive()
    }
}

impl Origin {
    /// Judges the tree of the file with `layers` and the environment over it. `report` has what
    /// was found before.
    fn judge(
        &self,
        root: &Node,
        layers: [&Layer; 2],
        mut report: Report,
    ) -> Result<Judged, ConfigError> {
        let mut notices = Notices::default();
        let mut root = root.clone();
        for layer in layers.into_iter().filter(|layer| !layer.is_empty()) {
            root = layer.over(&root);
        }
        if root.weight > NODES_MAX {
            let text = || format!("more than {NODES_MAX} values with all changes");
            report.add(&root.place, text);
            return Err(report.into_error(self.file.as_deref()));
        }
        let variables = self.variables.iter().cloned();
        env::overlay(&mut root, variables, &mut report, &mut notices);
        let resolved = resolve(&root, &mut report, &mut notices);
        report.finish(self.file.as_deref())?;
        let mut warnings = notices.warnings();
        if resolved.config.paths.is_empty() {
            warnings.push(
                "no path is configured, every publisher and reader is refused; 'paths: \
                 {all_others: }' opens all"
                    .to_owned(),
            );
        }
        Ok(Judged {
            root,
            resolved,
            warnings,
        })
    }
}

impl Said {
    fn of(resolved: Resolved) -> (Self, Config) {
        let said = Self {
            global: resolved.global,
            defaults: resolved.defaults,
            paths: resolved.paths,
        };
        (said, resolved.config)
    }
}

/// What `key` has where `settings` are all that was given.
pub(crate) fn effective(key: &Key, settings: &Settings) -> Option<Value> {
    let given = settings.value(key.name).cloned();
    given.or_else(|| key.kind.read_default(key.default))
}

/// Whether `key` means the same in both.
pub(crate) fn same(key: &Key, one: &Settings, other: &Settings) -> bool {
    let normal = |settings| effective(key, settings).map(|value| key.kind.normal(&value));
    normal(one) == normal(other)
}

/// The layer of kept changes.
fn read_changes(origin: &Origin) -> Result<Layer, ConfigError> {
    let Some(file) = &origin.changes_file else {
        return Ok(Layer::default());
    };
    match read_file(file) {
        Err(ConfigError::Unreadable { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(Layer::default())
        }
        read => parse_changes(file, &read_text(file, read?)?),
    }
}

fn parse_changes(file: &Path, text: &str) -> Result<Layer, ConfigError> {
    let mut report = Report::default();
    let name: Arc<str> = Arc::from(file.display().to_string());
    let place = |line, column| Place::Changes {
        file: name.clone(),
        line,
        column,
    };
    let root = yaml::read_as(text, &place, &mut report);
    let layer = root.map(|root| Layer::of_tree(&root, &mut report));
    report.finish(Some(file))?;
    Ok(layer.unwrap_or_default())
}

/// Whether neither a tree nor the environment says which paths there are.
fn names_no_path(root: &Node, variables: &[(String, String)]) -> bool {
    let paths = root.find("paths");
    paths.is_none_or(|paths| matches!(paths.content, Content::Null))
        && !variables.iter().any(|(name, _)| env::names_a_path(name))
}

/// The tree of a server without a file: every path is open until somebody says otherwise.
fn with_every_path(root: &Node) -> Node {
    let place = Place::File { line: 1, column: 1 };
    let entry = |key: &str, value: Node| Entry {
        key: key.to_owned(),
        place: place.clone(),
        value: Arc::new(value),
    };
    let others = entry(crate::paths::ALL_OTHERS, Node::null(place.clone()));
    let paths = entry("paths", Node::map(vec![others], place.clone()));
    let is_left = |entry: &&Entry| entry.key != "paths";
    let mut entries: Vec<Entry> = root.entries().iter().filter(is_left).cloned().collect();
    entries.push(paths);
    Node::map(entries, root.place.clone())
}
