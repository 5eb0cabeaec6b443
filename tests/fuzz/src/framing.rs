//! The walks over interleaved frames. Input: what a publisher sends once it records, or a batch's image.

use shardcast_protocol::container::rtp::framing::{
    self, Frame, Frames, INTERLEAVED_HEADER_BYTES, Next,
};
use shardcast_protocol::rtsp::{Limits, MessageReader, Parsed};

use crate::fragments;

/// - Both walks (over bytes, and the message reader's) find the same frames.
/// - Fragments change nothing.
/// - What a walk says is missing is missing: one byte less does not help.
pub fn check(bytes: &[u8]) {
    let mut frames = Frames::new(bytes);
    let found: Vec<Frame> = frames.by_ref().collect();
    assert_gapless(&found, frames.consumed(), bytes.len());
    assert_missing(bytes, &frames);
    assert_reader_agrees(bytes, &found);
    for fragments in fragments::ways(bytes) {
        assert_eq!(walk_fragments(bytes, &fragments), found);
    }
}

fn assert_gapless(found: &[Frame], consumed: usize, bytes: usize) {
    let mut offset = 0;
    for frame in found {
        assert_eq!(frame.offset, offset);
        assert_eq!(frame.payload().start, offset + INTERLEAVED_HEADER_BYTES);
        assert_eq!(frame.payload().len(), frame.len);
        offset = frame.end();
    }
    assert_eq!(consumed, offset);
    assert!(consumed <= bytes);
}

fn assert_missing(bytes: &[u8], frames: &Frames<'_>) {
    let offset = frames.consumed();
    match frames.rest() {
        Next::Frame(_) => panic!("a whole frame is left"),
        Next::End => assert_eq!(offset, bytes.len()),
        Next::Other => assert_ne!(bytes[offset], framing::INTERLEAVED_MAGIC),
        Next::Partial { missing } => {
            let grown = |more: usize| {
                let mut grown = bytes[offset..].to_vec();
                grown.resize(grown.len() + more, 0);
                framing::frame_at(&grown, 0)
            };
            assert_eq!(grown(missing - 1), Next::Partial { missing: 1 });
            assert_ne!(grown(missing), Next::Partial { missing: 1 });
        }
    }
}

/// As a connection reads: whole frames leave the front of what has come.
fn walk_fragments(bytes: &[u8], fragments: &[usize]) -> Vec<Frame> {
    let mut found = Vec::new();
    let (mut start, mut end) = (0, 0);
    for fragment in fragments {
        end += fragment;
        let mut frames = Frames::new(&bytes[start..end]);
        found.extend(frames.by_ref().map(|frame| Frame {
            offset: start + frame.offset,
            ..frame
        }));
        start += frames.consumed();
    }
    found
}

fn assert_reader_agrees(bytes: &[u8], found: &[Frame]) {
    let mut reader = MessageReader::new(Limits::default());
    let mut start = 0;
    for frame in found {
        let read = reader.poll(&bytes[start..]);
        let expected = Parsed::Frame {
            channel: frame.channel,
            payload: INTERLEAVED_HEADER_BYTES..INTERLEAVED_HEADER_BYTES + frame.len,
            consumed: frame.end() - frame.offset,
        };
        assert_eq!(read, Ok(expected));
        start = frame.end();
    }
}
