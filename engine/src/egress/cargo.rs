//! What one write carries, as far as its lateness is concerned: filled in where packets are taken from the log, recorded
//! when the write has completed.

use std::time::Instant;

use crate::latency::PathLatency;
use crate::wall_clock::micros;

/// Packets on their way, with the time at which the oldest of them was read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cargo {
    read_at: Option<Instant>,
    packets: u32,
}

impl Cargo {
    /// Packets that were read at this time; not at all if they say nothing of lateness.
    pub fn add(&mut self, read_at: Option<Instant>, packets: u64) {
        if let Some(read_at) = read_at {
            self.read_at.get_or_insert(read_at);
            let packets = u32::try_from(packets).unwrap_or(u32::MAX);
            self.packets = self.packets.saturating_add(packets);
        }
    }

    /// Nothing whose lateness counts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// It has left, for each of so many readers: how late, in microseconds, and how many packets that was for each of them.
    pub fn record(&self, latency: &PathLatency, now: Instant, readers: u32) -> Option<(u64, u32)> {
        let read_at = self.read_at.filter(|_| readers > 0)?;
        let latency_us = micros(now.saturating_duration_since(read_at));
        latency.record(latency_us, self.packets.saturating_mul(readers));
        Some((latency_us, self.packets))
    }
}
