//! What a listener asks for: which paths and kinds, in which form, and from where on.

use http::header;
use regex::{Regex, RegexBuilder};

use super::history::{Entry, EventId};
use super::kind::EventKind;
use crate::control::Request;

/// Paths that one listener names; who wants more asks for all of them.
const PATHS_MAX: usize = 32;

/// What one expression may become. Each event is matched against each of them on a shard.
const REGEX_BYTES_MAX: usize = 64 << 10;

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `text/event-stream`.
    SentEvents,
    /// A line of JSON each.
    JsonLines,
}

/// Where a listener begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// With what happens from now on.
    Now,
    /// Behind this event.
    Behind(EventId),
    /// Behind an event that this process does not know.
    Elsewhere,
}

/// A listener's question.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) form: Form,
    pub(super) begin: Begin,
    paths: Vec<PathFilter>,
    kinds: Vec<EventKind>,
}

#[derive(Debug)]
enum PathFilter {
    Exact(String),
    Matches(Regex),
}

/// What is wrong with a question.
#[derive(Debug, thiserror::Error)]
pub(super) enum QuestionError {
    #[error("unknown kind: '{0}'")]
    Kind(String),
    #[error("unknown format: '{0}'")]
    Form(String),
    #[error("invalid path: {0}")]
    Path(regex::Error),
    #[error("more than {PATHS_MAX} paths")]
    TooManyPaths,
}

impl Question {
    /// Reads the request's query and headers.
    pub(super) fn read(request: &Request) -> Result<Self, QuestionError> {
        let mut question = Self {
            form: form_of_headers(request),
            begin: Begin::Now,
            paths: Vec::new(),
            kinds: Vec::new(),
        };
        for (key, value) in request.query() {
            match key.as_str() {
                "path" => question.add_path(&value)?,
                "kind" => question.add_kinds(&value)?,
                "format" => question.form = form_of(&value)?,
                "lastEventId" => question.begin = begin_behind(&value),
                _ => {}
            }
        }
        // Who connects again sends the header, with the address that it began with.
        let header = request.headers.get("last-event-id");
        if let Some(id) = header.and_then(|value| value.to_str().ok()) {
            question.begin = begin_behind(id);
        }
        Ok(question)
    }

    fn add_path(&mut self, value: &str) -> Result<(), QuestionError> {
        if self.paths.len() == PATHS_MAX {
            return Err(QuestionError::TooManyPaths);
        }
        self.paths.push(match value.strip_prefix('~') {
            Some(regex) => {
                let built = RegexBuilder::new(regex).size_limit(REGEX_BYTES_MAX).build();
                PathFilter::Matches(built.map_err(QuestionError::Path)?)
            }
            None => PathFilter::Exact(value.to_owned()),
        });
        Ok(())
    }

    fn add_kinds(&mut self, value: &str) -> Result<(), QuestionError> {
        for name in value.split(',') {
            let kind = EventKind::of(name);
            let kind = kind.ok_or_else(|| QuestionError::Kind(name.to_owned()))?;
            if !self.kinds.contains(&kind) {
                self.kinds.push(kind);
            }
        }
        Ok(())
    }

    /// Whether it asks for this event. Gaps are told to everybody.
    pub(super) fn asks_for(&self, entry: &Entry) -> bool {
        if entry.kind == EventKind::Gap {
            return true;
        }
        let is_kind = self.kinds.is_empty() || self.kinds.contains(&entry.kind);
        is_kind && (self.paths.is_empty() || self.asks_for_path_of(entry))
    }

    fn asks_for_path_of(&self, entry: &Entry) -> bool {
        let Some(path) = &entry.path else {
            return false;
        };
        self.paths.iter().any(|filter| match filter {
            PathFilter::Exact(name) => name == path.as_str(),
            PathFilter::Matches(regex) => regex.is_match(path.as_str()),
        })
    }
}

fn form_of_headers(request: &Request) -> Form {
    let accept = request.headers.get_all(header::ACCEPT).iter();
    let mut accept = accept.filter_map(|value| value.to_str().ok());
    match accept.any(|value| value.contains("application/x-ndjson")) {
        true => Form::JsonLines,
        false => Form::SentEvents,
    }
}

