//! The SDP reader: text into a [`SessionDescription`].
//!
//! It takes what cameras write: any order of lines in front of the first medium, lines that are
//! missing, lines that nobody knows, any session id, any medium, LF or CR or both, blank lines, Latin-1
//! where UTF-8 is due, and null bytes at the end. It refuses what has no meaning: a line that is not
//! `<letter>=<value>`, an `m=` line without its parts, and more than the limits below.

use std::borrow::Cow;

use super::{Attribute, MediaDescription, SessionDescription};

/// The longest description; RTSP bodies end there too. A stream of two tracks takes about 1 KiB.
pub const SDP_BYTES_MAX: usize = 128 << 10;

/// The longest line. The longest known ones carry parameter sets or an MJPEG table in base64, under
/// 4 KiB.
pub const LINE_BYTES_MAX: usize = 16 << 10;

/// The most lines. Browsers write about 200, cameras 30.
pub const LINES_MAX: usize = 2048;

/// The most media. Each takes two interleaved channels; known publishers have at most 4.
pub const MEDIA_MAX: usize = 16;

/// Why a text is no description, and where. The peer that sent it is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("SDP line {line}, column {column}: {what}")]
pub struct SdpError {
    /// The line, counted from 1.
    pub line: usize,
    /// The byte in the line, counted from 1.
    pub column: usize,
    /// What is wrong there.
    pub what: SdpErrorKind,
}

/// What is wrong with a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SdpErrorKind {
    /// More than [`SDP_BYTES_MAX`].
    #[error("more than {SDP_BYTES_MAX} bytes")]
    TooLong,
    /// More than [`LINES_MAX`].
    #[error("more than {LINES_MAX} lines")]
    TooManyLines,
    /// More than [`LINE_BYTES_MAX`] in a line.
    #[error("more than {LINE_BYTES_MAX} bytes in a line")]
    LineTooLong,
    /// More than [`MEDIA_MAX`].
    #[error("more than {MEDIA_MAX} media")]
    TooManyMedia,
    /// The line is not a letter, an equals sign and a value.
    #[error("expected <letter>=<value>")]
    NotALine,
    /// A null byte.
    #[error("a null byte")]
    NullByte,
    /// The `m=` line ends before its port, transport or formats.
    #[error("expected m=<media> <port> <transport> <format> ...")]
    MediaIncomplete,
    /// The port of an `m=` line is no number up to 65535.
    #[error("expected a port")]
    Port,
    /// There is not one line.
    #[error("no line at all")]
    Empty,
}

/// Reads a description.
///
/// # Errors
/// [`SdpError`] with the first line that has no meaning, or where a limit was passed.
pub fn parse(text: &[u8]) -> Result<SessionDescription, SdpError> {
    if text.len() > SDP_BYTES_MAX {
        return Err(error(1, 1, SdpErrorKind::TooLong));
    }
    let mut session = SessionDescription::default();
    let mut lines = 0;
    for (number, raw) in split_lines(text) {
        lines += 1;
        if lines > LINES_MAX {
            return Err(error(number, 1, SdpErrorKind::TooManyLines));
        }
        let line = Line::parse(number, raw)?;
        handle_line(&mut session, &line)?;
    }
    if lines == 0 {
        return Err(error(1, 1, SdpErrorKind::Empty));
    }
    Ok(session)
}

const fn error(line: usize, column: usize, what: SdpErrorKind) -> SdpError {
    SdpError { line, column, what }
}

/// The lines that are not blank, with their numbers. A CR ends a line as an LF does; that CRLF then
/// makes a blank line too is taken out of the count.
fn split_lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let without_mark = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let end = without_mark
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let body = without_mark.get(..end).unwrap_or_default();
    let mut number = 0;
    body.split_inclusive(|byte| matches!(byte, b'\r' | b'\n'))
        .scan(0u8, |previous_end, piece| {
            let (line, line_end) = match piece {
                [line @ .., line_end @ (b'\r' | b'\n')] => (line, *line_end),
                line => (line, 0),
            };
            let is_second_half = line.is_empty() && line_end == b'\n' && *previous_end == b'\r';
            *previous_end = line_end;
            Some((line, is_second_half))
        })
        .filter(|(_, is_second_half)| !is_second_half)
        .map(move |(line, _)| {
            number += 1;
            (number, line)
        })
        .filter(|(_, line)| !line.trim_ascii().is_empty())
}

