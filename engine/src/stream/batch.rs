//! A batch: the packets that leave together, in the interleaved wire image (RFC 2326 section 10.12: `$`, channel, length,
//! packet). Built where the publisher's connection is, immutable from then on, shared by every shard.
//!
//! Invariants: packets lie in the image one after another without a gap; a packet never crosses a run; `start_points`
//! are in order. The bytes are never copied on the way in: a run is a piece of the chunk that the socket was read into, or
//! packets of our own between two of the publisher's.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::StreamClock;

/// `$`, channel and two bytes of length in front of each packet.
pub const WIRE_HEADER_BYTES: usize = 4;

/// Pieces of memory that a batch may have; one with more is closed. Only packets that are taken out of the middle make a
/// new piece, so an honest publisher has one or two.
pub const RUNS_MAX: usize = 64;

/// Pieces that one packet can add: the memory before it, packets of our own, itself, and a report of our own behind it.
const PACKET_RUNS_MAX: usize = 4;

/// What is known of a packet without looking at it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PacketFlags(u8);

impl PacketFlags {
    /// First packet of an access unit.
    pub const AU_START: Self = Self(1);
    /// Last packet of an access unit.
    pub const AU_END: Self = Self(1 << 1);
    /// Of an access unit that no other refers to.
    pub const DROPPABLE: Self = Self(1 << 2);
    /// A control packet (RTCP), not media.
    pub const RTCP: Self = Self(1 << 3);

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// One packet of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where its wire header begins in the batch's image.
    pub offset: u32,
    /// Its length with the wire header.
    pub len: u32,
    /// Index of its track.
    pub track: u8,
    /// What it is.
    pub flags: PacketFlags,
}

/// The first packet of a key access unit, parameter sets included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartPoint {
    /// How many batches before the one that tells of it: the key may be found only after the access unit's first packets
    /// have left.
    pub batches_back: u32,
    /// Index of the packet in that batch.
    pub packet: u32,
}

/// Packets that leave together.
#[derive(Debug)]
pub struct Batch {
    /// Number within the stream; one missing means that batches were lost on a ring.
    pub sequence: u64,
    /// The image, in pieces of contiguous memory; usually one.
    pub runs: SmallVec<[Bytes; 1]>,
    /// What lies in it.
    pub packets: Vec<Packet>,
    /// Where readers can begin.
    pub start_points: SmallVec<[StartPoint; 1]>,
    /// When the first packet was read.
    pub read_at: Instant,
    /// The stream's clock when the batch closed.
    pub clock: StreamClock,
    /// How many of the packets are RTCP.
    rtcp_packets: u32,
}

impl Batch {
    /// How many packets of this part are RTCP. Most batches have none, and cost no look.
    #[must_use]
    pub fn rtcp_packets(&self, part: std::ops::Range<u32>) -> u32 {
        if self.rtcp_packets == 0 {
            return 0;
        }
        let part = part.start as usize..part.end as usize;
        let packets = self.packets.get(part).unwrap_or_default().iter();
        let rtcp = packets.filter(|packet| packet.flags.has(PacketFlags::RTCP));
        rtcp.count() as u32
    }

    /// Length of the image.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.runs.iter().map(Bytes::len).sum()
    }

    /// Index of the first packet at which a reader can begin without an earlier batch.
    #[must_use]
    pub fn own_start(&self) -> Option<u32> {
        let own = self
            .start_points
            .iter()
            .find(|start| start.batches_back == 0);
        own.map(|start| start.packet)
    }

    /// The wire image of one packet, header included.
    #[must_use]
    pub fn packet_bytes(&self, packet: &Packet) -> &[u8] {
        let mut at = packet.offset as usize;
        for run in &self.runs {
            if at < run.len() {
                return run.get(at..at + packet.len as usize).unwrap_or_default();
            }
            at -= run.len();
        }
        &[]
    }
}

