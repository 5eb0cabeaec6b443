//! Peers that say things in ways of their own, over real sockets: their streams are taken and given whole. What they say
//! is collected, with the places where somebody met it, in `engine/protocol/tests/oddities`; here are whole conversations.
//!
//! Not caught here: what real programs make of the answers (`interop.rs`).

use shardcast::RefusalReason;
use shardcast::event::SessionEnd;
use shardcast_tests::peer::connection::Connection;
use shardcast_tests::peer::credentials::Credentials;
use shardcast_tests::peer::message::Response;
use shardcast_tests::peer::publisher::{Publisher, interleave};
use shardcast_tests::peer::synthetic::{SDP, Shape, Source};
use shardcast_tests::peer::verifier::Verifier;
use shardcast_tests::scene::broadcast::SHORT_GROUPS;
use shardcast_tests::scene::house::House;
use shardcast_tests::scene::player::{Haul, Player, VIDEO_LANE};
use shardcast_tests::scene::rig::Rig;

const PATH: &str = "live/odd";
/// Frames that a test publishes: some groups of pictures.
const FRAMES: u64 = 20;

/// A peer whose every word is the test's.
struct Odd {
    connection: Connection,
    url: String,
}

impl Odd {
    fn connect(rig: &Rig) -> Self {
        Self {
            connection: Connection::open(rig.address()).unwrap(),
            url: format!("rtsp://{}/{PATH}", rig.address()),
        }
    }

    /// Sends a request, `URL` standing for the stream's, and waits for its answer.
    fn say(&mut self, request: &str) -> Response {
        let text = request.replace("URL", &self.url);
        self.connection.send(text.as_bytes()).unwrap();
        self.connection.next_response().unwrap()
    }

    /// As [`Self::say`], for what has to be granted.
    fn granted(&mut self, request: &str) -> Response {
        let answer = self.say(request);
        assert_eq!(answer.status, 200, "{request}: {answer:?}");
        answer
    }
}

/// The session of an answer, its parameters included.
fn session(answer: &Response) -> String {
    answer.header("Session").unwrap().to_owned()
}

/// A publisher whose frames are told apart by their counters, as [`Publisher`], on a path with a reader beside it.
fn publish(rig: &Rig) -> (Publisher, Source) {
    let mut publisher = Publisher::start(rig.address(), PATH).unwrap();
    let mut source = Source::new(Shape {
        gop_frames: 5,
        ..Shape::default()
    });
    publisher.send_frames(&mut source, 1).unwrap();
    (publisher, source)
}

/// Session with its timeout (Larix), `receive` for `record` (FFmpeg's listener), no control, empty parameter sets
/// (Hikvision), channels the wrong way round, lines without returns, and a source of 0.
#[test]
fn what_an_odd_publisher_sends_reaches_readers_whole() {
    for house in House::ALL {
        let rig = Rig::start(house, "");
        let mut odd = Odd::connect(&rig);
        let sdp = SDP.replace("a=control:streamid=0\r\n", "");
        let sdp = sdp.replace("Z2QAFKzZQUH7ARAAAAMAEAAAAwMg8UKZYA==,aO+8sA==", "");
        odd.granted("\r\n\nOPTIONS * RTSP/1.0\nCSeq: 1 \n\n");
        let length = sdp.len();
        odd.granted(&format!(
            "ANNOUNCE URL/ RTSP/1.0\ncseq: 2\ncontent-type: application/sdp\ncontent-length: {length}\n\n{sdp}"
        ));
        let answer = odd.granted(
            "SETUP URL/ RTSP/1.0\nCSeq: 3\nTransport: RTP/AVP/TCP;interleaved=9-8;mode=receive\n\n",
        );
        let session = session(&answer);
        assert!(session.contains(";timeout="), "{session}");
        odd.granted(&format!(
            "\r\nRECORD URL/ RTSP/1.0\nCSeq: 4\nSession: {session}\n\n"
        ));
        let mut source = Source::new(SHORT_GROUPS);
        let mut send = |odd: &mut Odd| {
            let mut packets = source.next_frame();
            for packet in &mut packets {
                packet[8..12].fill(0);
            }
            let frames = interleave(9, &packets);
            odd.connection.send(&frames).unwrap();
        };
        send(&mut odd);
        let mut player = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
        for _ in 1..FRAMES {
            send(&mut odd);
            odd.connection.send(b"\r\n").unwrap();
        }
        odd.granted(&format!(
            "TEARDOWN URL RTSP/1.0\nCSeq: 5\nSession: {session}\n\n"
        ));
        let mut haul = Haul::default();
        player.read_to_end(&mut haul).unwrap();
        assert_eq!(haul.video.last().unwrap().frame, FRAMES - 1);
    }
}

