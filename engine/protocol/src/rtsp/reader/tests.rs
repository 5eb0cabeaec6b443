//! Promises of the message reader: fragments, limits at their maximum and one beyond, and refusals
//! that carry the request's number and the place.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::rtsp::{Headers, Method};

const OPTIONS: &str = "OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 7\r\n\r\n";

fn poll(input: impl AsRef<[u8]>) -> Result<Parsed, MessageError> {
    MessageReader::new(Limits::default()).poll(input.as_ref())
}

fn request(input: impl AsRef<[u8]>) -> Request {
    match poll(input) {
        Ok(Parsed::Request { request, .. }) => request,
        other => panic!("{other:?}"),
    }
}

fn error(input: impl AsRef<[u8]>) -> MessageError {
    poll(input).unwrap_err()
}

/// A request with these lines below its first two.
fn with_lines(lines: &str) -> String {
    format!("DESCRIBE rtsp://h/a RTSP/1.0\r\nCSeq: 7\r\n{lines}\r\n")
}

fn sample_messages() -> Vec<Vec<u8>> {
    let mut announce = Request::new(Method::Announce, "rtsp://h/a", 4);
    announce
        .headers
        .push("Content-Type", "application/sdp")
        .unwrap();
    announce.body = Bytes::from_static(b"v=0\r\n");
    let mut response = Response::new(StatusCode::NOT_FOUND, Some(4));
    response.headers.push("Server", "x").unwrap();
    let mut bytes = vec![Vec::new(), Vec::new()];
    announce.write(&mut bytes[0]);
    response.write(&mut bytes[1]);
    bytes.push(b"$\x01\x00\x03abc".to_vec());
    bytes.push(OPTIONS.as_bytes().to_vec());
    bytes
}

#[test]
fn a_message_that_comes_byte_by_byte_is_the_message() {
    for message in sample_messages() {
        let mut reader = MessageReader::new(Limits::default());
        for end in 0..message.len() {
            let begun = end > 0;
            let waiting = Parsed::Incomplete { begun, consumed: 0 };
            assert_eq!(reader.poll(&message[..end]), Ok(waiting));
        }
        assert_eq!(reader.poll(&message), poll(&message));
        assert!(!matches!(poll(&message), Ok(Parsed::Incomplete { .. })));
    }
}

#[test]
fn what_is_written_is_read_back() {
    let mut written = Request::new(Method::Other("FOO".into()), "rtsp://[::1]/a?b", u32::MAX);
    written.headers.push("X-Thing", "a: b, \"c\"").unwrap();
    written.body = Bytes::from_static(b"\r\n\r\n$");
    let mut bytes = Vec::new();
    written.write(&mut bytes);
    let read = request(&bytes);
    assert_eq!(
        (&read.method, &read.target, read.cseq, &read.body),
        (
            &written.method,
            &written.target,
            written.cseq,
            &written.body
        )
    );
    assert_eq!(read.headers.get("x-thing"), Some("a: b, \"c\""));
    let mut again = Vec::new();
    read.write(&mut again);
    assert_eq!(
        again.len(),
        bytes.len(),
        "computed fields are not written twice"
    );
}

#[test]
fn messages_and_frames_follow_each_other() {
    let mut stream: Vec<u8> = b"\r\n".to_vec();
    let mut kinds = Vec::new();
    sample_messages()
        .iter()
        .for_each(|message| stream.extend(message));
    let mut reader = MessageReader::new(Limits::default());
    let mut rest = stream.as_slice();
    while !rest.is_empty() {
        let (kind, consumed) = match reader.poll(rest).unwrap() {
            Parsed::Request { request, consumed } => (request.method.to_string(), consumed),
            Parsed::Response { response, consumed } => (response.status.to_string(), consumed),
            Parsed::Frame {
                channel,
                payload,
                consumed,
            } => {
                assert_eq!(&rest[payload], b"abc");
                (format!("channel {channel}"), consumed)
            }
            Parsed::Incomplete { .. } => panic!("all is there"),
        };
        kinds.push(kind);
        rest = &rest[consumed..];
    }
    assert_eq!(kinds, ["ANNOUNCE", "404 Not Found", "channel 1", "OPTIONS"]);
}

