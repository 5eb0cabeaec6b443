//! Requests that are refused: for what they ask, for the state that their session is in, or for whose session they name.

use shardcast::RefusalReason;
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::peer::synthetic::SDP;
use shardcast_tests::scene::broadcast::{Broadcast, SHORT_GROUPS, Tracks};
use shardcast_tests::scene::bystander::BYSTANDER;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::ordeal::{Ordeal, tally};
use shardcast_tests::scene::player::{Haul, Player, VIDEO_LANE};

/// A transport that can be had.
const TCP: [(&str, &str); 1] = [("Transport", "RTP/AVP/TCP;interleaved=0-1")];

/// Method, URL (behind the server's address, if it begins with a slash), headers, and the status that refuses it.
type Refused = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    u16,
);

const REFUSED: &[Refused] = &[
    ("FLY", "/a", &[], 501),
    ("OPTIONS", "/a", &[("Require", "wings")], 551),
    ("OPTIONS", "/a", &[("Session", "0123456789")], 454),
    ("DESCRIBE", "*", &[], 400),
    ("DESCRIBE", "", &[], 404),
    ("DESCRIBE", "/", &[], 404),
    ("DESCRIBE", "/nobody", &[], 404),
    ("DESCRIBE", "/live//bystander", &[], 404),
    ("DESCRIBE", "/..", &[], 400),
    ("DESCRIBE", "/%2e%2e", &[], 400),
    ("DESCRIBE", "/live/%2E%2e/live/bystander", &[], 400),
    ("DESCRIBE", "/%252e%252e", &[], 404),
    ("DESCRIBE", "/live%00bystander", &[], 400),
    ("DESCRIBE", "/live%2", &[], 400),
    ("DESCRIBE", "/$(id)", &[], 404),
    (
        "DESCRIBE",
        "/live/bystander",
        &[("Accept", "text/html")],
        406,
    ),
    (
        "ANNOUNCE",
        "/%2e%2e",
        &[("Content-Type", "application/sdp")],
        400,
    ),
    ("SETUP", "/live/bystander/trackID=0", &[], 400),
    ("SETUP", "/live/bystander/trackID=9", &TCP, 404),
    ("SETUP", "/live/bystander", &TCP, 459),
    (
        "SETUP",
        "/live/bystander/trackID=0",
        &[("Transport", "RTP/SAVP;client_port=8-9")],
        461,
    ),
    (
        "SETUP",
        "/live/bystander/trackID=0",
        &[(
            "Transport",
            "RTP/AVP/TCP;destination=192.0.2.1;interleaved=0-1",
        )],
        461,
    ),
    (
        "SETUP",
        "/live/bystander/trackID=0",
        &[(
            "Transport",
            "RTP/AVP;destination=192.0.2.1;client_port=5000-5001",
        )],
        461,
    ),
    (
        "SETUP",
        "/live/bystander/trackID=0",
        &[("Transport", "RTP/AVP;client_port=0-0")],
        461,
    ),
    (
        "SETUP",
        "/live/bystander/trackID=0",
        &[("Transport", "RTP/AVP;client_port=65535-65536")],
        400,
    ),
    ("ANNOUNCE", "/live/bystander", &[], 400),
    ("PLAY", "/live/bystander", &[], 455),
    ("PAUSE", "/live/bystander", &[], 455),
    ("RECORD", "/live/bystander", &[], 455),
];

/// Under which reason a refusal with this status is counted.
fn reason_of(status: u16) -> RefusalReason {
    match status {
        400 => RefusalReason::BadRequest,
        404 => RefusalReason::NotFound,
        406 => RefusalReason::NotAcceptable,
        415 => RefusalReason::UnsupportedMediaType,
        454 => RefusalReason::SessionNotFound,
        455 => RefusalReason::InvalidState,
        459 => RefusalReason::AggregateOperation,
        461 => RefusalReason::UnsupportedTransport,
        501 => RefusalReason::NotImplemented,
        551 => RefusalReason::UnsupportedOption,
        other => panic!("nothing is refused with {other} here"),
    }
}

