//! The judge: a tree in, a configuration out.
//!
//! Each map is read against its table of keys: types, deprecated names, what is refused until
//! it is built and what is only noted. Paths lie over `pathDefaults`, and these over the
//! defaults. What the paths say of users in the old way becomes users at the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::access::AccessConfig;
use crate::config::{AuthMethod, Config};
use crate::error::Report;
use crate::keys::{Key, Status, Table};
use crate::kind::{Kind, Value};
use crate::nearest;
use crate::notice::Notices;
use crate::old_access::{self, OldPaths};
use crate::paths::PathConfig;
use crate::place::Place;
use crate::settings::Settings;
use crate::tree::{Content, Entry, Node, quoted};
use crate::users;

/// What a tree says.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    /// Every default applied.
    pub(crate) config: Config,
    /// What the top level gives.
    pub(crate) global: Settings,
    /// What `pathDefaults` gives.
    pub(crate) defaults: Settings,
    /// What each path gives, by the name that its entry has.
    pub(crate) paths: BTreeMap<String, Settings>,
}

/// Reads the whole tree over the defaults; what is wrong goes to `report`.
pub(crate) fn resolve(root: &Node, report: &mut Report, notices: &mut Notices) -> Resolved {
    let mut resolved = Resolved {
        config: Config::without_paths(),
        ..Resolved::default()
    };
    let mut judge = Judge {
        report,
        notices,
        digest: None,
        old_paths: OldPaths::default(),
        old_key: None,
    };
    let Some(entries) = judge.map(root, "a map of keys") else {
        return resolved;
    };
    let (settings, moved) = judge.read(&Scope::global(), entries);
    resolved.config.apply(&settings);
    judge.check_users(entries, &settings, &resolved.config);
    let mut defaults = judge.section(entries, "pathDefaults").to_vec();
    defaults.extend(moved);
    judge.read_defaults(&defaults, &mut resolved);
    for entry in judge.section(entries, "paths") {
        judge.read_path(entry, &mut resolved);
    }
    judge.take_old_users(&settings, &mut resolved);
    resolved.global = settings;
    resolved
}

/// The map that is being read.
struct Scope<'a> {
    table: &'static Table,
    /// What stands before its keys in a warning, in two parts.
    prefix: [&'a str; 2],
    is_global: bool,
}

impl<'a> Scope<'a> {
    fn global() -> Self {
        Self {
            table: Table::global(),
            prefix: [""; 2],
            is_global: true,
        }
    }

