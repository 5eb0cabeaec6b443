//! Bugs of our own: a session that panics, and a shard's core that does.

use std::time::Duration;

use shardcast::event::{Event, SessionEnd};
use shardcast_tests::alone::{Alone, say_marker};
use shardcast_tests::scene::PATIENCE;
use shardcast_tests::scene::broadcast::{Broadcast, Tracks};
use shardcast_tests::scene::bystander::{BYSTANDER, Bystander};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::ordeal::Ordeal;
use shardcast_tests::scene::player::{BOTH_LANES, Haul, Player, VIDEO_LANE};
use shardcast_tests::scene::rig::Rig;
use shardcast_tests::scene::saboteur::{PANIC_WORD, Saboteur};

/// What the process exits with, as sysexits.h names an internal error.
const INTERNAL_ERROR: i32 = 70;

/// The end of a connection whose session has panicked, and the word about the bug.
fn assert_told(rig: &Rig, peer: std::net::SocketAddr) {
    assert_eq!(rig.wait_closed(peer), SessionEnd::Panicked);
    let message = rig.wait_event("the panic", |event| match event {
        Event::SessionPanicked { message, .. } => Some(message.clone()),
        _ => None,
    });
    assert_eq!(message, "a bug in a session");
    rig.wait_event("the end of what it did", |event| match event {
        Event::SessionEnded { reason, .. } => (*reason == SessionEnd::Panicked).then_some(()),
        _ => None,
    });
}

#[test]
fn a_session_that_panics_dies_alone() {
    for house in House::ALL {
        let saboteur = Saboteur::default();
        let companion = Some(saboteur.companion());
        let (text, configuration) = (house.configuration(), "gatherReaders: 0\n");
        let rig = Rig::start_with(&text, configuration, companion);
        let door = saboteur.thorny_door(house.shards - 1);
        let ordeal = Ordeal::begin_with(rig);
        let (address, path) = (ordeal.rig.address(), "another");

        // A publisher: its readers get all that it has sent, then the end, and the path is free.
        let mut publisher = Broadcast::start(door, path, Tracks::VideoAndSound).unwrap();
        let mut player = Player::start(address, path, &BOTH_LANES).unwrap();
        publisher.send(10).unwrap();
        ordeal.rig.wait_taken_in(path, publisher.sent_bytes());
        publisher.connection().send(PANIC_WORD).unwrap();
        assert_told(&ordeal.rig, publisher.local_address());
        let mut haul = Haul::default();
        player.read_to_end(&mut haul).unwrap();
        assert_eq!(haul.video.packets(), publisher.packets());
        drop((publisher, player));
        Broadcast::start(address, path, Tracks::Video).unwrap();

        // A reader, with the writer that it has beside it.
        let mut reader = Player::start(door, BYSTANDER, &VIDEO_LANE).unwrap();
        reader.read_packets(&mut Haul::default(), 9).unwrap();
        reader.connection().send(PANIC_WORD).unwrap();
        assert_told(&ordeal.rig, reader.local_address());
        // Its end is a reset where bytes were on their way to it.
        let _ended = reader.connection().wait_closed();
        drop(reader);

        let rig = ordeal.finish_with_panics();
        let shards = rig.snapshot().shards;
        let panics: u64 = shards.iter().map(|shard| shard.session_panics).sum();
        assert_eq!(panics, 2);
    }
}

#[test]
fn a_shards_panic_ends_the_process_within_a_second() {
    let name = "faults::panics::a_shards_panic_ends_the_process_within_a_second";
    // Looking up the names for a backtrace takes a debug build a second by itself.
    if let Some(mut child) = Alone::start(name, "export RUST_BACKTRACE=0") {
        child.wait_marker();
        let end = child.wait_end();
        assert_eq!(end.status.code(), Some(INTERNAL_ERROR), "{}", end.said);
        assert!(end.took < Duration::from_secs(1), "{:?}", end.took);
        return;
    }
    let saboteur = Saboteur::default();
    let companion = Some(saboteur.companion());
    let rig = Rig::start_with(&House::USUAL.configuration(), "", companion);
    let _bystander = Bystander::begin(rig.address());
    saboteur.panic_on(1, say_marker);
    // The process ends before this does.
    rig.watch(PATIENCE);
}
