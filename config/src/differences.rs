//! How what holds differs from what the file and the environment say.
//!
//! Worked out by `document` when the Control API asks for its changes.

use std::collections::BTreeSet;

use crate::document::{Document, same};
use crate::keys::Table;
use crate::settings::Settings;
use crate::view;

/// A key, or a whole path, that was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `logLevel`, `pathDefaults.maxReaders`, `paths.cam1.maxReaders`; `paths.cam1` for a path that
    /// was added or removed.
    pub key: String,
    /// The value without the change, in JSON; `None`: there is no such path.
    pub file: Option<String>,
    /// The value that holds, in JSON; of a path that was added what it gives. `None`: there is no
    /// such path any more.
    pub now: Option<String>,
    /// Whether it lasts beyond the end of the server.
    pub is_kept: bool,
    /// Whether it has effect only at the next start.
    pub waits: bool,
}

pub(crate) fn differences(document: &Document) -> Vec<Difference> {
    let (saved, unsaved) = (&document.saved, &document.unsaved);
    let (file, now) = (&document.unchanged, &document.now);
    let waiting = document.waiting();
    let mut found = Vec::new();
    let is_kept = |name: &str| !unsaved.global.contains_key(name);
    let global = keys(Table::global(), [&file.global, &now.global], "", &is_kept);
    found.extend(global.into_iter().map(|difference| Difference {
        waits: waiting.contains(&difference.key.as_str()),
        ..difference
    }));
    let is_kept = |name: &str| !unsaved.defaults.contains_key(name);
    let defaults = [&file.defaults, &now.defaults];
    found.extend(keys(Table::path(), defaults, "pathDefaults.", &is_kept));
    let names = [saved, unsaved].into_iter().flat_map(|layer| {
        let removed = layer.removed.iter().map(String::as_str);
        layer.paths.keys().map(|name| &**name).chain(removed)
    });
    let names: BTreeSet<&str> = names.collect();
    for name in names {
        path(document, name, &mut found);
    }
    found
}

/// A path that some layer speaks of.
fn path(document: &Document, name: &str, found: &mut Vec<Difference>) {
    let settings = [&document.unchanged, &document.now].map(|said| said.paths.get(name));
    let layer = &document.unsaved;
    let is_whole = layer.removed.contains(name);
    if let [Some(file), Some(now)] = settings {
        let own = layer.paths.get(name);
        let is_kept = |key: &str| !is_whole && own.is_none_or(|own| !own.keys.contains_key(key));
        let prefix = format!("paths.{name}.");
        found.extend(keys(Table::path(), [file, now], &prefix, &is_kept));
        return;
    }
    if settings.iter().all(Option::is_none) {
        return;
    }
    let json = |settings: Option<&Settings>| settings.map(|it| view::given(Table::path(), it));
    found.push(Difference {
        key: format!("paths.{name}"),
        file: json(settings[0]),
        now: json(settings[1]),
        is_kept: !is_whole && !layer.paths.contains_key(name),
        waits: false,
    });
}

fn keys(
    table: &'static Table,
    [file, now]: [&Settings; 2],
    prefix: &str,
    is_kept: &dyn Fn(&str) -> bool,
) -> Vec<Difference> {
    let given = |name: &str| file.value(name).is_some() || now.value(name).is_some();
    let keys = table.keys.iter().filter(|key| given(key.name));
    let changed = keys.filter(|key| !same(key, file, now));
    let shown = changed.map(|key| Difference {
        key: format!("{prefix}{}", key.name),
        file: Some(view::value(key, [file.value(key.name), None])),
        now: Some(view::value(key, [now.value(key.name), None])),
        is_kept: is_kept(key.name),
        waits: false,
    });
    shown.collect()
}
