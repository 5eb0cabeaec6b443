//! What one reader has received: its RTP packets, the gaps in their sequence numbers, and when they were made, from a
//! connection's bytes as they come, or from datagrams. Only the beginning of each frame is looked at; the rest is skipped.

use shardcast_protocol::container::rtp::framing::{INTERLEAVED_HEADER_BYTES, INTERLEAVED_MAGIC};

use crate::stamp::{STAMP_BYTES, STAMP_OFFSET, Stamp};

/// The channel of RTP: readers set up one track.
const RTP_CHANNEL: u8 = 0;
/// Where RTP's sequence number stands (RFC 3550, section 5.1).
const SEQUENCE_OFFSET: usize = INTERLEAVED_HEADER_BYTES + 2;
/// Bytes of a frame up to the end of its stamp.
const HEAD_BYTES: usize = STAMP_OFFSET + STAMP_BYTES;

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
    /// Takes the next bytes of the connection, and tells of each packet when it was made.
    pub fn handle_bytes(&mut self, mut bytes: &[u8], mut made: impl FnMut(Stamp)) {
        while !bytes.is_empty() && !self.is_broken {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            bytes = self.fill_head(bytes, &mut made);
        }
    }

    /// Takes so many datagrams that came as one run, by how the first of them begins; the others are taken to follow it.
    /// Tells when the first was made.
    pub fn handle_run(&mut self, first: &[u8], datagrams: usize, made: impl FnOnce(Stamp)) {
        let at = |offset: usize| first.get(offset - INTERLEAVED_HEADER_BYTES..);
        if let Some(stamp) = at(STAMP_OFFSET).and_then(<[u8]>::first_chunk) {
            made(Stamp::from_bytes(*stamp));
        }
        let Some(sequence) = at(SEQUENCE_OFFSET).and_then(<[u8]>::first_chunk) else {
            self.is_broken = true;
            return;
        };
        let sequence = u16::from_be_bytes(*sequence);
        (0..datagrams).for_each(|index| self.note(sequence.wrapping_add(index as u16)));
    }

    /// Takes bytes for the head of a frame, and handles it once it is complete.
    fn fill_head<'a>(&mut self, bytes: &'a [u8], made: &mut impl FnMut(Stamp)) -> &'a [u8] {
        let wanted = self.head_bytes().saturating_sub(self.head_filled);
        let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
        let place = self.head.iter_mut().skip(self.head_filled);
        place.zip(taken).for_each(|(place, byte)| *place = *byte);
        self.head_filled += taken.len();
        self.is_broken = self.head[0] != INTERLEAVED_MAGIC;
        if self.head_filled >= INTERLEAVED_HEADER_BYTES && self.head_filled == self.head_bytes() {
            self.handle_head(made);
            self.head_filled = 0;
        }
        rest
    }

    /// How many bytes of this frame are looked at: its header alone until that says how long the frame is.
    fn head_bytes(&self) -> usize {
        match self.head_filled {
            0..INTERLEAVED_HEADER_BYTES => INTERLEAVED_HEADER_BYTES,
            _ => HEAD_BYTES.min(self.frame_bytes()),
        }
    }

    fn frame_bytes(&self) -> usize {
        let [_, _, high, low, ..] = self.head;
        INTERLEAVED_HEADER_BYTES + usize::from(u16::from_be_bytes([high, low]))
    }

    fn handle_head(&mut self, made: &mut impl FnMut(Stamp)) {
        let [_, channel, ..] = self.head;
        self.skip = self.frame_bytes() - self.head_filled;
        if channel == RTP_CHANNEL && !self.is_broken {
            let head = self.head.get(..self.head_filled).unwrap_or_default();
            let sequence = head.get(SEQUENCE_OFFSET..).and_then(<[u8]>::first_chunk);
            let stamp = head.get(STAMP_OFFSET..).and_then(<[u8]>::first_chunk);
            if let Some(stamp) = stamp {
                made(Stamp::from_bytes(*stamp));
            }
            if let Some(sequence) = sequence {
                self.note(u16::from_be_bytes(*sequence));
            }
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

    fn frames(packets: usize) -> (Vec<u8>, Stamp) {
        let (mut out, stamp) = (Vec::new(), Stamp::now());
        Source::new(30, PACKET_BYTES).write_frame(packets, &mut out);
        let packets = out.chunks_mut(PACKET_BYTES);
        packets.for_each(|packet| stamp.write_to(packet));
        (out, stamp)
    }

    #[test]
    fn packets_are_counted_however_the_bytes_are_cut() {
        let (bytes, stamp) = frames(5);
        for cut in [1, 3, 7, 8, 9, 1399, 1400, 1401, 7000] {
            let (mut tally, mut made) = (Tally::default(), Vec::new());
            bytes
                .chunks(cut)
                .for_each(|piece| tally.handle_bytes(piece, |stamp| made.push(stamp)));
            assert_eq!((tally.packets, tally.lost, tally.is_broken), (5, 0, false));
            assert_eq!(made, [stamp; 5]);
        }
    }

    #[test]
    fn a_packet_that_is_missing_or_comes_twice_is_seen() {
        let (bytes, _) = frames(5);
        let packets: Vec<&[u8]> = bytes.chunks(PACKET_BYTES).collect();
        let mut tally = Tally::default();
        for index in [0, 1, 1, 3, 4] {
            tally.handle_bytes(packets[index], |_| {});
        }
        assert_eq!((tally.packets, tally.lost, tally.repeated), (5, 1, 1));
    }

    #[test]
    fn frames_of_other_channels_and_short_ones_are_skipped() {
        let (packets, _) = frames(1);
        let bytes = [&b"$\x01\0\0$\x01\0\x02ab"[..], &packets, b"$\x01\0\0"].concat();
        for cut in [1, 5, 2000] {
            let mut tally = Tally::default();
            let pieces = bytes.chunks(cut);
            pieces.for_each(|piece| tally.handle_bytes(piece, |_| {}));
            assert_eq!((tally.packets, tally.lost, tally.is_broken), (1, 0, false));
        }
    }

    #[test]
    fn runs_are_counted_by_their_first_packet() {
        let (bytes, stamp) = frames(7);
        let packets = bytes.chunks(PACKET_BYTES);
        let packets: Vec<&[u8]> = packets.map(|it| &it[INTERLEAVED_HEADER_BYTES..]).collect();
        let (mut tally, mut made) = (Tally::default(), Vec::new());
        for (index, datagrams) in [(0, 3), (4, 2), (6, 1)] {
            let first = &packets[index][..32];
            tally.handle_run(first, datagrams, |stamp| made.push(stamp));
        }
        let figures = (tally.packets, tally.lost, tally.repeated, tally.is_broken);
        assert_eq!(figures, (6, 1, 0, false));
        assert_eq!(made, [stamp; 3]);
        tally.handle_run(b"", 1, |_| {});
        assert!(tally.is_broken);
    }

    #[test]
    fn what_is_no_frame_is_seen() {
        let mut tally = Tally::default();
        tally.handle_bytes(b"RTSP/1.0 200 OK\r\n\r\n", |_| {});
        assert!(tally.is_broken);
    }
}