#[test]
fn blank_lines_between_messages_may_be_dropped() {
    let waiting = Parsed::Incomplete {
        begun: false,
        consumed: 4,
    };
    assert_eq!(poll("\r\n\r\n"), Ok(waiting));
    let mut reader = MessageReader::new(Limits::default());
    reader.poll(b"\r\n").unwrap();
    let again = reader.poll(format!("\r\n{OPTIONS}").as_bytes());
    assert!(matches!(again, Ok(Parsed::Request { consumed, .. }) if consumed == OPTIONS.len() + 2));
}

#[test]
fn a_frame_may_be_empty_or_the_longest() {
    let frame = Parsed::Frame {
        channel: 9,
        payload: 4..4,
        consumed: 4,
    };
    assert_eq!(poll(b"$\x09\x00\x00"), Ok(frame));
    let mut longest = b"$\x00\xff\xff".to_vec();
    longest.resize(4 + 65534, 0);
    assert_eq!(poll(&longest), Ok(WAIT));
    longest.push(0);
    assert!(matches!(
        poll(&longest),
        Ok(Parsed::Frame {
            consumed: 65539,
            ..
        })
    ));
}

#[test]
fn line_feeds_alone_and_continued_lines_are_taken() {
    let text = "DESCRIBE rtsp://h/a RTSP/1.0\nCSeq:7\nAccept: a,\n\t b\n\n";
    let read = request(text);
    assert_eq!((read.cseq, read.headers.get("Accept")), (7, Some("a, b")));
}

#[test]
fn header_text_may_be_latin_1() {
    let mut bytes = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: Cam\xe9ra\r\n\r\n".to_vec();
    assert_eq!(request(&bytes).headers.get("User-Agent"), Some("Caméra"));
    bytes[0] = 0xe9;
    assert_eq!(error(&bytes).kind, MessageErrorKind::StartLine);
}

#[test]
fn a_line_is_taken_at_its_limit_and_refused_one_beyond() {
    let url = |bytes: usize| {
        let frame = "OPTIONS rtsp://h/ RTSP/1.0".len();
        let path = "a".repeat(bytes - frame);
        format!("OPTIONS rtsp://h/{path} RTSP/1.0\r\nCSeq: 7\r\n\r\n")
    };
    assert_eq!(request(url(LINE_BYTES_MAX)).cseq, 7);
    let refused = error(url(LINE_BYTES_MAX + 1));
    assert_eq!(refused.status(), StatusCode::REQUEST_URI_TOO_LARGE);
    assert_eq!((refused.cseq, refused.at), (Some(7), LINE_BYTES_MAX));
    let field = |bytes: usize| with_lines(&format!("A: {}\r\n", "a".repeat(bytes - 3)));
    assert!(request(field(LINE_BYTES_MAX)).headers.get("A").is_some());
    let refused = error(field(LINE_BYTES_MAX + 1));
    assert_eq!(refused.kind, MessageErrorKind::FieldTooLong);
    assert_eq!(
        (refused.status(), refused.cseq),
        (StatusCode::BAD_REQUEST, Some(7))
    );
}

#[test]
fn header_lines_are_taken_at_their_limit_and_refused_one_beyond() {
    let lines = |count: usize| with_lines(&"A: b\r\n".repeat(count - 1));
    assert_eq!(request(lines(HEADERS_MAX)).headers.len(), HEADERS_MAX);
    assert_eq!(
        error(lines(HEADERS_MAX + 1)).kind,
        MessageErrorKind::TooManyFields
    );
}

#[test]
fn a_head_is_taken_at_its_limit_and_refused_one_beyond() {
    let head = |bytes: usize| {
        let full = format!("A: {}\r\n", "a".repeat(4000)).repeat(8);
        let frame = with_lines(&format!("{full}B: \r\n")).len();
        with_lines(&format!("{full}B: {}\r\n", "b".repeat(bytes - frame)))
    };
    assert_eq!(head(HEAD_BYTES_MAX).len(), HEAD_BYTES_MAX);
    assert_eq!(request(head(HEAD_BYTES_MAX)).cseq, 7);
    let refused = error(head(HEAD_BYTES_MAX + 1));
    assert_eq!(
        (refused.kind, refused.cseq),
        (MessageErrorKind::HeadTooLong, Some(7))
    );
}

