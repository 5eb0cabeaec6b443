//! What hostile and broken input gets: the answer that the protocol defines, and nothing else. A stream that plays all the
//! while loses nothing by it.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use shardcast::RefusalReason;
use shardcast::event::{Event, SessionEnd};
use shardcast_tests::daemon::Daemon;
use shardcast_tests::peer::PeerError;
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::peer::message::write_request;
use shardcast_tests::peer::publisher::interleave;
use shardcast_tests::peer::synthetic::SDP;
use shardcast_tests::scene::broadcast::{Broadcast, SHORT_GROUPS, Tracks};
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{BOTH_LANES, Haul, Player, VIDEO_LANE};
use shardcast_tests::scene::rig::Rig;
use shardcast_tests::wait::poll_until;
use socket2::SockRef;

const PATH: &str = "live/witness";

/// A stream with a reader that plays through whatever else happens.
struct Witness {
    broadcast: Broadcast,
    player: Player,
    haul: Haul,
}

impl Witness {
    fn begin(address: SocketAddr) -> Self {
        let mut broadcast = Broadcast::start(address, PATH, Tracks::VideoAndSound).unwrap();
        let player = Player::start(address, PATH, &BOTH_LANES).unwrap();
        broadcast.send(1).unwrap();
        Self {
            broadcast,
            player,
            haul: Haul::default(),
        }
    }

    /// The stream flows.
    fn see(&mut self) {
        self.broadcast.send(3).unwrap();
        let last = self.broadcast.packets() - 1;
        self.player.read_up_to(&mut self.haul, last).unwrap();
    }

    /// Nothing of the stream was lost from its first packet to its last.
    fn testify(mut self) {
        self.see();
        self.broadcast.teardown().unwrap();
        self.player.read_to_end(&mut self.haul).unwrap();
        assert_eq!(self.haul.video.packets(), self.broadcast.packets());
        assert_eq!(self.haul.sound.packets(), self.broadcast.units());
    }
}

/// No session has ended by a mistake of the server's own.
fn assert_no_panic(rig: &Rig) {
    let happened = rig.watch(Duration::ZERO);
    let panics = |event: &&Event| {
        matches!(event, Event::SessionPanicked { .. })
            || matches!(
                event,
                Event::ConnectionClosed {
                    reason: SessionEnd::Panicked,
                    ..
                }
            )
    };
    assert_eq!(happened.iter().find(panics), None);
}

/// A request for OPTIONS with these further lines.
fn options(lines: &str) -> Vec<u8> {
    format!("OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 7\r\n{lines}\r\n").into_bytes()
}

/// What is no message, and the status that answers it before the connection ends.
fn no_messages() -> Vec<(Vec<u8>, u16)> {
    let long = "x".repeat(9000);
    let headers = "X: y\r\n".repeat(129);
    let head = format!("X: {}\r\n", "y".repeat(8000)).repeat(5);
    vec![
        (b"\x00\x01\x02\x03\r\n\r\n".to_vec(), 400),
        (b"\xff\xfe garbage \xfd\r\n\r\n".to_vec(), 400),
        (b"hello\r\n\r\n".to_vec(), 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), 505),
        (b"OPTIONS * RTSP/2.0\r\nCSeq: 7\r\n\r\n".to_vec(), 505),
        (b"OPTIONS rtsp://h/a RTSP/1.0\r\n\r\n".to_vec(), 400),
        (
            b"OPTIONS rtsp://h/a\0b RTSP/1.0\r\nCSeq: 7\r\n\r\n".to_vec(),
            400,
        ),
        (
            format!("OPTIONS rtsp://h/{long} RTSP/1.0\r\n").into_bytes(),
            414,
        ),
        (options("no header line\r\n"), 400),
        (options("CSeq: 8\r\n"), 400),
        (options(&format!("X: {long}\r\n")), 400),
        (options(&headers), 400),
        (options(&head), 400),
        (options("Content-Length: -1\r\n"), 400),
        (options("Content-Length: 1e3\r\n"), 400),
        (options("Content-Length: 5\r\nContent-Length: 6\r\n"), 400),
        (options("Content-Length: 131073\r\n"), 413),
        (options("Content-Length: 18446744073709551615\r\n"), 413),
    ]
}

