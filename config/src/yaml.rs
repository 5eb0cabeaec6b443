//! The YAML reader: text in, a tree with places out.
//!
//! The events come from `saphyr-parser` (YAML 1.2); anchors, aliases, merge keys and the
//! refusal of keys given twice are done here, because each of them needs the place of both
//! ends. Everything is bounded: depth, and values with every alias counted as often as it is
//! used, so that a bomb of aliases is refused before anything walks through it.
//! Deliberately absent: several documents in one file, tags of one's own, keys that are not
//! scalars.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use crate::error::Report;
use crate::place::Place;
use crate::tree::{Content, Entry, Node, quoted};

/// The deepest nesting. The schema needs six levels.
pub(crate) const DEPTH_MAX: usize = 32;

/// The most values of a configuration, aliases counted each time: some twenty thousand paths
/// with ten keys each, and at most about 80 MiB while a file is read.
pub(crate) const NODES_MAX: usize = 400_000;

/// Reads `text`. `None`: it is no YAML, or beyond a limit, and `report` says so. Keys given
/// twice are reported too, and the first is kept, so that further problems come to light.
pub(crate) fn read(text: &str, report: &mut Report) -> Option<Node> {
    read_as(text, &|line, column| Place::File { line, column }, report)
}

/// As [`read`], with places of another kind.
pub(crate) fn read_as(
    text: &str,
    place_at: &dyn Fn(usize, usize) -> Place,
    report: &mut Report,
) -> Option<Node> {
    // The parser counts lines from 1 and columns from 0.
    let place = |marker: Marker| place_at(marker.line(), marker.col() + 1);
    let mut builder = Builder::new(report);
    for event in Parser::new_from_str(text.trim_start_matches('\u{feff}')) {
        let outcome = match event {
            Ok((event, span)) => builder.handle_event(event, place(span.start)),
            Err(error) => Err((
                place(*error.marker()),
                format!("no valid YAML: {}", error.info()),
            )),
        };
        if let Err((place, text)) = outcome {
            report.add(&place, || text);
            return None;
        }
    }
    let empty = || Node::null(place_at(1, 1));
    Some(builder.root.map_or_else(empty, Arc::unwrap_or_clone))
}

/// Why reading stops.
type Stop = (Place, String);

/// A list or map whose end has not come yet.
struct Open {
    anchor: usize,
    place: Place,
    weight: usize,
    content: Content,
    /// Of a map: the key whose value comes next.
    key: Option<(String, Place)>,
    /// Of a map: where each key was first given.
    keys: HashMap<String, Place>,
    /// Of a map: what `<<` brings, taken over at its end by keys that are absent.
    merged: Vec<Arc<Node>>,
}

struct Builder<'report> {
    report: &'report mut Report,
    open: Vec<Open>,
    anchors: HashMap<usize, Arc<Node>>,
    root: Option<Arc<Node>>,
    nodes: usize,
}

impl<'report> Builder<'report> {
    fn new(report: &'report mut Report) -> Self {
        Self {
            report,
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            nodes: 0,
        }
    }

