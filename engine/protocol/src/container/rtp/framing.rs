//! Interleaved framing: RTP and RTCP between the messages of an RTSP connection (RFC 2326 §10.12).
//!
//! A frame is `$`, a channel, a length of two bytes, and that many bytes. Input is what a connection
//! has received, or a batch's wire image; output are the frames' places in it. Nothing is copied.

use std::ops::Range;

/// Length of the header in front of each packet.
pub const INTERLEAVED_HEADER_BYTES: usize = 4;

/// The byte that opens a frame. No RTSP message begins with it.
pub const INTERLEAVED_MAGIC: u8 = b'$';

/// The longest packet that a frame can carry. Longer is not refused: it cannot be said.
pub const FRAME_PAYLOAD_BYTES_MAX: usize = u16::MAX as usize;

/// One whole frame's place in a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Where its `$` lies.
    pub offset: usize,
    /// Its channel.
    pub channel: u8,
    /// Length of the packet in it, without the header.
    pub len: usize,
}

impl Frame {
    /// Where the packet lies.
    #[must_use]
    pub const fn payload(&self) -> Range<usize> {
        self.offset + INTERLEAVED_HEADER_BYTES..self.end()
    }

    /// Where the frame ends and the next may begin.
    #[must_use]
    pub const fn end(&self) -> usize {
        self.offset + INTERLEAVED_HEADER_BYTES + self.len
    }
}

/// What lies at a place in a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// A whole frame.
    Frame(Frame),
    /// A frame has begun and is not all there yet. `missing` is the number of bytes without which
    /// nothing more can be said: of the header while that is incomplete, else of the packet.
    Partial {
        /// How many bytes to wait for.
        missing: usize,
    },
    /// Something else: an RTSP message, or garbage.
    Other,
    /// The buffer ends here.
    End,
}

/// Looks at what begins at `offset` of `bytes`.
#[inline]
#[must_use]
pub fn frame_at(bytes: &[u8], offset: usize) -> Next {
    let rest = bytes.get(offset..).unwrap_or_default();
    match *rest {
        [] => Next::End,
        [magic, ..] if magic != INTERLEAVED_MAGIC => Next::Other,
        [_, channel, high, low, ..] => {
            let len = usize::from(u16::from_be_bytes([high, low]));
            let received = rest.len() - INTERLEAVED_HEADER_BYTES;
            if received < len {
                return Next::Partial {
                    missing: len - received,
                };
            }
            Next::Frame(Frame {
                offset,
                channel,
                len,
            })
        }
        _ => Next::Partial {
            missing: INTERLEAVED_HEADER_BYTES - rest.len(),
        },
    }
}

/// The header of a frame on `channel` with a packet of `len` bytes.
#[inline]
#[must_use]
pub const fn frame_header(channel: u8, len: u16) -> [u8; INTERLEAVED_HEADER_BYTES] {
    let [high, low] = len.to_be_bytes();
    [INTERLEAVED_MAGIC, channel, high, low]
}

/// The whole frames at the head of a buffer, one after the other. It ends before the first that is
/// not all there and before anything that is no frame; [`Frames::rest`] says which.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Frames<'a> {
    /// Walks `bytes` from its begin.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// How many bytes the frames took that were handed out so far.
    #[must_use]
    pub const fn consumed(&self) -> usize {
        self.offset
    }

    /// What follows those frames.
    #[must_use]
    pub fn rest(&self) -> Next {
        frame_at(self.bytes, self.offset)
    }
}

impl Iterator for Frames<'_> {
    type Item = Frame;

    #[inline]
    fn next(&mut self) -> Option<Frame> {
        let Next::Frame(frame) = frame_at(self.bytes, self.offset) else {
            return None;
        };
        self.offset = frame.end();
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn image(frames: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (channel, payload) in frames {
            bytes.extend(frame_header(
                *channel,
                u16::try_from(payload.len()).unwrap(),
            ));
            bytes.extend(*payload);
        }
        bytes
    }

    #[test]
    fn frames_are_found_in_place() {
        let bytes = image(&[(0, b"abc"), (1, b""), (255, b"$$$$$$")]);
        let mut frames = Frames::new(&bytes);
        let found: Vec<_> = frames
            .by_ref()
            .map(|frame| (frame.channel, &bytes[frame.payload()]))
            .collect();
        assert_eq!(found, [(0, &b"abc"[..]), (1, b""), (255, b"$$$$$$")]);
        assert_eq!(frames.consumed(), bytes.len());
        assert_eq!(frames.rest(), Next::End);
    }

    #[test]
    fn a_cut_image_yields_its_whole_frames_and_says_what_is_missing() {
        let bytes = image(&[(0, b"abc"), (2, b"defgh")]);
        for cut in 0..bytes.len() {
            let mut frames = Frames::new(&bytes[..cut]);
            assert_eq!(frames.by_ref().count(), usize::from(cut >= 7), "cut {cut}");
            let expected = match cut {
                0 | 7 => Next::End,
                1..=3 => Next::Partial { missing: 4 - cut },
                4..=6 => Next::Partial { missing: 7 - cut },
                8..=10 => Next::Partial { missing: 11 - cut },
                _ => Next::Partial { missing: 16 - cut },
            };
            assert_eq!(frames.rest(), expected, "cut {cut}");
        }
    }

    #[test]
    fn the_walk_stops_before_a_message() {
        let mut bytes = image(&[(0, b"abc")]);
        bytes.extend(b"TEARDOWN * RTSP/1.0\r\n");
        let mut frames = Frames::new(&bytes);
        assert_eq!(frames.by_ref().count(), 1);
        assert_eq!(frames.rest(), Next::Other);
    }

    #[test]
    fn the_longest_packet_fits() {
        let payload = vec![7; FRAME_PAYLOAD_BYTES_MAX];
        let bytes = image(&[(3, &payload)]);
        assert_eq!(
            Frames::new(&bytes).next().unwrap().payload().len(),
            FRAME_PAYLOAD_BYTES_MAX
        );
        assert_eq!(
            frame_at(&bytes[..bytes.len() - 1], 0),
            Next::Partial { missing: 1 }
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_their_end(bytes in proptest::collection::vec(
            prop_oneof![Just(b'$'), Just(0u8), any::<u8>()], 0..200,
        ), offset in 0usize..300) {
            let _ = frame_at(&bytes, offset);
            let mut frames = Frames::new(&bytes);
            let mut expected_offset = 0;
            for frame in frames.by_ref() {
                prop_assert_eq!(frame.offset, expected_offset);
                expected_offset = frame.end();
            }
            prop_assert!(expected_offset <= bytes.len());
            prop_assert_eq!(expected_offset, frames.consumed());
        }
    }
}