#[test]
fn a_refused_request_is_answered_and_counted_and_changes_nothing() {
    for house in [House::SMALL, House::RIGID] {
        let ordeal = Ordeal::begin(house, "gatherReaders: 0\n");
        let server = format!("rtsp://{}", ordeal.rig.address());
        for (method, url, headers, status) in REFUSED {
            // One connection per request, so that it says what the request itself does.
            let mut connection = Connection::open(ordeal.rig.address()).unwrap();
            let peer = connection.socket().local_addr().unwrap();
            let whole = match *url {
                "*" => "*".to_owned(),
                path => format!("{server}{path}"),
            };
            let answer = connection.ask(method, &whole, headers, b"").unwrap();
            assert_eq!(answer.status, *status, "{method} {url}: {answer:?}");
            assert_eq!(ordeal.rig.wait_refused(peer), reason_of(*status));
            let base = format!("{server}/{BYSTANDER}");
            connection.request("OPTIONS", &base, &[], b"").unwrap();
            connection.request("DESCRIBE", &base, &[], b"").unwrap();
        }
        let reasons = REFUSED.iter().map(|(_, _, _, status)| reason_of(*status));
        ordeal.wait_refused(&tally(reasons));
        ordeal.finish();
    }
}

/// Sequence parameter sets of H.264: pictures of a million samples by 16, a number with 32 leading zeros, and usability
/// information that is cut.
const ABSURD_PARAMETER_SETS: [&str; 3] = [
    "Z0IAHvQAAIi4YA==",
    "Z0IAHgAAAwAAA4CA",
    "Z2QAKKzZQHgCJ+XARAA=",
];

#[test]
fn what_is_no_description_is_not_published() {
    let ordeal = Ordeal::begin(House::USUAL, "");
    let many = format!("v=0\r\n{}", "m=audio 0 RTP/AVP 0\r\n".repeat(17));
    let absurd = ABSURD_PARAMETER_SETS.map(|set| {
        format!(
            "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
             a=fmtp:96 packetization-mode=1; sprop-parameter-sets={set},aM48gA==\r\n"
        )
    });
    let sdp = "application/sdp";
    let cases = [
        (sdp, "garbage", 400),
        (sdp, "v=0\r\ns=no tracks\r\n", 400),
        (sdp, many.as_str(), 400),
        (sdp, absurd[0].as_str(), 400),
        (sdp, absurd[1].as_str(), 400),
        (sdp, absurd[2].as_str(), 400),
        ("text/html", SDP, 415),
    ];
    for (kind, body, status) in cases {
        let mut connection = Connection::open(ordeal.rig.address()).unwrap();
        let url = format!("rtsp://{}/{BYSTANDER}", ordeal.rig.address());
        let headers = [("Content-Type", kind)];
        let answer = connection
            .ask("ANNOUNCE", &url, &headers, body.as_bytes())
            .unwrap();
        assert_eq!(answer.status, status, "{body}");
    }
    ordeal.wait_refused(&tally(cases.map(|(_, _, status)| reason_of(status))));
    ordeal.finish();
}

/// What each method is answered in each state. 0 stands for what is tried elsewhere, because it is granted and changes
/// the state.
const STATES: [(&str, [u16; 5]); 10] = [
    // In the states: none, set up to play, playing, set up to record, recording.
    ("OPTIONS", [200, 200, 200, 200, 200]),
    ("DESCRIBE", [200, 200, 455, 404, 455]),
    ("ANNOUNCE", [0, 455, 455, 455, 455]),
    ("SETUP", [0, 455, 455, 455, 455]),
    ("PLAY", [455, 0, 200, 455, 455]),
    ("RECORD", [455, 455, 455, 0, 200]),
    ("PAUSE", [455, 200, 0, 200, 0]),
    ("TEARDOWN", [200, 0, 0, 0, 0]),
    ("GET_PARAMETER", [200, 200, 200, 200, 200]),
    ("FLY", [501, 501, 501, 501, 501]),
];

/// Tries every method in a state, and gives the statuses that refused one.
fn try_all(connection: &mut Connection, url: &str, track: &str, state: usize) -> Vec<u16> {
    let track = format!("{url}/{track}");
    let mut refused = Vec::new();
    for (method, answers) in STATES {
        let due = answers[state];
        let sdp_type = [("Content-Type", "application/sdp")];
        let answer = match (method, due) {
            (_, 0) => continue,
            ("SETUP", _) => connection.ask(method, &track, &TCP, b""),
            ("ANNOUNCE", _) => connection.ask(method, url, &sdp_type, SDP.as_bytes()),
            _ => connection.ask(method, url, &[], b""),
        };
        assert_eq!(answer.unwrap().status, due, "{method} in state {state}");
        refused.extend((due >= 400).then_some(due));
    }
    refused
}

