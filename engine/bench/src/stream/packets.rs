//! One frame's packets, as interleaved frames one behind the other (RFC 2326, section 10.12): whole for a connection, each
//! without its first four bytes for a datagram. A source writes them; a publisher stamps and sends them.

use std::ops::Range;

use shardcast_protocol::container::rtp::framing::{INTERLEAVED_HEADER_BYTES, frame_header};

use super::probe::{PROBE_BYTES, Probe};

/// Bytes of RTP's header without extensions (RFC 3550, section 5.1).
pub(super) const RTP_HEADER_BYTES: usize = 12;
/// What stands where nothing has to: no zeros, and the last bit of a slice is set, as it has to be.
pub(super) const FILLER: u8 = 0x55;

/// The packets of a frame, or of an audio access unit.
#[derive(Clone, Debug, Default)]
pub struct Packets {
    bytes: Vec<u8>,
    packets: Vec<Packet>,
}

/// Where a packet stands.
#[derive(Clone, Debug)]
struct Packet {
    range: Range<usize>,
    track: usize,
    /// Where its probe stands, and which it is, if it has one.
    probe: Option<(usize, u64)>,
}

impl Packets {
    /// Forgets all packets, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.packets.clear();
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// All bytes, as a connection carries them.
    #[must_use]
    pub fn interleaved(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes of these packets, as a connection carries them.
    #[must_use]
    pub fn interleaved_of(&self, packets: Range<usize>) -> &[u8] {
        let packets = self.packets.get(packets).unwrap_or_default();
        let bytes = match packets {
            [] => 0..0,
            [first, ..] => {
                let last = packets.last().unwrap_or(first);
                first.range.start..last.range.end
            }
        };
        self.bytes.get(bytes).unwrap_or_default()
    }

    /// The track of a packet, and its interleaved frame.
    #[must_use]
    pub fn get(&self, packet: usize) -> Option<(usize, &[u8])> {
        let packet = self.packets.get(packet)?;
        Some((packet.track, self.bytes.get(packet.range.clone())?))
    }

    /// The packets one by one: their tracks, and their interleaved frames.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let packets = self.packets.iter();
        packets.filter_map(|packet| Some((packet.track, self.bytes.get(packet.range.clone())?)))
    }

    /// Writes when it is due into a packet that has room for that, beside the number that it has.
    pub fn stamp(&mut self, packet: usize, due_unix_nanos: u64) {
        let probe = self.packets.get(packet).and_then(|packet| packet.probe);
        let Some((place, number)) = probe else {
            return;
        };
        let probe = Probe {
            due_unix_nanos,
            number,
        };
        probe.write_to(self.bytes.get_mut(place..).unwrap_or_default());
    }

    /// Begins a packet of a track, which [`Writer::end`] ends.
    pub(super) fn begin(&mut self, track: usize, header: [u8; RTP_HEADER_BYTES]) -> Writer<'_> {
        let start = self.bytes.len();
        self.bytes.resize(start + INTERLEAVED_HEADER_BYTES, 0);
        self.bytes.extend_from_slice(&header);
        Writer {
            packets: self,
            start,
            track,
            probe: None,
        }
    }
}

/// A packet that is being written.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    packets: &'a mut Packets,
    start: usize,
    track: usize,
    probe: Option<(usize, u64)>,
}

impl Writer<'_> {
    /// Adds these bytes to the payload.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.packets.bytes.extend_from_slice(bytes);
        self
    }

    /// Adds the place of the probe with this number.
    pub(super) fn probe(&mut self, number: u64) -> &mut Self {
        let place = self.packets.bytes.len();
        self.probe = Some((place, number));
        self.packets.bytes.resize(place + PROBE_BYTES, FILLER);
        self
    }

    /// Fills the packet up to so many bytes, its RTP header included.
    pub(super) fn fill(&mut self, packet_bytes: usize) -> &mut Self {
        let end = self.start + INTERLEAVED_HEADER_BYTES + packet_bytes;
        let end = end.max(self.packets.bytes.len());
        self.packets.bytes.resize(end, FILLER);
        self
    }

    /// Ends the packet, and says how many bytes it has, its RTP header included. It is the source's duty that they are
    /// fewer than 2^16, and that the track is below 128.
    pub(super) fn end(&mut self) -> usize {
        let end = self.packets.bytes.len();
        let length = end - self.start - INTERLEAVED_HEADER_BYTES;
        let channel = u8::try_from(2 * self.track).expect("a track's number is below 128");
        let field = u16::try_from(length).expect("a packet is below 64 KiB");
        let header = self.packets.bytes.iter_mut().skip(self.start);
        let values = frame_header(channel, field);
        header.zip(values).for_each(|(place, value)| *place = value);
        self.packets.packets.push(Packet {
            range: self.start..end,
            track: self.track,
            probe: self.probe,
        });
        length
    }
}

/// What numbers a track's packets.
#[derive(Clone, Debug)]
pub(super) struct Numbering {
    payload_type: u8,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    probes: u64,
}

impl Numbering {
    /// A track's numbers, which begin by chance.
    pub(super) fn new(payload_type: u8, chance: &mut fastrand::Rng) -> Self {
        Self {
            payload_type,
            ssrc: chance.u32(..),
            sequence: chance.u16(..),
            timestamp: chance.u32(..),
            probes: 0,
        }
    }

    /// The header of the next packet, so many ticks after the stream's begin.
    pub(super) fn header(&mut self, is_last: bool, ticks: u64) -> [u8; RTP_HEADER_BYTES] {
        const VERSION: u8 = 0x80;
        const MARKER: u8 = 0x80;
        let mut header = [VERSION; RTP_HEADER_BYTES];
        let marker = if is_last { MARKER } else { 0 };
        // Timestamps wrap after 2^32 ticks, as RTP's do.
        let timestamp = self.timestamp.wrapping_add(ticks as u32);
        let fields = [marker | self.payload_type].into_iter();
        let fields = fields.chain(self.sequence.to_be_bytes());
        let fields = fields.chain(timestamp.to_be_bytes());
        let fields = fields.chain(self.ssrc.to_be_bytes());
        let places = header.iter_mut().skip(1);
        places.zip(fields).for_each(|(place, field)| *place = field);
        self.sequence = self.sequence.wrapping_add(1);
        header
    }

    /// The number of the next probe.
    pub(super) fn next_probe(&mut self) -> u64 {
        self.probes += 1;
        self.probes - 1
    }
}
