//! Shardcast's engine: a stream is a set of images, an image is a log, a reader is a cursor in one image.
//!
//! The folders are the way a packet takes: `session` reads it, `ingest` numbers it, `stream` batches it, the owner of its
//! `path` hands it to every shard with readers, `fanout` keeps it in a log, and `egress` takes it out for each reader.
//! Imports go one way: `session → admit, ingest, egress → fanout → stream → path`. `shard` ties these rooms together on one
//! shard, and [`Server`] makes shards of a configuration.
#![forbid(unsafe_code)]

pub mod admit;
pub mod connections;
pub mod control;
mod doors;
mod drops;
pub mod egress;
pub mod event;
pub mod fanout;
mod gauge;
pub mod ingest;
pub mod latency;
pub mod limits;
pub mod path;
mod random;
pub mod record;
pub mod refusal;
mod server;
pub mod session;
mod session_id;
pub mod shard;
mod snapshot;
pub mod stream;
pub mod streams;
mod supervise;
mod uuid;
mod wall_clock;

pub use fanout::{DropReason, EndReason};
pub use path::{PathName, PathNameError};
pub use record::Role;
pub use refusal::{RefusalReason, Refusals};
pub use server::{Companion, ListenPlace, Listener, Server, ServerError, ServerHandle};
pub use session_id::SessionId;
pub use shardcast_runtime::{Exit, Plan, ShardSnapshot};
pub use snapshot::{PathSnapshot, SessionSnapshot, Snapshot, TrackSnapshot};
pub use uuid::{Uuid, UuidError};
