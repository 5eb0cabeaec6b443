//! Hostile frames: such as declare much and stall, and such as are none of the stream.

use std::time::{Duration, Instant};

use shardcast::RefusalReason;
use shardcast::event::{Deadline, Event, SessionEnd};
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::peer::publisher::interleave;
use shardcast_tests::peer::synthetic::Source;
use shardcast_tests::scene::broadcast::{Broadcast, SHORT_GROUPS, Tracks};
use shardcast_tests::scene::bystander::BYSTANDER;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::ordeal::{Ordeal, tally};
use shardcast_tests::scene::player::{BOTH_LANES, Haul, Player, VIDEO_LANE};

/// `readTimeout` of the servers whose peers stall.
const TIMEOUT: Duration = Duration::from_millis(1500);

/// The begin of a frame that declares 65535 bytes.
const STALLED: &[u8] = b"$\x00\xff\xff ten bytes";

fn stall(house: House) {
    let ordeal = Ordeal::begin(house, "gatherReaders: 0\nreadTimeout: 1500ms\n");
    let address = ordeal.rig.address();
    let mut stranger = Connection::open(address).unwrap();
    let mut reader = Player::start(address, BYSTANDER, &VIDEO_LANE).unwrap();
    let mut publisher = Broadcast::start(address, "another", Tracks::Video).unwrap();
    let begun = Instant::now();
    stranger.send(STALLED).unwrap();
    reader.connection().send(STALLED).unwrap();
    // In one piece with its media, so that its silence is not the older of the two.
    let media = [&publisher.next_unit()[..], STALLED].concat();
    publisher.connection().send(&media).unwrap();
    let peers = [
        stranger.socket().local_addr().unwrap(),
        reader.local_address(),
        publisher.local_address(),
    ];
    for peer in peers {
        let end = ordeal.rig.wait_closed(peer);
        assert_eq!(end, SessionEnd::TimedOut(Deadline::MessageUnfinished));
        assert!(begun.elapsed() >= TIMEOUT);
    }
    drop((stranger, reader, publisher));
    ordeal.wait_refused(&[(RefusalReason::MessageUnfinished, 3)]);
    ordeal.finish();
}

#[test]
fn a_frame_that_declares_65535_bytes_and_stalls_is_ended_by_its_deadline() {
    // At the same time, because most of it is waiting.
    std::thread::scope(|scope| {
        for house in [House::SMALL, House::RIGID, House::ALL[4]] {
            scope.spawn(move || stall(house));
        }
    });
}

/// Frames that are none of the stream, with their channel, and why each is refused.
fn junk() -> Vec<(u8, Vec<u8>, RefusalReason)> {
    use RefusalReason::{MalformedPacket, OtherSource, UnknownChannel};
    let alien = Source::new(SHORT_GROUPS).next_frame().swap_remove(0);
    let mut other_source = alien.clone();
    other_source[8..12].copy_from_slice(b"evil");
    vec![
        (0, Vec::new(), MalformedPacket),
        (0, b"\x80".to_vec(), MalformedPacket),
        (0, vec![0; 11], MalformedPacket),
        (0, vec![0xff; 65_535], MalformedPacket),
        (0, other_source, OtherSource),
        (77, alien, UnknownChannel),
        (1, b"\x80\xc8\xff\xff".to_vec(), MalformedPacket),
        (1, vec![0; 3], MalformedPacket),
    ]
}

#[test]
fn packets_that_are_none_of_the_stream_reach_nobody_and_are_counted() {
    for house in [House::SMALL, House::RIGID] {
        let ordeal = Ordeal::begin(house, "gatherReaders: 0\n");
        let (address, path) = (ordeal.rig.address(), "another");
        let mut broadcast = Broadcast::start(address, path, Tracks::VideoAndSound).unwrap();
        let mut player = Player::start(address, path, &BOTH_LANES).unwrap();
        broadcast.send(3).unwrap();
        for (channel, packet, _) in junk() {
            let frame = interleave(channel, &[packet]);
            broadcast.connection().send(&frame).unwrap();
            broadcast.send(2).unwrap();
        }
        let reasons = junk().into_iter().map(|(_, _, reason)| reason);
        ordeal.wait_refused(&tally(reasons));
        let told = ordeal
            .rig
            .wait_event("refused packets", |event| match event {
                Event::PublisherPacketsRefused { reason, .. } => Some(*reason),
                _ => None,
            });
        assert_eq!(told, RefusalReason::MalformedPacket);
        let refused = ordeal.rig.publisher_of(path).refused_packets;
        assert_eq!(refused, junk().len() as u64);
        broadcast.teardown().unwrap();
        let mut haul = Haul::default();
        player.read_to_end(&mut haul).unwrap();
        assert_eq!(haul.video.packets(), broadcast.packets());
        assert_eq!(haul.sound.packets(), broadcast.units());
        drop((broadcast, player));
        ordeal.finish();
    }
}

#[test]
fn frames_and_answers_from_a_reader_are_passed_over() {
    let ordeal = Ordeal::begin(House::RIGID, "gatherReaders: 0\n");
    let mut player = Player::start(ordeal.rig.address(), BYSTANDER, &BOTH_LANES).unwrap();
    let reports = interleave(1, &[vec![0x80, 201, 0, 1, 0, 0, 0, 1], Vec::new()]);
    let media = interleave(0, &[vec![0xaa; 60_000]]);
    let answer = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n";
    let mut haul = Haul::default();
    for bytes in [&reports[..], &media, answer, b"\r\n\r\n\r\n"] {
        player.connection().send(bytes).unwrap();
        player.read_packets(&mut haul, 9).unwrap();
    }
    drop(player);
    ordeal.wait_refused(&[]);
    ordeal.finish();
}
