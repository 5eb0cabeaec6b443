//! The datagram image of a stream: its packets without wire frames, those that are too large for a datagram cut anew.
//! Readers over UDP and multicast groups are sent it.
//!
//! It is built batch by batch when the first such reader comes, on each shard with such readers once, and shared by all of
//! them. Cutting makes packets out of one, so the image has a numbering of its own, which goes on over all of its batches.
//! Packets of a track that are of one size lie one behind the other, so that they leave in one system call.

use std::ops::Range;

use bytes::{BufMut, BytesMut};
use shardcast_platform::Slice;
use shardcast_protocol::container::rtp::{Cut, HeaderView, HeaderViewMut, SequenceNumber};
use smallvec::SmallVec;

use crate::stream::{Batch, Packet, PacketFlags, StreamInfo, WIRE_HEADER_BYTES};

/// Room for the headers that cutting adds to a batch of ordinary packets; an image that needs more grows.
const CUT_ROOM_BYTES: usize = 256;

/// Bits of an RTP header's first two bytes that a piece must not inherit (RFC 3550 section 5.1).
const PADDING_BIT: u8 = 0x20;
const MARKER_BIT: u8 = 0x80;

/// Datagrams of one track, one behind the other: each is `datagram_bytes` long, but the last, which may be shorter.
#[derive(Clone, Debug)]
pub struct DatagramRun {
    /// Index of the track.
    pub track: u8,
    /// Control packets, which go to another port.
    pub is_rtcp: bool,
    /// Bytes of each datagram but the last.
    pub datagram_bytes: usize,
    /// The datagrams.
    pub bytes: Slice,
}

/// A batch as datagrams.
#[derive(Debug)]
pub struct DatagramBatch {
    runs: Vec<(DatagramRun, Range<usize>)>,
    /// For each datagram, the index of the batch's packet that it was made of.
    packets: Vec<u32>,
}

/// How the image goes on.
#[derive(Debug)]
pub struct DatagramNumbering {
    /// Most bytes of an RTP packet.
    packet_bytes_max: usize,
    tracks: SmallVec<[TrackNumbering; 2]>,
    /// Packets that could not be cut, since it was last asked.
    oversized: u64,
}

#[derive(Clone, Copy, Debug)]
struct TrackNumbering {
    cut: Option<Cut>,
    /// Packets that cutting has added so far.
    added: u16,
}

impl DatagramRun {
    /// Datagrams in it.
    #[must_use]
    pub fn datagrams(&self) -> usize {
        self.bytes.len().div_ceil(self.datagram_bytes.max(1))
    }

    /// Takes up to `most` datagrams off its front.
    #[must_use]
    pub fn split_front(&mut self, most: usize) -> Self {
        let at = most
            .saturating_mul(self.datagram_bytes)
            .min(self.bytes.len());
        let front = self.bytes.slice(0..at);
        self.bytes = self.bytes.slice(at..self.bytes.len());
        Self {
            bytes: front,
            ..self.clone()
        }
    }
}

impl DatagramBatch {
    /// The runs from the batch's packet of this index on.
    pub fn runs_from(&self, packet: u32) -> impl Iterator<Item = DatagramRun> + '_ {
        self.runs_within(packet..u32::MAX)
    }

    /// The runs of these of the batch's packets.
    pub fn runs_within(&self, part: Range<u32>) -> impl Iterator<Item = DatagramRun> + '_ {
        self.runs.iter().filter_map(move |(run, places)| {
            let sources = self.packets.get(places.clone()).unwrap_or_default();
            let skipped = sources.partition_point(|source| *source < part.start);
            let kept = sources.partition_point(|source| *source < part.end);
            let mut rest = run.clone();
            if kept < sources.len() {
                rest = rest.split_front(kept);
            }
            if skipped > 0 {
                let _passed_over = rest.split_front(skipped);
            }
            (!rest.bytes.is_empty()).then_some(rest)
        })
    }

    /// The number of the track's first packet of media at or after the batch's packet of this index.
    #[must_use]
    pub fn first_sequence(&self, track: usize, packet: u32) -> Option<SequenceNumber> {
        let mut runs = self.runs_from(packet);
        let run = runs.find(|run| usize::from(run.track) == track && !run.is_rtcp)?;
        let first = run.bytes.get(..run.datagram_bytes.min(run.bytes.len()))?;
        Some(HeaderView::parse(first).ok()?.sequence_number())
    }
}