#[test]
fn what_is_no_message_is_answered_and_ends_its_connection_alone() {
    for house in [House::SMALL, House::RIGID] {
        let rig = Rig::start(house, "gatherReaders: 0\n");
        let mut witness = Witness::begin(rig.address());
        for (bytes, status) in no_messages() {
            let shown = String::from_utf8_lossy(&bytes)
                .chars()
                .take(60)
                .collect::<String>();
            let mut connection = Connection::open(rig.address()).unwrap();
            connection.send(&bytes).unwrap();
            let answer = connection.next_response().unwrap();
            assert_eq!(answer.status, status, "{shown}");
            if shown.contains("CSeq: 7") && !shown.contains("CSeq: 8") {
                assert_eq!(answer.header("CSeq"), Some("7"), "{shown}");
            }
            connection.wait_closed().unwrap();
            witness.see();
        }
        witness.testify();
        assert_no_panic(&rig);
    }
}

#[test]
fn what_is_no_message_is_answered_while_media_flows_too() {
    let rig = Rig::start(House::USUAL, "");
    let witness = Witness::begin(rig.address());
    let garbage = b"\x01\x02 no message\r\n\r\n";
    let mut reader = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
    reader.connection().send(garbage).unwrap();
    assert_eq!(reader.connection().next_response().unwrap().status, 400);
    reader.connection().wait_closed().unwrap();
    let mut publisher = Broadcast::start(rig.address(), "another", Tracks::Video).unwrap();
    publisher.send(3).unwrap();
    publisher.connection().send(garbage).unwrap();
    let answer = publisher.connection().next_response().unwrap();
    assert_eq!(answer.status, 400);
    publisher.connection().wait_closed().unwrap();
    witness.testify();
    assert_no_panic(&rig);
}

#[test]
fn a_tls_handshake_on_the_open_port_is_ended_without_a_word() {
    let rig = Rig::start(House::USUAL, "");
    let witness = Witness::begin(rig.address());
    let mut connection = Connection::open(rig.address()).unwrap();
    let peer = connection.socket().local_addr().unwrap();
    connection.send(&[0x16, 0x03, 0x01]).unwrap();
    connection.wait_closed().unwrap();
    let end = rig.wait_closed(peer);
    assert!(
        matches!(&end, SessionEnd::Protocol(_, why) if why.contains("TLS")),
        "{end}"
    );
    witness.testify();
}

/// Method, URL behind the server's, headers, and the statuses that may refuse it.
type Refused = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static [u16],
);

