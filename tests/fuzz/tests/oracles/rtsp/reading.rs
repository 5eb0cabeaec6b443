//! What each of the two readers makes of the same bytes, in terms that can be compared.

use std::collections::BTreeMap;

use rtsp_types::{Message as OracleMessage, ParseError, Url};
use shardcast_protocol::rtsp::{Headers, Limits, MessageErrorKind, MessageReader, Parsed};

use super::differences::DIFFERENCES;
use crate::difference::{Difference, Readers};

/// What a reader says.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Message(Box<Message>),
    Incomplete,
    Refused,
}

/// A message, or a frame with its channel for a first line.
#[derive(Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) start: Start,
    /// Values of the same name are joined, as RFC 2326 (by way of RFC 2616, section 4.2) lets anybody do.
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    pub(crate) consumed: usize,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Start {
    /// Method and URL; none for `*`.
    Request(String, Option<String>),
    Response(u16),
    Frame(u8),
}

/// Bytes, and what both say of them.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) ours: Verdict,
    /// Why we refuse.
    pub(crate) fault: Option<MessageErrorKind>,
    pub(crate) oracle: Verdict,
}

/// Both readers.
pub(crate) struct Rtsp;

impl Readers for Rtsp {
    type Case<'a> = Case<'a>;

    const DIFFERENCES: &'static [Difference<Self>] = DIFFERENCES;

    fn read(bytes: &[u8]) -> Case<'_> {
        Case::read(bytes)
    }

    fn is_alike(case: &Case<'_>) -> bool {
        case.ours == case.oracle
    }
}

impl<'a> Case<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Self {
        let read = MessageReader::new(Limits::default()).poll(bytes);
        let fault = read.as_ref().err().map(|error| error.kind);
        let ours = read.map_or(Verdict::Refused, |parsed| of_ours(bytes, parsed));
        let oracle = of_oracle(bytes);
        Self {
            bytes,
            ours,
            fault,
            oracle,
        }
    }

    /// The first line, without blank lines before it.
    pub(crate) fn first_line(&self) -> String {
        let text = String::from_utf8_lossy(self.bytes);
        let text = text.trim_start_matches(['\r', '\n']);
        text.split(['\r', '\n'])
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    /// The head, up to the blank line, whichever reader's.
    pub(crate) fn head(&self) -> &'a [u8] {
        let ends = [&b"\r\n\r\n"[..], b"\n\n", b"\n\r\n"];
        let blank = self
            .bytes
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let bytes = &self.bytes[blank.count()..];
        let end = (0..bytes.len()).find(|at| ends.iter().any(|end| bytes[*at..].starts_with(end)));
        end.map_or(bytes, |end| &bytes[..end + 1])
    }

    pub(crate) fn is_refused_by_us(&self, kinds: &[MessageErrorKind]) -> bool {
        self.fault.is_some_and(|fault| kinds.contains(&fault))
    }
}

fn of_ours(bytes: &[u8], parsed: Parsed) -> Verdict {
    let (start, headers, body, consumed) = match parsed {
        Parsed::Incomplete { .. } => return Verdict::Incomplete,
        Parsed::Frame {
            channel,
            payload,
            consumed,
        } => {
            let body = bytes[payload].to_vec();
            (Start::Frame(channel), Headers::new(), body, consumed)
        }
        Parsed::Request { request, consumed } => {
            let target = Some(normalised(&request.target)).filter(|target| target != "*");
            let start = Start::Request(request.method.name().to_owned(), target);
            (start, request.headers, request.body.to_vec(), consumed)
        }
        Parsed::Response { response, consumed } => {
            let start = Start::Response(response.status.code());
            (start, response.headers, response.body.to_vec(), consumed)
        }
    };
    Verdict::Message(Box::new(Message {
        start,
        fields: joined(headers.iter()),
        body,
        consumed,
    }))
}

fn of_oracle(bytes: &[u8]) -> Verdict {
    let (message, consumed) = match OracleMessage::<Vec<u8>>::parse(bytes) {
        Ok(read) => read,
        Err(ParseError::Incomplete(_)) => return Verdict::Incomplete,
        Err(ParseError::Error) => return Verdict::Refused,
    };
    let (start, headers, body): (_, Vec<_>, _) = match &message {
        OracleMessage::Data(data) => {
            let start = Start::Frame(data.channel_id());
            (start, Vec::new(), data.as_slice().to_vec())
        }
        OracleMessage::Request(request) => {
            let method: &str = request.method().into();
            let url = request.request_uri().map(|url| url.as_str().to_owned());
            let start = Start::Request(method.to_owned(), url);
            (start, request.headers().collect(), request.body().clone())
        }
        OracleMessage::Response(response) => {
            let start = Start::Response(response.status().into());
            (start, response.headers().collect(), response.body().clone())
        }
    };
    let fields = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    Verdict::Message(Box::new(Message {
        start,
        fields: joined(fields),
        body,
        consumed,
    }))
}

/// The URL as the oracle's URL crate writes it, so that only what it *changes* about the path is a difference.
fn normalised(target: &str) -> String {
    match Url::parse(target) {
        Ok(url) if !target.contains("/.") && !target.contains("%2e") => url.into(),
        _ => target.to_owned(),
    }
}

fn joined<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in fields {
        let place = joined.entry(name.to_ascii_lowercase());
        place
            .and_modify(|values| *values = format!("{values}, {value}"))
            .or_insert_with(|| value.to_owned());
    }
    joined
}
