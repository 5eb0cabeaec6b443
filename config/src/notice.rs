//! What an operator should know about a configuration that is nevertheless used.
//!
//! Gathered while it is judged, told by `load` in a few lines whatever its size: one for all
//! keys that are not built, one for deprecated keys, one for unknown variables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::place::Place;

/// The most variables that a warning names.
const VARIABLES_MAX: usize = 20;

/// Everything found so far.
#[derive(Default)]
pub(crate) struct Notices {
    not_built: BTreeMap<(bool, String), Mention>,
    deprecated: BTreeMap<(&'static str, &'static str), Mention>,
    unknown_variables: Vec<String>,
    variables_more: usize,
}

/// Where something was found first, and how often after that.
struct Mention {
    full_name: String,
    place: Place,
    more: usize,
}

impl Notices {
    /// `key` (with the word that is not built, if it is not the whole key) has no effect.
    pub(crate) fn not_built(&mut self, scope: &str, key: String, place: &Place) {
        let full_name = format!("{scope}{key}");
        mention(
            &mut self.not_built,
            (scope.is_empty(), key),
            full_name,
            place,
        );
    }

    /// `key` is an old name; `advice` says of what.
    pub(crate) fn deprecated(
        &mut self,
        scope: &str,
        key: &'static str,
        now: &'static str,
        place: &Place,
    ) {
        mention(
            &mut self.deprecated,
            (key, now),
            format!("{scope}{key}"),
            place,
        );
    }

    /// A variable begins as ours do and names no key.
    pub(crate) fn unknown_variable(&mut self, name: &str, hint: impl FnOnce() -> String) {
        if self.unknown_variables.len() < VARIABLES_MAX {
            self.unknown_variables.push(format!("{name}{}", hint()));
        } else {
            self.variables_more += 1;
        }
    }

    /// The warnings, at most one of each kind.
    pub(crate) fn warnings(self) -> Vec<String> {
        let mut warnings = Vec::new();
        if !self.not_built.is_empty() {
            let names = self.not_built.values().map(Mention::told);
            let names = names.collect::<Vec<_>>().join(", ");
            warnings.push(format!(
                "accepted but not built yet, without effect: {names}"
            ));
        }
        if !self.deprecated.is_empty() {
            let told = self.deprecated.iter().map(|((_, now), mention)| {
                let name = mention.told();
                match *now {
                    "" => format!("{name} has no effect any more"),
                    now => format!("{name} is now {now}"),
                }
            });
            let told = told.collect::<Vec<_>>().join(", ");
            warnings.push(format!("deprecated keys: {told}"));
        }
        if !self.unknown_variables.is_empty() {
            let mut text = self.unknown_variables.join("; ");
            if self.variables_more > 0 {
                text += &format!("; and {} more", self.variables_more);
            }
            warnings.push(format!(
                "environment variables that name no key, ignored: {text}"
            ));
        }
        warnings
    }
}

impl Mention {
    /// `paths.cam1.record (line 40, and 11 more)`.
    fn told(&self) -> String {
        let mut text = format!("{} ({}", self.full_name, self.place);
        if self.more > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, ", and {} more", self.more);
        }
        text + ")"
    }
}

fn mention<K: Ord>(mentions: &mut BTreeMap<K, Mention>, key: K, full_name: String, place: &Place) {
    let first = || Mention {
        full_name,
        place: place.clone(),
        more: 0,
    };
    mentions
        .entry(key)
        .and_modify(|mention| mention.more += 1)
        .or_insert_with(first);
}
