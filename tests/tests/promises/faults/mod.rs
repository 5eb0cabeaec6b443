//! Faults of the machine and of the server itself: a shard that is busy, a full ring, a panic, a limit that is reached,
//! a kernel that forbids, a network in two parts. Whatever they take, they take no more.

mod panics;
#[cfg(target_os = "linux")]
mod partition;
mod rings;
mod stalls;
mod system;

use shardcast_tests::scene::broadcast::{Broadcast, Tracks};
use shardcast_tests::scene::player::{Player, VIDEO_LANE};
use shardcast_tests::scene::rig::Rig;

/// The shard that owns `path`.
fn owner_of(rig: &Rig, path: &str) -> usize {
    rig.wait_counters(&format!("an owner of {path}"), |snapshot| {
        let mut paths = snapshot.paths.iter();
        let found = paths.find(|found| found.name.as_str() == path)?;
        Some(found.owner)
    })
}

/// Publishes video on a new path that this shard owns, from a connection to the shard `served_by`.
fn publish_on(rig: &Rig, owner: usize, served_by: usize) -> (String, Broadcast) {
    // Those that have fallen elsewhere stay meanwhile: a new path is placed where the load is less.
    let mut others = Vec::new();
    for number in 0.. {
        let path = format!("live/{owner}/{served_by}/{number}");
        let broadcast = Broadcast::start(rig.address(), &path, Tracks::Video).unwrap();
        let shard = rig.session_of(broadcast.local_address()).shard;
        if (owner_of(rig, &path), shard) == (owner, served_by) {
            return (path, broadcast);
        }
        others.push(broadcast);
    }
    unreachable!("some name falls to every shard")
}

/// Reads `path` over a connection to this shard.
fn read_on(rig: &Rig, path: &str, shard: usize) -> Player {
    loop {
        let player = Player::start(rig.address(), path, &VIDEO_LANE).unwrap();
        if rig.session_of(player.local_address()).shard == shard {
            return player;
        }
    }
}
