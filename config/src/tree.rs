//! A configuration as it was written: scalars, lists and maps, each with its place.
//!
//! Built by `yaml` from a file and by `json` from a request, changed by `layer` and `env`, read by
//! `resolve`. Nothing is interpreted here: whether `no` is a word or a switch is for the key to
//! say, unless it comes from JSON, which says so itself.

use std::sync::Arc;

use crate::place::Place;

/// A value and where it was written. Aliases share it.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) content: Content,
    pub(crate) place: Place,
    /// How many values this one holds, itself included and aliases counted each time.
    pub(crate) weight: usize,
    /// What a scalar says of its own type.
    pub(crate) written: Written,
}

/// What a scalar says of its own type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Nothing: in YAML and in variables the key decides.
    Freely,
    /// `true` or `false` of JSON.
    Switch,
    /// A number of JSON.
    Number,
    /// A string of JSON, or its null.
    Text,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Nothing, `null` or `~`: the key keeps its default.
    Null,
    /// Any other scalar, quoted or not.
    Text(String),
    /// A list.
    List(Vec<Arc<Node>>),
    /// A map, in the order of the file; no key is in it twice.
    Map(Vec<Entry>),
}

/// A key of a map with its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) value: Arc<Node>,
}

impl Node {
    /// A value that weighs so much and says nothing of its type.
    pub(crate) fn new(content: Content, place: Place, weight: usize) -> Self {
        Self {
            content,
            place,
            weight,
            written: Written::Freely,
        }
    }

    /// A scalar that no file holds.
    pub(crate) fn text(text: &str, place: Place) -> Self {
        Self::new(Content::Text(text.to_owned()), place, 1)
    }

    /// A value without content.
    pub(crate) fn null(place: Place) -> Self {
        Self::new(Content::Null, place, 1)
    }

    /// A map, heavier than its entries by itself.
    pub(crate) fn map(entries: Vec<Entry>, place: Place) -> Self {
        let weights = entries.iter().map(|entry| entry.value.weight);
        let weight = weights.fold(1, usize::saturating_add);
        Self::new(Content::Map(entries), place, weight)
    }

    /// The entries of a map; none of anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The value under `key` of a map.
    pub(crate) fn find(&self, key: &str) -> Option<&Arc<Self>> {
        let entry = self.entries().iter().find(|entry| entry.key == key);
        entry.map(|entry| &entry.value)
    }

    /// The value under `key`, made null and put there when it is absent. `None`: this is
    /// neither a map nor empty.
    pub(crate) fn entry_mut(&mut self, key: &str, place: &Place) -> Option<&mut Arc<Self>> {
        if matches!(self.content, Content::Null) {
            self.content = Content::Map(Vec::new());
        }
        let Content::Map(entries) = &mut self.content else {
            return None;
        };
        let index = match entries.iter().position(|entry| entry.key == key) {
            Some(index) => index,
            None => {
                entries.push(Entry {
                    key: key.to_owned(),
                    place: place.clone(),
                    value: Arc::new(Self::null(place.clone())),
                });
                entries.len() - 1
            }
        };
        entries.get_mut(index).map(|entry| &mut entry.value)
    }

    /// The item at `index`, which may be the first one after the end. `None`: this is no list,
    /// or items are missing in between.
    pub(crate) fn item_mut(&mut self, index: usize, place: &Place) -> Option<&mut Arc<Self>> {
        if matches!(self.content, Content::Null) {
            self.content = Content::List(Vec::new());
        }
        let Content::List(items) = &mut self.content else {
            return None;
        };
        if index == items.len() {
            items.push(Arc::new(Self::null(place.clone())));
        }
        items.get_mut(index)
    }

    /// How an error names what was found.
    pub(crate) fn found(&self) -> String {
        match &self.content {
            Content::Null => "nothing".to_owned(),
            Content::Text(text) if self.written == Written::Text => {
                format!("the text {}", quoted(text))
            }
            Content::Text(text) => quoted(text),
            Content::List(_) => "a list".to_owned(),
            Content::Map(_) => "a map".to_owned(),
        }
    }
}

/// The most characters of a value that an error repeats.
const QUOTED_CHARS_MAX: usize = 60;

/// `text` in quotes, on one line and of bounded length.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("'{}'", shown.escape_debug())
}