/// One line, split at its equals sign.
struct Line<'a> {
    number: usize,
    kind: u8,
    value: Cow<'a, str>,
}

impl<'a> Line<'a> {
    fn parse(number: usize, raw: &'a [u8]) -> Result<Self, SdpError> {
        if raw.len() > LINE_BYTES_MAX {
            return Err(error(number, 1, SdpErrorKind::LineTooLong));
        }
        if let Some(at) = raw.iter().position(|byte| *byte == 0) {
            return Err(error(number, at + 1, SdpErrorKind::NullByte));
        }
        match raw.trim_ascii() {
            [kind, b'=', value @ ..] if kind.is_ascii_alphabetic() => Ok(Self {
                number,
                kind: *kind,
                value: decode(value.trim_ascii()),
            }),
            _ => Err(error(number, 1, SdpErrorKind::NotALine)),
        }
    }
}

/// UTF-8, or else Latin-1, in which each byte is the character of that number.
fn decode(value: &[u8]) -> Cow<'_, str> {
    match str::from_utf8(value) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(value.iter().map(|byte| char::from(*byte)).collect()),
    }
}

fn handle_line(session: &mut SessionDescription, line: &Line<'_>) -> Result<(), SdpError> {
    if line.kind == b'm' {
        if session.media.len() >= MEDIA_MAX {
            return Err(error(line.number, 1, SdpErrorKind::TooManyMedia));
        }
        session.media.push(parse_media(line)?);
        return Ok(());
    }
    match session.media.last_mut() {
        Some(media) => handle_media_line(media, line),
        None => handle_session_line(session, line),
    }
    Ok(())
}

/// The first of several lines counts where there should be one.
fn handle_session_line(session: &mut SessionDescription, line: &Line<'_>) {
    match line.kind {
        b'o' => keep_first(&mut session.origin, line),
        b's' => keep_first(&mut session.name, line),
        b'i' => keep_first(&mut session.information, line),
        b'c' => keep_first(&mut session.connection, line),
        b't' => keep_first(&mut session.timing, line),
        b'b' => session.bandwidth.push(line.value.to_string()),
        b'a' => session.attributes.push(parse_attribute(&line.value)),
        _ => {}
    }
}

fn handle_media_line(media: &mut MediaDescription, line: &Line<'_>) {
    match line.kind {
        b'i' => keep_first(&mut media.title, line),
        b'c' => keep_first(&mut media.connection, line),
        b'b' => media.bandwidth.push(line.value.to_string()),
        b'a' => media.attributes.push(parse_attribute(&line.value)),
        _ => {}
    }
}

fn keep_first(place: &mut Option<String>, line: &Line<'_>) {
    place.get_or_insert_with(|| line.value.to_string());
}

fn parse_attribute(value: &str) -> Attribute {
    match value.split_once(':') {
        Some((name, value)) => Attribute::new(name.trim(), value.trim()),
        None => Attribute {
            name: value.to_owned(),
            value: None,
        },
    }
}

/// Reads `<media> <port>[/<count>] <transport> <format> ...` (RFC 8866 §5.14).
fn parse_media(line: &Line<'_>) -> Result<MediaDescription, SdpError> {
    let mut words = line.value.split_ascii_whitespace();
    // The column behind `m=` and the value: where the missing word should be.
    let end_column = line.value.len() + 3;
    let incomplete = || error(line.number, end_column, SdpErrorKind::MediaIncomplete);
    let media = words.next().ok_or_else(incomplete)?;
    let port_word = words.next().ok_or_else(incomplete)?;
    let protocol = words.next().ok_or_else(incomplete)?;
    let formats: Vec<String> = words.map(str::to_owned).collect();
    if formats.is_empty() {
        return Err(incomplete());
    }
    let number = port_word
        .split_once('/')
        .map_or(port_word, |(port, _)| port);
    let port = number
        .parse()
        .map_err(|_| error(line.number, media.len() + 4, SdpErrorKind::Port))?;
    Ok(MediaDescription {
        media: media.to_owned(),
        port,
        protocol: protocol.to_owned(),
        formats,
        line: line.number,
        ..MediaDescription::default()
    })
}