/// A batch that is still open.
#[derive(Debug)]
pub struct BatchBuilder {
    runs: SmallVec<[BytesMut; 1]>,
    packets: Vec<Packet>,
    start_points: SmallVec<[StartPoint; 1]>,
    /// Bytes of the noted packets, whether their memory has arrived or not.
    noted_bytes: usize,
    held_bytes: usize,
    /// Packets of our own whose place in the image memory has not reached yet, with that place.
    insertions: SmallVec<[(usize, BytesMut); 1]>,
    read_at: Option<Instant>,
    next_sequence: u64,
    /// Packets of the last batch: the next is likely of that size, so that its list is allocated once.
    packets_expected: usize,
    /// RTCP among the open batch's packets.
    rtcp_packets: u32,
}

impl BatchBuilder {
    /// The first batch will carry `first_sequence`.
    #[must_use]
    pub fn new(first_sequence: u64) -> Self {
        Self {
            runs: SmallVec::new(),
            packets: Vec::new(),
            start_points: SmallVec::new(),
            noted_bytes: 0,
            held_bytes: 0,
            insertions: SmallVec::new(),
            read_at: None,
            next_sequence: first_sequence,
            packets_expected: 16,
            rtcp_packets: 0,
        }
    }

    /// Notes a packet of `len` bytes, header included, whose memory follows in [`Self::hold`].
    pub fn note(&mut self, len: usize, track: u8, flags: PacketFlags, read_at: Instant) {
        if self.packets.is_empty() {
            self.packets.reserve(self.packets_expected);
            self.read_at = Some(read_at);
        }
        let (offset, len_u32) = (u32::try_from(self.noted_bytes), u32::try_from(len));
        let (Ok(offset), Ok(len_u32)) = (offset, len_u32) else {
            unreachable!("a batch is closed long before 4 GiB")
        };
        self.packets.push(Packet {
            offset,
            len: len_u32,
            track,
            flags,
        });
        self.noted_bytes += len;
        self.rtcp_packets += u32::from(flags.has(PacketFlags::RTCP));
    }

    /// Adds a start point: `packet` counts within the batch that is `batches_back` before the open one.
    pub fn note_start(&mut self, start: StartPoint) {
        self.start_points.push(start);
    }

    /// Notes a packet of our own with its memory, between packets whose memory may still follow.
    pub fn insert(&mut self, packet: BytesMut, track: u8, flags: PacketFlags, now: Instant) {
        let at = self.noted_bytes;
        self.note(packet.len(), track, flags, now);
        match self.insertions.last_mut() {
            Some((begin, inserted)) if *begin + inserted.len() == at => inserted.unsplit(packet),
            _ => self.insertions.push((at, packet)),
        }
    }

    /// Takes the memory of packets noted before. Memory that follows the last run's stays one run.
    pub fn hold(&mut self, mut memory: BytesMut) {
        while let Some((at, _)) = self.insertions.first() {
            let before = at.saturating_sub(self.held_bytes);
            if before > memory.len() {
                break;
            }
            self.push_run(memory.split_to(before));
            let (_, inserted) = self.insertions.remove(0);
            self.push_run(inserted);
        }
        self.push_run(memory);
    }

    fn push_run(&mut self, memory: BytesMut) {
        if memory.is_empty() {
            return;
        }
        self.held_bytes += memory.len();
        match self.runs.last_mut() {
            Some(run) if run.as_ptr_range().end == memory.as_ptr() => run.unsplit(memory),
            _ => self.runs.push(memory),
        }
    }

    /// Packets in the open batch.
    #[must_use]
    pub fn packets(&self) -> usize {
        self.packets.len()
    }

    /// Whether the open batch is to be closed for its size.
    #[must_use]
    pub fn is_full(&self, bytes_max: usize) -> bool {
        // An insertion is a run, and cuts the memory around it in two.
        let runs = self.runs.len() + 2 * self.insertions.len();
        self.noted_bytes >= bytes_max || runs + PACKET_RUNS_MAX > RUNS_MAX
    }

