//! One frame's packets, as interleaved frames one behind the other (RFC 2326, section 10.12): whole for a connection, each
//! without its first four bytes for a datagram.

use std::ops::Range;

use super::probe::Probe;

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
    /// Where its probe stands, if it has one.
    probe: Option<usize>,
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

    /// The packets one by one: their tracks, and their interleaved frames.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let packets = self.packets.iter();
        packets.filter_map(|packet| Some((packet.track, self.bytes.get(packet.range.clone())?)))
    }

    /// Writes the moment and the number into a packet that has room for them.
    pub fn stamp(&mut self, packet: usize, probe: Probe) {
        let place = self.packets.get(packet).and_then(|packet| packet.probe);
        if let Some(place) = place.and_then(|place| self.bytes.get_mut(place..)) {
            probe.write_to(place);
        }
    }
}
