//! A ring between shards that is full, because its receiver does not come round.

use std::time::{Duration, Instant};

use shardcast::event::Event;
use shardcast_tests::scene::baseline::Baseline;
use shardcast_tests::scene::broadcast::{Broadcast, SHORT_GROUPS};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::ordeal::assert_no_panic;
use shardcast_tests::scene::player::{Haul, Player};
use shardcast_tests::scene::rig::Rig;
use shardcast_tests::scene::saboteur::Saboteur;

use super::{publish_on, read_on};

/// A ring of four batches is full after four access units.
const RING: u64 = 4;
/// Access units while it is full: eight groups of pictures.
const UNITS: u64 = 40;
/// No producer waits so long. The receiver is held until the test lets it go.
const WAIT_MAX: Duration = Duration::from_secs(5);
const NEAR: usize = 0;
const FAR: usize = 1;

/// Two shards whose readers stay where they are, and the means to hold one.
fn start(house: House) -> (Saboteur, Rig) {
    let saboteur = Saboteur::default();
    let configuration = format!("gatherReaders: 0\nmediaRing: {RING}\n");
    let companion = Some(saboteur.companion());
    let rig = Rig::start_with(&house.configuration(), &configuration, companion);
    (saboteur, rig)
}

/// What the server has told of the full ring: how many batches did not cross.
fn wait_ring_full(rig: &Rig, path: &str) -> u64 {
    rig.wait_event("the full ring", |event| match event {
        Event::RingFull {
            path: of,
            shard: FAR,
            batches,
        } if of.as_str() == path => Some(*batches),
        _ => None,
    })
}

/// Whole access units came, with at least one jump, and that to a key frame as every one is checked to be.
fn assert_cut_between_units(haul: &Haul) {
    let whole = haul.video.packets();
    assert!(whole.is_multiple_of(SHORT_GROUPS.frame_packets), "{whole}");
    assert!(haul.video.jumps() >= 1, "nothing was lost");
}

/// Once there is room in the ring, the reader goes on within a group of pictures.
fn resume(rig: &Rig, broadcast: &mut Broadcast, player: &mut Player, haul: &mut Haul) {
    rig.wait_counters("an empty ring", |snapshot| {
        (snapshot.messages_on_the_way() == 0).then_some(())
    });
    // The first units up to a key frame are of no use to it any more, so each has its turn.
    while !broadcast.units().is_multiple_of(SHORT_GROUPS.gop_frames) {
        broadcast.send(1).unwrap();
    }
    for _ in 0..SHORT_GROUPS.gop_frames {
        broadcast.send(1).unwrap();
        let last = broadcast.packets() - 1;
        player.read_up_to(haul, last).unwrap();
    }
}

/// From the owner to a shard with readers.
#[test]
fn a_full_ring_cuts_the_stream_for_that_shard_alone_up_to_a_key_frame() {
    for house in [House::ALL[1], House::ALL[4]] {
        let (saboteur, rig) = start(house);
        let baseline = Baseline::take(&rig);
        let (path, mut broadcast) = publish_on(&rig, NEAR, NEAR);
        let (mut near, mut near_haul) = (read_on(&rig, &path, NEAR), Haul::default());
        let (mut far, mut far_haul) = (read_on(&rig, &path, FAR), Haul::with_jumps());
        broadcast.send(1).unwrap();
        far.read_up_to(&mut far_haul, 2).unwrap();

        let (hold, begun) = (saboteur.hold(FAR), Instant::now());
        for _ in 0..UNITS {
            broadcast.send(1).unwrap();
            let last = broadcast.packets() - 1;
            near.read_up_to(&mut near_haul, last).unwrap();
        }
        assert!(begun.elapsed() < WAIT_MAX, "{:?}", begun.elapsed());
        let dropped = rig.snapshot().shards[NEAR].media_dropped;
        assert!(dropped >= 1, "the ring took everything");
        drop(hold);

        resume(&rig, &mut broadcast, &mut far, &mut far_haul);
        assert_cut_between_units(&far_haul);
        let batches = wait_ring_full(&rig, &path);
        let lost = broadcast.packets() - far_haul.video.packets();
        assert_eq!(batches, lost / SHORT_GROUPS.frame_packets);
        broadcast.teardown().unwrap();
        near.read_to_end(&mut near_haul).unwrap();
        assert_eq!(near_haul.video.packets(), broadcast.packets());
        drop((broadcast, near, far));
        baseline.assert_restored(&rig);
        assert_no_panic(&rig);
    }
}

/// From a publisher's shard to the owner.
#[test]
fn a_publisher_is_read_on_though_the_ring_to_the_owner_is_full() {
    for house in [House::ALL[2], House::ALL[5]] {
        let (saboteur, rig) = start(house);
        let baseline = Baseline::take(&rig);
        let (path, mut broadcast) = publish_on(&rig, FAR, NEAR);
        let (mut player, mut haul) = (read_on(&rig, &path, NEAR), Haul::with_jumps());
        broadcast.send(1).unwrap();
        player.read_up_to(&mut haul, 2).unwrap();

        let hold = saboteur.hold(FAR);
        broadcast.send(UNITS).unwrap();
        let peer = broadcast.local_address();
        let sent = broadcast.sent_bytes();
        rig.wait_counters("all that was sent", |snapshot| {
            let mut sessions = snapshot.sessions.iter();
            let publisher = sessions.find(|session| session.peer.port() == peer.port())?;
            (publisher.inbound_bytes >= sent).then_some(())
        });
        drop(hold);

        resume(&rig, &mut broadcast, &mut player, &mut haul);
        assert_cut_between_units(&haul);
        let batches = wait_ring_full(&rig, &path);
        let lost = broadcast.packets() - haul.video.packets();
        assert_eq!(batches, lost / SHORT_GROUPS.frame_packets);
        drop((broadcast, player));
        baseline.assert_restored(&rig);
        assert_no_panic(&rig);
    }
}
