//! Cuts what a reader's connection brings into interleaved packets and the messages between them (RFC 2326, section 10.12).
//!
//! The connection is read right into [`FrameCutter::room`]; packets are handed out where they lie. Only the begun frame at
//! the end of a read is ever moved.

use std::ops::Range;

use shardcast_protocol::container::rtp::framing::{
    FRAME_PAYLOAD_BYTES_MAX, INTERLEAVED_HEADER_BYTES,
};
use shardcast_protocol::rtsp::{Limits, MessageError, MessageReader, Parsed, Request, Response};

/// What a reader has in hand at most: the longest frame or message, and as much again, so that a read is worth its call.
pub const BUFFER_BYTES: usize = 128 * 1024;
/// Heads and bodies of messages to a reader that plays: answers to keep-alives, which have a few lines.
const HEAD_BYTES_MAX: usize = 16 * 1024;
const BODY_BYTES_MAX: usize = 32 * 1024;

const _: () = assert!(BUFFER_BYTES > INTERLEAVED_HEADER_BYTES + FRAME_PAYLOAD_BYTES_MAX);
const _: () = assert!(BUFFER_BYTES > HEAD_BYTES_MAX + BODY_BYTES_MAX);

/// What stands next on a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut<'a> {
    /// A packet, and the channel that it came on.
    Packet {
        /// The channel.
        channel: u8,
        /// The packet, without what frames it.
        packet: &'a [u8],
    },
    /// An answer.
    Response(Response),
    /// The server wants something.
    Request(Request),
}

/// A connection's bytes that have not been handed out yet.
#[derive(Debug)]
pub struct FrameCutter {
    buffer: Box<[u8]>,
    filled: Range<usize>,
    messages: MessageReader,
}

impl FrameCutter {
    /// Goes on with a connection of which these bytes have been read and not been used: what came behind an answer to PLAY.
    /// Of more than [`BUFFER_BYTES`] the rest is left out.
    #[must_use]
    pub fn new(unused: &[u8]) -> Self {
        let mut cutter = Self {
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            filled: 0..0,
            messages: MessageReader::new(Limits {
                head_bytes: HEAD_BYTES_MAX,
                body_bytes: BODY_BYTES_MAX,
                ..Limits::default()
            }),
        };
        let room = cutter.room();
        let bytes = unused.len().min(room.len());
        room.iter_mut()
            .zip(unused)
            .for_each(|(place, byte)| *place = *byte);
        cutter.handle_filled(bytes);
        cutter
    }

    /// Where the next bytes of the connection go. There always is room once [`FrameCutter::poll_cut`] has handed out all.
    pub fn room(&mut self) -> &mut [u8] {
        let Range { start, end } = self.filled;
        if start > 0 {
            self.buffer.copy_within(start..end, 0);
            self.filled = 0..end - start;
        }
        self.buffer.get_mut(self.filled.end..).unwrap_or_default()
    }

    /// So many bytes have been read into the room.
    pub fn handle_filled(&mut self, bytes: usize) {
        self.filled.end = (self.filled.end + bytes).min(self.buffer.len());
    }

