//! The names of what a shard does, for the stall detector.

use shardcast_runtime::{Mark, Stage};

use crate::path::PathId;
use crate::session_id::SessionId;

/// The engine's stages, by index.
pub(crate) const STAGES: &[&str] = &[
    "accept",
    "session",
    "write",
    "fan-out",
    "coalesce",
    "sweep",
    "datagrams",
    "errands",
    "turns",
];

/// Accepts connections.
pub(crate) const STAGE_ACCEPT: Stage = Stage::engine(0);
/// Reads and handles what a peer sends.
pub(crate) const STAGE_SESSION: Stage = Stage::engine(1);
/// Writes to a reader.
pub(crate) const STAGE_WRITE: Stage = Stage::engine(2);
/// Wakes readers.
pub(crate) const STAGE_FANOUT: Stage = Stage::engine(3);
/// Closes batches in time.
pub(crate) const STAGE_COALESCE: Stage = Stage::engine(4);
/// Ends sessions whose deadline has passed.
pub(crate) const STAGE_SWEEP: Stage = Stage::engine(5);
/// Receives and paces datagrams.
pub(crate) const STAGE_DATAGRAMS: Stage = Stage::engine(6);
/// Does what other threads ask for.
pub(crate) const STAGE_ERRANDS: Stage = Stage::engine(7);

/// Calls those who wait for a turn.
pub(crate) const STAGE_TURNS: Stage = Stage::engine(8);

/// The mark of a session's task.
#[must_use]
pub(crate) fn session_mark(stage: Stage, path: Option<PathId>, session: SessionId) -> Mark {
    Mark {
        stage,
        path: path.map_or(0, |path| path.0),
        session: session.number(),
    }
}