#[test]
fn a_body_is_taken_at_its_limit_and_refused_one_beyond_before_it_comes() {
    let head = |bytes: usize| with_lines(&format!("Content-Length: {bytes}\r\n"));
    let mut whole = head(BODY_BYTES_MAX).into_bytes();
    whole.resize(whole.len() + BODY_BYTES_MAX - 1, b'v');
    assert_eq!(poll(&whole), Ok(WAIT));
    whole.push(b'v');
    assert_eq!(request(&whole).body.len(), BODY_BYTES_MAX);
    let refused = error(head(BODY_BYTES_MAX + 1));
    assert_eq!(refused.status(), StatusCode::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(refused.cseq, Some(7));
}

#[test]
fn a_body_length_that_is_none_is_refused() {
    for (value, status) in [
        ("-1", StatusCode::BAD_REQUEST),
        ("+1", StatusCode::BAD_REQUEST),
        ("", StatusCode::BAD_REQUEST),
        ("0x10", StatusCode::BAD_REQUEST),
        ("5, 6", StatusCode::BAD_REQUEST),
        ("5\r\nContent-Length: 6", StatusCode::BAD_REQUEST),
        ("18446744073709551615", StatusCode::REQUEST_ENTITY_TOO_LARGE),
        ("18446744073709551616", StatusCode::REQUEST_ENTITY_TOO_LARGE),
        (
            "99999999999999999999999",
            StatusCode::REQUEST_ENTITY_TOO_LARGE,
        ),
    ] {
        let refused = error(with_lines(&format!("Content-Length: {value}\r\n")));
        assert_eq!(
            (refused.status(), refused.cseq),
            (status, Some(7)),
            "{value:?}"
        );
    }
    let twice = with_lines("Content-Length: 1\r\ncontent-length: 1\r\n") + "v";
    assert_eq!(request(twice).body, "v");
}

#[test]
fn what_is_no_rtsp_is_refused_as_the_protocol_says() {
    use MessageErrorKind::*;
    for (text, kind) in [
        ("GET / HTTP/1.1\r\n\r\n", Version),
        ("OPTIONS * RTSP/2.0\r\nCSeq: 1\r\n\r\n", Version),
        ("RTSP/2.0 200 OK\r\n\r\n", Version),
        ("OPTIONS * SIP/2.0\r\n\r\n", StartLine),
        ("OPTIONS RTSP/1.0\r\n\r\n", StartLine),
        ("OPTIONS  RTSP/1.0\r\n\r\n", StartLine),
        ("OPTIONS rtsp://h/a b RTSP/1.0\r\n\r\n", StartLine),
        ("O[] * RTSP/1.0\r\n\r\n", StartLine),
        ("OPTIONS\r\n\r\n", StartLine),
        ("RTSP/1.0 20 OK\r\n\r\n", StartLine),
        ("RTSP/1.0 600 OK\r\n\r\n", StartLine),
        ("RTSP/1.0\r\n\r\n", StartLine),
        (": ", StartLine),
        ("OPTIONS * RTSP/1.0\r\n\r\n", CSeqMissing),
        ("OPTIONS * RTSP/1.0\r\nCSeq: x\r\n\r\n", CSeq),
        ("OPTIONS * RTSP/1.0\r\nCSeq: -1\r\n\r\n", CSeq),
        ("OPTIONS * RTSP/1.0\r\nCSeq: 4294967296\r\n\r\n", CSeq),
        ("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nCSeq: 2\r\n\r\n", CSeq),
        ("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nno colon\r\n\r\n", Field),
        ("OPTIONS * RTSP/1.0\r\n a: b\r\n\r\n", Field),
        ("OPTIONS * RTSP/1.0\r\n: b\r\n\r\n", Field),
        ("OPTIONS * RTSP/1.0\rCSeq: 1", ControlCharacter),
        ("OPTIONS rtsp://h/\0", ControlCharacter),
        ("\x16\x03\x01\x02", ControlCharacter),
    ] {
        assert_eq!(error(text).kind, kind, "{text:?}");
    }
}

#[test]
fn a_refusal_says_where_and_answers_which_request() {
    let refused = error("OPTIONS * RTSP/1.0\r\nCSeq: 31\r\nno colon\r\n\r\n");
    assert_eq!((refused.cseq, refused.at), (Some(31), 30));
    let response = refused.response("shardcast").to_bytes();
    let expected = "RTSP/1.0 400 Bad Request\r\nCSeq: 31\r\nServer: shardcast\r\n\r\n";
    assert_eq!(response, expected);
    let version = error("DESCRIBE rtsp://h/a RTSP/3.0\r\nCSeq: 5\r\n\r\n");
    assert_eq!(version.response("s").cseq, Some(5));
    assert_eq!(version.status(), StatusCode::RTSP_VERSION_NOT_SUPPORTED);
}

#[test]
fn a_refusal_carries_no_half_number_and_none_of_another_message() {
    let fault = "OPTIONS * RTSP/1.0\r\nA: \x01\r\n";
    for (behind, cseq) in [
        ("CSeq: 123", None),
        ("CSeq: 123\r", None),
        ("CSeq: 123\r\n", Some(123)),
        ("\r\nOPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n", None),
    ] {
        assert_eq!(error(format!("{fault}{behind}")).cseq, cseq, "{behind:?}");
    }
}

#[test]
fn a_control_character_above_ascii_is_refused_in_a_continued_line_too() {
    for line in [
        &b"A: b\x86\r\n"[..],
        b"A: b\r\n \x86\r\n",
        "A: b\r\n \u{86}\r\n".as_bytes(),
    ] {
        let bytes = [b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n", line, b"\r\n"].concat();
        assert_eq!(error(&bytes).kind, MessageErrorKind::Field, "{line:?}");
    }
}

#[test]
fn a_value_that_begins_or_ends_in_a_continued_line_has_no_blanks_around_it() {
    let read = request("OPTIONS * RTSP/1.0\r\nCSeq:\r\n 7\r\nA: b\r\n \t\r\n c\r\n \r\n\r\n");
    assert_eq!((read.cseq, read.headers.get("A")), (7, Some("b c")));
}

#[test]
fn after_a_refusal_nothing_more_is_read() {
    let mut reader = MessageReader::new(Limits::default());
    let refused = reader.poll(b"\0").unwrap_err();
    assert_eq!(reader.poll(OPTIONS.as_bytes()), Err(refused));
}

#[test]
fn a_response_needs_no_number() {
    let read = poll("RTSP/1.0 200\r\n\r\n");
    let Ok(Parsed::Response { response, .. }) = read else {
        panic!("{read:?}");
    };
    assert_eq!((response.status, response.cseq), (StatusCode::OK, None));
    assert_eq!(response.headers, Headers::new());
}

#[test]
fn credentials_of_a_request_are_not_shown() {
    let read = request("OPTIONS rtsp://u:secret@h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n");
    assert!(!format!("{read:?}").contains("secret"));
}

/// Feeds `bytes` as fragments, dropping what is consumed, and says what was found.
fn feed(bytes: &[u8], fragments: &[usize]) -> (Vec<Parsed>, Option<MessageError>) {
    let mut reader = MessageReader::new(Limits::default());
    let (mut start, mut end) = (0, 0);
    let mut found = Vec::new();
    let sizes = fragments.iter().copied().chain([bytes.len()]);
    for size in sizes {
        end = bytes.len().min(end + size);
        loop {
            match reader.poll(&bytes[start..end]) {
                Err(error) => return (found, Some(error)),
                Ok(Parsed::Incomplete { consumed, .. }) => {
                    start += consumed;
                    break;
                }
                Ok(
                    parsed @ (Parsed::Frame { consumed, .. }
                    | Parsed::Request { consumed, .. }
                    | Parsed::Response { consumed, .. }),
                ) => {
                    start += consumed;
                    found.push(parsed);
                }
            }
        }
    }
    (found, None)
}

fn kind(outcome: &(Vec<Parsed>, Option<MessageError>)) -> (usize, Option<MessageErrorKind>) {
    (outcome.0.len(), outcome.1.as_ref().map(|error| error.kind))
}

proptest! {
    #[test]
    fn no_bytes_can_panic_the_reader(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
        fragments in prop::collection::vec(1usize..50, 0..50),
    ) {
        prop_assert_eq!(kind(&feed(&bytes, &[])), kind(&feed(&bytes, &fragments)));
    }

    #[test]
    fn fragments_make_no_difference(
        damage in prop::option::of((0usize..200, any::<u8>())),
        fragments in prop::collection::vec(1usize..40, 0..30),
    ) {
        let mut bytes = sample_messages().concat();
        if let Some((at, byte)) = damage {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        prop_assert_eq!(kind(&feed(&bytes, &[])), kind(&feed(&bytes, &fragments)));
    }
}
