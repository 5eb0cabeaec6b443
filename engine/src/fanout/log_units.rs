//! Access units of a log's leading track, looked for packet by packet: asked about readers that have passed a limit, never
//! for those that have not.

use std::sync::Arc;
use std::time::Instant;

use super::log::{Entry, Log, Position};
use crate::stream::{Batch, Packet, PacketFlags};

impl Log {
    /// The packets from `position` on, each with its place.
    fn packets_from(&self, position: Position) -> impl Iterator<Item = (Position, &Packet)> {
        let numbers = position.entry.max(self.tail())..self.head();
        let entries = numbers.filter_map(|number| Some((number, self.entry(number)?)));
        entries.flat_map(move |(number, entry)| {
            let skipped = if number == position.entry {
                position.packet
            } else {
                0
            };
            let packets = (0u32..).zip(&entry.batch.shared().packets);
            packets.skip(skipped as usize).map(move |(packet, found)| {
                (
                    Position {
                        entry: number,
                        packet,
                    },
                    found,
                )
            })
        })
    }

    /// The first packet after the access unit that has its next packet at or after `position`; none if nothing of a later
    /// one is here.
    #[must_use]
    pub fn after_unit(&self, position: Position) -> Option<Position> {
        let mut leading = self
            .packets_from(position)
            .filter(|(_, packet)| self.is_leading(packet));
        let (mut last, first) = leading.next()?;
        if !first.flags.has(PacketFlags::AU_END) {
            for (at, packet) in leading {
                if packet.flags.has(PacketFlags::AU_START) {
                    return Some(at);
                }
                last = at;
                if packet.flags.has(PacketFlags::AU_END) {
                    break;
                }
            }
        }
        let mut behind = self.packets_from(last).skip(1);
        behind.next().map(|(at, _)| at)
    }

    /// Whether the access unit that begins at `position` is here as a whole, and no other refers to it.
    #[must_use]
    pub fn is_droppable_unit(&self, position: Position) -> bool {
        let packets = self.packets_from(position);
        let leading = packets.filter(|(_, packet)| self.is_leading(packet));
        for (index, (_, packet)) in leading.enumerate() {
            if index > 0 && packet.flags.has(PacketFlags::AU_START) {
                return true;
            }
            if !packet.flags.has(PacketFlags::DROPPABLE) {
                return false;
            }
            if packet.flags.has(PacketFlags::AU_END) {
                return true;
            }
        }
        false
    }

    /// The first packet of a track's media at or after `position`, with its batch.
    #[must_use]
    pub fn media_from(&self, position: Position, track: usize) -> Option<(&Arc<Batch>, &Packet)> {
        let mut packets = self.packets_from(position);
        let (at, packet) = packets.find(|(_, packet)| is_media_of(packet, track))?;
        Some((self.entry(at.entry)?.batch.shared(), packet))
    }

    /// The last packet of a track's media before `position`, with its batch.
    #[must_use]
    pub fn media_before(&self, position: Position, track: usize) -> Option<(&Arc<Batch>, &Packet)> {
        let numbers = (self.tail()..self.head().min(position.entry + 1)).rev();
        let entries = numbers.filter_map(|number| Some((number, self.entry(number)?)));
        let mut batches = entries.map(|(number, entry)| (number, entry.batch.shared()));
        batches.find_map(|(number, batch)| {
            let before = match number == position.entry {
                true => batch.packets.get(..position.packet as usize),
                false => Some(&*batch.packets),
            };
            let mut packets = before.unwrap_or_default().iter().rev();
            let packet = packets.find(|packet| is_media_of(packet, track))?;
            Some((batch, packet))
        })
    }

    /// Whether an access unit of another track than the leading one goes on at `position`.
    #[must_use]
    pub fn is_within_other_unit(&self, position: Position) -> bool {
        let leading = self.info().leading();
        let others = (0..self.info().tracks().len()).filter(|track| *track != leading);
        let mut next = others.filter_map(|track| self.media_from(position, track));
        next.any(|(_, packet)| !packet.flags.has(PacketFlags::AU_START))
    }

    /// Access units that begin at or after `from` and before `to`.
    #[must_use]
    pub fn units_between(&self, from: Position, to: Position) -> u64 {
        let packets = self.packets_from(from).take_while(|(at, _)| *at < to);
        let begins = packets.filter(|(_, packet)| {
            self.is_leading(packet) && packet.flags.has(PacketFlags::AU_START)
        });
        begins.count() as u64
    }

    /// Bytes of the log's life before a packet.
    #[must_use]
    pub fn bytes_before(&self, position: Position) -> u64 {
        self.head_bytes() - self.bytes_behind(position)
    }

    /// Bytes from a packet to the head.
    #[must_use]
    pub fn bytes_behind(&self, position: Position) -> u64 {
        let entry = self.entry(position.entry);
        let packets = entry.map(|entry| &entry.batch.shared().packets);
        let packet = packets.and_then(|packets| packets.get(position.packet as usize));
        let before = packet.map_or(0, |packet| u64::from(packet.offset));
        self.bytes_from(position.entry).saturating_sub(before)
    }

    /// When the entry was read that lies so many bytes before an entry's begin; the oldest one, if that is gone.
    #[must_use]
    pub fn read_before(&self, entry: u64, bytes: u64) -> Option<Instant> {
        let behind = self.bytes_from(entry).saturating_add(bytes);
        let (mut low, mut high) = (self.tail(), entry.min(self.head()));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.bytes_from(middle + 1) < behind {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        self.entry(low).map(|entry: &Entry| entry.read_at)
    }
}

fn is_media_of(packet: &Packet, track: usize) -> bool {
    usize::from(packet.track) == track && !packet.flags.has(PacketFlags::RTCP)
}