const REFUSED: &[Refused] = &[
    ("FLY", "/a", &[], &[501]),
    ("OPTIONS", "/a", &[("Require", "wings")], &[551]),
    ("OPTIONS", "/a", &[("Session", "0123456789")], &[454]),
    ("DESCRIBE", "", &[], &[404]),
    ("DESCRIBE", "/", &[], &[404]),
    ("DESCRIBE", "/nobody", &[], &[404]),
    ("DESCRIBE", "/live//witness", &[], &[404]),
    ("DESCRIBE", "/..", &[], &[400, 404]),
    ("DESCRIBE", "/%2e%2e", &[], &[400, 404]),
    ("DESCRIBE", "/live/%2E%2e/live/witness", &[], &[400, 404]),
    ("DESCRIBE", "/%252e%252e", &[], &[400, 404]),
    ("DESCRIBE", "/live%00witness", &[], &[400, 404]),
    ("DESCRIBE", "/live%2", &[], &[400]),
    ("DESCRIBE", "/$(id)", &[], &[404]),
    (
        "DESCRIBE",
        "/live/witness",
        &[("Accept", "text/html")],
        &[406],
    ),
    ("SETUP", "/live/witness/trackID=0", &[], &[400]),
    (
        "SETUP",
        "/live/witness/trackID=9",
        &[("Transport", "RTP/AVP/TCP;interleaved=0-1")],
        &[404],
    ),
    (
        "SETUP",
        "/live/witness",
        &[("Transport", "RTP/AVP/TCP;interleaved=0-1")],
        &[459],
    ),
    (
        "SETUP",
        "/live/witness/trackID=0",
        &[("Transport", "RTP/AVP;client_port=8-9")],
        &[461],
    ),
    (
        "SETUP",
        "/live/witness/trackID=0",
        &[(
            "Transport",
            "RTP/AVP/TCP;destination=192.0.2.1;interleaved=0-1",
        )],
        &[461],
    ),
    ("ANNOUNCE", "/live/witness", &[], &[400]),
    ("PLAY", "/live/witness", &[], &[455]),
    ("PAUSE", "/live/witness", &[], &[455]),
    ("RECORD", "/live/witness", &[], &[455]),
];

#[test]
fn a_refused_request_leaves_everything_as_it_was() {
    for house in [House::SMALL, House::RIGID] {
        let rig = Rig::start(house, "gatherReaders: 0\n");
        let mut witness = Witness::begin(rig.address());
        for (method, path, headers, statuses) in REFUSED {
            // One connection per request, so that it says what the request itself does.
            let mut connection = Connection::open(rig.address()).unwrap();
            let url = format!("rtsp://{}{path}", rig.address());
            let answer = connection.ask(method, &url, headers, b"").unwrap();
            assert!(
                statuses.contains(&answer.status),
                "{method} {path}: {answer:?}"
            );
            let base = format!("rtsp://{}/{PATH}", rig.address());
            connection.request("OPTIONS", &base, &[], b"").unwrap();
            connection.request("DESCRIBE", &base, &[], b"").unwrap();
            witness.see();
        }
        witness.testify();
        assert_no_panic(&rig);
    }
}

#[test]
fn what_is_no_description_is_not_published() {
    let rig = Rig::start(House::USUAL, "");
    let mut witness = Witness::begin(rig.address());
    let many = format!("v=0\r\n{}", "m=audio 0 RTP/AVP 0\r\n".repeat(17));
    let sdp = "application/sdp";
    for (kind, body, status) in [
        (sdp, "garbage", 400),
        (sdp, "v=0\r\ns=no tracks\r\n", 400),
        (sdp, many.as_str(), 400),
        ("text/html", SDP, 415),
    ] {
        let mut connection = Connection::open(rig.address()).unwrap();
        let url = format!("rtsp://{}/{PATH}", rig.address());
        let headers = [("Content-Type", kind)];
        let answer = connection
            .ask("ANNOUNCE", &url, &headers, body.as_bytes())
            .unwrap();
        assert_eq!(answer.status, status, "{body}");
        witness.see();
    }
    witness.testify();
}

/// What each method is answered in each state. 0 stands for what is tried elsewhere, because it is granted.
const STATES: [(&str, [u16; 4]); 7] = [
    // In the states: set up to play, playing, set up to record, recording.
    ("ANNOUNCE", [455, 455, 455, 455]),
    ("SETUP", [455, 455, 455, 455]),
    ("PLAY", [0, 200, 455, 455]),
    ("RECORD", [455, 455, 0, 200]),
    ("PAUSE", [200, 0, 200, 0]),
    ("GET_PARAMETER", [200, 200, 200, 200]),
    ("FLY", [501, 501, 501, 501]),
];

