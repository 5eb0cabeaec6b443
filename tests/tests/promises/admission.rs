//! Who may publish and read: what the configuration opens, and how much of it one address may take.

use shardcast_tests::peer::PeerError;
use shardcast_tests::scene::broadcast::{Broadcast, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{Haul, Player, VIDEO_LANE};
use shardcast_tests::scene::rig::Rig;

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
    assert_eq!(refusal(second), ("PLAY".into(), 453));
    let other = Broadcast::start(rig.address(), "one", Tracks::Video);
    assert_eq!(refusal(other), ("RECORD".into(), 403));
    let _readers = [(); 2].map(|()| Player::start(rig.address(), "two", &VIDEO_LANE).unwrap());
    Broadcast::start(rig.address(), "two", Tracks::Video).unwrap();
}
