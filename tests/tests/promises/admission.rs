//! Who may publish and read: what the configuration opens, and how much of it one address may take.

use std::net::SocketAddr;

use shardcast::event::SessionEnd;
use shardcast_tests::peer::PeerError;
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::scene::PATIENCE;
use shardcast_tests::scene::broadcast::{Broadcast, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{Haul, Player, VIDEO_LANE};
use shardcast_tests::scene::rig::Rig;
use shardcast_tests::wait::poll_until;

fn refusal<T: std::fmt::Debug>(result: Result<T, PeerError>) -> (String, u16) {
    match result {
        Err(PeerError::Refused { method, status }) => (method, status),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_path_that_is_not_configured_is_not_found() {
    for house in [House::SMALL, House::RIGID] {
        let rig = Rig::start(house, "paths:\n  cam:\n  ~^room[0-9]$:\n");
        for path in ["other", "cam2", "cam/1", "room12", "Cam"] {
            let published = Broadcast::start(rig.address(), path, Tracks::Video);
            assert_eq!(refusal(published), ("ANNOUNCE".into(), 404), "{path}");
            let read = Player::start(rig.address(), path, &VIDEO_LANE);
            assert_eq!(refusal(read), ("DESCRIBE".into(), 404), "{path}");
        }
        for path in ["cam", "room7"] {
            let mut broadcast = Broadcast::start(rig.address(), path, Tracks::Video).unwrap();
            let mut player = Player::start(rig.address(), path, &VIDEO_LANE).unwrap();
            broadcast.send(6).unwrap();
            player.read_packets(&mut Haul::default(), 9).unwrap();
        }
    }
}

#[test]
fn a_path_whose_source_is_elsewhere_takes_no_publisher() {
    let rig = Rig::start(
        House::USUAL,
        "paths:\n  pulled:\n    source: rtsp://192.0.2.1/a\n  all_others:\n",
    );
    let published = Broadcast::start(rig.address(), "pulled", Tracks::Video);
    assert_eq!(refusal(published), ("ANNOUNCE".into(), 403));
    Broadcast::start(rig.address(), "free", Tracks::Video).unwrap();
}

#[test]
fn each_path_has_settings_of_its_own() {
    let rig = Rig::start(
        House::USUAL,
        "paths:\n  one:\n    maxReaders: 1\n    overridePublisher: no\n  all_others:\n",
    );
    let _one = Broadcast::start(rig.address(), "one", Tracks::Video).unwrap();
    let _two = Broadcast::start(rig.address(), "two", Tracks::Video).unwrap();
    let _reader = Player::start(rig.address(), "one", &VIDEO_LANE).unwrap();
    let second = Player::start(rig.address(), "one", &VIDEO_LANE);
    assert_eq!(refusal(second), ("DESCRIBE".into(), 453));
    let other = Broadcast::start(rig.address(), "one", Tracks::Video);
    assert_eq!(refusal(other), ("RECORD".into(), 403));
    let _readers = [(); 2].map(|()| Player::start(rig.address(), "two", &VIDEO_LANE).unwrap());
    Broadcast::start(rig.address(), "two", Tracks::Video).unwrap();
}

/// A connection that was let in, which one request shows; the status of the refusal else.
fn idle(address: SocketAddr) -> Result<Connection, u16> {
    let mut connection = Connection::open(address).unwrap();
    let url = format!("rtsp://{address}/");
    match connection.request("OPTIONS", &format!("{url}a"), &[], b"") {
        Ok(_) => Ok(connection),
        Err(PeerError::Refused { status, .. }) => Err(status),
        // The refusal comes without being asked for, and its end may overtake it.
        Err(_) => Err(0),
    }
}

/// What is let in now or soon: a seat is given back when the server sees the end, or has answered.
fn soon<T, E>(mut start: impl FnMut() -> Result<T, E>) -> T {
    poll_until(PATIENCE, || start().ok()).expect("room for one more")
}

#[test]
fn one_address_has_its_number_of_idle_sessions_and_another_has_its_own() {
    for house in [House::SMALL, House::USUAL, House::RIGID] {
        let rig = Rig::start(house, "sessionsPerAddress: 3\n");
        let mut seated: Vec<Connection> = (0..3).map(|_| idle(rig.address()).unwrap()).collect();
        let mut refused = Connection::open(rig.address()).unwrap();
        let peer = refused.socket().local_addr().unwrap();
        assert_eq!(refused.next_response().unwrap().status, 453);
        refused.wait_closed().unwrap();
        let end = rig.wait_closed(peer);
        assert!(matches!(&end, SessionEnd::Protocol(_, why) if why.contains("sessionsPerAddress")));
        idle(rig.address_v6()).unwrap();
        seated.pop();
        seated.push(soon(|| idle(rig.address())));
        assert!(idle(rig.address()).is_err());
        // Those that were let in are not disturbed.
        for connection in &mut seated {
            let url = format!("rtsp://{}/a", rig.address());
            connection.request("OPTIONS", &url, &[], b"").unwrap();
        }
    }
}

#[test]
fn sessions_that_play_or_record_are_not_idle() {
    for house in [House::SMALL, House::USUAL, House::RIGID] {
        let rig = Rig::start(house, "gatherReaders: 0\nsessionsPerAddress: 2\n");
        let publish = |number| {
            let path = format!("cam{number}");
            soon(|| Broadcast::start(rig.address(), &path, Tracks::Video))
        };
        let mut broadcasts: Vec<Broadcast> = (0..4).map(publish).collect();
        let read = |_| soon(|| Player::start(rig.address(), "cam0", &VIDEO_LANE));
        let mut players: Vec<Player> = (0..6).map(read).collect();
        broadcasts[0].send(10).unwrap();
        for player in &mut players {
            player.read_packets(&mut Haul::default(), 9).unwrap();
            // One that goes back to requests is never refused.
            player.pause().unwrap();
        }
        assert!(idle(rig.address()).is_err(), "six are idle now");
        for player in &mut players {
            player.play().unwrap();
        }
        soon(|| idle(rig.address()));
    }
}
