//! The reader of RTSP messages. Input: what one peer sends on a connection.

use bytes::Bytes;
use shardcast_protocol::rtsp::{
    Limits, MessageError, MessageReader, Parsed, Request, Response, StatusCode,
};

use crate::fragments;

/// Limits so low that short inputs reach them.
const LOW: Limits = Limits {
    line_bytes: 64,
    headers: 6,
    head_bytes: 256,
    body_bytes: 100,
};

/// The most bytes of a frame that is not all there: its header and payload but one.
const FRAME_BYTES_MAX: usize = 4 + 65_535 - 1;

/// What stood in the bytes, whatever way they came.
#[derive(Debug, PartialEq)]
enum Item {
    Frame { channel: u8, payload: Bytes },
    Request(Request),
    Response(Response),
}

/// All that was read, and how it ended.
#[derive(Debug, PartialEq)]
struct Reading {
    items: Vec<Item>,
    error: Option<MessageError>,
    /// Bytes at the end that are not all of a message, without blank lines in front: those may stay while it waits.
    unread_bytes: usize,
}

/// - Fragments change nothing: not what is read, nor where and why it is refused. (The refusal's `CSeq` may stand behind
///   the fault, and is known only once it has come.)
/// - What is kept follows the bytes that came, and what waits for more is within the limits.
/// - What was read is written, and read again the same.
pub fn check(bytes: &[u8]) {
    for limits in [Limits::default(), LOW] {
        let whole = read(bytes, &[bytes.len()], &limits);
        for fragments in fragments::ways(bytes) {
            assert_same(&read(bytes, &fragments, &limits), &whole);
        }
        assert_bounded(bytes.len(), &whole, &limits);
        whole.items.iter().for_each(assert_survives_writing);
        if let Some(error) = &whole.error {
            assert_readable(&error.response("shardcast"), error.status());
        }
    }
}

fn read(bytes: &[u8], fragments: &[usize], limits: &Limits) -> Reading {
    let mut reader = MessageReader::new(limits.clone());
    let mut items = Vec::new();
    let (mut start, mut end) = (0, 0);
    for fragment in fragments {
        end += fragment;
        loop {
            match poll(&mut reader, &bytes[start..end]) {
                Ok((item, consumed)) => {
                    assert!(consumed <= end - start, "more consumed than there was");
                    start += consumed;
                    let Some(item) = item else { break };
                    items.push(item);
                }
                Err(error) => {
                    assert_eq!(reader.poll(&[]), Err(error.clone()), "it reads on");
                    return Reading {
                        items,
                        error: Some(error),
                        unread_bytes: 0,
                    };
                }
            }
        }
    }
    let blank = bytes[start..end]
        .iter()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'));
    Reading {
        items,
        error: None,
        unread_bytes: end - start - blank.count(),
    }
}

/// What stands at the front, if it is all there, and how many bytes go.
fn poll(reader: &mut MessageReader, unread: &[u8]) -> Result<(Option<Item>, usize), MessageError> {
    Ok(match reader.poll(unread)? {
        Parsed::Incomplete { begun, consumed } => {
            assert_eq!(begun, consumed < unread.len(), "begun is what is left");
            (None, consumed)
        }
        Parsed::Frame {
            channel,
            payload,
            consumed,
        } => {
            assert_eq!(payload.end, consumed, "a frame ends with its payload");
            let payload = Bytes::copy_from_slice(&unread[payload]);
            (Some(Item::Frame { channel, payload }), consumed)
        }
        Parsed::Request { request, consumed } => (Some(Item::Request(request)), consumed),
        Parsed::Response { response, consumed } => (Some(Item::Response(response)), consumed),
    })
}

fn assert_same(cut: &Reading, whole: &Reading) {
    assert_eq!(cut.items, whole.items);
    assert_eq!(cut.unread_bytes, whole.unread_bytes);
    match (&cut.error, &whole.error) {
        (Some(cut), Some(whole)) => {
            assert_eq!((cut.kind, cut.at), (whole.kind, whole.at));
            assert!(
                cut.cseq.is_none() || cut.cseq == whole.cseq,
                "{cut:?} {whole:?}"
            );
        }
        (cut, whole) => assert_eq!(cut, whole),
    }
}

fn assert_bounded(bytes: usize, reading: &Reading, limits: &Limits) {
    let kept: usize = reading.items.iter().map(kept_bytes).sum();
    // A byte of Latin-1 takes two in UTF-8.
    assert!(kept <= 2 * bytes, "{kept} bytes kept of {bytes}");
    let message_bytes_max = limits.head_bytes + limits.body_bytes;
    assert!(reading.unread_bytes <= message_bytes_max.max(FRAME_BYTES_MAX));
}

fn kept_bytes(item: &Item) -> usize {
    let (headers, rest) = match item {
        Item::Frame { payload, .. } => return payload.len(),
        Item::Request(request) => {
            let line = request.method.name().len() + request.target.len();
            (&request.headers, line + request.body.len())
        }
        Item::Response(response) => (&response.headers, response.body.len()),
    };
    let fields = headers.iter().map(|(name, value)| name.len() + value.len());
    fields.sum::<usize>() + rest
}

fn assert_survives_writing(item: &Item) {
    let mut written = Vec::new();
    match item {
        Item::Frame { .. } => return,
        Item::Request(request) => request.write(&mut written),
        Item::Response(response) => response.write(&mut written),
    }
    // Latin-1 becomes UTF-8 and may then be over a line's limit.
    let roomy = Limits {
        line_bytes: 3 * Limits::default().line_bytes,
        head_bytes: 3 * Limits::default().head_bytes,
        headers: Limits::default().headers + 2,
        ..Limits::default()
    };
    let again = read(&written, &[written.len()], &roomy);
    assert_eq!(again.error, None, "{:?}", String::from_utf8_lossy(&written));
    let [again] = &again.items[..] else {
        panic!("one message became {}", again.items.len());
    };
    assert_same_content(again, item);
}

/// The same but for the two fields that are computed, and so stand elsewhere.
fn assert_same_content(again: &Item, item: &Item) {
    match (again, item) {
        (Item::Request(again), Item::Request(request)) => {
            assert_eq!(
                (&again.method, &again.target, again.cseq, &again.body),
                (
                    &request.method,
                    &request.target,
                    request.cseq,
                    &request.body
                )
            );
            assert!(fields(&again.headers).eq(fields(&request.headers)));
        }
        (Item::Response(again), Item::Response(response)) => {
            assert_eq!(
                (again.status, again.cseq, &again.body),
                (response.status, response.cseq, &response.body)
            );
            assert!(fields(&again.headers).eq(fields(&response.headers)));
        }
        _ => panic!("another kind of message"),
    }
}

fn fields(headers: &shardcast_protocol::rtsp::Headers) -> impl Iterator<Item = (&str, &str)> {
    let computed = ["CSeq", "Content-Length"];
    headers.iter().filter(move |(name, _)| {
        !computed
            .iter()
            .any(|computed| name.eq_ignore_ascii_case(computed))
    })
}

/// A response of ours that any reader understands.
pub(crate) fn assert_readable(response: &Response, status: StatusCode) {
    assert_eq!(response.status, status);
    assert_survives_writing(&Item::Response(response.clone()));
}
