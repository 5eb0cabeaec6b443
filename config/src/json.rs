//! The JSON reader: the body of a request in, a tree with places out.
//!
//! The same tree as that of YAML, so that both go through the same checks; places are JSON
//! pointers (RFC 6901), and scalars say of which type they are. Bounded in bytes, depth and
//! values; a key that is given twice is refused, as its two readers could disagree.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::error::{ConfigError, Report};
use crate::place::Place;
use crate::tree::{Content, Entry, Node, Written, quoted};
use crate::yaml::{DEPTH_MAX, NODES_MAX};

/// The longest body that is read: MediaMTX's maximum too.
pub const BODY_BYTES_MAX: usize = 10 << 20;

/// What a request says of keys: an object.
#[derive(Clone)]
pub struct Body {
    pub(crate) entries: Vec<Entry>,
}

/// Its keys, without their values, which may be credentials.
impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.entries.iter().map(|entry| &entry.key);
        formatter.debug_set().entries(keys).finish()
    }
}

impl Body {
    /// Reads the body of a request. Null is an object without members, as in MediaMTX.
    ///
    /// # Errors
    /// It is no JSON, no object, or beyond a limit; keys are judged where they are used.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        read(bytes).map_err(|text| {
            let mut report = Report::default();
            report.add(&Place::Body(Arc::from("")), || format!("body: {text}"));
            report.into_error(None)
        })
    }

    /// Takes the member `key` out.
    pub(crate) fn take(&mut self, key: &str) -> Option<Entry> {
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(index))
    }

    /// Takes the switch `key` out, which is no key of the configuration.
    ///
    /// # Errors
    /// It is neither true nor false.
    pub fn take_switch(&mut self, key: &str) -> Result<Option<bool>, ConfigError> {
        let Some(entry) = self.take(key) else {
            return Ok(None);
        };
        match (&entry.value.content, entry.value.written) {
            (Content::Text(text), Written::Switch) => Ok(Some(text == "true")),
            (Content::Null, _) => Ok(None),
            _ => {
                let mut report = Report::default();
                let found = entry.value.found();
                let text = || format!("{key}: expected true or false, found {found}");
                report.add(&entry.place, text);
                Err(report.into_error(None))
            }
        }
    }
}

fn read(bytes: &[u8]) -> Result<Body, String> {
    if bytes.len() > BODY_BYTES_MAX {
        return Err(format!("expected at most {BODY_BYTES_MAX} bytes"));
    }
    let nodes = Cell::new(0);
    let reader = Reader {
        pointer: String::new(),
        depth: 0,
        nodes: &nodes,
    };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let told = |error: serde_json::Error| error.to_string();
    let node = reader.deserialize(&mut json).map_err(told)?;
    json.end().map_err(told)?;
    match node.content {
        Content::Map(entries) => Ok(Body { entries }),
        Content::Null => Ok(Body {
            entries: Vec::new(),
        }),
        _ => Err(format!("expected an object, found {}", node.found())),
    }
}

/// Reads one value.
struct Reader<'a> {
    pointer: String,
    depth: usize,
    /// Values that were read so far.
    nodes: &'a Cell<usize>,
}

