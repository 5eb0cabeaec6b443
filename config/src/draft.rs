//! A change on its way: the layers as they would be, and the checks that a file does not need.
//!
//! Made by `document` before it judges the whole, and asked again after that.

use std::sync::Arc;

use crate::change::{Change, ChangeError};
use crate::config::LOCAL_SOURCES;
use crate::document::{Document, Judged, effective, same};
use crate::error::{ConfigError, Report};
use crate::json::Body;
use crate::keys::{Table, waiting_for_restart};
use crate::layer::{Keys, Layer, canonical};
use crate::local_source;
use crate::place::Place;
use crate::settings::Settings;
use crate::tree::{Content, Entry, Node, Written};

/// The layers as they would be.
pub(crate) struct Draft {
    pub(crate) saved: Layer,
    pub(crate) unsaved: Layer,
    persist: bool,
    touched: Touched,
}

/// What a change speaks of.
enum Touched {
    /// Keys of the top level, by the names that are valid today.
    Global(Vec<String>),
    Defaults(Vec<String>),
    /// Keys of paths.
    Paths(Vec<(String, Vec<String>)>),
    Removed(String),
}

impl Draft {
    /// The layers of `document` with `change`.
    pub(crate) fn of(
        document: &Document,
        change: Change,
        persist: bool,
    ) -> Result<Self, ChangeError> {
        let mut draft = Self {
            saved: document.saved.clone(),
            unsaved: document.unsaved.clone(),
            persist,
            touched: Touched::Global(Vec::new()),
        };
        match change {
            Change::Global(body) => draft.set_global(body)?,
            Change::PathDefaults(body) => draft.set_defaults(document, body)?,
            Change::AddPath(name, body) => {
                if document.now.paths.contains_key(&name) {
                    return Err(ChangeError::PathExists);
                }
                draft.set_path(document, &name, &whole_body(), body)?;
            }
            Change::AddPaths(body) => draft.add_paths(document, body)?,
            Change::PatchPath(name, body) => {
                if !document.now.paths.contains_key(&name) {
                    return Err(ChangeError::PathNotFound);
                }
                draft.set_path(document, &name, &whole_body(), body)?;
            }
            Change::ReplacePath(name, body) => {
                draft.remove_path(document, &name);
                draft.set_path(document, &name, &whole_body(), body)?;
            }
            Change::RemovePath(name) => {
                if !document.now.paths.contains_key(&name) {
                    return Err(ChangeError::PathNotFound);
                }
                draft.remove_path(document, &name);
                draft.touched = Touched::Removed(name);
            }
        }
        Ok(draft)
    }

    fn set_global(&mut self, body: Body) -> Result<(), ChangeError> {
        check_sections(&body)?;
        let entries = said(Table::global(), body.entries);
        let names = names(Table::global(), &entries);
        if self.persist {
            names.iter().for_each(|name| {
                self.unsaved.global.remove(name);
            });
        }
        self.layer().set_global(entries);
        self.touched = Touched::Global(names);
        Ok(())
    }

    fn set_defaults(&mut self, document: &Document, mut body: Body) -> Result<(), ChangeError> {
        check_name(&mut body)?;
        let entries = said(Table::path(), body.entries);
        check_sources(document, &entries)?;
        let names = names(Table::path(), &entries);
        if self.persist {
            names.iter().for_each(|name| {
                self.unsaved.defaults.remove(name);
            });
        }
        self.layer().set_defaults(entries);
        self.touched = Touched::Defaults(names);
        Ok(())
    }

    fn add_paths(&mut self, document: &Document, mut body: Body) -> Result<(), ChangeError> {
        let paths = body.take("paths");
        let unknown = body.entries.first();
        let wrong = match (&paths, unknown) {
            (_, Some(unknown)) => Some((&unknown.place, "unknown key, expected paths")),
            (None, None) => None,
            (Some(paths), None) => {
                let is_map = matches!(paths.value.content, Content::Map(_));
                (!is_map).then_some((&paths.place, "paths: expected an object of paths"))
            }
        };
        if let Some((place, text)) = wrong {
            return Err(invalid(place, text.to_owned()).into());
        }
        let Some(paths) = paths else {
            let text = "expected the member paths: an object of paths by name";
            return Err(invalid(&whole_body(), text.to_owned()).into());
        };
        let mut touched = Vec::new();
        for path in paths.value.entries() {
            if document.now.paths.contains_key(&path.key) {
                return Err(ChangeError::OnePathExists(path.key.clone()));
            }
            if !matches!(path.value.content, Content::Map(_) | Content::Null) {
                let found = path.value.found();
                let text = format!("expected an object of the path's keys, found {found}");
                return Err(invalid(&path.place, text).into());
            }
            let entries = path.value.entries().to_vec();
            self.set_path(document, &path.key, &path.place, Body { entries })?;
            if let Touched::Paths(one) = &mut self.touched {
                touched.append(one);
            }
        }
        self.touched = Touched::Paths(touched);
        Ok(())
    }

