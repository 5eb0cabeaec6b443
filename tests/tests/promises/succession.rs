//! One publisher after another, or two at once: who has the path, and what its readers see of the change.

use std::net::SocketAddr;
use std::sync::{Arc, Barrier};
use std::thread;

use shardcast::event::{Event, SessionEnd};
use shardcast::{EndReason, RefusalReason};
use shardcast_tests::peer::PeerError;
use shardcast_tests::scene::baseline::Baseline;
use shardcast_tests::scene::broadcast::{Broadcast, SHORT_GROUPS, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{Arrival, BOTH_LANES, Haul, Player, SOUND, VIDEO};
use shardcast_tests::scene::rig::Rig;
use shardcast_tests::scene::rtp::Rtp;

const PATH: &str = "live/camera";
const FIRST_WINS: &str = "gatherReaders: 0\npathDefaults:\n  overridePublisher: no\n";
/// Ticks of half a minute at 90 kHz: no takeover lasts so long.
const TICKS_MAX: u32 = 30 * 90_000;

fn publish(rig: &Rig, tracks: Tracks) -> Broadcast {
    let mut broadcast = Broadcast::start(rig.address(), PATH, tracks).unwrap();
    broadcast.send(6).unwrap();
    broadcast
}

fn is_refused(result: &Result<impl Sized, PeerError>, with: u16) -> bool {
    matches!(result, Err(PeerError::Refused { status, .. }) if *status == with)
}

/// The RTP packets of `track` up to the end of `units` access units with video, `units` packets of sound.
fn packets(player: &mut Player, track: usize, count: usize) -> Vec<Rtp> {
    let mut packets = Vec::new();
    while packets.len() < count {
        match player.next_arrival().unwrap() {
            Some(Arrival::Media(of, packet)) if of == track => packets.push(Rtp::read(&packet)),
            None => panic!("the stream has ended"),
            Some(_) => {}
        }
    }
    packets
}

#[test]
fn the_same_tracks_go_on_without_a_jump() {
    for house in House::ALL {
        for (track, lanes) in [(VIDEO, [BOTH_LANES[0]]), (SOUND, [BOTH_LANES[1]])] {
            let rig = Rig::start(house, "gatherReaders: 0\n");
            let mut first = publish(&rig, Tracks::VideoAndSound);
            rig.wait_taken_in(PATH, first.sent_bytes());
            let mut players: Vec<Player> = (0..3)
                .map(|_| Player::start(rig.address(), PATH, &lanes).unwrap())
                .collect();
            first.send(10).unwrap();
            rig.wait_taken_in(PATH, first.sent_bytes());
            let mut second = publish(&rig, Tracks::VideoAndSound);
            second.send(10).unwrap();
            assert_eq!(
                rig.wait_closed(first.local_address()),
                SessionEnd::Overridden
            );
            for player in &mut players {
                assert_no_jump(&packets(player, track, 16));
            }
        }
    }
}

fn assert_no_jump(packets: &[Rtp]) {
    for pair in packets.windows(2) {
        let [before, after] = pair else { continue };
        assert_eq!(after.sequence, before.sequence.wrapping_add(1));
        assert_eq!(after.ssrc, before.ssrc);
        let ticks = after.timestamp.wrapping_sub(before.timestamp);
        assert!(ticks < TICKS_MAX, "{} ticks", ticks.cast_signed());
    }
}

#[test]
fn readers_of_the_first_publisher_are_given_all_of_the_second() {
    for house in House::ALL {
        let rig = Rig::start(house, "gatherReaders: 0\npathDefaults: {start: keyFrame}\n");
        let mut first = publish(&rig, Tracks::VideoAndSound);
        rig.wait_taken_in(PATH, first.sent_bytes());
        let mut player = Player::start(rig.address(), PATH, &BOTH_LANES).unwrap();
        first.send(4).unwrap();
        rig.wait_taken_in(PATH, first.sent_bytes());
        let mut second = publish(&rig, Tracks::VideoAndSound);
        second.send(24).unwrap();
        second.teardown().unwrap();
        // Of the first it began at frame 10 and has had nothing; of the second everything is consecutive.
        let mut haul = Haul::default();
        player.read_to_end(&mut haul).unwrap();
        let begin = haul.video.first().map(|first| first.frame);
        assert_eq!(
            begin,
            Some(0),
            "it begins with the second's first key frame"
        );
        assert_eq!(haul.video.packets(), second.packets());
    }
}

#[test]
fn other_tracks_end_the_readers_and_new_readers_see_the_new_stream() {
    for house in House::ALL {
        let rig = Rig::start(house, "gatherReaders: 0\n");
        let mut first = publish(&rig, Tracks::VideoAndSound);
        rig.wait_taken_in(PATH, first.sent_bytes());
        let mut old: Vec<Player> = (0..3)
            .map(|_| Player::start(rig.address(), PATH, &BOTH_LANES).unwrap())
            .collect();
        first.send(10).unwrap();
        rig.wait_taken_in(PATH, first.sent_bytes());
        let mut second = publish(&rig, Tracks::Video);
        for player in &mut old {
            let mut haul = Haul::default();
            player.read_to_end(&mut haul).unwrap();
            assert_eq!(
                haul.video.last().map(|last| last.packet + 1),
                Some(first.packets())
            );
        }
        let peers: Vec<SocketAddr> = old.iter().map(Player::local_address).collect();
        drop(old);
        for peer in peers {
            let end = SessionEnd::Stream(EndReason::TracksChanged);
            assert_eq!(rig.wait_closed(peer), end);
        }
        let mut new = Player::start(rig.address(), PATH, &[BOTH_LANES[0]]).unwrap();
        second.send(10).unwrap();
        second.teardown().unwrap();
        let mut haul = Haul::default();
        new.read_to_end(&mut haul).unwrap();
        assert_eq!(
            haul.video.last().map(|last| last.packet + 1),
            Some(second.packets())
        );
    }
}

#[test]
fn without_override_the_second_publisher_is_refused_and_the_first_plays_on() {
    for house in House::ALL {
        let rig = Rig::start(house, FIRST_WINS);
        let mut first = publish(&rig, Tracks::Video);
        rig.wait_taken_in(PATH, first.sent_bytes());
        let mut player = Player::start(rig.address(), PATH, &[BOTH_LANES[0]]).unwrap();
        for tracks in [Tracks::Video, Tracks::VideoAndSound] {
            let second = Broadcast::start(rig.address(), PATH, tracks);
            assert!(is_refused(&second, 403), "{:?}", second.err());
        }
        first.send(20).unwrap();
        first.teardown().unwrap();
        let mut haul = Haul::default();
        player.read_to_end(&mut haul).unwrap();
        assert_eq!(
            haul.video.last().map(|last| last.packet + 1),
            Some(first.packets())
        );
        Broadcast::start(rig.address(), PATH, Tracks::Video).unwrap();
    }
}

/// Rounds of two publishers in the same moment, in each house.
const RACES: usize = 40;

/// Two announced publishers whose connections are on two shards.
fn racers(rig: &Rig, path: &str, tracks: [Tracks; 2]) -> [Broadcast; 2] {
    let announce = |tracks| {
        let announced = Broadcast::announce(rig.address(), path, tracks, SHORT_GROUPS).unwrap();
        let shard = rig.shard_of(announced.local_address());
        (announced, shard)
    };
    let (first, shard) = announce(tracks[0]);
    loop {
        let (second, other) = announce(tracks[1]);
        if other != shard {
            return [first, second];
        }
    }
}

/// Lets both ask to record in the same moment, and says what they were answered.
fn race(racers: [Broadcast; 2]) -> Vec<(Broadcast, bool)> {
    let barrier = Arc::new(Barrier::new(2));
    let racers = racers.map(|mut broadcast| {
        let barrier = barrier.clone();
        thread::spawn(move || {
            barrier.wait();
            let granted = broadcast.record();
            let is_closed = matches!(granted, Err(PeerError::Closed { .. } | PeerError::Io(_)));
            assert!(
                granted.is_ok() || is_closed || is_refused(&granted, 403),
                "{granted:?}"
            );
            (broadcast, granted.is_ok())
        })
    });
    racers.map(|racer| racer.join().unwrap()).into()
}

/// The same tracks, which go on, and others, which begin anew.
const RACING_TRACKS: [[Tracks; 2]; 2] = [
    [Tracks::Video, Tracks::Video],
    [Tracks::Video, Tracks::VideoAndSound],
];

#[test]
fn of_two_publishers_on_two_shards_in_the_same_moment_exactly_one_wins() {
    for house in [House::RIGID, House::USUAL, House::ALL[5]] {
        let rig = Rig::start(house, FIRST_WINS);
        let baseline = Baseline::take(&rig);
        for round in 0..RACES {
            let path = format!("race/{round}");
            let mut racers = race(racers(&rig, &path, RACING_TRACKS[round % 2]));
            racers.retain(|(_, won)| *won);
            assert_eq!(racers.len(), 1, "round {round}");
            let (winner, _) = racers.first_mut().unwrap();
            assert_plays(&rig, &path, winner);
        }
        // One was refused in each, and the winners end by themselves.
        let refused: Vec<_> = rig.snapshot().refusals.counted().collect();
        assert_eq!(refused, [(RefusalReason::Forbidden, RACES as u64)]);
        baseline.assert_restored(&rig);
    }
}

#[test]
fn with_override_of_two_publishers_on_two_shards_in_the_same_moment_one_is_left() {
    for house in [House::RIGID, House::USUAL, House::ALL[5]] {
        let rig = Rig::start(house, "");
        let baseline = Baseline::take(&rig);
        for round in 0..RACES {
            let path = format!("race/{round}");
            let mut racers = race(racers(&rig, &path, RACING_TRACKS[round % 2]));
            let loser = rig.wait_event("the one that was overridden", |event| match event {
                Event::ConnectionClosed { peer, reason, .. } => {
                    (*reason == SessionEnd::Overridden).then_some(*peer)
                }
                _ => None,
            });
            racers.retain(|(broadcast, _)| broadcast.local_address().port() != loser.port());
            assert_eq!(racers.len(), 1, "round {round}");
            let (winner, _) = racers.first_mut().unwrap();
            assert_plays(&rig, &path, winner);
        }
        assert_eq!(rig.snapshot().refusals.counted().count(), 0);
        baseline.assert_restored(&rig);
    }
}

fn assert_plays(rig: &Rig, path: &str, broadcast: &mut Broadcast) {
    let mut player = Player::start(rig.address(), path, &[BOTH_LANES[0]]).unwrap();
    broadcast.send(6).unwrap();
    broadcast.teardown().unwrap();
    let mut haul = Haul::default();
    player.read_to_end(&mut haul).unwrap();
    assert_eq!(haul.video.packets(), broadcast.packets());
}

#[test]
fn a_publisher_that_flaps_leaves_a_working_path() {
    for house in [House::SMALL, House::USUAL, House::RIGID] {
        let rig = Rig::start(house, "gatherReaders: 0\n");
        for round in 0..30 {
            let mut broadcast = publish(&rig, Tracks::Video);
            let player = Player::start(rig.address(), PATH, &[BOTH_LANES[0]]);
            match round % 3 {
                0 => drop(broadcast),
                1 => drop(broadcast.teardown().unwrap()),
                _ => drop((broadcast, player)),
            }
        }
        rig.wait_counters("an empty server", |snapshot| {
            (snapshot.paths.is_empty() && snapshot.sessions.is_empty()).then_some(())
        });
        let mut last = Broadcast::start(rig.address(), PATH, Tracks::Video).unwrap();
        assert_plays(&rig, PATH, &mut last);
    }
}
