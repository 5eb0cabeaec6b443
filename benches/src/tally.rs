//! What one reader has received: its RTP packets and the gaps in their sequence numbers, from a connection's bytes as they
//! come. Only the first eight bytes of each frame are looked at; the rest is skipped.

use shardcast_protocol::container::rtp::framing::{INTERLEAVED_HEADER_BYTES, INTERLEAVED_MAGIC};

/// The channel of RTP: readers set up one track.
const RTP_CHANNEL: u8 = 0;
/// Interleaved header, and RTP's first four bytes, of which the last two are the sequence number.
const HEAD_BYTES: usize = INTERLEAVED_HEADER_BYTES + 4;

/// The packets of one reader.
#[derive(Debug, Default)]
pub struct Tally {
    head: [u8; HEAD_BYTES],
    head_filled: usize,
    /// Bytes left of the frame under way.
    skip: usize,
    next: Option<u16>,
    /// Packets that came.
    pub packets: u64,
    /// Packets that the sequence numbers leave out.
    pub lost: u64,
    /// Packets that came again or out of order.
    pub repeated: u64,
    /// Something came that is no frame.
    pub is_broken: bool,
}

impl Tally {
    /// Takes the next bytes of the connection.
    pub fn handle_bytes(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.is_broken {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            bytes = self.fill_head(bytes);
        }
    }

    /// Takes bytes for the head of a frame, and the frame's first packet bytes once it is whole.
    fn fill_head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let wanted = HEAD_BYTES - self.head_filled;
        let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
        let place = self.head.iter_mut().skip(self.head_filled);
        place.zip(taken).for_each(|(place, byte)| *place = *byte);
        self.head_filled += taken.len();
        if self.head_filled == HEAD_BYTES {
            self.head_filled = 0;
            self.handle_head();
        }
        rest
    }

    fn handle_head(&mut self) {
        let [magic, channel, high, low, _, _, sequence @ ..] = self.head;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let begun = HEAD_BYTES - INTERLEAVED_HEADER_BYTES;
        // RTP and RTCP packets have at least their first four bytes.
        self.is_broken = magic != INTERLEAVED_MAGIC || length < begun;
        self.skip = length.saturating_sub(begun);
        if channel == RTP_CHANNEL && !self.is_broken {
            self.note(u16::from_be_bytes(sequence));
        }
    }

    fn note(&mut self, sequence: u16) {
        self.packets += 1;
        let ahead = sequence.wrapping_sub(self.next.unwrap_or(sequence));
        if ahead < 0x8000 {
            self.lost += u64::from(ahead);
            self.next = Some(sequence.wrapping_add(1));
        } else {
            self.repeated += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{PACKET_BYTES, Source};

    fn frames(packets: usize) -> Vec<u8> {
        let mut out = Vec::new();
        Source::new(30).write_frame(packets, &mut out);
        out
    }

    #[test]
    fn packets_are_counted_however_the_bytes_are_cut() {
        let bytes = frames(5);
        for cut in [1, 3, 7, 8, 9, 1399, 1400, 1401, 7000] {
            let mut tally = Tally::default();
            bytes
                .chunks(cut)
                .for_each(|piece| tally.handle_bytes(piece));
            assert_eq!((tally.packets, tally.lost, tally.is_broken), (5, 0, false));
        }
    }

    #[test]
    fn a_packet_that_is_missing_or_comes_twice_is_seen() {
        let bytes = frames(5);
        let packets: Vec<&[u8]> = bytes.chunks(PACKET_BYTES).collect();
        let mut tally = Tally::default();
        for index in [0, 1, 1, 3, 4] {
            tally.handle_bytes(packets[index]);
        }
        assert_eq!((tally.packets, tally.lost, tally.repeated), (5, 1, 1));
    }

    #[test]
    fn what_is_no_frame_is_seen() {
        let mut tally = Tally::default();
        tally.handle_bytes(b"RTSP/1.0 200 OK\r\n\r\n");
        assert!(tally.is_broken);
    }
}