#[test]
fn a_method_in_a_wrong_state_is_refused_and_the_state_stays() {
    for house in [House::SMALL, House::USUAL] {
        let rig = Rig::start(house, "");
        let witness = Witness::begin(rig.address());
        let mut reader = Player::prepare(rig.address(), PATH, &VIDEO_LANE).unwrap();
        let url = reader.url().to_owned();
        try_all(reader.connection(), &url, "trackID=0", 0);
        reader.play().unwrap();
        try_all(reader.connection(), &url, "trackID=0", 1);
        let mut publisher =
            Broadcast::announce(rig.address(), "another", Tracks::Video, SHORT_GROUPS).unwrap();
        let url = publisher.url().to_owned();
        try_all(publisher.connection(), &url, "streamid=0", 2);
        publisher.record().unwrap();
        try_all(publisher.connection(), &url, "streamid=0", 3);
        // Both still do what they did.
        let mut other = Player::start(rig.address(), "another", &VIDEO_LANE).unwrap();
        publisher.send(6).unwrap();
        other.read_packets(&mut Haul::default(), 9).unwrap();
        witness.testify();
        reader.read_to_end(&mut Haul::default()).unwrap();
    }
}

fn try_all(connection: &mut Connection, url: &str, track: &str, state: usize) {
    for (method, answers) in STATES {
        let due = answers[state];
        let transport = [("Transport", "RTP/AVP/TCP;interleaved=0-1")];
        let sdp_type = [("Content-Type", "application/sdp")];
        let track = format!("{url}/{track}");
        let answer = match (method, due) {
            (_, 0) => continue,
            ("SETUP", _) => connection.ask(method, &track, &transport, b""),
            ("ANNOUNCE", _) => connection.ask(method, url, &sdp_type, SDP.as_bytes()),
            _ => connection.ask(method, url, &[], b""),
        };
        assert_eq!(answer.unwrap().status, due, "{method} in state {state}");
    }
}

#[test]
fn a_session_id_from_another_connection_is_unknown_and_its_owner_plays_on() {
    for house in [House::SMALL, House::USUAL, House::RIGID] {
        let rig = Rig::start(house, "");
        let mut witness = Witness::begin(rig.address());
        let stolen = witness.player.connection().session().unwrap().to_owned();
        let published = witness.broadcast.connection().session().unwrap().to_owned();
        let mut thief = Connection::open(rig.address()).unwrap();
        let url = format!("rtsp://{}/{PATH}", rig.address());
        for session in [stolen, published] {
            let headers = [("Session", session.as_str())];
            for method in [
                "PAUSE",
                "TEARDOWN",
                "PLAY",
                "RECORD",
                "GET_PARAMETER",
                "OPTIONS",
            ] {
                let answer = thief.ask(method, &url, &headers, b"").unwrap();
                assert_eq!(answer.status, 454, "{method}");
                witness.see();
            }
        }
        witness.testify();
    }
}

#[test]
fn endless_refusals_end_the_connection() {
    let rig = Rig::start(House::USUAL, "");
    let witness = Witness::begin(rig.address());
    let mut connection = Connection::open(rig.address()).unwrap();
    let url = format!("rtsp://{}/{PATH}", rig.address());
    let refused = (0..1000).take_while(|_| connection.ask("FLY", &url, &[], b"").is_ok());
    assert!(refused.count() < 100);
    witness.testify();
}

