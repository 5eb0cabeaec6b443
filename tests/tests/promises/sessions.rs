//! What one connection may do one after the other: pause and go on, tear down and begin anew, ask in between. And how
//! many readers a path takes.

use shardcast_tests::peer::PeerError;
use shardcast_tests::peer::message::write_request;
use shardcast_tests::scene::broadcast::{Broadcast, SHORT_GROUPS, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{BOTH_LANES, Haul, Player, VIDEO_LANE};
use shardcast_tests::scene::rig::Rig;

const PATH: &str = "live/camera";
/// Access units in a group of pictures of a broadcast.
const GROUP_UNITS: u64 = 5;

fn broadcast(rig: &Rig, tracks: Tracks) -> Broadcast {
    let mut broadcast = Broadcast::start(rig.address(), PATH, tracks).unwrap();
    broadcast.send(1).unwrap();
    rig.wait_taken_in(PATH, broadcast.sent_bytes());
    broadcast
}

#[test]
fn a_paused_reader_goes_on_at_the_next_key_frame() {
    for house in House::ALL {
        let rig = Rig::start(house, "gatherReaders: 0\n");
        let mut broadcast = broadcast(&rig, Tracks::VideoAndSound);
        let mut player = Player::start(rig.address(), PATH, &BOTH_LANES).unwrap();
        let mut paused = None;
        for _ in 0..3 {
            broadcast.send(2 * GROUP_UNITS).unwrap();
            let mut haul = Haul::default();
            player.read_packets(&mut haul, 9).unwrap();
            let first = haul.video.first().unwrap().frame;
            assert!(
                Some(first) > paused && first.is_multiple_of(GROUP_UNITS),
                "{first}"
            );
            player.pause().unwrap();
            broadcast.send(3).unwrap();
            rig.wait_taken_in(PATH, broadcast.sent_bytes());
            paused = Some(broadcast.units() - 1);
            drain(&mut player);
            player.play().unwrap();
        }
        broadcast.send(GROUP_UNITS).unwrap();
        broadcast.teardown().unwrap();
        let mut haul = Haul::default();
        player.read_to_end(&mut haul).unwrap();
        assert_eq!(
            haul.video.last().map(|last| last.packet + 1),
            Some(broadcast.packets())
        );
    }
}

/// Takes what was on its way before the pause: an answer comes after all of it, and nothing follows.
fn drain(player: &mut Player) {
    let url = player.url().to_owned();
    let connection = player.connection();
    connection.request("GET_PARAMETER", &url, &[], b"").unwrap();
    while connection.take_frame().is_some() {}
    connection.request("GET_PARAMETER", &url, &[], b"").unwrap();
    assert_eq!(connection.take_frame(), None, "media during a pause");
}

#[test]
fn a_connection_can_play_again_after_teardown() {
    for house in House::ALL {
        let rig = Rig::start(house, "gatherReaders: 0\n");
        let mut broadcast = broadcast(&rig, Tracks::VideoAndSound);
        let mut player = Player::start(rig.address(), PATH, &BOTH_LANES).unwrap();
        for _ in 0..3 {
            broadcast.send(10).unwrap();
            player.read_packets(&mut Haul::default(), 9).unwrap();
            player.teardown().unwrap();
            rig.wait_readers(PATH, 0);
            player.connection().forget_session();
            while player.connection().take_frame().is_some() {}
            player.set_up().unwrap();
            player.play().unwrap();
        }
        broadcast.send(6).unwrap();
        broadcast.teardown().unwrap();
        let mut haul = Haul::default();
        player.read_to_end(&mut haul).unwrap();
        assert_eq!(
            haul.video.last().map(|last| last.packet + 1),
            Some(broadcast.packets())
        );
    }
}

#[test]
fn a_publisher_can_pause_and_record_again() {
    for house in [House::SMALL, House::USUAL, House::RIGID] {
        let rig = Rig::start(house, "");
        let mut broadcast = broadcast(&rig, Tracks::Video);
        for _ in 0..3 {
            broadcast.pause().unwrap();
            broadcast.record().unwrap();
            let mut player = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
            broadcast.send(2 * GROUP_UNITS).unwrap();
            player.read_packets(&mut Haul::default(), 9).unwrap();
        }
    }
}

#[test]
fn a_connection_can_publish_again_after_teardown() {
    let rig = Rig::start(House::USUAL, "");
    let mut first = broadcast(&rig, Tracks::Video);
    first.teardown().unwrap();
    first.connection().forget_session();
    let (url, sdp) = (
        first.url().to_owned(),
        shardcast_tests::peer::synthetic::SDP,
    );
    let connection = first.connection();
    let sdp_type = [("Content-Type", "application/sdp")];
    connection
        .request("ANNOUNCE", &url, &sdp_type, sdp.as_bytes())
        .unwrap();
    let transport = [("Transport", "RTP/AVP/TCP;interleaved=0-1;mode=record")];
    connection
        .request("SETUP", &format!("{url}/streamid=0"), &transport, b"")
        .unwrap();
    connection.request("RECORD", &url, &[], b"").unwrap();
    let mut player = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
    first.send(2 * GROUP_UNITS).unwrap();
    player.read_packets(&mut Haul::default(), 9).unwrap();
}

#[test]
fn answers_come_between_packets_while_media_flows() {
    for house in [House::SMALL, House::RIGID] {
        let rig = Rig::start(house, "gatherReaders: 0\n");
        let mut broadcast = broadcast(&rig, Tracks::VideoAndSound);
        let mut player = Player::start(rig.address(), PATH, &BOTH_LANES).unwrap();
        let url = player.url().to_owned();
        for method in ["OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "PLAY"] {
            broadcast.send(5).unwrap();
            player.connection().request(method, &url, &[], b"").unwrap();
        }
        broadcast.send(1).unwrap();
        broadcast.teardown().unwrap();
        let mut haul = Haul::default();
        player.read_to_end(&mut haul).unwrap();
        assert_eq!(
            haul.video.last().map(|last| last.packet + 1),
            Some(broadcast.packets())
        );
    }
}

#[test]
fn every_request_is_answered_in_order_even_behind_a_write_that_waits() {
    let rig = Rig::start(House::SMALL, "writeTimeout: 60s\n");
    let mut broadcast = broadcast(&rig, Tracks::Video);
    let mut player = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
    let reader = player.local_address();
    // More than the kernel takes for a peer that does not read: a write is under way.
    broadcast.send(6000).unwrap();
    rig.wait_taken_in(PATH, broadcast.sent_bytes());
    let stuck = rig.session_of(reader);
    assert!(
        stuck.outbound_bytes < broadcast.sent_bytes(),
        "nothing waits"
    );
    let session = player.connection().session().unwrap().to_owned();
    let methods = ["GET_PARAMETER", "OPTIONS", "PAUSE", "GET_PARAMETER"];
    let requests: Vec<u8> = (100..)
        .zip(methods)
        .flat_map(|(cseq, method)| {
            write_request(method, player.url(), cseq, &[("Session", &session)], b"")
        })
        .collect();
    player.connection().send(&requests).unwrap();
    for cseq in 100..104 {
        let answer = player.connection().next_response().unwrap();
        assert_eq!(answer.header("CSeq"), Some(cseq.to_string().as_str()));
        assert_eq!(answer.status, 200);
    }
}

#[test]
fn many_requests_at_once_while_playing_are_all_answered() {
    let rig = Rig::start(House::SMALL, "");
    let mut broadcast = broadcast(&rig, Tracks::Video);
    let mut player = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
    let session = player.connection().session().unwrap().to_owned();
    let requests: Vec<u8> = (100..140)
        .flat_map(|cseq| {
            let session = [("Session", session.as_str())];
            write_request("GET_PARAMETER", player.url(), cseq, &session, b"")
        })
        .collect();
    player.connection().send(&requests).unwrap();
    for cseq in 100..140 {
        let answer = player.connection().next_response().unwrap();
        assert_eq!(answer.header("CSeq"), Some(cseq.to_string().as_str()));
    }
    broadcast.send(10).unwrap();
    player.read_packets(&mut Haul::default(), 9).unwrap();
}

#[test]
fn a_path_takes_max_readers_and_not_one_more() {
    for house in House::ALL {
        let rig = Rig::start(
            house,
            "gatherReaders: 0\npathDefaults: {maxReaders: 3, start: keyFrame}\n",
        );
        let mut broadcast = broadcast(&rig, Tracks::Video);
        let start = || Player::start(rig.address(), PATH, &VIDEO_LANE);
        let mut players: Vec<Player> = (0..3).map(|_| start().unwrap()).collect();
        for _ in 0..4 {
            let refused = start();
            let status = match &refused {
                Err(PeerError::Refused { status, .. }) => *status,
                other => panic!("one too many: {other:?}"),
            };
            assert_eq!(status, 453);
        }
        players[1].pause().unwrap();
        players.remove(0);
        rig.wait_readers(PATH, 1);
        players.push(start().unwrap());
        players[0].play().unwrap();
        assert!(start().is_err(), "one too many after a pause");
        broadcast.send(10).unwrap();
        for player in &mut players {
            player.read_packets(&mut Haul::default(), 9).unwrap();
        }
    }
}

#[test]
fn readers_that_come_before_the_first_packet_are_given_it() {
    for house in House::ALL {
        let rig = Rig::start(house, "gatherReaders: 0\n");
        let mut broadcast =
            Broadcast::start_shaped(rig.address(), PATH, Tracks::VideoAndSound, SHORT_GROUPS)
                .unwrap();
        let mut players: Vec<Player> = (0..3)
            .map(|_| Player::start(rig.address(), PATH, &BOTH_LANES).unwrap())
            .collect();
        broadcast.send(10).unwrap();
        broadcast.teardown().unwrap();
        for player in &mut players {
            let mut haul = Haul::default();
            player.read_to_end(&mut haul).unwrap();
            assert_eq!(haul.video.packets(), broadcast.packets());
            assert_eq!(haul.sound.packets(), broadcast.units());
        }
    }
}

#[test]
fn a_shard_without_readers_is_sent_nothing_however_they_left() {
    let rig = Rig::start(
        House::USUAL,
        "gatherReaders: 0\npathDefaults:\n  maxReaders: 1\n",
    );
    let mut broadcast = broadcast(&rig, Tracks::Video);
    let owner = rig.snapshot().paths[0].owner;
    for _ in 0..150 {
        // One leaves in the moment in which the others ask, most of whom are refused.
        let prepare = || Player::prepare(rig.address(), PATH, &VIDEO_LANE).unwrap();
        let mut asking = [(); 4].map(|()| prepare());
        let leaving = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
        for player in &mut asking {
            let session = player.connection().session().unwrap().to_owned();
            let url = player.url().to_owned();
            let play = write_request("PLAY", &url, 9, &[("Session", &session)], b"");
            player.connection().send(&play).unwrap();
        }
        drop(leaving);
        for mut player in asking {
            player.connection().next_response().unwrap();
        }
        rig.wait_readers(PATH, 0);
    }
    rig.wait_counters("the owner has heard of every end", |snapshot| {
        (snapshot.messages_on_the_way() == 0).then_some(())
    });
    let sent = || rig.snapshot().shards[owner].media_sent;
    let before = sent();
    broadcast.send(50).unwrap();
    rig.wait_taken_in(PATH, broadcast.sent_bytes());
    assert_eq!(sent() - before, 0, "batches for a shard without readers");
}