    fn set_path(
        &mut self,
        document: &Document,
        name: &str,
        place: &Place,
        mut body: Body,
    ) -> Result<(), ChangeError> {
        check_name(&mut body)?;
        let entries = said(Table::path(), body.entries);
        check_sources(document, &entries)?;
        let names = names(Table::path(), &entries);
        if self.persist {
            let is_below = document.unchanged.paths.contains_key(name);
            self.saved.take_path_of(&mut self.unsaved, name, is_below);
        }
        self.layer().set_path(name, place, entries);
        self.touched = Touched::Paths(vec![(name.to_owned(), names)]);
        Ok(())
    }

    fn remove_path(&mut self, document: &Document, name: &str) {
        let is_in_file = document.unchanged.paths.contains_key(name);
        let is_kept = self.saved.paths.contains_key(name);
        let is_below = is_kept || (is_in_file && !self.saved.removed.contains(name));
        if self.persist {
            self.unsaved.remove_path(name, false);
            self.saved.remove_path(name, is_in_file);
        } else {
            self.unsaved.remove_path(name, is_below);
        }
    }

    fn layer(&mut self) -> &mut Layer {
        match self.persist {
            true => &mut self.saved,
            false => &mut self.unsaved,
        }
    }

    /// The draft without what changes nothing, once the whole was judged to be right.
    pub(crate) fn checked(
        mut self,
        document: &Document,
        judged: &Judged,
    ) -> Result<Self, ChangeError> {
        self.refuse_variables(document, judged)?;
        self.forget_what_is_so(document, judged);
        if judged.resolved.config.api_local_sources != document.config().api_local_sources {
            return Err(ChangeError::OperatorOnly(LOCAL_SOURCES));
        }
        if !self.persist && matches!(self.touched, Touched::Global(_)) {
            let next = &judged.resolved.global;
            let waits = waiting_for_restart().filter(|key| document.would_wait(key, next));
            let waits: Vec<_> = waits.map(|key| key.name).collect();
            if !waits.is_empty() {
                return Err(ChangeError::NeedsRestart(waits));
            }
        }
        Ok(self)
    }

    /// Who patches with all that he was shown changes only what he has changed in it.
    fn forget_what_is_so(&mut self, document: &Document, judged: &Judged) {
        let (old, new) = (&document.now, &judged.resolved);
        let layers = [&document.saved, &document.unsaved];
        let mut touched = std::mem::replace(&mut self.touched, Touched::Defaults(Vec::new()));
        match &mut touched {
            Touched::Global(names) => {
                let known = layers.map(|layer| &layer.global);
                let said = [&old.global, &new.global];
                forget(
                    Table::global(),
                    names,
                    said,
                    known,
                    &mut self.layer().global,
                );
            }
            Touched::Defaults(names) => {
                let known = layers.map(|layer| &layer.defaults);
                let said = [&old.defaults, &new.defaults];
                forget(
                    Table::path(),
                    names,
                    said,
                    known,
                    &mut self.layer().defaults,
                );
            }
            Touched::Paths(_) | Touched::Removed(_) => {}
        }
        self.touched = touched;
    }

