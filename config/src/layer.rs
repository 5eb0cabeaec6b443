//! A layer of changes: what was set, added and removed at run time, over the tree of a file.
//!
//! Filled by `document` from requests and from the file in which changes are kept, put over the
//! file's tree before anything is judged. A key of a layer takes the place of the same key below,
//! whatever name of its history it has there.
//!
//! Its file looks like a configuration, with one more key, `removedPaths`: paths of the
//! configuration that are gone. What the file gives of a path lies over what the configuration
//! says of it, unless it is removed too: then it is the whole path.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use crate::error::Report;
use crate::keys::{Status, Table};
use crate::place::Place;
use crate::tree::{Content, Entry, Node, Written};

/// The key of a changes file that names paths of the configuration that are gone.
const REMOVED_PATHS: &str = "removedPaths";

/// Keys, each under the name that is valid today, as they were written.
pub(crate) type Keys = BTreeMap<String, Entry>;

/// What lies over a tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layer {
    /// Keys of the top level.
    pub(crate) global: Keys,
    /// Keys of `pathDefaults`.
    pub(crate) defaults: Keys,
    /// Paths, each with keys that lie over those that it has below.
    pub(crate) paths: BTreeMap<Arc<str>, Arc<PathLayer>>,
    /// Paths of which nothing below counts.
    pub(crate) removed: BTreeSet<String>,
}

/// What lies over one path.
#[derive(Clone, Debug)]
pub(crate) struct PathLayer {
    /// Where it was said.
    pub(crate) place: Place,
    pub(crate) keys: Keys,
    /// What it is where there is nothing below.
    alone: Arc<Node>,
}

impl PathLayer {
    fn new(place: Place, keys: Keys) -> Self {
        let alone = Arc::new(merged(&Node::null(place.clone()), &keys));
        Self { place, keys, alone }
    }
}

impl Layer {
    /// Whether it changes nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.global.is_empty()
            && self.defaults.is_empty()
            && self.paths.is_empty()
            && self.removed.is_empty()
    }

    /// Sets keys of the top level; those that moved to `pathDefaults` are set there.
    pub(crate) fn set_global(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let name = canonical(Table::global(), &entry.key);
            match is_moved(&entry.key) {
                true => self.defaults.insert(name, entry),
                false => self.global.insert(name, entry),
            };
        }
    }

    /// Sets keys of `pathDefaults`.
    pub(crate) fn set_defaults(&mut self, entries: Vec<Entry>) {
        self.defaults.extend(keys_of(entries));
    }

    /// Sets keys of a path.
    pub(crate) fn set_path(&mut self, name: &str, place: &Place, entries: Vec<Entry>) {
        let (place, mut keys) = match self.paths.get(name) {
            Some(path) => (path.place.clone(), path.keys.clone()),
            None => (place.clone(), Keys::new()),
        };
        keys.extend(keys_of(entries));
        let path = Arc::new(PathLayer::new(place, keys));
        self.paths.insert(Arc::from(name), path);
    }

    /// Takes a path away, with all that this layer and those below say of it.
    pub(crate) fn remove_path(&mut self, name: &str, is_below: bool) {
        self.paths.remove(name);
        if is_below {
            self.removed.insert(name.to_owned());
        } else {
            self.removed.remove(name);
        }
    }

    /// Takes over what the layer above says of a path.
    pub(crate) fn take_path_of(&mut self, above: &mut Self, name: &str, is_below: bool) {
        if above.removed.remove(name) {
            self.remove_path(name, is_below);
        }
        if let Some(path) = above.paths.remove(name) {
            let entries = path.keys.values().cloned().collect();
            self.set_path(name, &path.place, entries);
        }
    }

    /// `root` with this layer over it.
    pub(crate) fn over(&self, root: &Node) -> Node {
        let table = Table::global();
        let mut entries = root.entries().to_vec();
        entries.retain(|entry| {
            let is_replaced = match is_moved(&entry.key) {
                true => self.defaults.contains_key(&entry.key),
                false => self.global.contains_key(&canonical(table, &entry.key)),
            };
            !is_replaced
        });
        entries.extend(self.global.values().cloned());
        if !self.defaults.is_empty() {
            change_section(&mut entries, "pathDefaults", |section| {
                merged(section, &self.defaults)
            });
        }
        if !(self.paths.is_empty() && self.removed.is_empty()) {
            change_section(&mut entries, "paths", |section| self.over_paths(section));
        }
        Node::map(entries, root.place.clone())
    }

    fn over_paths(&self, paths: &Node) -> Node {
        let is_left = |entry: &&Entry| !self.removed.contains(&entry.key);
        let left = paths.entries().iter().filter(is_left);
        let mut entries: Vec<Entry> = left.cloned().collect();
        let mut is_below = HashSet::new();
        for entry in &mut entries {
            if let Some((name, path)) = self.paths.get_key_value(entry.key.as_str()) {
                entry.value = Arc::new(merged(&entry.value, &path.keys));
                is_below.insert(name.clone());
            }
        }
        let others = self.paths.iter();
        let others = others.filter(|(name, _)| !is_below.contains(*name));
        entries.extend(others.map(|(name, path)| Entry {
            key: name.to_string(),
            place: path.place.clone(),
            value: path.alone.clone(),
        }));
        Node::map(entries, paths.place.clone())
    }

    /// Reads the content of a changes file.
    pub(crate) fn of_tree(root: &Node, report: &mut Report) -> Self {
        let mut layer = Self::default();
        let mut global = Vec::new();
        for entry in expect_map(root, "a map of changes", report) {
            match entry.key.as_str() {
                "pathDefaults" => {
                    let keys = expect_map(&entry.value, "a map of keys", report);
                    layer.set_defaults(keys.to_vec());
                }
                "paths" => {
                    for path in expect_map(&entry.value, "a map of paths", report) {
                        let keys = expect_map(&path.value, "a map of the path's keys", report);
                        layer.set_path(&path.key, &path.place, keys.to_vec());
                    }
                }
                REMOVED_PATHS => layer.removed = removed_paths(&entry.value, report),
                _ => global.push(entry.clone()),
            }
        }
        layer.set_global(global);
        layer
    }

    /// The content of a changes file.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::from(
            "# Changes that were made over the Control API and are to last. They lie over the\n\
             # configuration file, and below the environment. Shardcast writes this file anew at\n\
             # every such change.\n",
        );
        write_keys(&mut text, "", &self.global);
        if !self.defaults.is_empty() {
            text += "pathDefaults:\n";
            write_keys(&mut text, "  ", &self.defaults);
        }
        if !self.removed.is_empty() {
            let _ = writeln!(text, "{REMOVED_PATHS}:");
            for name in &self.removed {
                let _ = writeln!(text, "  - {}", in_quotes(name));
            }
        }
        if !self.paths.is_empty() {
            text += "paths:\n";
        }
        for (name, path) in &self.paths {
            let _ = writeln!(text, "  {}:", in_quotes(name));
            write_keys(&mut text, "    ", &path.keys);
        }
        text
    }
}

