//! Entity tags (RFC 9110, section 8.8.3): what is shown has one, and a change can be made to depend on it, so that of two
//! who change the same thing neither undoes what the other has done.

use http::{HeaderName, HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};
use shardcast_config::Document;

use super::super::Refused;
use crate::control::web::{Answer, Request, json_text};

/// Bytes of a hash that make a tag: no two texts will meet.
const TAG_BYTES: usize = 16;

/// A part of the configuration that is shown and changed as one.
#[derive(Clone, Debug)]
pub(super) enum Resource {
    Global,
    PathDefaults,
    Path(String),
    Changes,
    /// Something that is only ever added to.
    None,
}

impl Resource {
    /// What it looks like; `None`: it is not there.
    pub(super) fn text(&self, document: &Document) -> Option<String> {
        match self {
            Self::Global => Some(document.global_json()),
            Self::PathDefaults => Some(document.defaults_json()),
            Self::Path(name) => document.path_json(name),
            Self::Changes => Some(super::changes::all(document)),
            Self::None => None,
        }
    }
}

/// The answer to GET: the text, unless the request has it already.
pub(super) fn tagged(request: &Request, text: String) -> Answer {
    let tag = tag_of(&text);
    with_tag(request, tag, text)
}

/// As [`tagged`], where the tag is of more than what is shown.
pub(super) fn with_tag(request: &Request, tag: String, text: String) -> Answer {
    let known = tags(request, &header::IF_NONE_MATCH);
    let is_known = known.is_some_and(|known| {
        let mut known = known.iter().map(|known| known.trim_start_matches("W/"));
        known.any(|known| known == "*" || known == tag)
    });
    let mut answer = match is_known {
        true => {
            let mut answer = Answer::default();
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            answer
        }
        false => json_text(StatusCode::OK, text),
    };
    if let Ok(tag) = HeaderValue::try_from(tag) {
        answer.headers_mut().insert(header::ETAG, tag);
    }
    answer
}

/// Refuses a change of what is not as the request believes.
pub(super) fn check_if_match(
    request: &Request,
    what: &Resource,
    document: &Document,
) -> Result<(), Refused> {
    let Some(expected) = tags(request, &header::IF_MATCH) else {
        return Ok(());
    };
    let tag = what.text(document).map(|text| tag_of(&text));
    let is_expected = tag.is_some_and(|tag| {
        let mut expected = expected.iter();
        expected.any(|expected| expected == "*" || *expected == tag)
    });
    match is_expected {
        true => Ok(()),
        false => Err(Refused::new(
            StatusCode::PRECONDITION_FAILED,
            "If-Match: it is not as it was",
        )),
    }
}

/// The tag of a text, in its quotes.
pub(super) fn tag_of(text: &str) -> String {
    use std::fmt::Write as _;
    let hash = Sha256::digest(text.as_bytes());
    let mut tag = String::from("\"");
    for byte in hash.iter().take(TAG_BYTES) {
        // Writing to a string cannot fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag + "\""
}

/// The tags that a header lists; what is no text matches nothing.
fn tags(request: &Request, name: &HeaderName) -> Option<Vec<String>> {
    let mut values = request.headers.get_all(name).iter().peekable();
    values.peek()?;
    let texts = values.filter_map(|value| value.to_str().ok());
    let tags = texts.flat_map(|text| text.split(','));
    Some(tags.map(|tag| tag.trim().to_owned()).collect())
}