impl Reader<'_> {
    fn place(&self) -> Place {
        Place::Body(Arc::from(self.pointer.as_str()))
    }

    fn below<E: Error>(&self, token: &str) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            let text = format!("nested deeper than {DEPTH_MAX} levels");
            return Err(E::custom(text));
        }
        let token = token.replace('~', "~0").replace('/', "~1");
        Ok(Self {
            pointer: format!("{}/{token}", self.pointer),
            depth: self.depth + 1,
            nodes: self.nodes,
        })
    }

    fn scalar<E: Error>(&self, text: String, written: Written) -> Result<Node, E> {
        self.node(Content::Text(text), 1, written)
    }

    fn node<E: Error>(&self, content: Content, weight: usize, written: Written) -> Result<Node, E> {
        let nodes = self.nodes.get() + 1;
        self.nodes.set(nodes);
        if nodes > NODES_MAX {
            return Err(E::custom(format!("more than {NODES_MAX} values")));
        }
        let mut node = Node::new(content, self.place(), weight);
        node.written = written;
        Ok(node)
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        self.node(Content::Null, 1, Written::Text)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        self.scalar(value.to_string(), Written::Switch)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        self.scalar(value.to_string(), Written::Number)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        self.scalar(value.to_string(), Written::Number)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        self.scalar(value.to_string(), Written::Number)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        self.scalar(value.to_owned(), Written::Text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let (mut nodes, mut weight) = (Vec::new(), 1);
        while let Some(node) = items.next_element_seed(self.below(&nodes.len().to_string())?)? {
            weight += node.weight;
            nodes.push(Arc::new(node));
        }
        self.node(Content::List(nodes), weight, Written::Freely)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Node, A::Error> {
        let (mut entries, mut keys, mut weight) = (Vec::new(), HashSet::new(), 1);
        while let Some(key) = members.next_key::<String>()? {
            let below = self.below(&key)?;
            let place = below.place();
            if !keys.insert(key.clone()) {
                let text = format!("{} is given twice", quoted(&key));
                return Err(A::Error::custom(text));
            }
            let value = Arc::new(members.next_value_seed(below)?);
            weight += value.weight;
            entries.push(Entry { key, place, value });
        }
        self.node(Content::Map(entries), weight, Written::Freely)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        Body::parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn values_have_their_places_and_types() {
        let body = Body::parse(br#"{"a/b": [1.0, true], "c": "x", "d": null}"#).unwrap();
        let list = &body.entries[0].value;
        let Content::List(items) = &list.content else {
            panic!("{list:?}")
        };
        assert_eq!(items[0].place, Place::Body(Arc::from("/a~1b/0")));
        assert_eq!(
            (items[0].written, items[1].written),
            (Written::Number, Written::Switch)
        );
        assert_eq!((list.weight, items[0].found()), (3, "'1'".to_owned()));
        assert_eq!(body.entries[1].value.found(), "the text 'x'");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        assert!(Body::parse(b"null").unwrap().entries.is_empty());
        assert!(wrong("[]").contains("expected an object, found a list"));
        for text in ["", "{", "{} {}", "{'a': 1}", "{\"a\": 1,}", "\u{feff}{}"] {
            assert!(wrong(text).starts_with("request: body: "), "{text:?}");
        }
        assert!(Body::parse(b"{\"a\": \"\xff\"}").is_err());
    }

    #[test]
    fn a_key_twice_is_refused_also_when_it_is_spelt_in_two_ways() {
        assert!(wrong(r#"{"a": 1, "\u0061": 2}"#).contains("'a' is given twice"));
    }

    #[test]
    fn depth_and_values_are_bounded() {
        let nested = |levels: usize| {
            let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
            format!("{{\"a\": {open}{close}}}")
        };
        assert!(Body::parse(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert!(wrong(&nested(DEPTH_MAX + 2)).contains("nested deeper than 32 levels"));
        assert!(wrong(&nested(100_000)).contains("nested deeper"));
        let many = |values: usize| format!("{{\"a\": [{}0]}}", "0,".repeat(values - 3));
        assert!(Body::parse(many(NODES_MAX).as_bytes()).is_ok());
        assert!(wrong(&many(NODES_MAX + 1)).contains("more than 400000 values"));
        let long = format!("{{\"a\": \"{}\"}}", "x".repeat(BODY_BYTES_MAX));
        assert!(wrong(&long).contains("expected at most"));
    }

    #[test]
    fn a_switch_that_is_no_key_is_taken_out() {
        let mut body = Body::parse(br#"{"persist": true, "a": 1}"#).unwrap();
        assert_eq!(body.take_switch("persist").unwrap(), Some(true));
        assert_eq!(body.take_switch("persist").unwrap(), None);
        assert_eq!(body.entries.len(), 1);
        let mut body = Body::parse(br#"{"persist": "yes"}"#).unwrap();
        let error = body.take_switch("persist").unwrap_err().to_string();
        assert_eq!(
            error,
            "request body, /persist: persist: expected true or false, found the text 'yes'"
        );
    }
}