    fn handle_event(&mut self, event: Event<'_>, place: Place) -> Result<(), Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.handle_scalar(&text, style, anchor, tag.as_deref(), place)
            }
            Event::Alias(anchor) => self.handle_alias(anchor, place),
            Event::SequenceStart(anchor, tag) => {
                self.handle_start(Content::List(Vec::new()), anchor, tag.as_deref(), place)
            }
            Event::MappingStart(anchor, tag) => {
                self.handle_start(Content::Map(Vec::new()), anchor, tag.as_deref(), place)
            }
            Event::SequenceEnd | Event::MappingEnd => self.handle_end(),
            Event::DocumentStart(_) if self.root.is_some() => Err((
                place,
                "expected one YAML document, found a second".to_owned(),
            )),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn handle_scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        place: Place,
    ) -> Result<(), Stop> {
        check_tag(tag, &place)?;
        if let Some(open) = self.open.last_mut().filter(|open| open.awaits_key()) {
            open.key = Some((text.to_owned(), place.clone()));
            if anchor != 0 {
                self.anchors
                    .insert(anchor, Arc::new(Node::text(text, place)));
            }
            return Ok(());
        }
        let plain = style == ScalarStyle::Plain && tag.is_none();
        let content = match text {
            "" | "~" | "null" | "Null" | "NULL" if plain => Content::Null,
            _ => Content::Text(text.to_owned()),
        };
        self.add(Node::new(content, place, 1), anchor)
    }

    /// An alias counts as all that it stands for.
    fn handle_alias(&mut self, anchor: usize, place: Place) -> Result<(), Stop> {
        let Some(node) = self.anchors.get(&anchor).map(Arc::clone) else {
            return Err((place, "an alias within its own anchor".to_owned()));
        };
        if let Some(open) = self.open.last_mut().filter(|open| open.awaits_key()) {
            let Content::Text(text) = &node.content else {
                return Err((place, "expected a word as key, found an alias".to_owned()));
            };
            open.key = Some((text.clone(), place));
            return Ok(());
        }
        self.count(node.weight, &place)?;
        self.attach(node)
    }

    fn handle_start(
        &mut self,
        content: Content,
        anchor: usize,
        tag: Option<&Tag>,
        place: Place,
    ) -> Result<(), Stop> {
        check_tag(tag, &place)?;
        if self.open.last().is_some_and(Open::awaits_key) {
            return Err((
                place,
                "expected a word as key, found a list or map".to_owned(),
            ));
        }
        if self.open.len() == DEPTH_MAX {
            return Err((place, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.open.push(Open {
            anchor,
            place,
            weight: 1,
            content,
            key: None,
            keys: HashMap::new(),
            merged: Vec::new(),
        });
        Ok(())
    }

    fn handle_end(&mut self) -> Result<(), Stop> {
        let Some(mut open) = self.open.pop() else {
            return Ok(());
        };
        open.merge()?;
        let node = Node::new(open.content, open.place, open.weight);
        self.add(node, open.anchor)
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        self.count(1, &node.place)?;
        let node = Arc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        self.attach(node)
    }

    fn count(&mut self, weight: usize, place: &Place) -> Result<(), Stop> {
        self.nodes = self.nodes.saturating_add(weight);
        if self.nodes > NODES_MAX {
            let text = format!("more than {NODES_MAX} values, aliases counted each time");
            return Err((place.clone(), text));
        }
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn attach(&mut self, node: Arc<Node>) -> Result<(), Stop> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(open) => open.attach(node, self.report),
        }
        Ok(())
    }
}

impl Open {
    fn awaits_key(&self) -> bool {
        matches!(self.content, Content::Map(_)) && self.key.is_none()
    }

    fn attach(&mut self, value: Arc<Node>, report: &mut Report) {
        self.weight = self.weight.saturating_add(value.weight);
        let entries = match &mut self.content {
            Content::List(items) => return items.push(value),
            Content::Map(entries) => entries,
            Content::Null | Content::Text(_) => return,
        };
        let Some((key, place)) = self.key.take() else {
            return;
        };
        if key == "<<" {
            return self.merged.push(value);
        }
        if let Some(first) = self.keys.get(&key) {
            let text = || format!("{} is given twice, first in {first}", quoted(&key));
            return report.add(&place, text);
        }
        self.keys.insert(key.clone(), place.clone());
        entries.push(Entry { key, place, value });
    }

    /// Takes over the entries of `<<: *one` or `<<: [*one, *two]` whose keys are absent; of
    /// two maps the first wins (<https://yaml.org/type/merge.html>).
    fn merge(&mut self) -> Result<(), Stop> {
        let Content::Map(entries) = &mut self.content else {
            return Ok(());
        };
        for source in std::mem::take(&mut self.merged) {
            for map in merge_sources(&source)? {
                for entry in map {
                    if !self.keys.contains_key(&entry.key) {
                        self.keys.insert(entry.key.clone(), entry.place.clone());
                        entries.push(entry.clone());
                    }
                }
            }
        }
        Ok(())
    }
}

/// The maps that a merge key names.
fn merge_sources(source: &Node) -> Result<Vec<&[Entry]>, Stop> {
    match &source.content {
        Content::List(items) => items.iter().map(|item| merge_source(item)).collect(),
        _ => merge_source(source).map(|map| vec![map]),
    }
}

fn merge_source(node: &Node) -> Result<&[Entry], Stop> {
    match &node.content {
        Content::Map(entries) => Ok(entries),
        _ => {
            let text = format!("expected a map to merge after '<<', found {}", node.found());
            Err((node.place.clone(), text))
        }
    }
}

/// Tags of YAML itself say nothing that the key does not know better, except that a scalar
/// with one is not null.
fn check_tag(tag: Option<&Tag>, place: &Place) -> Result<(), Stop> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() => Err((
            place.clone(),
            format!("unknown tag {}", quoted(&tag.to_string())),
        )),
        _ => Ok(()),
    }
}