    /// Number that the open batch will carry.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Closes the open batch; nothing if it is empty.
    ///
    /// # Panics
    /// If memory of a noted packet is missing: that is a bug of the caller's.
    pub fn close(&mut self, clock: StreamClock) -> Option<Batch> {
        let read_at = self.read_at.take()?;
        self.hold(BytesMut::new());
        assert_eq!(
            self.noted_bytes, self.held_bytes,
            "a batch closes with the memory of all its packets"
        );
        (self.noted_bytes, self.held_bytes) = (0, 0);
        let packets = std::mem::take(&mut self.packets);
        self.packets_expected = packets.len();
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        Some(Batch {
            sequence,
            runs: self.runs.drain(..).map(BytesMut::freeze).collect(),
            rtcp_packets: std::mem::take(&mut self.rtcp_packets),
            packets,
            start_points: std::mem::take(&mut self.start_points),
            read_at,
            clock,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder_with(sizes: &[usize], chunk: &mut BytesMut) -> BatchBuilder {
        let mut builder = BatchBuilder::new(7);
        for &size in sizes {
            builder.note(size, 0, PacketFlags::default(), Instant::now());
            builder.hold(chunk.split_to(size));
        }
        builder
    }

    #[test]
    fn packets_read_one_after_another_into_a_chunk_are_one_run() {
        let mut chunk = BytesMut::from(&[5u8; 300][..]);
        let batch = builder_with(&[100, 50, 150], &mut chunk)
            .close(StreamClock::default())
            .unwrap();
        assert_eq!(
            (batch.runs.len(), batch.bytes(), batch.sequence),
            (1, 300, 7)
        );
        assert_eq!(batch.packets[2].offset, 150);
    }

    #[test]
    fn a_packet_is_found_in_whichever_run_it_lies() {
        let mut builder = BatchBuilder::new(0);
        for fill in [1u8, 2, 3] {
            builder.note(10, 0, PacketFlags::AU_START, Instant::now());
            builder.hold(BytesMut::from(&[fill; 10][..]));
            builder.hold(BytesMut::new());
        }
        let batch = builder.close(StreamClock::default()).unwrap();
        for (packet, fill) in batch.packets.iter().zip([1u8, 2, 3]) {
            assert_eq!(batch.packet_bytes(packet), [fill; 10]);
        }
    }

    #[test]
    fn packets_of_our_own_lie_where_they_were_put_whenever_memory_arrives() {
        for pieces in [&[40][..], &[10, 30], &[20, 20], &[15, 5, 20]] {
            let mut chunk = BytesMut::from(&[5u8; 40][..]);
            let mut builder = BatchBuilder::new(0);
            let now = Instant::now();
            let own = |builder: &mut BatchBuilder| {
                let packet = BytesMut::from(&[9u8; 7][..]);
                builder.insert(packet, 0, PacketFlags::default(), now);
            };
            own(&mut builder);
            for _ in 0..2 {
                builder.note(20, 0, PacketFlags::default(), now);
                own(&mut builder);
                own(&mut builder);
            }
            for piece in pieces {
                builder.hold(chunk.split_to(*piece));
            }
            let batch = builder.close(StreamClock::default()).unwrap();
            let images: Vec<_> = batch
                .packets
                .iter()
                .map(|packet| batch.packet_bytes(packet).to_vec())
                .collect();
            let (own, theirs) = (vec![9; 7], vec![5; 20]);
            let expected = [&own, &theirs, &own, &own, &theirs, &own, &own];
            assert_eq!(images, expected.map(Clone::clone), "{pieces:?}");
        }
    }

    #[test]
    fn an_empty_batch_does_not_close_and_takes_no_number() {
        let mut builder = BatchBuilder::new(3);
        assert!(builder.close(StreamClock::default()).is_none());
        assert_eq!(builder.sequence(), 3);
    }
}
