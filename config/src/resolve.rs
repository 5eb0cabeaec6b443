//! The judge: a tree in, a configuration out.
//!
//! Each map is read against its table of keys: types, deprecated names, what is refused until
//! it is built and what is only noted. Paths lie over `pathDefaults`, and these over the
//! defaults.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::error::Report;
use crate::keys::{Key, Status, Table};
use crate::kind::Value;
use crate::nearest;
use crate::notice::Notices;
use crate::paths::PathConfig;
use crate::place::Place;
use crate::settings::Settings;
use crate::tree::{Content, Entry, Node, quoted};

/// Reads the whole tree over the defaults; what is wrong goes to `report`.
pub(crate) fn resolve(root: &Node, report: &mut Report, notices: &mut Notices) -> Config {
    let mut judge = Judge { report, notices };
    let mut config = Config::without_paths();
    let Some(entries) = judge.map(root, "a map of keys") else {
        return config;
    };
    let (settings, moved) = judge.read(&Scope::global(), entries);
    config.apply(&settings);
    let mut defaults = judge.section(entries, "pathDefaults").to_vec();
    defaults.extend(moved);
    let (settings, _) = judge.read(&Scope::path("pathDefaults"), &defaults);
    config.path_defaults.apply(&settings);
    for entry in judge.section(entries, "paths") {
        judge.read_path(entry, &mut config);
    }
    config
}

/// The map that is being read.
struct Scope {
    table: &'static Table,
    /// What stands before its keys in a warning.
    prefix: String,
    is_global: bool,
}

impl Scope {
    fn global() -> Self {
        Self {
            table: Table::global(),
            prefix: String::new(),
            is_global: true,
        }
    }

    fn path(name: &str) -> Self {
        Self {
            table: Table::path(),
            prefix: format!("{name}."),
            is_global: false,
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

    fn read_path(&mut self, entry: &Entry, config: &mut Config) {
        let Some(entries) = self.map(&entry.value, "a map of the path's keys, or nothing") else {
            return;
        };
        let (settings, _) = self.read(&Scope::path(&format!("paths.{}", entry.key)), entries);
        let mut path: PathConfig = config.path_defaults.clone();
        path.apply(&settings);
        if let Err(expected) = config.paths.insert(&entry.key, path) {
            let text = || format!("path {}: expected {expected}", quoted(&entry.key));
            self.report.add(&entry.place, text);
        }
    }

    /// Reads the keys of one map, and gives back those that belong into `pathDefaults`.
    fn read(&mut self, scope: &Scope, entries: &[Entry]) -> (Settings, Vec<Entry>) {
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
    fn read_entry(&mut self, scope: &Scope, key: &'static Key, entry: &Entry) -> Option<Given> {
        let value = key.kind.read(key.name, &entry.value, self.report)?;
        let (successor, value) = match (key.status, value) {
            (Status::Becomes(successor), value) => (successor, value),
            (Status::Inverted(successor), Value::Switch(on)) => (successor, Value::Switch(!on)),
            (Status::First(successor), value) => (successor, Value::List(vec![value])),
            (Status::Gone, _) => {
                self.notices
                    .deprecated(&scope.prefix, key.name, "", told_at(entry));
                return None;
            }
            (_, value) => (key.name, value),
        };
        if successor != key.name {
            self.notices
                .deprecated(&scope.prefix, key.name, successor, told_at(entry));
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
        if first.value != next.value && first.place.same_layer(&next.place) {
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
    fn judge(&mut self, scope: &Scope, given: &Given) {
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
                self.notices.not_built(&scope.prefix, name, &given.place);
            }
            Status::BuiltExcept(words) => self.note_words(scope, given, words),
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

    fn note_words(&mut self, scope: &Scope, given: &Given, words: &[&str]) {
        for word in words.iter().filter(|word| has_word(&given.value, word)) {
            let name = format!("{}: {word}", given.written);
            self.notices.not_built(&scope.prefix, name, &given.place);
        }
    }

    fn unknown(&mut self, scope: &Scope, entry: &Entry) {
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
/// default is that.
fn asks_nothing(key: &Key, value: &Node) -> bool {
    match &value.content {
        Content::Null => true,
        Content::Text(text) => text.is_empty() && key.default.is_empty(),
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
