//! Reads the head of a message, once it is whole, into its first line and its header fields.
//! `reader` has found where the head ends and has refused control characters and over-long lines.

use super::reader::{Limits, MessageErrorKind as Kind};
use super::{Headers, Method, StatusCode};

/// The first line of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StartLine {
    Request {
        method: Method,
        target: String,
        cseq: u32,
    },
    Response {
        status: StatusCode,
        cseq: Option<u32>,
    },
}

/// A head that was read, and how many bytes of body follow it.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) start: StartLine,
    pub(super) headers: Headers,
    pub(super) body_bytes: usize,
}

/// What is wrong with a head, and how far into it.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadError {
    pub(super) kind: Kind,
    pub(super) at: usize,
}

/// Characters of a token (RFC 2326, section 15.1).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte)
}

/// Reads a whole head, its last blank line included.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<Head, HeadError> {
    let mut lines = Lines { bytes, at: 0 };
    let first = lines.next().unwrap_or_default();
    let line = FirstLine::parse(first.text).map_err(|kind| HeadError { kind, at: 0 })?;
    let headers = parse_fields(lines)?;
    let fault = |kind| HeadError {
        kind,
        at: bytes.len(),
    };
    let cseq = cseq(&headers).map_err(fault)?;
    let body_bytes = body_bytes(&headers, limits).map_err(fault)?;
    let start = match line {
        FirstLine::Response { status } => StartLine::Response { status, cseq },
        FirstLine::Request { method, target } => StartLine::Request {
            method,
            target,
            cseq: cseq.ok_or(fault(Kind::CSeqMissing))?,
        },
    };
    Ok(Head {
        start,
        headers,
        body_bytes,
    })
}

/// Looks for a usable `CSeq` in a head that may be broken or cut, so that its refusal can carry it. A line without its
/// end may hold half of a number, and what follows a blank line is another message's.
pub(super) fn find_cseq(bytes: &[u8]) -> Option<u32> {
    let last_end = bytes.iter().rposition(|byte| *byte == b'\n')?;
    let bytes = bytes.get(..last_end)?;
    let mut lines = Lines { bytes, at: 0 }.take_while(|line| !line.text.is_empty());
    lines.find_map(|line| {
        let (name, value) = split_once(line.text, b':')?;
        let is_cseq = name.trim_ascii().eq_ignore_ascii_case(b"cseq");
        let value = std::str::from_utf8(value.trim_ascii()).ok()?;
        is_cseq
            .then(|| parse_digits(value))
            .flatten()?
            .try_into()
            .ok()
    })
}

enum FirstLine {
    Request { method: Method, target: String },
    Response { status: StatusCode },
}

impl FirstLine {
    fn parse(line: &[u8]) -> Result<Self, Kind> {
        let line = std::str::from_utf8(line).map_err(|_| Kind::StartLine)?;
        if line.starts_with("RTSP/") {
            Self::parse_response(line)
        } else {
            Self::parse_request(line)
        }
    }

    fn parse_request(line: &str) -> Result<Self, Kind> {
        let line = line.trim_end_matches(' ');
        let (method, rest) = line.split_once(' ').ok_or(Kind::StartLine)?;
        let (target, version) = rest.rsplit_once(' ').ok_or(Kind::StartLine)?;
        check_version(version)?;
        let target = target.trim_matches(' ');
        let valid = !method.is_empty() && method.bytes().all(is_token);
        if !valid || target.is_empty() || target.contains(char::is_whitespace) {
            return Err(Kind::StartLine);
        }
        let method = Method::from_name(method);
        let target = target.to_owned();
        Ok(Self::Request { method, target })
    }

    fn parse_response(line: &str) -> Result<Self, Kind> {
        let (version, rest) = line.split_once(' ').ok_or(Kind::StartLine)?;
        check_version(version)?;
        let digits = rest.split(' ').next().unwrap_or_default();
        let status = parse_digits(digits)
            .and_then(|code| u16::try_from(code).ok())
            .and_then(StatusCode::from_code)
            .ok_or(Kind::StartLine)?;
        Ok(Self::Response { status })
    }
}

/// Only `RTSP/1.0` is spoken here. What is no version at all is no RTSP either; HTTP is told so
/// with the code that HTTP has for it, too.
fn check_version(version: &str) -> Result<(), Kind> {
    match version.split_once('/') {
        Some(("RTSP", "1.0")) => Ok(()),
        Some(("RTSP" | "HTTP", _)) => Err(Kind::Version),
        _ => Err(Kind::StartLine),
    }
}

fn parse_fields(lines: Lines<'_>) -> Result<Headers, HeadError> {
    let mut headers = Headers::new();
    for line in lines {
        let fault = HeadError {
            kind: Kind::Field,
            at: line.at,
        };
        let text = decode(line.text);
        if text.is_empty() {
            break;
        }
        if text.starts_with([' ', '\t']) {
            if !headers.extend_last(&text) {
                return Err(fault);
            }
            continue;
        }
        let (name, value) = text.split_once(':').ok_or(fault)?;
        headers.push(name.trim_end(), value).map_err(|_| fault)?;
    }
    Ok(headers)
}

/// Header text is UTF-8 by RFC 2326, section 4; cameras and their users also write Latin-1.
fn decode(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

fn cseq(headers: &Headers) -> Result<Option<u32>, Kind> {
    let Some(value) = single(headers, "CSeq", Kind::CSeq)? else {
        return Ok(None);
    };
    let number = parse_digits(value).ok_or(Kind::CSeq)?;
    number.try_into().map(Some).map_err(|_| Kind::CSeq)
}

fn body_bytes(headers: &Headers, limits: &Limits) -> Result<usize, Kind> {
    let Some(value) = single(headers, "Content-Length", Kind::ContentLength)? else {
        return Ok(0);
    };
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Kind::ContentLength);
    }
    // Whatever does not fit a `u64` is a number all the same, and too large.
    let declared = parse_digits(value).and_then(|number| usize::try_from(number).ok());
    declared
        .filter(|bytes| *bytes <= limits.body_bytes)
        .ok_or(Kind::BodyTooLong)
}

/// A field that may stand once. Twice with the same value is tolerated; with two values nobody can
/// know which one the peer's other half believes.
fn single<'a>(headers: &'a Headers, name: &'a str, kind: Kind) -> Result<Option<&'a str>, Kind> {
    let mut values = headers.all(name);
    let first = values.next();
    match values.all(|other| Some(other) == first) {
        true => Ok(first),
        false => Err(kind),
    }
}

/// Digits alone: no sign, no blanks (`str::parse` takes a plus sign).
fn parse_digits(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == separator)?;
    let (left, right) = bytes.split_at_checked(at)?;
    Some((left, right.get(1..)?))
}

/// The lines of a head with their offsets, without their ends (CR LF, or LF alone).
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

#[derive(Default)]
struct Line<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let at = self.at;
        let rest = self.bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let (text, taken) = match split_once(rest, b'\n') {
            Some((text, _)) => (text, text.len() + 1),
            None => (rest, rest.len()),
        };
        self.at = at + taken;
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        Some(Line { text, at })
    }
}
