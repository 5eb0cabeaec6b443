//! What is no RTSP message: garbage, other protocols, heads and bodies over their limits, altered conversations.

use std::net::SocketAddr;

use shardcast::RefusalReason;
use shardcast::event::SessionEnd;
use shardcast_tests::peer::PeerError;
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::peer::message::write_request;
use shardcast_tests::peer::publisher::interleave;
use shardcast_tests::peer::synthetic::{SDP, Source};
use shardcast_tests::scene::broadcast::{Broadcast, SHORT_GROUPS, Tracks};
use shardcast_tests::scene::bystander::BYSTANDER;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::ordeal::{Ordeal, tally};
use shardcast_tests::scene::player::{Player, VIDEO_LANE};

/// The houses in which hostile input is tried: what reads it is the same in all of them but for its driver and shard.
const HOUSES: [House; 3] = [House::SMALL, House::RIGID, House::ALL[4]];

/// What a peer sends, the status that answers it before the connection ends, and what is counted.
type NoMessage = (Vec<u8>, u16, RefusalReason);

/// A request for OPTIONS with these further lines.
fn options(lines: &str) -> Vec<u8> {
    format!("OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 7\r\n{lines}\r\n").into_bytes()
}

fn malformed(bytes: &[u8]) -> NoMessage {
    (bytes.to_vec(), 400, RefusalReason::MalformedMessage)
}

fn no_messages() -> Vec<NoMessage> {
    use RefusalReason::{HeadTooLarge, UnsupportedVersion, UriTooLong};
    let long = "x".repeat(9000);
    let headers = "X: y\r\n".repeat(129);
    let head = format!("X: {}\r\n", "y".repeat(8000)).repeat(5);
    let long_line = format!("OPTIONS rtsp://h/{long} RTSP/1.0\r\n");
    let version = |line: &[u8]| (line.to_vec(), 505, UnsupportedVersion);
    vec![
        malformed(b"\x00\x01\x02\x03\r\n\r\n"),
        malformed(b"\xff\xfe garbage \xfd\r\n\r\n"),
        malformed(b"hello\r\n\r\n"),
        version(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        version(b"OPTIONS * RTSP/2.0\r\nCSeq: 7\r\n\r\n"),
        malformed(b"OPTIONS rtsp://h/a RTSP/1.0\r\n\r\n"),
        malformed(b"DESCRIBE  RTSP/1.0\r\nCSeq: 7\r\n\r\n"),
        malformed(b"OPTIONS rtsp://h/a\0b RTSP/1.0\r\nCSeq: 7\r\n\r\n"),
        (long_line.into_bytes(), 414, UriTooLong),
        malformed(&options("no header line\r\n")),
        malformed(&options("CSeq: 8\r\n")),
        (options(&format!("X: {long}\r\n")), 400, HeadTooLarge),
        (options(&headers), 400, HeadTooLarge),
        (options(&head), 400, HeadTooLarge),
    ]
}

/// `Content-Length` negative, no number, over every limit, and given twice and different.
fn impossible_lengths() -> Vec<NoMessage> {
    use RefusalReason::{BodyTooLarge, InvalidContentLength};
    let invalid = |value: &str| {
        let bytes = options(&format!("Content-Length: {value}\r\n"));
        (bytes, 400, InvalidContentLength)
    };
    let large = |value: &str| {
        let bytes = options(&format!("Content-Length: {value}\r\n"));
        (bytes, 413, BodyTooLarge)
    };
    vec![
        invalid("-1"),
        invalid("1e3"),
        invalid("0x10"),
        invalid(""),
        invalid("5\r\nContent-Length: 6"),
        large("131073"),
        large("4294967296"),
        large("18446744073709551615"),
        large("18446744073709551616"),
    ]
}

/// Sends each on a connection of its own, which is answered and ended; nothing else comes of it.
fn assert_refused(cases: &[NoMessage]) {
    for house in HOUSES {
        let ordeal = Ordeal::begin(house, "gatherReaders: 0\n");
        for (bytes, status, _) in cases {
            let shown: String = String::from_utf8_lossy(bytes).chars().take(80).collect();
            let mut connection = Connection::open(ordeal.rig.address()).unwrap();
            connection.send(bytes).unwrap();
            let answer = connection.next_response().unwrap();
            assert_eq!(answer.status, *status, "{shown}");
            if shown.contains("CSeq: 7") && !shown.contains("CSeq: 8") {
                assert_eq!(answer.header("CSeq"), Some("7"), "{shown}");
            }
            connection.wait_closed().unwrap();
        }
        ordeal.wait_refused(&tally(cases.iter().map(|(_, _, reason)| *reason)));
        ordeal.finish();
    }
}

#[test]
fn what_is_no_message_is_answered_and_ends_its_connection_alone() {
    assert_refused(&no_messages());
}

#[test]
fn an_impossible_content_length_is_refused_before_any_body() {
    assert_refused(&impossible_lengths());
}

#[test]
fn a_content_length_that_is_given_twice_and_the_same_is_taken() {
    let ordeal = Ordeal::begin(House::USUAL, "");
    let mut connection = Connection::open(ordeal.rig.address()).unwrap();
    let twice = options("Content-Length: 2\r\nContent-Length: 2\r\n");
    connection.send(&[&twice[..], b"ok"].concat()).unwrap();
    assert_eq!(connection.next_response().unwrap().status, 200);
    drop(connection);
    ordeal.wait_refused(&[]);
    ordeal.finish();
}

#[test]
fn what_is_no_message_is_answered_while_media_flows_too() {
    for house in HOUSES {
        let ordeal = Ordeal::begin(house, "");
        let garbage = b"\x01\x02 no message\r\n\r\n";
        let mut reader = Player::start(ordeal.rig.address(), BYSTANDER, &VIDEO_LANE).unwrap();
        reader.connection().send(garbage).unwrap();
        assert_eq!(reader.connection().next_response().unwrap().status, 400);
        reader.connection().wait_closed().unwrap();
        let mut publisher =
            Broadcast::start(ordeal.rig.address(), "another", Tracks::Video).unwrap();
        publisher.send(3).unwrap();
        publisher.connection().send(garbage).unwrap();
        let answer = publisher.connection().next_response().unwrap();
        assert_eq!(answer.status, 400);
        publisher.connection().wait_closed().unwrap();
        drop((reader, publisher));
        ordeal.wait_refused(&[(RefusalReason::MalformedMessage, 2)]);
        ordeal.finish();
    }
}

#[test]
fn a_tls_handshake_on_the_open_port_is_ended_without_a_word() {
    let ordeal = Ordeal::begin(House::USUAL, "");
    let mut connection = Connection::open(ordeal.rig.address()).unwrap();
    let peer = connection.socket().local_addr().unwrap();
    connection.send(&[0x16, 0x03, 0x01]).unwrap();
    connection.wait_closed().unwrap();
    let end = ordeal.rig.wait_closed(peer);
    assert!(
        matches!(&end, SessionEnd::Protocol(RefusalReason::Tls, _)),
        "{end}"
    );
    ordeal.wait_refused(&[(RefusalReason::Tls, 1)]);
    drop(connection);
    ordeal.finish();
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

    /// Changes, takes out or cuts off some of the bytes.
    fn alter(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(3) {
                0 => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                1 => drop(bytes.remove(at)),
                _ => bytes.truncate(at + 1),
            }
        }
    }
}