fn form_of(value: &str) -> Result<Form, QuestionError> {
    match value {
        "sse" => Ok(Form::SentEvents),
        "ndjson" => Ok(Form::JsonLines),
        _ => Err(QuestionError::Form(value.to_owned())),
    }
}

/// An id that makes no sense is one of elsewhere: a listener that connects again must not be refused for ever.
fn begin_behind(id: &str) -> Begin {
    id.parse().map_or(Begin::Elsewhere, Begin::Behind)
}

#[cfg(test)]
mod tests {
    use super::super::wire::Told;
    use super::*;
    use crate::path::PathName;
    use http::{HeaderMap, Method};

    fn request(query: &str, headers: &[(&'static str, &'static str)]) -> Request {
        let headers = headers.iter().map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, http::HeaderValue::from_static(value))
        });
        Request {
            method: Method::GET,
            uri: format!("/v3/events?{query}").parse().unwrap(),
            headers: headers.collect::<HeaderMap>(),
            body: bytes::Bytes::new(),
            peer: ([127, 0, 0, 1], 1).into(),
            captures: Vec::new(),
        }
    }

    fn question(query: &str) -> Result<Question, QuestionError> {
        Question::read(&request(query, &[]))
    }

    fn entry(kind: EventKind, path: Option<&str>) -> Entry {
        let told = Told {
            kind,
            path: path.map(|path| PathName::new(path).unwrap()),
            fields: serde_json::json!({}),
        };
        let (epoch, number) = (1, 1);
        Entry::write(EventId { epoch, number }, told)
    }

    #[test]
    fn events_are_filtered_by_path_and_kind() {
        let asks = |query: &str, kind, path| question(query).unwrap().asks_for(&entry(kind, path));
        let ready = EventKind::PathReady;
        assert!(asks("", ready, Some("a")));
        assert!(asks("path=b&path=a", ready, Some("a")));
        assert!(!asks("path=b", ready, Some("a")));
        assert!(asks("path=~%5Ecam", ready, Some("cam/1")));
        assert!(!asks("path=~%5Ecam", ready, Some("my/cam")));
        assert!(!asks("path=a", EventKind::StallBegun, None));
        assert!(asks("kind=stallBegun,pathReady", ready, Some("a")));
        assert!(asks("kind=stallBegun&kind=pathReady", ready, Some("a")));
        assert!(!asks("kind=stallBegun", ready, Some("a")));
        assert!(asks("kind=stallBegun&path=b", EventKind::Gap, None));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(matches!(question("kind=x"), Err(QuestionError::Kind(_))));
        assert!(matches!(question("kind="), Err(QuestionError::Kind(_))));
        assert!(matches!(
            question("format=xml"),
            Err(QuestionError::Form(_))
        ));
        assert!(matches!(question("path=~("), Err(QuestionError::Path(_))));
        let large = "path=~(((a{100}){100}){100})";
        assert!(matches!(question(large), Err(QuestionError::Path(_))));
    }

    #[test]
    fn as_many_paths_as_the_maximum_can_be_named() {
        let most = "path=a&".repeat(PATHS_MAX);
        assert!(question(&most).is_ok());
        let more = question(&format!("{most}path=a"));
        assert!(matches!(more, Err(QuestionError::TooManyPaths)));
    }

    #[test]
    fn a_listener_that_comes_again_begins_where_its_header_says() {
        let id = EventId {
            epoch: 1,
            number: 7,
        };
        assert_eq!(question("").unwrap().begin, Begin::Now);
        let named = question("lastEventId=00000001-7").unwrap();
        assert_eq!(named.begin, Begin::Behind(id));
        assert_eq!(question("lastEventId=7").unwrap().begin, Begin::Elsewhere);
        let again = request("lastEventId=00000001-3", &[("last-event-id", "00000001-7")]);
        assert_eq!(Question::read(&again).unwrap().begin, Begin::Behind(id));
    }

    #[test]
    fn lines_of_json_are_had_by_accept_or_by_format() {
        let accept = request("", &[("accept", "application/x-ndjson")]);
        assert_eq!(Question::read(&accept).unwrap().form, Form::JsonLines);
        assert_eq!(question("format=ndjson").unwrap().form, Form::JsonLines);
        assert_eq!(question("format=sse").unwrap().form, Form::SentEvents);
        assert_eq!(question("").unwrap().form, Form::SentEvents);
    }
}
