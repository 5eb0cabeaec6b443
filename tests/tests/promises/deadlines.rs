//! How long anybody is waited for: begun messages and frames, silent publishers, readers that take nothing; and who is
//! never hurried.

use std::time::{Duration, Instant};

use shardcast::event::{Deadline, Event, SessionEnd};
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::peer::synthetic::Shape;
use shardcast_tests::scene::broadcast::{Broadcast, SHORT_GROUPS, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{BOTH_LANES, Haul, Player, VIDEO_LANE};
use shardcast_tests::scene::rig::Rig;

const PATH: &str = "live/camera";
/// `readTimeout` and `writeTimeout` of the servers here.
const TIMEOUT: Duration = Duration::from_millis(600);
const TIMEOUTS: &str = "readTimeout: 600ms\nwriteTimeout: 600ms\n";
/// Latest end after a deadline of [`TIMEOUT`]: the sweep is an eighth of it; the rest is a busy machine's.
const TIMEOUT_MAX: Duration = Duration::from_secs(3);
/// Both drivers; where the deadlines are swept is the same in every other way of building.
const HOUSES: [House; 2] = [House::ALL[0], House::ALL[3]];

fn timed_out(deadline: Deadline) -> SessionEnd {
    SessionEnd::TimedOut(deadline)
}

/// Whether something that began at `begun` has ended as late as [`TIMEOUT`] says, and not much later.
fn assert_in_time(begun: Instant) {
    let waited = begun.elapsed();
    assert!(waited >= TIMEOUT && waited < TIMEOUT_MAX, "{waited:?}");
}

#[test]
fn whatever_was_begun_has_a_deadline() {
    for house in HOUSES {
        let rig = Rig::start(house, TIMEOUTS);
        let begins = [&b"OPTIONS rtsp://h/ RT"[..], b"$", b"\x16", b"O"];
        let begun = Instant::now();
        let waiting = begins.map(|begin| {
            let mut connection = Connection::open(rig.address()).unwrap();
            connection.send(begin).unwrap();
            connection
        });
        for mut connection in waiting {
            let peer = connection.socket().local_addr().unwrap();
            connection.wait_closed().unwrap();
            assert_in_time(begun);
            let end = rig.wait_closed(peer);
            assert_eq!(end, timed_out(Deadline::MessageUnfinished));
        }
    }
}

#[test]
fn a_message_that_drips_is_ended_though_bytes_keep_coming() {
    for house in HOUSES {
        let rig = Rig::start(house, TIMEOUTS);
        let mut connection = Connection::open(rig.address()).unwrap();
        let peer = connection.socket().local_addr().unwrap();
        let begun = Instant::now();
        connection
            .send(b"OPTIONS rtsp://h/ RTSP/1.0\r\nX: ")
            .unwrap();
        while connection.send(b"x").is_ok() && begun.elapsed() < TIMEOUT_MAX {
            rig.watch(Duration::from_millis(20));
        }
        assert_in_time(begun);
        assert_eq!(
            rig.wait_closed(peer),
            timed_out(Deadline::MessageUnfinished)
        );
    }
}

#[test]
fn a_begun_frame_of_a_publisher_has_a_deadline_and_its_readers_get_the_rest() {
    for house in HOUSES {
        let rig = Rig::start(house, TIMEOUTS);
        let mut broadcast = Broadcast::start(rig.address(), PATH, Tracks::VideoAndSound).unwrap();
        let mut player = Player::start(rig.address(), PATH, &BOTH_LANES).unwrap();
        broadcast.send(10).unwrap();
        let begun = Instant::now();
        broadcast
            .connection()
            .send(b"$\x00\xff\xff of 65535 bytes")
            .unwrap();
        let mut haul = Haul::default();
        player.read_to_end(&mut haul).unwrap();
        assert_in_time(begun);
        assert_eq!(haul.video.packets(), broadcast.packets());
        let end = rig.wait_closed(broadcast.local_address());
        assert_eq!(end, timed_out(Deadline::MessageUnfinished));
    }
}

#[test]
fn a_silent_publisher_is_ended_though_it_asks() {
    for house in HOUSES {
        let rig = Rig::start(house, TIMEOUTS);
        let mut broadcast = Broadcast::start(rig.address(), PATH, Tracks::Video).unwrap();
        broadcast.send(1).unwrap();
        let (begun, url) = (Instant::now(), broadcast.url().to_owned());
        let connection = broadcast.connection();
        while connection.ask("GET_PARAMETER", &url, &[], b"").is_ok() {
            rig.watch(Duration::from_millis(20));
            assert!(begun.elapsed() < TIMEOUT_MAX, "it lives on");
        }
        assert_in_time(begun);
        let end = rig.wait_closed(broadcast.local_address());
        assert_eq!(end, timed_out(Deadline::PublisherSilent));
    }
}

#[test]
fn a_playing_reader_that_sends_nothing_lives_on() {
    for house in HOUSES {
        let rig = Rig::start(house, TIMEOUTS);
        let mut broadcast = Broadcast::start(rig.address(), PATH, Tracks::VideoAndSound).unwrap();
        let mut player = Player::start(rig.address(), PATH, &BOTH_LANES).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < 2 * TIMEOUT {
            broadcast.send(1).unwrap();
            rig.watch(TIMEOUT / 20);
        }
        broadcast.teardown().unwrap();
        let mut haul = Haul::default();
        player.read_to_end(&mut haul).unwrap();
        assert_eq!(haul.video.packets(), broadcast.packets());
    }
}

#[test]
fn a_session_that_is_set_up_or_paused_is_not_hurried_by_read_timeout() {
    let rig = Rig::start(House::USUAL, TIMEOUTS);
    let mut broadcast = Broadcast::start(rig.address(), PATH, Tracks::Video).unwrap();
    let mut waiting = Player::prepare(rig.address(), PATH, &VIDEO_LANE).unwrap();
    let mut paused = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
    paused.pause().unwrap();
    let begun = Instant::now();
    while begun.elapsed() < 2 * TIMEOUT {
        broadcast.send(1).unwrap();
        rig.watch(TIMEOUT / 20);
    }
    for player in [&mut waiting, &mut paused] {
        player.play().unwrap();
    }
    broadcast.send(10).unwrap();
    for player in [&mut waiting, &mut paused] {
        player.read_packets(&mut Haul::default(), 9).unwrap();
    }
}

#[test]
fn a_reader_that_takes_nothing_is_closed_and_the_others_lose_nothing() {
    for house in [House::ALL[0], House::ALL[2], House::ALL[3], House::ALL[5]] {
        let rig = Rig::start(house, "gatherReaders: 0\nwriteTimeout: 600ms\n");
        let shape = Shape {
            pattern_bytes: 1200,
            ..SHORT_GROUPS
        };
        let mut broadcast =
            Broadcast::start_shaped(rig.address(), PATH, Tracks::Video, shape).unwrap();
        let start = || Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
        let (mut first, stuck, mut last) = (start(), start(), start());
        let peer = stuck.local_address();
        let (mut one, mut other) = (Haul::default(), Haul::default());
        let end = loop {
            broadcast.send(20).unwrap();
            first.read_up_to(&mut one, broadcast.packets() - 1).unwrap();
            last.read_up_to(&mut other, broadcast.packets() - 1)
                .unwrap();
            if let Some(end) = closed(&rig, peer) {
                break end;
            }
        };
        assert_eq!(end, timed_out(Deadline::WriteStuck));
        broadcast.teardown().unwrap();
        for (player, haul) in [(&mut first, &mut one), (&mut last, &mut other)] {
            player.read_to_end(haul).unwrap();
            assert_eq!(haul.video.packets(), broadcast.packets());
        }
    }
}

/// How the connection of `peer` was closed, if it was by now.
fn closed(rig: &Rig, peer: std::net::SocketAddr) -> Option<SessionEnd> {
    let is_it = |event: &Event| matches!(event, Event::ConnectionClosed { peer: of, .. } if of.port() == peer.port());
    let happened = rig.watch(Duration::from_millis(10));
    happened.iter().any(is_it).then(|| rig.wait_closed(peer))
}
