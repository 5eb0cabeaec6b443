//! How late packets leave, measured always: from the read at the publisher's socket to the completion of the write that
//! carried it, per path and shard.
//!
//! What counts: a write is recorded once, when it has completed, for as many packets as it carried, with the time since its
//! *oldest* packet was read (the batch's first one). So no packet was later than it is shown, and a percentile is one of
//! packets, not of writes. Over UDP a burst is recorded once for all readers who were sent it in one turn, when the turn is
//! over. What was read before its reader had begun, as the latest group of pictures, does not count.
//!
//! [`PathLatency`] is where a shard's tasks record, into memory of their shard alone; once a second the shard copies it to
//! [`SharedLatency`], which it locks only if nobody else has it at that moment. [`LatencyBoard`] knows all of these, for at
//! most [`PATHS_MAX`] paths, and adds them up for whoever asks.
//!
//! Deliberately absent: histograms per session (those keep last, mean and max), and a lock or allocation where is recorded.

mod board;
mod histogram;
mod shard;
mod shared;

pub use board::{LatencyBoard, LatencyReport, PATHS_MAX};
pub use histogram::{BOUNDS_US, Buckets, new_histogram};
pub use shard::{PathLatency, ShardLatencies};
pub use shared::SharedLatency;