#[test]
fn packets_that_are_none_of_the_stream_reach_nobody_and_are_counted() {
    for house in [House::SMALL, House::RIGID] {
        let rig = Rig::start(house, "gatherReaders: 0\n");
        let mut witness = Witness::begin(rig.address());
        let mut alien = shardcast_tests::peer::synthetic::Source::new(SHORT_GROUPS);
        let mut other_source = alien.next_frame();
        for packet in &mut other_source {
            packet[8..12].copy_from_slice(b"evil");
        }
        let junk: [(u8, Vec<Vec<u8>>); 5] = [
            (0, vec![Vec::new(), b"\x80".to_vec(), vec![0; 11]]),
            (0, vec![vec![0xff; 65_535]]),
            (0, other_source),
            (77, alien.next_frame()),
            (1, vec![b"\x80\xc8\xff\xff".to_vec(), vec![0; 3]]),
        ];
        for (channel, packets) in junk {
            let bytes = interleave(channel, &packets);
            witness.broadcast.connection().send(&bytes).unwrap();
            witness.see();
        }
        let told = rig.wait_event("refused packets", |event| match event {
            Event::PublisherPacketsRefused { reason, .. } => Some(*reason),
            _ => None,
        });
        assert_eq!(told, RefusalReason::MalformedPacket);
        let publisher = rig.publisher_of(PATH);
        let due = 3 + 1 + 5 + 5;
        assert!(publisher.refused_packets >= due, "{publisher:?}");
        witness.testify();
    }
}

#[test]
fn frames_and_answers_from_a_reader_are_passed_over() {
    let rig = Rig::start(House::RIGID, "gatherReaders: 0\n");
    let mut witness = Witness::begin(rig.address());
    let reports = interleave(1, &[vec![0x80, 201, 0, 1, 0, 0, 0, 1], Vec::new()]);
    let media = interleave(0, &[vec![0xaa; 60_000]]);
    let answer = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n";
    for bytes in [&reports[..], &media, answer, b"\r\n\r\n\r\n"] {
        witness.player.connection().send(bytes).unwrap();
        witness.see();
    }
    witness.testify();
}

/// Numbers without a pattern, the same in every run (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

/// What a reader, or a publisher with some media, sends from its begin to its end, without waiting for answers.
fn conversation(address: SocketAddr, publishes: bool) -> Vec<u8> {
    let url = format!("rtsp://{address}/{}", if publishes { "fuzz" } else { PATH });
    let transport = [("Transport", "RTP/AVP/TCP;interleaved=0-1")];
    let mut bytes = write_request("OPTIONS", &url, 1, &[], b"");
    if publishes {
        bytes.extend(write_request("ANNOUNCE", &url, 2, &[], SDP.as_bytes()));
        bytes.extend(write_request(
            "SETUP",
            &format!("{url}/streamid=0"),
            3,
            &transport,
            b"",
        ));
        let mut source = shardcast_tests::peer::synthetic::Source::new(SHORT_GROUPS);
        bytes.extend(interleave(0, &source.next_frame()));
    } else {
        bytes.extend(write_request("DESCRIBE", &url, 2, &[], b""));
        bytes.extend(write_request(
            "SETUP",
            &format!("{url}/trackID=0"),
            3,
            &transport,
            b"",
        ));
    }
    bytes
}

#[test]
fn altered_conversations_end_in_order_and_disturb_nobody() {
    for house in [House::SMALL, House::RIGID] {
        let rig = Rig::start(house, "gatherReaders: 0\nreadTimeout: 2s\n");
        let mut witness = Witness::begin(rig.address());
        let mut dice = Dice(0x5eed_0003);
        for round in 0..150 {
            let mut bytes = conversation(rig.address(), round % 2 == 0);
            for _ in 0..=dice.below(4) {
                let at = dice.below(bytes.len());
                match dice.below(3) {
                    0 => bytes[at] = u8::try_from(dice.below(256)).unwrap(),
                    1 => drop(bytes.remove(at)),
                    _ => bytes.truncate(at + 1),
                }
            }
            let mut connection = Connection::open(rig.address()).unwrap();
            // The server may have closed before it has read everything: both are an end.
            let sent = connection
                .send(&bytes)
                .and_then(|()| connection.half_close());
            let end = connection.wait_closed();
            assert!(
                !matches!(end, Err(PeerError::Garbage(_))),
                "round {round}: {sent:?} {end:?}"
            );
            if round % 10 == 0 {
                witness.see();
            }
        }
        witness.testify();
        assert_no_panic(&rig);
    }
}