    /// A change that the environment makes void would be a lie.
    fn refuse_variables(&self, document: &Document, judged: &Judged) -> Result<(), ChangeError> {
        let (root, next) = (&judged.root, &judged.resolved);
        let layer = match self.persist {
            true => &self.saved,
            false => &self.unsaved,
        };
        let mut set = Vec::new();
        match &self.touched {
            Touched::Global(names) => {
                let void = voided(Table::global(), root, names, &layer.global, &next.global);
                set.extend(void);
            }
            Touched::Defaults(names) => {
                let map = root.find("pathDefaults").into_iter();
                let void = map.flat_map(|map| {
                    voided(Table::path(), map, names, &layer.defaults, &next.defaults)
                });
                set.extend(void.map(|name| format!("pathDefaults.{name}")));
            }
            Touched::Paths(paths) if document.has_path_variables() => {
                for (name, keys) in paths {
                    let map = root.find("paths").and_then(|paths| paths.find(name));
                    let own = layer.paths.get(name.as_str()).zip(next.paths.get(name));
                    let void = map.zip(own).map(|(map, (own, said))| {
                        voided(Table::path(), map, keys, &own.keys, said)
                    });
                    let void = void.into_iter().flatten();
                    set.extend(void.map(|key| format!("paths.{name}.{key}")));
                }
            }
            Touched::Removed(name) if next.paths.contains_key(name) => {
                set.push(format!("paths.{name}"));
            }
            Touched::Paths(_) | Touched::Removed(_) => {}
        }
        match set.is_empty() {
            true => Ok(()),
            false => Err(ChangeError::SetByEnvironment(set)),
        }
    }
}

/// Those of `names` that a variable has set in `map`, to something else than `keys` say.
fn voided(
    table: &'static Table,
    map: &Node,
    names: &[String],
    keys: &Keys,
    said: &Settings,
) -> Vec<String> {
    let by_variable = map.entries().iter();
    let by_variable = by_variable.filter(|entry| entry.value.place.is_variable());
    let set = by_variable.map(|entry| canonical(table, &entry.key));
    let is_void = |name: &String| {
        let (Some(key), Some(entry)) = (table.find(name), keys.get(name)) else {
            return false;
        };
        let value = key.kind.read(name, &entry.value, &mut Report::default());
        let normal = |value| key.kind.normal(&value);
        entry.key != *name || value.map(normal) != effective(key, said).map(normal)
    };
    set.filter(|name| names.contains(name) && is_void(name))
        .collect()
}

/// Drops those of `names` whose value is the same in both of what is `said`; from the layer `to` too,
/// unless somebody has set them before.
fn forget(
    table: &'static Table,
    names: &mut Vec<String>,
    [old, new]: [&Settings; 2],
    known: [&Keys; 2],
    to: &mut Keys,
) {
    names.retain(|name| {
        let is_so = table.find(name).is_some_and(|key| same(key, old, new));
        if is_so && !known.iter().any(|layer| layer.contains_key(name)) {
            to.remove(name);
        }
        !is_so
    });
}

/// Where a path stands whose name is in the address of the request.
fn whole_body() -> Place {
    Place::Body(Arc::from(""))
}

fn invalid(place: &Place, text: String) -> ConfigError {
    let mut report = Report::default();
    report.add(place, || text);
    report.into_error(None)
}

/// Paths are no keys of the top level in a request; they have requests of their own.
fn check_sections(body: &Body) -> Result<(), ChangeError> {
    let is_section = |entry: &&Entry| ["paths", "pathDefaults"].contains(&entry.key.as_str());
    match body.entries.iter().find(is_section) {
        None => Ok(()),
        Some(section) => {
            let text = format!("unknown key '{}' of the top level", section.key);
            Err(invalid(&section.place, text).into())
        }
    }
}

/// Null says nothing of a key, as in MediaMTX. An unknown key stays, to be refused.
fn said(table: &'static Table, mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.retain(|entry| {
        let is_known = table.find(&entry.key).is_some();
        !(is_known && matches!(entry.value.content, Content::Null))
    });
    entries
}

fn names(table: &'static Table, entries: &[Entry]) -> Vec<String> {
    let names = entries.iter();
    names.map(|entry| canonical(table, &entry.key)).collect()
}

/// `name` is shown among the keys of a path, and may be sent back; it changes nothing.
fn check_name(body: &mut Body) -> Result<(), ChangeError> {
    match body.take("name") {
        Some(name) if name.value.written != Written::Text => {
            let found = name.value.found();
            let text = format!("name: expected text, found {found}");
            Err(invalid(&name.place, text).into())
        }
        _ => Ok(()),
    }
}

fn check_sources(document: &Document, entries: &[Entry]) -> Result<(), ChangeError> {
    if document.config().api_local_sources {
        return Ok(());
    }
    match local_source::find(entries) {
        Some((key, value)) => Err(ChangeError::LocalSource { key, value }),
        None => Ok(()),
    }
}