/// The name that is valid today of a key of `table`.
pub(crate) fn canonical(table: &Table, name: &str) -> String {
    let status = table.find(name).map(|key| key.status);
    match status {
        Some(
            Status::Becomes(successor) | Status::Inverted(successor) | Status::First(successor),
        ) => successor.to_owned(),
        _ => name.to_owned(),
    }
}

/// Whether a key of the top level is one of `pathDefaults` today.
fn is_moved(name: &str) -> bool {
    let key = Table::global().find(name);
    key.is_some_and(|key| key.status == Status::InPathDefaults)
}

fn keys_of(entries: Vec<Entry>) -> Keys {
    let keys = entries.into_iter();
    keys.map(|entry| (canonical(Table::path(), &entry.key), entry))
        .collect()
}

/// A map of a path's keys with others over them.
fn merged(map: &Node, keys: &Keys) -> Node {
    let is_left = |entry: &&Entry| !keys.contains_key(&canonical(Table::path(), &entry.key));
    let left = map.entries().iter().filter(is_left).cloned();
    let entries: Vec<Entry> = left.chain(keys.values().cloned()).collect();
    match entries.is_empty() {
        true => Node::null(map.place.clone()),
        false => Node::map(entries, map.place.clone()),
    }
}

fn change_section(entries: &mut Vec<Entry>, name: &str, change: impl FnOnce(&Node) -> Node) {
    match entries.iter_mut().find(|entry| entry.key == name) {
        Some(entry) => entry.value = Arc::new(change(&entry.value)),
        None => {
            let place = Place::Body(Arc::from(""));
            entries.push(Entry {
                key: name.to_owned(),
                place: place.clone(),
                value: Arc::new(change(&Node::null(place))),
            });
        }
    }
}

/// The entries of a map, or none of an empty value; anything else is reported.
fn expect_map<'node>(node: &'node Node, expected: &str, report: &mut Report) -> &'node [Entry] {
    if !matches!(node.content, Content::Map(_) | Content::Null) {
        let found = node.found();
        report.add(&node.place, || {
            format!("expected {expected}, found {found}")
        });
    }
    node.entries()
}

fn removed_paths(node: &Node, report: &mut Report) -> BTreeSet<String> {
    let items = match &node.content {
        Content::List(items) => items.as_slice(),
        _ => &[],
    };
    let name = |item: &Arc<Node>| match &item.content {
        Content::Text(name) => Some(name.clone()),
        _ => None,
    };
    let names: Option<BTreeSet<String>> = items.iter().map(name).collect();
    if names.is_none() || !matches!(node.content, Content::List(_) | Content::Null) {
        let text = || format!("{REMOVED_PATHS}: expected a list of the names of paths");
        report.add(&node.place, text);
    }
    names.unwrap_or_default()
}

// Writing to a string cannot fail.
fn write_keys(text: &mut String, indent: &str, keys: &Keys) {
    for entry in keys.values() {
        let _ = write!(text, "{indent}{}: ", in_quotes(&entry.key));
        write_flow(text, &entry.value);
        text.push('\n');
    }
}

/// A value on one line, as YAML and JSON both read it.
fn write_flow(text: &mut String, node: &Node) {
    match &node.content {
        Content::Null => *text += "null",
        Content::Text(word) if matches!(node.written, Written::Switch | Written::Number) => {
            *text += word;
        }
        Content::Text(word) => *text += &quote(word),
        Content::List(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                *text += if at == 0 { "" } else { ", " };
                write_flow(text, item);
            }
            text.push(']');
        }
        Content::Map(entries) => {
            text.push('{');
            for (at, entry) in entries.iter().enumerate() {
                *text += if at == 0 { "" } else { ", " };
                *text += &format!("{}: ", quote(&entry.key));
                write_flow(text, &entry.value);
            }
            text.push('}');
        }
    }
}

/// A name as it is where YAML can take it for nothing else.
fn in_quotes(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let begins = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic());
    let is_word = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let is_word = is_word.contains(&name.to_ascii_lowercase().as_str());
    match begins && !is_word && name.bytes().all(is_plain) {
        true => name.to_owned(),
        false => quote(name),
    }
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
