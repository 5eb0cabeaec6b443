//! Kicking: a session ends with its connection, for that reason, wherever and however it is served; once.

use std::net::SocketAddr;
use std::thread;

use serde_json::Value;
use shardcast::event::{Event, SessionEnd};
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::peer::udp::UdpPublisher;
use shardcast_tests::scene::baseline::Baseline;
use shardcast_tests::scene::broadcast::{Broadcast, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{BOTH_LANES, Haul, Player};

use crate::stage::{PATH, Stage, items, post, start, wait_sessions};

/// Threads that kick at once.
const KICKERS: usize = 8;

/// Sessions that end by themselves while they are kicked.
const RACES: usize = 40;

fn kick(api: SocketAddr, session: &Value) -> u16 {
    let id = session["id"].as_str().expect("an id");
    post(api, &format!("/v3/rtspsessions/kick/{id}")).status
}

fn local(connection: &Connection) -> SocketAddr {
    connection.socket().local_addr().expect("an address")
}

/// A session is kicked: nobody sees it any more, its connection is closed for that, and so is the session.
fn assert_kicked(stage: &Stage, peer: SocketAddr) {
    let session = stage.session_of(peer);
    assert_eq!(kick(stage.api(), &session), 200);
    let listed = items(stage.api(), "rtspsessions");
    assert!(!listed.contains(&session), "{session} is listed still");
    assert_eq!(kick(stage.api(), &session), 404, "it is not there any more");
    assert_eq!(stage.rig.wait_closed(peer), SessionEnd::Kicked);
    stage.rig.wait_event("the session's end", |event| {
        let is_kick = |reason: &SessionEnd| *reason == SessionEnd::Kicked;
        matches!(event, Event::SessionEnded { reason, .. } if is_kick(reason)).then_some(())
    });
}

#[test]
fn kicked_readers_and_publishers_end_and_nobody_else_does() {
    for house in House::ALL {
        let mut stage = Stage::open(house, "");
        let (reader, udp_reader) = (
            local(stage.reader.connection()),
            local(stage.udp_reader.connection()),
        );
        assert_kicked(&stage, udp_reader);
        stage.publisher.send(5).expect("the publisher is served");
        let last = stage.publisher.packets() - 1;
        let mut haul = Haul::default();
        let read = stage.reader.read_up_to(&mut haul, last);
        read.expect("the other reader is served");
        assert_kicked(&stage, reader);
        let publisher = stage.publisher.local_address();
        assert_kicked(&stage, publisher);
        wait_sessions(stage.api(), "no session", <[Value]>::is_empty);
    }
}

#[test]
fn readers_of_a_kicked_publisher_are_given_all_that_came_and_then_the_end() {
    for grace in ["0s", "60s"] {
        let defaults = format!("pathDefaults:\n  publisherGrace: {grace}\n");
        let mut stage = Stage::open(House::USUAL, &defaults);
        let publisher = stage.publisher.local_address();
        assert_kicked(&stage, publisher);
        let mut haul = Haul::default();
        let read = stage.reader.read_to_end(&mut haul);
        read.expect("the reader is served to the end");
        assert_eq!(haul.video.packets(), stage.publisher.packets());
    }
}

#[test]
fn a_publisher_of_datagrams_is_kicked() {
    for house in [House::USUAL, House::RIGID] {
        let rig = start(house, "");
        let publisher = UdpPublisher::start(rig.address(), PATH);
        let mut publisher = publisher.expect("the path is free");
        let peer = local(publisher.connection());
        let sessions = items(rig.site("API"), "rtspsessions");
        assert_eq!(sessions[0]["transport"], "UDP");
        assert_eq!(kick(rig.site("API"), &sessions[0]), 200);
        assert_eq!(rig.wait_closed(peer), SessionEnd::Kicked);
    }
}

#[test]
fn of_many_who_kick_at_once_one_succeeds() {
    let stage = Stage::open(House::USUAL, "");
    let api = stage.api();
    for session in items(api, "rtspsessions") {
        let mut statuses: Vec<u16> = thread::scope(|scope| {
            let kickers: Vec<_> = (0..KICKERS)
                .map(|_| scope.spawn(|| kick(api, &session)))
                .collect();
            let joined = kickers.into_iter().map(thread::ScopedJoinHandle::join);
            joined.map(|status| status.expect("an answer")).collect()
        });
        statuses.sort_unstable();
        let (first, rest) = statuses.split_first().expect("statuses");
        assert_eq!(*first, 200);
        assert!(rest.iter().all(|status| *status == 404), "{rest:?}");
    }
}

#[test]
fn a_kick_that_races_with_the_end_leaves_nothing_behind() {
    let rig = start(House::USUAL, "");
    let publisher = Broadcast::start(rig.address(), PATH, Tracks::VideoAndSound);
    let mut publisher = publisher.expect("the path is free");
    publisher.send(1).expect("the server reads");
    let baseline = Baseline::take(&rig);
    let api = rig.site("API");
    for _ in 0..RACES {
        let player = Player::start(rig.address(), PATH, &BOTH_LANES);
        let mut player = player.expect("there is a stream");
        let peer = local(player.connection()).to_string();
        let sessions = wait_sessions(api, "the reader", |items| {
            items.iter().any(|item| item["remoteAddr"] == peer)
        });
        let session = sessions.iter().find(|item| item["remoteAddr"] == peer);
        let session = session.expect("it is listed").clone();
        let ends = thread::spawn(move || drop(player));
        let status = kick(api, &session);
        assert!([200, 404].contains(&status), "{status}");
        ends.join().expect("it ends");
    }
    baseline.assert_restored(&rig);
}

#[test]
fn what_names_no_session_kicks_nobody() {
    let stage = Stage::open(House::SMALL, "");
    let connection = items(stage.api(), "rtspconns")[0]["id"].clone();
    let connection = connection.as_str().expect("an id");
    let cases = [
        ("nonsense", 400),
        ("00000000-0000-8000-8000-000000000000", 404),
        (connection, 404),
    ];
    for (id, status) in cases {
        let target = format!("/v3/rtspsessions/kick/{id}");
        assert_eq!(post(stage.api(), &target).status, status, "{id}");
    }
    let sessions = items(stage.api(), "rtspsessions");
    assert_eq!(sessions.len(), 3);
}
