//! What a server that serves nobody has of everything, and the check that it comes back to that: sessions, tasks,
//! sockets, paths, and messages between shards.

use std::time::Duration;

use shardcast::ShardSnapshot;

use super::rig::Rig;
use crate::procfs::Sockets;
use crate::wait::poll_until;

/// The server is back at its baseline so long after the last connection has ended.
const RESTORED_WITHIN: Duration = Duration::from_secs(5);

/// What a server has of everything that connections take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    /// Tasks of each shard.
    tasks: Vec<u64>,
    /// Sessions of each shard: connections, and the writers of readers.
    sessions: Vec<u64>,
    /// Sessions that publish or read.
    records: usize,
    paths: usize,
    /// Sockets on the server's port, listening ones included.
    sockets: usize,
    /// Messages in rings, or waiting for room in one.
    messages_on_the_way: u64,
}

impl Baseline {
    /// Of a server that serves nobody.
    pub fn take(rig: &Rig) -> Self {
        let snapshot = rig.snapshot();
        let of = |count: fn(&ShardSnapshot) -> u64| snapshot.shards.iter().map(count).collect();
        Self {
            tasks: of(|shard| shard.tasks),
            sessions: of(|shard| shard.sessions),
            records: snapshot.sessions.len(),
            paths: snapshot.paths.len(),
            sockets: Sockets::on(rig.port()).count,
            messages_on_the_way: snapshot.messages_on_the_way(),
        }
    }

    /// All connections have ended; everything that they took is given back within 5 s.
    ///
    /// # Panics
    /// When it is not.
    pub fn assert_restored(&self, rig: &Rig) {
        let restored = poll_until(RESTORED_WITHIN, || (Self::take(rig) == *self).then_some(()));
        assert!(
            restored.is_some(),
            "not back at the baseline:\n{:#?}\n{self:#?}",
            Self::take(rig)
        );
    }
}
