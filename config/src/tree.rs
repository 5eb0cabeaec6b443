//! A configuration as it was written: scalars, lists and maps, each with its place.
//!
//! Built by `yaml` from a file, changed by `env`, read by `resolve`. Nothing is interpreted
//! here: whether `no` is a word or a switch is for the key to say.

use std::rc::Rc;

use crate::place::Place;

/// A value and where it was written. Aliases share it.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) content: Content,
    pub(crate) place: Place,
    /// How many values this one holds, itself included and aliases counted each time.
    pub(crate) weight: usize,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Nothing, `null` or `~`: the key keeps its default.
    Null,
    /// Any other scalar, quoted or not.
    Text(String),
    /// A list.
    List(Vec<Rc<Node>>),
    /// A map, in the order of the file; no key is in it twice.
    Map(Vec<Entry>),
}

/// A key of a map with its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) value: Rc<Node>,
}

impl Node {
    /// A scalar that no file holds.
    pub(crate) fn text(text: &str, place: Place) -> Self {
        Self {
            content: Content::Text(text.to_owned()),
            place,
            weight: 1,
        }
    }

    /// A value without content.
    pub(crate) fn null(place: Place) -> Self {
        Self {
            content: Content::Null,
            place,
            weight: 1,
        }
    }

    /// The value under `key`, made null and put there when it is absent. `None`: this is
    /// neither a map nor empty.
    pub(crate) fn entry_mut(&mut self, key: &str, place: &Place) -> Option<&mut Rc<Self>> {
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
                    value: Rc::new(Self::null(place.clone())),
                });
                entries.len() - 1
            }
        };
        entries.get_mut(index).map(|entry| &mut entry.value)
    }

    /// The item at `index`, which may be the first one after the end. `None`: this is no list,
    /// or items are missing in between.
    pub(crate) fn item_mut(&mut self, index: usize, place: &Place) -> Option<&mut Rc<Self>> {
        if matches!(self.content, Content::Null) {
            self.content = Content::List(Vec::new());
        }
        let Content::List(items) = &mut self.content else {
            return None;
        };
        if index == items.len() {
            items.push(Rc::new(Self::null(place.clone())));
        }
        items.get_mut(index)
    }

    /// How an error names what was found.
    pub(crate) fn found(&self) -> String {
        match &self.content {
            Content::Null => "nothing".to_owned(),
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
