//! The environment: `MTX_` and a key in upper case override the file.
//!
//! Variables are put into the tree before anything is judged, so that they go through the same
//! checks, and carry their own name as their place. Maps are reached by `MTX_PATHDEFAULTS_KEY`
//! and `MTX_PATHS_NAME_KEY` (the name in lower case and without `_`, as in MediaMTX), lists of
//! maps by index (`MTX_AUTHINTERNALUSERS_0_USER`), other lists with commas. The older prefix
//! `RTSP_` counts too, below `MTX_`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::Report;
use crate::keys::Table;
use crate::kind::{Field, Kind};
use crate::nearest;
use crate::notice::Notices;
use crate::place::Place;
use crate::tree::{Content, Node};

/// What hooks are told, and might pass on to a server that they start.
const HOOK_VARIABLES: [&str; 10] = [
    "MTX_PATH",
    "MTX_QUERY",
    "MTX_SOURCE_TYPE",
    "MTX_SOURCE_ID",
    "MTX_READER_TYPE",
    "MTX_READER_ID",
    "MTX_CONN_TYPE",
    "MTX_CONN_ID",
    "MTX_SEGMENT_PATH",
    "MTX_SEGMENT_DURATION",
];

/// Keys to an encrypted configuration file.
const FILE_KEYS: [&str; 2] = ["MTX_CONFKEY", "RTSP_CONFKEY"];

/// One step from the root of the tree to a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(&'static str),
    PathName(String),
    Index(usize),
}

/// Puts what `variables` say into `root`.
pub(crate) fn overlay(
    root: &mut Node,
    variables: impl Iterator<Item = (String, String)>,
    report: &mut Report,
    notices: &mut Notices,
) {
    let variables: BTreeMap<String, String> = variables.collect();
    for name in FILE_KEYS
        .iter()
        .filter(|name| variables.contains_key(**name))
    {
        let place = Place::Variable(Arc::from(*name));
        report.add(&place, || {
            "encrypted configuration files are not built yet".to_owned()
        });
    }
    for prefix in ["RTSP_", "MTX_"] {
        let mut changes = Vec::new();
        for (name, value) in &variables {
            let Some(rest) = name.strip_prefix(prefix) else {
                continue;
            };
            match locate(rest) {
                Some(steps) => changes.push((steps, name, value)),
                None if is_foreign(name) => {}
                None => notices.unknown_variable(name, || hint(name)),
            }
        }
        // By index, so that a list grows from its front.
        changes.sort();
        for (steps, name, value) in changes {
            apply(root, &steps, name, value, report);
        }
    }
}

/// Whether a variable says that there is a path.
pub(crate) fn names_a_path(name: &str) -> bool {
    let rest = name.strip_prefix("MTX_").or(name.strip_prefix("RTSP_"));
    let steps = rest.and_then(locate);
    steps.is_some_and(|steps| matches!(steps.as_slice(), [Step::Key("paths"), ..]))
}

/// Whether a variable that names no key is none of ours.
fn is_foreign(name: &str) -> bool {
    name.starts_with("RTSP_") || HOOK_VARIABLES.contains(&name) || FILE_KEYS.contains(&name)
}

fn hint(name: &str) -> String {
    let keys = Table::global().names();
    let names: Vec<String> = keys.map(|key| format!("MTX_{}", upper_case(key))).collect();
    nearest::hint(name, names.iter().map(String::as_str))
}

fn upper_case(key: &str) -> String {
    key.to_ascii_uppercase()
}

/// The way to the value that the variable `MTX_<rest>` sets.
fn locate(rest: &str) -> Option<Vec<Step>> {
    if let Some(rest) = rest.strip_prefix("PATHDEFAULTS_") {
        let steps = locate_key(Table::path(), rest)?;
        return Some([vec![Step::Key("pathDefaults")], steps].concat());
    }
    if let Some(rest) = rest.strip_prefix("PATHS_") {
        let (name, rest) = match rest.split_once('_') {
            Some((name, rest)) => (name, Some(rest)),
            None => (rest, None),
        };
        if name.is_empty() || name.contains(|c: char| c.is_ascii_lowercase()) {
            return None;
        }
        let steps = match rest {
            Some(rest) => locate_key(Table::path(), rest)?,
            None => Vec::new(),
        };
        let path = [Step::Key("paths"), Step::PathName(name.to_lowercase())];
        return Some([path.to_vec(), steps].concat());
    }
    locate_key(Table::global(), rest)
}

fn locate_key(table: &'static Table, rest: &str) -> Option<Vec<Step>> {
    locate_among(table.keys.iter().map(|key| (key.name, key.kind)), rest)
}

fn locate_among(keys: impl Iterator<Item = (&'static str, Kind)>, rest: &str) -> Option<Vec<Step>> {
    for (name, kind) in keys {
        let Some(rest) = rest.strip_prefix(&upper_case(name)) else {
            continue;
        };
        if rest.is_empty() {
            return Some(vec![Step::Key(name)]);
        }
        if let (Kind::Records(fields), Some(rest)) = (kind, rest.strip_prefix('_')) {
            let steps = locate_item(fields, rest)?;
            return Some([vec![Step::Key(name)], steps].concat());
        }
    }
    None
}

/// The way that `0_USER` goes below a list of maps.
fn locate_item(fields: &'static [Field], rest: &str) -> Option<Vec<Step>> {
    let (index, rest) = rest.split_once('_')?;
    let index = Step::Index(index.parse().ok()?);
    let steps = locate_among(fields.iter().map(|field| (field.name, field.kind)), rest)?;
    Some([vec![index], steps].concat())
}

fn apply(root: &mut Node, steps: &[Step], name: &str, value: &str, report: &mut Report) {
    let place = Place::Variable(Arc::from(name));
    if let [Step::Key(key), Step::Index(_), ..] = steps {
        start_from_default(root, key, &place);
    }
    if set(root, steps, value, &place).is_none() {
        report.add(&place, || {
            "expected an index without a gap, below a list or map".to_owned()
        });
    }
}

/// Puts the default list under `key`, if there is none, for its items to be changed.
fn start_from_default(root: &mut Node, key: &str, place: &Place) {
    let default = Table::global().find(key).map_or("", |key| key.default);
    let node = root.entry_mut(key, place);
    if let Some(node) = node.filter(|node| matches!(node.content, Content::Null))
        && let Some(mut list) = crate::yaml::read(default, &mut Report::default())
    {
        list.place = place.clone();
        *node = Arc::new(list);
    }
}

/// Sets the value at the end of `steps`. `None`: there is something else on the way.
fn set(node: &mut Node, steps: &[Step], value: &str, place: &Place) -> Option<()> {
    match steps {
        [] => *node = Node::text(value, place.clone()),
        [Step::PathName(name)] if value.is_empty() => {
            node.entry_mut(name, place)?;
        }
        [Step::Key(key), rest @ ..] => {
            set(
                Arc::make_mut(node.entry_mut(key, place)?),
                rest,
                value,
                place,
            )?;
        }
        [Step::PathName(name), rest @ ..] => {
            set(
                Arc::make_mut(node.entry_mut(name, place)?),
                rest,
                value,
                place,
            )?;
        }
        [Step::Index(index), rest @ ..] => {
            node.place = place.clone();
            set(
                Arc::make_mut(node.item_mut(*index, place)?),
                rest,
                value,
                place,
            )?;
        }
    }
    Some(())
}