#[test]
fn a_method_in_a_wrong_state_is_refused_and_the_state_stays() {
    for house in [House::SMALL, House::USUAL] {
        let ordeal = Ordeal::begin(house, "");
        let address = ordeal.rig.address();
        let mut stranger = Connection::open(address).unwrap();
        let url = format!("rtsp://{address}/{BYSTANDER}");
        let mut refused = try_all(&mut stranger, &url, "trackID=0", 0);
        let mut reader = Player::prepare(address, BYSTANDER, &VIDEO_LANE).unwrap();
        refused.extend(try_all(reader.connection(), &url, "trackID=0", 1));
        reader.play().unwrap();
        refused.extend(try_all(reader.connection(), &url, "trackID=0", 2));
        let (other, shape) = ("another", SHORT_GROUPS);
        let mut publisher = Broadcast::announce(address, other, Tracks::Video, shape).unwrap();
        let url = publisher.url().to_owned();
        refused.extend(try_all(publisher.connection(), &url, "streamid=0", 3));
        publisher.record().unwrap();
        refused.extend(try_all(publisher.connection(), &url, "streamid=0", 4));
        // Both still do what they did.
        let mut other_reader = Player::start(address, other, &VIDEO_LANE).unwrap();
        publisher.send(6).unwrap();
        other_reader.read_packets(&mut Haul::default(), 9).unwrap();
        reader.read_packets(&mut Haul::default(), 9).unwrap();
        ordeal.wait_refused(&tally(refused.into_iter().map(reason_of)));
        drop((stranger, reader, publisher, other_reader));
        ordeal.finish();
    }
}

/// `SETUP`s after that of the first track, and the status that refuses each.
const SECOND_SETUPS: [(&str, &str, u16); 5] = [
    ("trackID=0", "RTP/AVP/TCP;interleaved=0-1", 455),
    ("trackID=0", "RTP/AVP/TCP;interleaved=2-3", 455),
    ("trackID=1", "RTP/AVP;unicast;client_port=5000-5001", 461),
    ("trackID=1", "RTP/AVP/UDP;unicast;client_port=8-9", 461),
    ("trackID=1", "RTP/AVP/TCP;interleaved=1-2", 400),
];

#[test]
fn a_second_setup_that_cannot_be_leaves_the_first_as_it_was() {
    for house in [House::SMALL, House::USUAL] {
        let ordeal = Ordeal::begin(house, "");
        let mut player = Player::prepare(ordeal.rig.address(), BYSTANDER, &VIDEO_LANE).unwrap();
        let url = player.url().to_owned();
        for (track, transport, status) in SECOND_SETUPS {
            let headers = [("Transport", transport)];
            let track = format!("{url}/{track}");
            let answer = player.connection().ask("SETUP", &track, &headers, b"");
            assert_eq!(answer.unwrap().status, status, "{transport}");
        }
        player.play().unwrap();
        // The first track, on its channels, and nothing else.
        player.read_packets(&mut Haul::default(), 30).unwrap();
        drop(player);
        ordeal.wait_refused(&tally(
            SECOND_SETUPS.map(|(_, _, status)| reason_of(status)),
        ));
        ordeal.finish();
    }
}

#[test]
fn a_session_id_from_another_connection_is_unknown_and_its_owner_plays_on() {
    for house in [House::SMALL, House::USUAL, House::RIGID] {
        let ordeal = Ordeal::begin(house, "");
        let mut thief = Connection::open(ordeal.rig.address()).unwrap();
        let url = format!("rtsp://{}/{BYSTANDER}", ordeal.rig.address());
        let methods = [
            "PAUSE",
            "TEARDOWN",
            "PLAY",
            "RECORD",
            "SETUP",
            "GET_PARAMETER",
            "OPTIONS",
        ];
        for session in ordeal.bystander.session_ids() {
            let headers = [("Session", session.as_str()), TCP[0]];
            for method in methods {
                let before = ordeal.bystander.units();
                let answer = thief.ask(method, &url, &headers, b"").unwrap();
                assert_eq!(answer.status, 454, "{method}");
                ordeal.wait_units(before + 3);
            }
        }
        let times = 2 * methods.len() as u64;
        ordeal.wait_refused(&[(RefusalReason::SessionNotFound, times)]);
        drop(thief);
        ordeal.finish();
    }
}

#[test]
fn endless_refusals_end_the_connection() {
    let ordeal = Ordeal::begin(House::USUAL, "");
    let mut connection = Connection::open(ordeal.rig.address()).unwrap();
    let url = format!("rtsp://{}/{BYSTANDER}", ordeal.rig.address());
    let refused = (0..1000).take_while(|_| connection.ask("FLY", &url, &[], b"").is_ok());
    let refused = refused.count() as u64;
    assert!(refused < 100);
    drop(connection);
    ordeal.wait_refused(&[
        (RefusalReason::NotImplemented, refused),
        (RefusalReason::TooManyRefusals, 1),
    ]);
    ordeal.finish();
}