    /// The next packet or message, if it has come whole.
    ///
    /// # Errors
    /// [`MessageError`] when the server has sent what is neither. All later calls return it again.
    pub fn poll_cut(&mut self) -> Result<Option<Cut<'_>>, MessageError> {
        let start = self.filled.start;
        let input = self.buffer.get(self.filled.clone()).unwrap_or_default();
        let parsed = self.messages.poll(input)?;
        let (Parsed::Incomplete { consumed, .. }
        | Parsed::Frame { consumed, .. }
        | Parsed::Request { consumed, .. }
        | Parsed::Response { consumed, .. }) = parsed;
        self.filled.start = (start + consumed).min(self.filled.end);
        Ok(match parsed {
            Parsed::Incomplete { .. } => None,
            Parsed::Frame {
                channel, payload, ..
            } => Some(Cut::Packet {
                channel,
                packet: input.get(payload).unwrap_or_default(),
            }),
            Parsed::Request { request, .. } => Some(Cut::Request(request)),
            Parsed::Response { response, .. } => Some(Cut::Response(response)),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shardcast_protocol::container::rtp::framing::frame_header;

    use super::*;

    /// Packets and messages as text.
    fn cuts(cutter: &mut FrameCutter) -> Result<Vec<String>, MessageError> {
        let mut all = Vec::new();
        while let Some(cut) = cutter.poll_cut()? {
            all.push(match cut {
                Cut::Packet { channel, packet } => format!("{channel}:{}", packet.len()),
                Cut::Response(response) => format!("response {:?}", response.cseq),
                Cut::Request(request) => format!("request {}", request.method),
            });
        }
        Ok(all)
    }

    /// Reads the bytes in pieces of so many, and returns what was cut.
    fn cut_in_pieces(bytes: &[u8], piece: usize) -> Result<Vec<String>, MessageError> {
        let (mut cutter, mut all) = (FrameCutter::new(&[]), Vec::new());
        for mut piece in bytes.chunks(piece) {
            while !piece.is_empty() {
                let room = cutter.room();
                assert!(!room.is_empty());
                let (taken, rest) = piece.split_at(piece.len().min(room.len()));
                room[..taken.len()].copy_from_slice(taken);
                cutter.handle_filled(taken.len());
                all.extend(cuts(&mut cutter)?);
                piece = rest;
            }
        }
        Ok(all)
    }

    fn frame(channel: u8, bytes: u16) -> Vec<u8> {
        [&frame_header(channel, bytes)[..], &vec![b'$'; bytes.into()]].concat()
    }

    const RESPONSE: &[u8] = b"RTSP/1.0 200 OK\r\nCSeq: 7\r\nContent-Length: 3\r\n\r\nabc";
    const REQUEST: &[u8] = b"OPTIONS rtsp://a/b RTSP/1.0\r\nCSeq: 1\r\n\r\n";

    #[test]
    fn packets_and_messages_are_cut_however_the_bytes_come() {
        let bytes = [
            &frame(0, 30)[..],
            RESPONSE,
            &frame(1, 0),
            &frame(2, 5),
            REQUEST,
            &frame(0, 1),
        ];
        let bytes = bytes.concat();
        let expected = [
            "0:30",
            "response Some(7)",
            "1:0",
            "2:5",
            "request OPTIONS",
            "0:1",
        ];
        for piece in 1..=bytes.len() {
            assert_eq!(cut_in_pieces(&bytes, piece).unwrap(), expected, "{piece}");
        }
    }

    #[test]
    fn what_was_read_before_is_cut_first() {
        let bytes = [frame(0, 9), frame(0, 8)].concat();
        for unused in 0..bytes.len() {
            let mut cutter = FrameCutter::new(&bytes[..unused]);
            let mut all = cuts(&mut cutter).unwrap();
            let rest = &bytes[unused..];
            cutter.room()[..rest.len()].copy_from_slice(rest);
            cutter.handle_filled(rest.len());
            all.extend(cuts(&mut cutter).unwrap());
            assert_eq!(all, ["0:9", "0:8"]);
        }
    }

    #[test]
    fn the_longest_packets_have_room() {
        let bytes = [frame(0, u16::MAX), frame(2, u16::MAX), frame(0, u16::MAX)].concat();
        for piece in [1000, 65_536, 100_000, BUFFER_BYTES] {
            assert_eq!(
                cut_in_pieces(&bytes, piece).unwrap(),
                ["0:65535", "2:65535", "0:65535"]
            );
        }
    }

    #[test]
    fn the_longest_message_has_room_and_a_longer_one_is_refused() {
        let head =
            |body: usize| format!("RTSP/1.0 200 OK\r\nCSeq: 7\r\nContent-Length: {body}\r\n\r\n");
        let longest = [head(BODY_BYTES_MAX).as_bytes(), &vec![b'a'; BODY_BYTES_MAX]].concat();
        assert_eq!(cut_in_pieces(&longest, 1000).unwrap(), ["response Some(7)"]);
        assert!(cut_in_pieces(head(BODY_BYTES_MAX + 1).as_bytes(), 1000).is_err());
    }

    #[test]
    fn what_is_neither_is_an_error() {
        assert!(cut_in_pieces(b"\x01\x02", 2).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_cut_the_same_in_any_pieces(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'$'), Just(0u8), Just(b'\n'), any::<u8>()], 0..300),
            piece in 1usize..50,
        ) {
            prop_assert_eq!(cut_in_pieces(&bytes, piece).ok(), cut_in_pieces(&bytes, 300).ok());
        }
    }
}