impl DatagramNumbering {
    /// An image of a stream whose packets take at most `packet_bytes_max` bytes each.
    #[must_use]
    pub fn new(info: &StreamInfo, packet_bytes_max: usize) -> Self {
        let tracks = info.tracks().iter().map(|track| TrackNumbering {
            cut: Cut::of(&track.codec),
            added: 0,
        });
        Self {
            packet_bytes_max,
            tracks: tracks.collect(),
            oversized: 0,
        }
    }

    /// The next batch's image.
    #[must_use]
    pub fn build(&mut self, batch: &Batch) -> DatagramBatch {
        let mut image = ImageBuilder::with_room_for(batch);
        for track in 0..self.tracks.len() {
            for (index, packet) in (0..).zip(&batch.packets) {
                if usize::from(packet.track) == track {
                    self.add(batch, index, packet, &mut image);
                }
            }
        }
        image.finish()
    }

    /// Packets that no datagram can hold and that cannot be cut, since it was last asked.
    pub fn take_oversized(&mut self) -> u64 {
        std::mem::take(&mut self.oversized)
    }

    fn add(&mut self, batch: &Batch, index: u32, packet: &Packet, image: &mut ImageBuilder) {
        let wire = batch.packet_bytes(packet);
        let bytes = wire.get(WIRE_HEADER_BYTES..).unwrap_or_default();
        let place = Place {
            track: packet.track,
            is_rtcp: packet.flags.has(PacketFlags::RTCP),
            packet: index,
        };
        let Some(track) = self.tracks.get_mut(usize::from(packet.track)) else {
            return;
        };
        if place.is_rtcp {
            image.add(place, &[bytes]);
        } else if bytes.len() <= self.packet_bytes_max {
            image.add(place, &[bytes]);
            image.renumber_last(bytes.len(), track.added);
        } else if track
            .add_pieces(bytes, self.packet_bytes_max, place, image)
            .is_none()
        {
            self.oversized += 1;
        }
    }
}

impl TrackNumbering {
    /// Adds the pieces of a packet; none if it cannot be cut.
    fn add_pieces(
        &mut self,
        packet: &[u8],
        packet_bytes_max: usize,
        place: Place,
        image: &mut ImageBuilder,
    ) -> Option<()> {
        let view = HeaderView::parse(packet).ok()?;
        let header_bytes = view.payload_range().start;
        let payload_max = packet_bytes_max.checked_sub(header_bytes)?;
        let pieces = self.cut?.pieces(view.payload(), payload_max).ok()?;
        let mut header = SmallVec::<[u8; 64]>::from_slice(packet.get(..header_bytes)?);
        let [first, second, ..] = header.as_mut_slice() else {
            return None;
        };
        *first &= !PADDING_BIT;
        let marker = *second & MARKER_BIT;
        *second &= !MARKER_BIT;
        for (nth, piece) in pieces.enumerate() {
            if let (true, Some(second)) = (piece.is_last, header.get_mut(1)) {
                *second |= marker;
            }
            self.added = self.added.wrapping_add(u16::from(nth > 0));
            let bytes = header_bytes + piece.payload_bytes();
            image.add(place, &[&header, piece.head(), piece.body]);
            image.renumber_last(bytes, self.added);
        }
        Some(())
    }
}

/// Which packet a datagram is made of.
#[derive(Clone, Copy)]
struct Place {
    track: u8,
    is_rtcp: bool,
    packet: u32,
}

/// An image under way.
struct ImageBuilder {
    image: BytesMut,
    packets: Vec<u32>,
    runs: Vec<OpenRun>,
}

struct OpenRun {
    place: Place,
    datagram_bytes: usize,
    bytes: Range<usize>,
    datagrams: Range<usize>,
}