/// Lower-case headers (ExoPlayer), several offers in one header, unusual channels, no session in the second request that
/// needs none, keep-alives of every kind amid the media, and blank lines between them.
#[test]
fn an_odd_reader_is_given_the_stream_whole() {
    for house in House::ALL {
        let rig = Rig::start(house, "rtspTransports: [tcp]\n");
        let (mut publisher, mut source) = publish(&rig);
        let mut odd = Odd::connect(&rig);
        odd.granted("DESCRIBE URL RTSP/1.0\ncseq: 0\naccept: application/sdp\n\n");
        let answer = odd.granted(
            "SETUP URL/trackID=0 RTSP/1.0\ncseq: 1\n\
             transport: RTP/SAVP;client_port=1-2, RTP/AVP;unicast;client_port=5000-5001, \
             RTP/AVP/TCP;unicast;interleaved=200-101\n\n",
        );
        let transport = answer.header("Transport").unwrap();
        assert!(transport.contains("interleaved=200-101"), "{transport}");
        let session = session(&answer);
        odd.granted(&format!(
            "PLAY URL/ RTSP/1.0\ncseq: 2\nsession: {session}\nrange: npt=now-\n\n"
        ));
        for method in ["OPTIONS", "GET_PARAMETER", "SET_PARAMETER"] {
            publisher.send_frames(&mut source, 5).unwrap();
            odd.granted(&format!("\r\n\r\n{method} URL/ RTSP/1.0\ncseq: 3\n\n\n"));
        }
        publisher.teardown().unwrap();
        let mut verifier = Verifier::strict();
        while let Some(frame) = odd.connection.next_frame().unwrap() {
            match frame.channel {
                200 => verifier.check(&frame.payload).unwrap(),
                channel => assert_eq!(channel, 101),
            }
        }
        assert_eq!(verifier.last().unwrap().frame + 1, source.frames());
    }
}

/// In `SETUP`, VLC answers a challenge for the stream's URL with a slash, HappyTime's recorder without one, and Bosch's
/// for the path alone.
#[test]
fn a_digest_for_the_stream_sets_up_its_track() {
    let users = "authInternalUsers:\n\
        - {user: any, permissions: [{action: publish}]}\n\
        - {user: bob, pass: s3cr3t, permissions: [{action: read}]}\n\
        rtspAuthMethods: [digest]\n";
    let bob = Credentials {
        user: "bob",
        pass: "s3cr3t",
    };
    let rig = Rig::start(House::USUAL, users);
    let (_publisher, _) = publish(&rig);
    let url = format!("rtsp://{}/{PATH}", rig.address());
    let track = format!("{url}/trackID=0");
    for uri in [
        format!("{url}/"),
        url.clone(),
        format!("/{PATH}/trackID=0"),
        track.clone(),
    ] {
        let mut connection = Connection::open(rig.address()).unwrap();
        let transport = ("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1");
        let asked = connection.ask("SETUP", &track, &[transport], b"").unwrap();
        assert_eq!(asked.status, 401, "{uri}");
        let digest = bob.digest(&asked, "SETUP", &uri);
        let headers = [transport, ("Authorization", &digest)];
        let answer = connection.ask("SETUP", &track, &headers, b"").unwrap();
        assert_eq!(answer.status, 200, "{uri}");
    }
}

/// Who plays is told so when it asks for a description, and what it may ask for: not for descriptions.
#[test]
fn a_description_is_not_given_amid_the_media_and_not_promised_either() {
    let rig = Rig::start(House::USUAL, "");
    let (_publisher, _) = publish(&rig);
    let mut player = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
    let url = player.url().to_owned();
    let answer = player.connection().ask("DESCRIBE", &url, &[], b"").unwrap();
    assert_eq!(answer.status, 455);
    let allowed = answer.header("Allow").unwrap();
    assert!(
        !allowed.contains("DESCRIBE") && allowed.contains("PAUSE"),
        "{allowed}"
    );
    let goes_on = player.connection().ask("GET_PARAMETER", &url, &[], b"");
    assert_eq!(goes_on.unwrap().status, 200);
}

/// A request without a number cannot be answered so that its peer finds it: it ends its connection alone.
#[test]
fn a_request_without_number_ends_its_connection_alone() {
    let rig = Rig::start(House::USUAL, "");
    let (mut publisher, mut source) = publish(&rig);
    let mut player = Player::start(rig.address(), PATH, &VIDEO_LANE).unwrap();
    let mut odd = Odd::connect(&rig);
    let peer = odd.connection.socket().local_addr().unwrap();
    let answer = odd.say("DESCRIBE URL RTSP/1.0\r\nAccept: application/sdp\r\n\r\n");
    assert_eq!((answer.status, answer.header("CSeq")), (400, None));
    odd.connection.half_close().unwrap();
    odd.connection.wait_closed().unwrap();
    let end = rig.wait_closed(peer);
    let malformed = RefusalReason::MalformedMessage;
    assert!(matches!(end, SessionEnd::Protocol(reason, _) if reason == malformed));
    publisher.send_frames(&mut source, 5).unwrap();
    publisher.teardown().unwrap();
    let mut haul = Haul::default();
    player.read_to_end(&mut haul).unwrap();
    assert_eq!(haul.video.last().unwrap().frame + 1, source.frames());
}