    fn path(prefix: [&'a str; 2]) -> Self {
        Self {
            table: Table::path(),
            prefix,
            is_global: false,
        }
    }

    fn prefix(&self) -> String {
        let [first, second] = self.prefix;
        match self.is_global {
            true => String::new(),
            false => format!("{first}{second}."),
        }
    }
}

/// A value under the key that is valid today.
struct Given {
    key: &'static Key,
    /// The key as it was written, which may be a deprecated one.
    written: &'static str,
    place: Place,
    value: Value,
}

struct Judge<'a> {
    report: &'a mut Report,
    notices: &'a mut Notices,
    /// Where digest authentication is asked for.
    digest: Option<Place>,
    /// What the paths say of users in the old way.
    old_paths: OldPaths,
    /// The first key that does so.
    old_key: Option<(&'static str, Place)>,
}

impl Judge<'_> {
    /// The entries of `node`, none if it is empty. `None`: it is something else.
    fn map<'node>(&mut self, node: &'node Node, expected: &str) -> Option<&'node [Entry]> {
        match &node.content {
            Content::Map(entries) => Some(entries),
            Content::Null => Some(&[]),
            _ => {
                let found = node.found();
                let text = || format!("expected {expected}, found {found}");
                self.report.add(&node.place, text);
                None
            }
        }
    }

    /// The entries below `name`, one of the two keys of the top level that hold maps.
    fn section<'node>(&mut self, entries: &'node [Entry], name: &str) -> &'node [Entry] {
        let Some(entry) = entries.iter().find(|entry| entry.key == name) else {
            return &[];
        };
        let expected = format!("a map of keys below {name}");
        self.map(&entry.value, &expected).unwrap_or(&[])
    }

    fn read_defaults(&mut self, entries: &[Entry], resolved: &mut Resolved) {
        let (settings, _) = self.read(&Scope::path(["pathDefaults", ""]), entries);
        resolved.config.path_defaults.apply(&settings);
        self.old_paths.set_defaults(&settings);
        self.refuse_hashed(entries);
        resolved.defaults = settings;
    }

    fn read_path(&mut self, entry: &Entry, resolved: &mut Resolved) {
        let Some(entries) = self.map(&entry.value, "a map of the path's keys, or nothing") else {
            return;
        };
        let (settings, _) = self.read(&Scope::path(["paths.", &entry.key]), entries);
        let mut path: PathConfig = resolved.config.path_defaults.clone();
        path.apply(&settings);
        if let Err(expected) = resolved.config.paths.insert(&entry.key, path) {
            let text = || format!("path {}: expected {expected}", quoted(&entry.key));
            self.report.add(&entry.place, text);
        }
        self.refuse_hashed(entries);
        if let Some(lone) = self.old_paths.lone_password(&settings) {
            let text = || format!("{lone}: a password without the name of a user locks nothing");
            self.report.add(&entry.place, text);
        }
        resolved.paths.insert(entry.key.clone(), settings);
    }

    /// What is wrong with users and their authentication beside the types of values.
    fn check_users(&mut self, entries: &[Entry], settings: &Settings, config: &Config) {
        let methods = ["rtspAuthMethods", "authMethods"];
        let is_given = |entry: &&Entry| methods.contains(&entry.key.as_str());
        let given = entries.iter().rfind(is_given);
        let place = given.map(|entry| told_at(entry).clone());
        if let (Some(Value::List(words)), Some(place)) = (settings.value(methods[0]), &place)
            && words.is_empty()
        {
            let text = || "rtspAuthMethods: expected basic, digest or both".to_owned();
            self.report.add(place, text);
        }
        let has_digest =
            config.rtsp.enabled && config.rtsp.auth_methods.contains(&AuthMethod::Digest);
        self.digest = place.filter(|_| has_digest);
        if let Some(entry) = entries.iter().find(|entry| entry.key == users::USERS) {
            users::check(&entry.value, self.report);
            if let Some(digest) = &self.digest {
                users::refuse_hashed_users(&entry.value, digest, self.report);
            }
        }
    }

    /// Refuses hashes among the keys of a path that digest authentication cannot use.
    fn refuse_hashed(&mut self, entries: &[Entry]) {
        if let Some(digest) = &self.digest {
            users::refuse_hashed(entries, old_access::CREDENTIALS, digest, self.report);
        }
    }

    /// Makes users of what the paths say in the old way, if any does.
    fn take_old_users(&mut self, settings: &Settings, resolved: &mut Resolved) {
        let Some((old_key, place)) = &self.old_key else {
            return;
        };
        let key = Table::global().find(users::USERS);
        let given = key.zip(settings.value(users::USERS));
        if given.is_some_and(|(key, value)| !key.is_default(value)) {
            self.report.add(place, || {
                format!("{old_key} and {} cannot be used together", users::USERS)
            });
        }
        let mut old_paths = std::mem::take(&mut self.old_paths);
        for (name, settings) in &resolved.paths {
            old_paths.add(name, settings);
        }
        let users = old_paths.into_users();
        resolved.config.access = Arc::new(AccessConfig { users });
    }

    /// Reads the keys of one map, and gives back those that belong into `pathDefaults`.
    fn read(&mut self, scope: &Scope<'_>, entries: &[Entry]) -> (Settings, Vec<Entry>) {
        let mut given: BTreeMap<&'static str, Given> = BTreeMap::new();
        let mut moved = Vec::new();
        for entry in entries {
            if scope.is_global && ["paths", "pathDefaults"].contains(&entry.key.as_str()) {
                continue;
            }
            let Some(key) = scope.table.find(&entry.key) else {
                self.unknown(scope, entry);
                continue;
            };
            if asks_nothing(key, &entry.value) {
                continue;
            }
            if key.status == Status::InPathDefaults {
                let now = "pathDefaults, under the same name";
                self.notices.deprecated("", key.name, now, told_at(entry));
                moved.push(entry.clone());
            } else if let Some(next) = self.read_entry(scope, key, entry) {
                self.take(&mut given, next);
            }
        }
        let mut settings = Settings::default();
        for (name, given) in given {
            self.judge(scope, &given);
            settings.insert(name, given.value);
        }
        (settings, moved)
    }

    /// One value, under its key's successor.
    fn read_entry(&mut self, scope: &Scope<'_>, key: &'static Key, entry: &Entry) -> Option<Given> {
        let value = key.kind.read(key.name, &entry.value, self.report)?;
        let (successor, value) = match (key.status, value) {
            (Status::Becomes(successor), value) => (successor, value),
            (Status::Inverted(successor), Value::Switch(on)) => (successor, Value::Switch(!on)),
            (Status::First(successor), value) => (successor, Value::List(vec![value])),
            (Status::Gone, _) => {
                self.notices
                    .deprecated(&scope.prefix(), key.name, "", told_at(entry));
                return None;
            }
            (_, value) => (key.name, value),
        };
        if successor != key.name {
            self.notices
                .deprecated(&scope.prefix(), key.name, successor, told_at(entry));
        }
        Some(Given {
            key: scope.table.find(successor)?,
            written: key.name,
            place: told_at(entry).clone(),
            value,
        })
    }

    /// Of two keys that mean the same, the environment's wins over the file's; two that were
    /// written in one place and disagree are an error.
    fn take(&mut self, given: &mut BTreeMap<&'static str, Given>, next: Given) {
        let Some(first) = given.get(next.key.name) else {
            given.insert(next.key.name, next);
            return;
        };
        let normal = |given: &Given| given.key.kind.normal(&given.value);
        if normal(first) != normal(&next) && first.place.same_layer(&next.place) {
            let text = || {
                let (name, other, place) = (next.written, first.written, &first.place);
                format!("{name} and {other} ({place}) mean the same key and disagree: keep one")
            };
            self.report.add(&next.place, text);
        } else if next.place.is_variable() {
            given.insert(next.key.name, next);
        }
    }

    /// Refuses or notes what is not built.
    fn judge(&mut self, scope: &Scope<'_>, given: &Given) {
        match given.key.status {
            Status::Restricting(does) if !given.key.is_default(&given.value) => {
                self.refuse(given, does);
            }
            Status::BuiltNotEmpty if given.value == Value::List(Vec::new()) => {
                let text = || format!("{}: expected {}", given.written, given.key.kind.expected());
                self.report.add(&given.place, text);
            }
            Status::NotBuilt if !given.key.is_default(&given.value) => {
                let name = given.written.to_owned();
                self.notices.not_built(&scope.prefix(), name, &given.place);
            }
            Status::BuiltExcept(words) => self.note_words(scope, given, words),
            Status::BecomesUsers if !given.key.is_default(&given.value) => {
                let (key, place) = (given.key.name, &given.place);
                self.notices
                    .deprecated(&scope.prefix(), key, users::USERS, place);
                self.old_key.get_or_insert_with(|| (key, place.clone()));
            }
            _ => {}
        }
    }

    fn refuse(&mut self, given: &Given, does: &str) {
        self.report.add(&given.place, || {
            let key = match given.written {
                written if written == given.key.name => written.to_owned(),
                written => format!("{written} (now {})", given.key.name),
            };
            format!(
                "{key}: {does} and is not built yet; refusing to start open, only its default \
                 is accepted"
            )
        });
    }

    fn note_words(&mut self, scope: &Scope<'_>, given: &Given, words: &[&str]) {
        for word in words.iter().filter(|word| has_word(&given.value, word)) {
            let name = format!("{}: {word}", given.written);
            self.notices.not_built(&scope.prefix(), name, &given.place);
        }
    }

    fn unknown(&mut self, scope: &Scope<'_>, entry: &Entry) {
        let key = entry.key.as_str();
        let (elsewhere, known_there) = match scope.is_global {
            true => ("pathDefaults or in a path", Table::path().find(key)),
            false => ("the top level", Table::global().find(key)),
        };
        self.report.add(told_at(entry), || {
            let hint = match known_there {
                Some(_) => format!(" here; it belongs in {elsewhere}"),
                None => {
                    let sections = ["paths", "pathDefaults"].into_iter();
                    let sections = sections.filter(|_| scope.is_global);
                    nearest::hint(key, scope.table.names().chain(sections))
                }
            };
            format!("unknown key {}{hint}", quoted(key))
        });
    }
}

/// Whether the value is what the key has without it: nothing, or the empty text of a key whose
/// default is that. Not so where that would say less than was meant: a list that is not empty by
/// default may have been meant to be, and an old key of a path takes back that of `pathDefaults`.
fn asks_nothing(key: &Key, value: &Node) -> bool {
    match &value.content {
        Content::Null => !matches!(key.kind, Kind::Records(_)) || key.default.is_empty(),
        Content::Text(text) => {
            let is_old = key.status == Status::BecomesUsers;
            text.is_empty() && key.default.is_empty() && !is_old
        }
        _ => false,
    }
}

/// Where an error about a key points: at the key, or at the variable that has set it.
fn told_at(entry: &Entry) -> &Place {
    match entry.value.place.is_variable() {
        true => &entry.value.place,
        false => &entry.place,
    }
}

fn has_word(value: &Value, word: &str) -> bool {
    let is_word = |value: &Value| matches!(value, Value::Text(text) if text == word);
    match value {
        Value::List(items) => items.iter().any(is_word),
        value => is_word(value),
    }
}