/// Open descriptors of a process.
fn descriptors(process_id: u32) -> usize {
    let listed = fs::read_dir(format!("/proc/{process_id}/fd"));
    listed.map_or(0, Iterator::count)
}

/// Memory of a process in RAM.
fn resident_bytes(process_id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process_id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.expect("the process lives") * 1024
}

#[test]
fn a_thousand_connections_come_and_go_and_leave_nothing() {
    let daemon = Daemon::start("shards: 2\npaths:\n  all_others:\n").unwrap();
    let witness = Witness::begin(daemon.address());
    let before = descriptors(daemon.process_id());
    let url = format!("rtsp://{}/{PATH}", daemon.address());
    for _ in 0..4 {
        let mut connections: Vec<Connection> = (0..250)
            .map(|_| Connection::open(daemon.address()).unwrap())
            .collect();
        for (index, connection) in connections.iter_mut().enumerate() {
            match index % 5 {
                0 => connection.send(b"OPTIONS rtsp").unwrap(),
                1 => drop(connection.request("DESCRIBE", &url, &[], b"").unwrap()),
                2 => SockRef::from(connection.socket())
                    .set_linger(Some(Duration::ZERO))
                    .unwrap(),
                3 => connection.half_close().unwrap(),
                _ => {}
            }
        }
    }
    let back = poll_until(Duration::from_secs(5), || {
        (descriptors(daemon.process_id()) <= before).then_some(())
    });
    let now = descriptors(daemon.process_id());
    assert!(back.is_some(), "{now} descriptors, {before} before");
    witness.testify();
    daemon.stop().unwrap();
}

#[test]
fn readers_that_take_nothing_cost_a_bounded_part_of_memory() {
    let configuration = "shards: 2\ngatherReaders: 0\nreadTimeout: 60s\nwriteTimeout: 60s\n\
        pathDefaults:\n  logBytes: 1M\n  readerQueueBytes: 512K\npaths:\n  all_others:\n";
    let daemon = Daemon::start(configuration).unwrap();
    let shape = shardcast_tests::peer::synthetic::Shape {
        frame_packets: 20,
        pattern_bytes: 1200,
        ..SHORT_GROUPS
    };
    let mut broadcast =
        Broadcast::start_shaped(daemon.address(), PATH, Tracks::Video, shape).unwrap();
    let start = || Player::start(daemon.address(), PATH, &VIDEO_LANE).unwrap();
    let (mut quick, mut haul) = (start(), Haul::default());
    let stuck: Vec<Player> = (0..20).map(|_| start()).collect();
    let mut send = |units| {
        for _ in 0..units {
            broadcast.send(1).unwrap();
            quick
                .read_up_to(&mut haul, broadcast.packets() - 1)
                .unwrap();
        }
    };
    send(100);
    let before = resident_bytes(daemon.process_id());
    send(1000);
    let grown = resident_bytes(daemon.process_id()).saturating_sub(before);
    // 20 readers may each pin a write of 256 KiB; each shard has a log of 1 MiB, in chunks that batches share.
    assert!(grown < 12 << 20, "{grown} bytes more after 24 MB of stream");
    drop(stuck);
    daemon.stop().unwrap();
}

#[test]
fn a_flood_of_names_leaves_no_paths() {
    let rig = Rig::start(House::USUAL, "");
    let witness = Witness::begin(rig.address());
    for round in 0..30 {
        let mut connection = Connection::open(rig.address()).unwrap();
        for name in 0..40 {
            let url = format!("rtsp://{}/flood/{round}/{name}", rig.address());
            connection.ask("DESCRIBE", &url, &[], b"").unwrap();
        }
    }
    let names: Vec<String> = rig
        .snapshot()
        .paths
        .iter()
        .map(|path| path.name.to_string())
        .collect();
    assert_eq!(names, [PATH]);
    witness.testify();
}
