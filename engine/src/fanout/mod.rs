//! Fan-out on one shard: a stream's recent batches ([`Log`]), a reader's place in them ([`Cursor`]), and who is told when
//! there is news ([`WakeQueue`]).
//!
//! Invariants: a log is bounded in bytes and age; a reader holds no batch, only a position, so a slow one costs nothing but
//! its own place; a cursor jumps only between access units and only to a start point. Batches come from the shard that owns
//! the path and leave through `egress`.

mod catch_up;
mod compression;
mod cursor;
mod datagrams;
mod join_window;
mod local_batch;
mod log;
mod log_record;
mod log_units;
mod shared_log;
mod slow_reader;
mod wake_queue;

pub use catch_up::{CatchUp, PressedBatch};
pub use cursor::{Cursor, Next, Start};
pub use datagrams::{DatagramBatch, DatagramNumbering, DatagramRun};
pub use local_batch::{ChannelMap, LocalBatch, VARIANTS_MAX, VariantImage};
pub use log::{Appended, EndReason, Entry, Log, LogLimits, Position};
pub use log_record::{IN_STEP, LogPlace, LogRecord};
pub use shared_log::{DatagramSeat, ReaderSeat, SharedLog};
pub use slow_reader::{Drop, DropReason, SlowReader, SlowReaderPolicy};
pub use wake_queue::{WakeLimits, WakeQueue};
