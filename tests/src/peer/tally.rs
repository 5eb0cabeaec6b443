//! What arrives at the end of a bad link, in whatever order: which packets came, how often, and that none was altered.

use std::collections::BTreeMap;

use super::verifier::{self, Flaw};

/// The packets with counters that have come.
#[derive(Debug, Default)]
pub struct Tally {
    /// How often each came.
    times: BTreeMap<u64, u64>,
    /// Packets that came after one with a higher counter.
    late: u64,
}

impl Tally {
    /// Takes a packet in.
    ///
    /// # Errors
    /// When it is no packet of a synthetic stream, or was altered.
    pub fn take(&mut self, rtp: &[u8]) -> Result<(), Flaw> {
        let (_, counter) = verifier::read(rtp)?;
        let Some(counter) = counter else {
            return Ok(());
        };
        let highest = self.times.last_key_value().map(|(packet, _)| *packet);
        self.late += u64::from(highest > Some(counter.packet));
        *self.times.entry(counter.packet).or_default() += 1;
        Ok(())
    }

    /// Different packets.
    pub fn packets(&self) -> u64 {
        self.times.len() as u64
    }

    /// The lowest and the highest counter.
    pub fn range(&self) -> Option<(u64, u64)> {
        let (first, _) = self.times.first_key_value()?;
        let (last, _) = self.times.last_key_value()?;
        Some((*first, *last))
    }

    /// Packets that are missing between the lowest and the highest.
    pub fn missing(&self) -> u64 {
        let whole = self.range().map_or(0, |(first, last)| last - first + 1);
        whole - self.packets()
    }

    /// Packets that came once more.
    pub fn repeated(&self) -> u64 {
        self.times.values().sum::<u64>() - self.packets()
    }

    /// Packets that others had overtaken.
    pub fn late(&self) -> u64 {
        self.late
    }
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::{Shape, Source};
    use super::*;

    #[test]
    fn lost_repeated_and_late_packets_are_counted_and_altered_ones_refused() {
        let mut source = Source::new(Shape::default());
        let mut packets = source.next_frame();
        packets.swap(3, 4);
        packets.remove(5);
        packets.push(packets[2].clone());
        let mut tally = Tally::default();
        packets
            .iter()
            .for_each(|packet| tally.take(packet).unwrap());
        assert_eq!(tally.range(), Some((0, 5)));
        let counts = [
            tally.packets(),
            tally.missing(),
            tally.repeated(),
            tally.late(),
        ];
        assert_eq!(counts, [5, 1, 1, 2]);
        packets[2].last_mut().map(|byte| *byte ^= 1).unwrap();
        assert!(tally.take(&packets[2]).is_err());
    }
}
