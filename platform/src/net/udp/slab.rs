//! The buffer that datagrams are received into, and the datagrams in it.
//!
//! One call of the system fills several slots, each with a datagram or, where the kernel puts runs
//! of equal datagrams together (GRO), with a run. Readers of the slab see datagrams alone.

use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

/// Bytes of a slot: any datagram, and any run that the kernel puts together, is smaller.
const SLOT_BYTES: usize = 64 * 1024;

/// Room for what one receive brings, to be used again for the next. 256 KiB, of which memory is
/// taken as far as datagrams have reached.
#[derive(Debug)]
pub struct RecvSlab {
    bytes: Vec<u8>,
    arrivals: [Option<Arrival>; Self::SLOTS],
    filled: usize,
}

/// What one slot holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) bytes: usize,
    /// Of each datagram but the last.
    pub(crate) segment: usize,
    pub(crate) source: SocketAddr,
    pub(crate) local: Option<IpAddr>,
    pub(crate) at: Option<SystemTime>,
}

/// One datagram. Addresses are canonical: an IPv4-mapped one is an IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// What it carries; never empty.
    pub bytes: &'a [u8],
    /// Who sent it.
    pub source: SocketAddr,
    /// Which of our addresses it was sent to, if the system says so.
    pub local: Option<IpAddr>,
    /// When the kernel received it: see [`crate::UdpSocket::stamp_arrivals`]. The datagrams of a run
    /// have one stamp.
    pub at: Option<SystemTime>,
}

impl RecvSlab {
    /// What one call fills: where the kernel puts runs together, four slots hold what a call per
    /// datagram would take hundreds for.
    pub(crate) const SLOTS: usize = 4;

    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bytes: vec![0; Self::SLOTS * SLOT_BYTES],
            arrivals: [None; Self::SLOTS],
            filled: 0,
        }
    }

    /// The datagrams of the last receive, in the order of their arrival. Empty ones are left out.
    pub fn datagrams(&self) -> impl Iterator<Item = Datagram<'_>> {
        let slots = self.bytes.chunks_exact(SLOT_BYTES).zip(&self.arrivals);
        let filled = slots.take(self.filled);
        filled.flat_map(|(slot, arrival)| arrival.iter().flat_map(|arrival| arrival.cut(slot)))
    }

    /// Forgets the last receive, and lends its slots to the next.
    pub(crate) fn lend(&mut self) -> [(*mut u8, usize); Self::SLOTS] {
        self.filled = 0;
        let start = self.bytes.as_mut_ptr();
        std::array::from_fn(|slot| (start.wrapping_add(slot * SLOT_BYTES), SLOT_BYTES))
    }

    /// Says what the next slot has been filled with; nothing where that cannot be told.
    pub(crate) fn push(&mut self, arrival: Option<Arrival>) {
        if let Some(slot) = self.arrivals.get_mut(self.filled) {
            *slot = arrival;
            self.filled += 1;
        }
    }
}

impl Default for RecvSlab {
    fn default() -> Self {
        Self::new()
    }
}

impl Arrival {
    fn cut<'a>(&self, slot: &'a [u8]) -> impl Iterator<Item = Datagram<'a>> {
        let Self {
            source, local, at, ..
        } = *self;
        let filled = slot.get(..self.bytes).unwrap_or(slot);
        let datagrams = filled.chunks(self.segment.max(1));
        datagrams.map(move |bytes| Datagram {
            bytes,
            source,
            local,
            at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(bytes: usize, segment: usize) -> Option<Arrival> {
        Some(Arrival {
            bytes,
            segment,
            source: ([192, 0, 2, 1], 7).into(),
            local: None,
            at: None,
        })
    }

    #[test]
    fn runs_are_cut_into_their_datagrams_and_empty_ones_left_out() {
        let mut slab = RecvSlab::new();
        slab.lend();
        slab.push(arrival(5, 2));
        slab.push(arrival(0, 0));
        slab.push(None);
        slab.push(arrival(3, 3));
        let lengths = |slab: &RecvSlab| -> Vec<usize> {
            slab.datagrams()
                .map(|datagram| datagram.bytes.len())
                .collect()
        };
        assert_eq!(lengths(&slab), [2, 2, 1, 3]);
        slab.lend();
        assert_eq!(lengths(&slab), []);
    }

    #[test]
    fn slots_follow_one_another() {
        let mut slab = RecvSlab::new();
        let slots = slab.lend();
        for (slot, (start, length)) in (1..).zip(slots) {
            // SAFETY: the slot is so long, and the slab's alone.
            unsafe { start.write_bytes(slot, length) };
            slab.push(arrival(SLOT_BYTES, SLOT_BYTES));
        }
        assert_eq!(slab.datagrams().count(), RecvSlab::SLOTS);
        for (datagram, slot) in slab.datagrams().zip(1..) {
            assert!(datagram.bytes.iter().all(|byte| *byte == slot));
        }
    }
}