/// What a reader, or a publisher with some media, sends from its begin to its end, without waiting for answers.
fn conversation(address: SocketAddr, publishes: bool) -> Vec<u8> {
    let path = if publishes { "fuzz" } else { BYSTANDER };
    let url = format!("rtsp://{address}/{path}");
    let track = if publishes { "streamid=0" } else { "trackID=0" };
    let transport = [("Transport", "RTP/AVP/TCP;interleaved=0-1")];
    let mut bytes = write_request("OPTIONS", &url, 1, &[], b"");
    bytes.extend(match publishes {
        true => write_request("ANNOUNCE", &url, 2, &[], SDP.as_bytes()),
        false => write_request("DESCRIBE", &url, 2, &[], b""),
    });
    let setup = write_request("SETUP", &format!("{url}/{track}"), 3, &transport, b"");
    bytes.extend(setup);
    if publishes {
        bytes.extend(interleave(0, &Source::new(SHORT_GROUPS).next_frame()));
    }
    bytes
}

#[test]
fn altered_conversations_end_in_order_and_disturb_nobody() {
    for house in [House::SMALL, House::RIGID] {
        let ordeal = Ordeal::begin(house, "gatherReaders: 0\nreadTimeout: 2s\n");
        let mut dice = Dice(0x5eed_0003);
        for round in 0..150 {
            let mut bytes = conversation(ordeal.rig.address(), round % 2 == 0);
            dice.alter(&mut bytes);
            let mut connection = Connection::open(ordeal.rig.address()).unwrap();
            // The server may have closed before it has read everything: both are an end.
            let sent = connection
                .send(&bytes)
                .and_then(|()| connection.half_close());
            let end = connection.wait_closed();
            assert!(
                !matches!(end, Err(PeerError::Garbage(_))),
                "round {round}: {sent:?} {end:?}"
            );
        }
        assert!(!ordeal.refused().is_empty());
        ordeal.finish();
    }
}