impl ImageBuilder {
    fn with_room_for(batch: &Batch) -> Self {
        Self {
            image: BytesMut::with_capacity(batch.bytes() + CUT_ROOM_BYTES),
            packets: Vec::with_capacity(batch.packets.len() + 1),
            runs: Vec::new(),
        }
    }

    /// Adds a datagram made of these parts: to the last run if it is of its kind and size, and no shorter one came before.
    fn add(&mut self, place: Place, parts: &[&[u8]]) {
        let begin = self.image.len();
        parts.iter().for_each(|part| self.image.put_slice(part));
        let (end, number) = (self.image.len(), self.packets.len());
        self.packets.push(place.packet);
        let last = self.runs.last_mut();
        match last.filter(|run| run.takes(place, end - begin)) {
            Some(run) => {
                run.bytes.end = end;
                run.datagrams.end = number + 1;
            }
            None => self.runs.push(OpenRun {
                place,
                datagram_bytes: end - begin,
                bytes: begin..end,
                datagrams: number..number + 1,
            }),
        }
    }

    /// Gives the last datagram, which has so many bytes, a number that is `added` later than its own.
    fn renumber_last(&mut self, bytes: usize, added: u16) {
        if added == 0 {
            return;
        }
        let begin = self.image.len().saturating_sub(bytes);
        let packet = self.image.get_mut(begin..).unwrap_or_default();
        let number = HeaderView::parse(packet).map(|view| view.sequence_number());
        if let (Ok(number), Ok(mut header)) = (number, HeaderViewMut::parse(packet)) {
            header.set_sequence_number(number.wrapping_add(added));
        }
    }

    fn finish(self) -> DatagramBatch {
        let image = Slice::new(self.image.freeze());
        let run = |open: OpenRun| {
            let run = DatagramRun {
                track: open.place.track,
                is_rtcp: open.place.is_rtcp,
                datagram_bytes: open.datagram_bytes,
                bytes: image.slice(open.bytes),
            };
            (run, open.datagrams)
        };
        DatagramBatch {
            runs: self.runs.into_iter().map(run).collect(),
            packets: self.packets,
        }
    }
}

