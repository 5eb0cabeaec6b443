//! Paths: what a stream is published to and read from.
//!
//! The lowest room of the engine. It knows names, who owns them and which publisher and readers a path has; it never
//! sees a packet. A path's name comes from a peer's URL through [`PathName`], the one canonicaliser.
//!
//! Invariants: a name has at most one owner shard at a time ([`Directory`]), and a path has at most one publisher
//! ([`Occupancy`]). Deliberately absent: on-demand sources and matching, which the configuration does.

mod directory;
mod name;
mod occupancy;

pub use directory::{DROP_REASONS_MAX, Directory, DirectoryFull, PATHS_MAX, PathEntry, PathId};
pub use name::{PATH_NAME_BYTES_MAX, PathName, PathNameError};
pub use occupancy::{Occupancy, PublishRefusal, ReadRefusal, Seat};
