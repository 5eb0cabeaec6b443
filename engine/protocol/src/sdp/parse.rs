//! The SDP reader: text into a [`SessionDescription`].
//!
//! It takes what cameras write: any order of lines in front of the first medium, lines that are
//! missing, lines that nobody knows, any session id, any medium, LF or CR or both, blank lines, Latin-1
//! where UTF-8 is due, and null bytes at the end. It refuses what has no meaning: a line that is not
//! `<letter>=<value>`, an `m=` line without its parts, and more than the limits below.

use std::borrow::Cow;

use super::error::{SdpError, SdpErrorKind};
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

/// The most formats of one medium: RTP has no more payload types.
pub const FORMATS_MAX: usize = 128;

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
    let formats: Vec<String> = words
        .by_ref()
        .take(FORMATS_MAX)
        .map(str::to_owned)
        .collect();
    if formats.is_empty() {
        return Err(incomplete());
    }
    if words.next().is_some() {
        return Err(error(line.number, 1, SdpErrorKind::TooManyFormats));
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As ffmpeg 7 announces a file with H.264 and AAC.
    const FFMPEG: &str = "v=0\r\n\
        o=- 0 0 IN IP4 127.0.0.1\r\n\
        s=No Name\r\n\
        c=IN IP4 127.0.0.1\r\n\
        t=0 0\r\n\
        a=tool:libavformat 61.7.100\r\n\
        m=video 0 RTP/AVP 96\r\n\
        b=AS:2000\r\n\
        a=rtpmap:96 H264/90000\r\n\
        a=control:streamid=0\r\n\
        m=audio 0 RTP/AVP 97\r\n\
        a=rtpmap:97 MPEG4-GENERIC/48000/2\r\n\
        a=control:streamid=1\r\n";

    fn refused(text: &[u8]) -> SdpError {
        parse(text).unwrap_err()
    }

    #[test]
    fn an_announcement_is_read_line_by_line() {
        let session = parse(FFMPEG.as_bytes()).unwrap();
        assert_eq!(session.origin.as_deref(), Some("- 0 0 IN IP4 127.0.0.1"));
        assert_eq!(session.name.as_deref(), Some("No Name"));
        assert_eq!(session.connection.as_deref(), Some("IN IP4 127.0.0.1"));
        assert_eq!(
            session.attributes,
            [Attribute::new("tool", "libavformat 61.7.100")]
        );
        let [video, audio] = &session.media[..] else {
            panic!("two media");
        };
        assert_eq!(
            (video.media.as_str(), video.port, video.line),
            ("video", 0, 7)
        );
        assert_eq!(
            (video.protocol.as_str(), &video.formats[..]),
            ("RTP/AVP", &["96".to_owned()][..])
        );
        assert_eq!(video.bandwidth, ["AS:2000"]);
        assert_eq!(audio.attribute("control"), Some("streamid=1"));
        assert_eq!(audio.attribute("rtpmap"), Some("97 MPEG4-GENERIC/48000/2"));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let session = parse(FFMPEG.as_bytes()).unwrap();
        assert_eq!(session.to_string(), FFMPEG);
    }

    #[test]
    fn another_reader_understands_what_is_written() {
        for text in [FFMPEG, "v=0\n", "m=video 0 RTP/AVP 26\na=x\n"] {
            let written = parse(text.as_bytes()).unwrap().to_string();
            let session = sdp_types::Session::parse(written.as_bytes()).unwrap();
            assert_eq!(session.medias.len(), text.matches("m=").count());
        }
    }

    #[test]
    fn line_ends_may_be_lf_cr_or_both() {
        let crlf = parse(FFMPEG.as_bytes()).unwrap();
        for line_end in ["\n", "\r"] {
            let text = FFMPEG.replace("\r\n", line_end);
            assert_eq!(parse(text.as_bytes()).unwrap(), crlf);
        }
        let unfinished = FFMPEG.trim_end();
        assert_eq!(parse(unfinished.as_bytes()).unwrap(), crlf);
    }

    #[test]
    fn blank_lines_are_skipped_and_counted() {
        let session = parse(b"\r\n\r\nv=0\r\n \t\r\nm=video 0 RTP/AVP 96\r\n\r\n").unwrap();
        assert_eq!(session.media[0].line, 5);
    }

    /// The list of what other readers refuse and cameras write.
    #[test]
    fn what_cameras_write_is_taken() {
        for (quirk, text) in [
            ("an unknown medium", "v=0\nm=metadata 0 RTP/AVP 107\n"),
            (
                "a medium with a vendor",
                "v=0\nm=application/TP-LINK 0 RTP/AVP smart/1/90000\n",
            ),
            (
                "neither origin, name nor time",
                "v=0\nm=video 0 RTP/AVP 96\n",
            ),
            ("no version", "s=x\nm=video 0 RTP/AVP 96\n"),
            (
                "a session id over 64 bits",
                "v=0\no=- 340282366920938463463374607431768211456 1 IN IP4 x\n",
            ),
            ("a negative session id", "v=0\no=-0 -1 1 IN IP4\n"),
            (
                "connection and attributes before the time",
                "v=0\nc=IN IP4 0.0.0.0\na=range:npt=0-\nt=0 0\n",
            ),
            (
                "an unknown line",
                "v=0\nx=what\nQ=ever\nm=video 0 RTP/AVP 96\ny=1\n",
            ),
            ("an empty value", "v=0\ns=\nt=\nm=video 0 RTP/AVP 96\na=\n"),
            ("a range of ports", "v=0\nm=video 49170/2 RTP/AVP 31\n"),
            (
                "spaces before a line",
                "v=0\n  a=sendonly\n\tm=audio 0  RTP/AVP   0 \n",
            ),
            ("a byte order mark", "\u{feff}v=0\nm=video 0 RTP/AVP 96\n"),
            ("null bytes at the end", "v=0\nm=video 0 RTP/AVP 96\n\0\0\0"),
        ] {
            assert!(parse(text.as_bytes()).is_ok(), "{quirk}");
        }
    }

    #[test]
    fn latin_1_is_read_where_utf_8_is_due() {
        let session = parse(b"v=0\ns=K\xfcche\nm=video 0 RTP/AVP 96\n").unwrap();
        assert_eq!(session.name.as_deref(), Some("Küche"));
        let session = parse("v=0\ns=Küche\n".as_bytes()).unwrap();
        assert_eq!(session.name.as_deref(), Some("Küche"));
    }

    #[test]
    fn an_error_names_line_and_column() {
        use SdpErrorKind::*;
        for (text, line, column, what) in [
            (&b""[..], 1, 1, Empty),
            (b"\r\n\0", 1, 1, Empty),
            (b"v=0\r\n<html>\r\n", 2, 1, NotALine),
            (b"v=0\r\n=x\r\n", 2, 1, NotALine),
            (b"v=0\r\ns=a\0b\r\n", 2, 4, NullByte),
            (b"v=0\r\nm=video 65536 RTP/AVP 96\r\n", 2, 9, Port),
            (b"v=0\r\nm=video -1 RTP/AVP 96\r\n", 2, 9, Port),
            (b"v=0\r\nm=video 0 RTP/AVP\r\n", 2, 18, MediaIncomplete),
            (b"m=\r\n", 1, 3, MediaIncomplete),
        ] {
            assert_eq!(refused(text), SdpError { line, column, what }, "{text:?}");
        }
        let shown = refused(b"v=0\r\nm=video x RTP/AVP 96\r\n").to_string();
        assert_eq!(shown, "SDP line 2, column 9: expected a port");
    }

    #[test]
    fn every_limit_holds_at_its_last_and_refuses_one_more() {
        let of_lines = |count: usize| "a=x\n".repeat(count);
        assert!(parse(of_lines(LINES_MAX).as_bytes()).is_ok());
        let error = refused(of_lines(LINES_MAX + 1).as_bytes());
        assert_eq!(
            (error.line, error.what),
            (LINES_MAX + 1, SdpErrorKind::TooManyLines)
        );

        let of_media = |count: usize| "m=video 0 RTP/AVP 96\n".repeat(count);
        assert_eq!(
            parse(of_media(MEDIA_MAX).as_bytes()).unwrap().media.len(),
            MEDIA_MAX
        );
        let error = refused(of_media(MEDIA_MAX + 1).as_bytes());
        assert_eq!(
            (error.line, error.what),
            (MEDIA_MAX + 1, SdpErrorKind::TooManyMedia)
        );

        let of_formats = |count: usize| format!("m=video 0 RTP/AVP{}\n", " 26".repeat(count));
        let session = parse(of_formats(FORMATS_MAX).as_bytes()).unwrap();
        assert_eq!(session.media[0].formats.len(), FORMATS_MAX);
        let error = refused(of_formats(FORMATS_MAX + 1).as_bytes());
        assert_eq!(error.what, SdpErrorKind::TooManyFormats);

        let of_bytes = |count: usize| format!("a={}\r\n", "x".repeat(count - 2));
        assert!(parse(of_bytes(LINE_BYTES_MAX).as_bytes()).is_ok());
        let error = refused(of_bytes(LINE_BYTES_MAX + 1).as_bytes());
        assert_eq!(error.what, SdpErrorKind::LineTooLong);

        let mut text = of_bytes(LINE_BYTES_MAX).repeat(SDP_BYTES_MAX / LINE_BYTES_MAX);
        text.truncate(SDP_BYTES_MAX);
        assert!(parse(text.as_bytes()).is_ok());
        text.push('\n');
        assert_eq!(refused(text.as_bytes()).what, SdpErrorKind::TooLong);
    }

    #[test]
    fn a_description_cut_at_any_byte_is_read_or_refused() {
        for cut in 0..FFMPEG.len() {
            let _ = parse(&FFMPEG.as_bytes()[..cut]);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn what_was_read_is_written_and_read_the_same(
            lines in proptest::collection::vec("[vosictbarkxm]=[ -~äöü]{0,30}", 0..20),
        ) {
            if let Ok(first) = parse(lines.join("\n").as_bytes()) {
                let written = first.to_string();
                let second = parse(written.as_bytes()).unwrap();
                prop_assert_eq!(written, second.to_string());
                prop_assert_eq!(first.media.len(), second.media.len());
            }
        }
    }
}