impl OpenRun {
    fn takes(&self, place: Place, bytes: usize) -> bool {
        let is_same = self.place.track == place.track && self.place.is_rtcp == place.is_rtcp;
        let is_whole = self.bytes.len() == self.datagrams.len() * self.datagram_bytes;
        is_same && is_whole && bytes <= self.datagram_bytes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::stream::{BatchBuilder, StreamClock};

    /// Payload of an H.264 fragment that begins a picture, in wire frame and RTP header.
    fn packet(track: u8, sequence: u16, payload: &[u8], marker: bool) -> BytesMut {
        let mut wire = BytesMut::new();
        let bytes = 12 + payload.len();
        wire.put_slice(&[b'$', 2 * track]);
        wire.put_u16(bytes as u16);
        wire.put_slice(&[0x80, 96 | u8::from(marker) << 7]);
        wire.put_u16(sequence);
        wire.put_slice(&[0, 0, 0, 9, 0, 0, 0, 7]);
        wire.put_slice(payload);
        wire
    }

    fn fragment(bytes: usize) -> Vec<u8> {
        let mut payload = vec![0x7c, 0x05];
        payload.resize(bytes, 1);
        payload
    }

    fn batch(packets: &[(u8, BytesMut)]) -> Batch {
        let mut builder = BatchBuilder::new(0);
        for (track, wire) in packets {
            builder.note(wire.len(), *track, PacketFlags::default(), Instant::now());
            builder.hold(wire.clone());
        }
        builder.close(StreamClock::default()).unwrap()
    }

    fn numbering(packet_bytes_max: usize) -> DatagramNumbering {
        let sdp =
            "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 0 RTP/AVP 0\r\n";
        let tracks = shardcast_protocol::sdp::parse(sdp.as_bytes())
            .and_then(|sdp| shardcast_protocol::sdp::tracks(&sdp));
        DatagramNumbering::new(&StreamInfo::new(tracks.unwrap(), "test"), packet_bytes_max)
    }

    /// Track, datagram bytes, number of datagrams and first sequence number of each run.
    fn shape(runs: impl Iterator<Item = DatagramRun>) -> Vec<(u8, usize, usize, u16)> {
        runs.map(|run| {
            let first = HeaderView::parse(&run.bytes[..run.datagram_bytes]).unwrap();
            let sequence = first.sequence_number().0;
            (run.track, run.datagram_bytes, run.datagrams(), sequence)
        })
        .collect()
    }

    #[test]
    fn packets_of_one_size_are_one_run_with_a_shorter_last_and_tracks_stand_apart() {
        let packets = [
            (0, packet(0, 1, &fragment(88), false)),
            (1, packet(1, 50, &[3; 20], true)),
            (0, packet(0, 2, &fragment(88), false)),
            (0, packet(0, 3, &fragment(40), true)),
            (0, packet(0, 4, &fragment(40), true)),
        ];
        let image = numbering(1452).build(&batch(&packets));
        assert_eq!(
            shape(image.runs_from(0)),
            [(0, 100, 3, 1), (0, 52, 1, 4), (1, 32, 1, 50)]
        );
    }

    #[test]
    fn a_reader_begins_at_any_packet() {
        let packets = [
            (0, packet(0, 1, &fragment(88), false)),
            (1, packet(1, 50, &[3; 20], true)),
            (0, packet(0, 2, &fragment(88), true)),
        ];
        let image = numbering(1452).build(&batch(&packets));
        assert_eq!(shape(image.runs_from(1)), [(0, 100, 1, 2), (1, 32, 1, 50)]);
        assert_eq!(image.first_sequence(0, 1), Some(SequenceNumber(2)));
        assert_eq!(image.first_sequence(1, 2), None);
        assert_eq!(image.runs_from(3).count(), 0);
    }

    #[test]
    fn a_packet_over_the_maximum_is_cut_and_the_numbers_go_on_over_batches() {
        let mut numbering = numbering(100);
        let packets = [
            (0, packet(0, 65_535, &fragment(150), true)),
            (0, packet(0, 0, &fragment(30), true)),
        ];
        let image = numbering.build(&batch(&packets));
        let runs: Vec<_> = image.runs_from(0).collect();
        assert_eq!(shape(runs.iter().cloned()), [(0, 88, 3, 65_535)]);
        let markers = |run: &DatagramRun| -> Vec<bool> {
            let datagrams = run.bytes.chunks(run.datagram_bytes);
            datagrams
                .map(|datagram| HeaderView::parse(datagram).unwrap().marker())
                .collect()
        };
        assert_eq!(markers(&runs[0]), [false, true, true]);
        let next = numbering.build(&batch(&[(0, packet(0, 1, &fragment(30), true))]));
        assert_eq!(shape(next.runs_from(0)), [(0, 42, 1, 2)]);
        assert_eq!(numbering.take_oversized(), 0);
    }

    #[test]
    fn what_cannot_be_cut_is_left_out_and_counted_once() {
        let mut numbering = numbering(100);
        let packets = [
            (1, packet(1, 5, &[0; 200], true)),
            (1, packet(1, 6, &[0; 20], true)),
        ];
        let image = numbering.build(&batch(&packets));
        assert_eq!(shape(image.runs_from(0)), [(1, 32, 1, 6)]);
        assert_eq!(
            (numbering.take_oversized(), numbering.take_oversized()),
            (1, 0)
        );
    }

    #[test]
    fn a_run_is_split_between_datagrams() {
        let packets: Vec<_> = (0..5)
            .map(|number| (0, packet(0, number, &fragment(88), false)))
            .collect();
        let image = numbering(1452).build(&batch(&packets));
        let mut run = image.runs_from(0).next().unwrap();
        let front = run.split_front(2);
        assert_eq!((front.datagrams(), run.datagrams()), (2, 3));
        assert_eq!(shape(std::iter::once(run)), [(0, 100, 3, 2)]);
    }
}
