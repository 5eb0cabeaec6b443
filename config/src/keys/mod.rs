//! Every key there is: its type, its default, and what becomes of it here.
//!
//! The tables are MediaMTX's schema and ours. `resolve` judges a configuration by them, `env`
//! finds variables by them. A key that gets built changes its status here and gains a field in
//! `config` or `paths`.

mod global;
mod live;
mod path;

pub(crate) use live::waiting_for_restart;

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

use crate::kind::{Kind, Value};

/// A key of the top level or of a path.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) status: Status,
    /// As text; the list and map kinds read it as YAML. Empty: nothing.
    pub(crate) default: &'static str,
    /// Further values that ask for nothing: MediaMTX's own configuration files carry them.
    stock: &'static [&'static str],
    /// MediaMTX shows it only where it was given, because it has a better one.
    pub(crate) is_shown_when_given: bool,
}

/// What a key does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It has effect.
    Built,
    /// It has effect, but not with these words.
    BuiltExcept(&'static [&'static str]),
    /// It is accepted; a warning says that it does nothing.
    NotBuilt,
    /// As `NotBuilt`, but anything other than the default is refused: a server that was locked
    /// must not start open. Says what the key does.
    Restricting(&'static str),
    /// It has effect; a list without any word would switch off what it belongs to.
    BuiltNotEmpty,
    /// Deprecated: the same as this key.
    Becomes(&'static str),
    /// Deprecated: together with its siblings of all paths, `authInternalUsers`.
    BecomesUsers,
    /// Deprecated: the opposite of this key.
    Inverted(&'static str),
    /// Deprecated: the only item of this key's list.
    First(&'static str),
    /// Deprecated: the key of the same name in `pathDefaults`.
    InPathDefaults,
    /// Deprecated, and without effect in MediaMTX too.
    Gone,
}

/// The keys of one kind of map.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) keys: &'static [Key],
    by_name: HashMap<&'static str, &'static Key>,
}

impl Table {
    /// The top level, without `pathDefaults` and `paths`.
    pub(crate) fn global() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| Self::new(global::GLOBAL))
    }

    /// `pathDefaults` and every path.
    pub(crate) fn path() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| Self::new(path::PATH))
    }

    fn new(keys: &'static [Key]) -> Self {
        let by_name = keys.iter().map(|key| (key.name, key)).collect();
        Self { keys, by_name }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&'static Key> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().map(|key| key.name)
    }
}

impl Key {
    /// The same key with further values that ask for nothing.
    const fn or(mut self, stock: &'static [&'static str]) -> Self {
        self.stock = stock;
        self
    }

    /// The same key, shown only where it was given.
    const fn shown_when_given(mut self) -> Self {
        self.is_shown_when_given = true;
        self
    }

    /// Whether `value` asks for nothing that would not be so without it.
    pub(crate) fn is_default(&self, value: &Value) -> bool {
        let mut texts = std::iter::once(&self.default).chain(self.stock);
        let value = self.kind.normal(value);
        texts.any(|text| {
            let read = self.kind.read_default(text);
            read.is_some_and(|read| self.kind.normal(&read) == value)
        })
    }
}

const fn key(name: &'static str, kind: Kind, default: &'static str, status: Status) -> Key {
    Key {
        name,
        kind,
        status,
        default,
        stock: &[],
        is_shown_when_given: false,
    }
}

const SWITCH: Kind = Kind::Switch;
const TEXT: Kind = Kind::Text;
const DECIMAL: Kind = Kind::Decimal;
const WHOLE: Kind = Kind::Count(0, i64::MAX);
const SPAN: Kind = Kind::Span(Duration::ZERO, Duration::MAX);
const SIZE: Kind = Kind::Size(0, i64::MAX);
const ENCRYPTION: Kind = Kind::Choice(&["no", "optional", "strict"]);
const RECORD_FORMAT: Kind = Kind::Choice(&["fmp4", "mpegts"]);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

const RESTRICTS: Status = Status::Restricting("restricts access");
const ENCRYPTS: Status = Status::Restricting("demands encryption");

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> impl Iterator<Item = (&'static Table, &'static Key)> {
        let tables = [Table::global(), Table::path()].into_iter();
        tables.flat_map(|table| table.keys.iter().map(move |key| (table, key)))
    }

    #[test]
    fn every_key_stands_once_in_its_table() {
        for table in [Table::global(), Table::path()] {
            assert_eq!(table.by_name.len(), table.keys.len());
        }
    }

    #[test]
    fn every_default_is_a_value_of_its_key() {
        for (_, key) in tables() {
            let deprecated = matches!(key.status, Status::Inverted(_) | Status::Becomes(_));
            let moved = matches!(key.status, Status::InPathDefaults | Status::Gone);
            if !deprecated && !moved {
                for text in std::iter::once(&key.default).chain(key.stock) {
                    assert!(
                        key.kind.read_default(text).is_some(),
                        "{}: {text:?}",
                        key.name
                    );
                }
            }
        }
    }

    #[test]
    fn every_deprecated_key_has_a_successor_in_its_table() {
        for (table, key) in tables() {
            match key.status {
                Status::Becomes(name) | Status::Inverted(name) | Status::First(name) => {
                    let successor = table.find(name).unwrap();
                    assert!(!matches!(successor.status, Status::Becomes(_)), "{name}");
                }
                Status::InPathDefaults => assert!(Table::path().find(key.name).is_some()),
                _ => {}
            }
        }
    }

    #[test]
    fn every_built_key_stands_in_the_reference_configuration() {
        let reference = include_str!("../../shardcast.yml");
        for (_, key) in tables() {
            let begin = format!("{}: ", key.name);
            let has_begin = |line: &str| format!("{} ", line.trim()).starts_with(&begin);
            let stands = reference.lines().any(has_begin);
            let built = matches!(
                key.status,
                Status::Built | Status::BuiltExcept(_) | Status::BuiltNotEmpty
            );
            assert_eq!(stands, built, "{}", key.name);
        }
    }

    #[test]
    fn everything_that_is_named_like_a_lock_is_refused_until_it_is_built() {
        for (_, key) in tables() {
            let name = key.name;
            let is_lock = name.starts_with("auth")
                || name.ends_with("Encryption")
                || name.ends_with("Passphrase");
            let built = [
                "authInternalUsers",
                "authMethods",
                "apiEncryption",
                "metricsEncryption",
                "pprofEncryption",
            ]
            .contains(&name);
            let refuses = matches!(key.status, Status::Restricting(_) | Status::Gone);
            assert!(refuses || built || !is_lock, "{name}");
        }
    }
}
