//! The checked values of one map of the configuration, by key, on their way into the typed
//! configuration. Keys that were not given are absent, and what they would change stays as it
//! is: the layers below (`pathDefaults`, the defaults) shine through.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::kind::Value;
use crate::network::Network;

/// Values by the name of the key that is valid today; deprecated ones are translated already.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    values: BTreeMap<&'static str, Value>,
}

impl Settings {
    /// Sets `key`, for good.
    pub(crate) fn insert(&mut self, key: &'static str, value: Value) {
        self.values.insert(key, value);
    }

    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    pub(crate) fn switch(&self, key: &str, target: &mut bool) {
        if let Some(Value::Switch(value)) = self.value(key) {
            *target = *value;
        }
    }

    pub(crate) fn text(&self, key: &str, target: &mut String) {
        if let Some(Value::Text(value)) = self.value(key) {
            target.clone_from(value);
        }
    }

    pub(crate) fn duration(&self, key: &str, target: &mut Duration) {
        if let Some(Value::Span(value)) = self.value(key) {
            *target = *value;
        }
    }

    /// A count or a size.
    pub(crate) fn count(&self, key: &str, target: &mut usize) {
        if let Some(value) = self.whole(key) {
            *target = value;
        }
    }

    /// Bits per second.
    pub(crate) fn bit_rate(&self, key: &str, target: &mut u64) {
        if let Some(Value::Count(value)) = self.value(key) {
            *target = value.unsigned_abs();
        }
    }

    /// A port.
    pub(crate) fn port(&self, key: &str, target: &mut u16) {
        if let Some(value) = self.whole(key).and_then(|value| u16::try_from(value).ok()) {
            *target = value;
        }
    }

    /// A count or a size of which 0 means none.
    pub(crate) fn optional_count(&self, key: &str, target: &mut Option<NonZeroUsize>) {
        if let Some(value) = self.whole(key) {
            *target = NonZeroUsize::new(value);
        }
    }

    /// `Some(None)` is `auto`.
    pub(crate) fn automatic_count(&self, key: &str) -> Option<Option<NonZeroUsize>> {
        match self.value(key) {
            Some(Value::Text(_)) => Some(None),
            _ => self.whole(key).map(NonZeroUsize::new),
        }
    }

    /// A word; one that has no meaning here, because it is not built, changes nothing.
    pub(crate) fn choice<T: Copy>(&self, key: &str, meanings: &[(&str, T)], target: &mut T) {
        if let Some(Value::Text(word)) = self.value(key)
            && let Some(meaning) = meaning(word, meanings)
        {
            *target = meaning;
        }
    }

    /// Words; without any that has a meaning here nothing changes.
    pub(crate) fn choices<T: Copy>(&self, key: &str, meanings: &[(&str, T)], target: &mut Vec<T>) {
        let Some(Value::List(words)) = self.value(key) else {
            return;
        };
        let chosen = words.iter().filter_map(|word| match word {
            Value::Text(word) => meaning(word, meanings),
            _ => None,
        });
        let chosen: Vec<T> = chosen.collect();
        if !chosen.is_empty() {
            *target = chosen;
        }
    }

    /// Texts.
    pub(crate) fn texts(&self, key: &str, target: &mut Vec<String>) {
        if let Some(items) = self.items(key) {
            *target = items.map(str::to_owned).collect();
        }
    }

    /// Networks.
    pub(crate) fn networks(&self, key: &str, target: &mut Vec<Network>) {
        if let Some(items) = self.items(key) {
            *target = items.filter_map(Network::parse).collect();
        }
    }

    /// The texts of a list.
    fn items(&self, key: &str) -> Option<impl Iterator<Item = &str>> {
        let Some(Value::List(items)) = self.value(key) else {
            return None;
        };
        Some(items.iter().filter_map(|item| match item {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        }))
    }

    fn whole(&self, key: &str) -> Option<usize> {
        match self.value(key) {
            Some(Value::Count(value)) => usize::try_from(*value).ok(),
            _ => None,
        }
    }
}

fn meaning<T: Copy>(word: &str, meanings: &[(&str, T)]) -> Option<T> {
    let found = meanings.iter().find(|(known, _)| *known == word);
    found.map(|(_, meaning)| *meaning)
}
