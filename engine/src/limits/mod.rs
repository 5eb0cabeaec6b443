//! How much the server takes upon itself: whether there is room for one more session, asked before it begins, so that
//! those who are there lose nothing. What is there is never touched.
//!
//! Sessions take and give back (`ledger`, `memory`), owners of paths say their streams' bit rates, and one thread (`gauge`,
//! at the crate's root) says what memory is in use and how busy each shard is. Everything is asked at the begin and end of
//! a session, nothing on the packet's way. The configuration's numbers come in with each question, so that a change holds
//! for the next one.
//!
//! Deliberately absent: the limits of one path and one address, which are kept where these are (`path/occupancy.rs`,
//! `connections.rs`), and those of sites over HTTP.

mod busy;
mod ledger;
mod memory;
mod meter;
mod reached;
mod report;

pub use busy::{Busy, Place};
pub use ledger::{Ledger, ReaderKind, ReaderPass, Taken};
pub use memory::{MemoryBudget, MemoryUse, log_growth};
pub use meter::{RateMeter, announced_bit_rate};
pub use reached::Reached;
pub use report::{ByAddress, LIMITS, LimitReport};

use std::sync::atomic::{AtomicU64, Ordering};

/// What is taken of the server's limits.
#[derive(Debug)]
pub struct Limits {
    /// Playing readers and their bit rates.
    pub ledger: Ledger,
    /// Memory.
    pub memory: MemoryBudget,
    /// How busy the shards are.
    pub busy: Busy,
    /// Bits per second that readers were really sent of late.
    sent_bit_rate: AtomicU64,
}

impl Limits {
    /// Of a server with so many shards.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        Self {
            ledger: Ledger::new(shards),
            memory: MemoryBudget::new(shards),
            busy: Busy::new(shards),
            sent_bit_rate: AtomicU64::new(0),
        }
    }

    /// Where a reader that begins on shard `here` should be, by what the shards carry.
    #[must_use]
    pub fn place(&self, here: usize, cpu_percent: usize) -> Place {
        self.busy
            .place(here, cpu_percent, &self.ledger.readers_by_shard())
    }

    /// Bits per second that readers were really sent of late.
    #[must_use]
    pub fn sent_bit_rate(&self) -> u64 {
        self.sent_bit_rate.load(Ordering::Relaxed)
    }

    /// So much was sent of late; said by the gauge.
    pub fn set_sent_bit_rate(&self, bit_rate: u64) {
        self.sent_bit_rate.store(bit_rate, Ordering::Relaxed);
    }
}
