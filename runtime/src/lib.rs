//! Shards: one event loop per core, each with its own sockets, tasks and memory, and the rings by
//! which they talk.
//!
//! The engine implements [`Node`] and gives it to [`Runtime::start`]; the runtime makes one thread
//! per shard, calls the node inside that shard's event loop, and carries [`Messages`] between
//! shards. Options come in as plain values ([`Options`]); what happens goes out through [`Hooks`]
//! and counters.
//!
//! # Invariants
//! - Nothing that is on a packet's way waits for another core: every send returns at once, and each
//!   of the three rings says what happens when it is full ([`Messages`]).
//! - A shard is woken at most once per burst, and only if it sleeps.
//! - A panic ends either one session or the process, never a shard alone.
//! - Every shard shows its pulse; a stuck one is reported with the stage, path and session that it
//!   polled last.
//! - A shard's state belongs to its future, not to its thread, so several shards can run on one.
//!
//! # Deliberately absent
//! Protocols, configuration files, work stealing, cross-thread wakers, and any lock on a packet's
//! way.

#![forbid(unsafe_code)]

mod bells;
mod context;
mod counters;
mod door;
mod guarded;
mod last_words;
pub mod local;
mod mailbox;
mod mark;
mod messages;
mod node;
mod options;
mod placement;
mod pulse;
mod running;
mod runtime;
mod scope;
mod shard;
mod shard_id;
mod shard_set;
mod shutdown;
mod stall;
mod supervise;

pub use context::ShardContext;
pub use counters::{Counter, ShardCounters, ShardSnapshot};
pub use door::{Door, DoorSeat, DoorSender, door};
pub use guarded::{Guarded, GuardedMut, Poison};
pub use last_words::{SHARD_PANIC_EXIT_CODE, exit_with};
pub use mark::{Mark, Stage};
pub use messages::{Full, MESSAGE_BYTES_MAX, Messages};
pub use node::Node;
pub use options::{
    Describe, Hooks, MEDIA_RING_MAX, MEDIA_RING_MIN, OnShardPanic, OnStall, Options, Plan,
    ShardPanic,
};
pub use placement::place;
pub use running::{Exit, Running, RuntimeHandle};
pub use runtime::{Runtime, StartError};
pub use shard_id::{SHARDS_MAX, ShardCount, ShardId};
pub use stall::{STALL_AFTER_MIN, Stall};
