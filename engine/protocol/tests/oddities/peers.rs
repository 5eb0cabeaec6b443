//! What players and encoders say to our server.

use std::time::Duration;

use bytes::Bytes;
use shardcast_protocol::rtsp::auth::{Credentials, DigestResponse};
use shardcast_protocol::rtsp::{
    Limits, Lower, MessageErrorKind, MessageReader, Mode, Parsed, PortPair, Question, Request,
    Response, RtpInfo, ServerConfig, ServerSession, ServerState, SetupAnswer, StatusCode, Step,
    Transports,
};
use shardcast_protocol::sdp::{self, Codec};

use crate::{crlf, messages};

/// The session's id.
const ID: &str = "0123456789abcdef";

/// A server that grants everything. Its streams have two tracks.
struct Server {
    session: ServerSession,
}

impl Server {
    fn new() -> Self {
        let (rtp, rtcp) = (8000, 8001);
        Self {
            session: ServerSession::new(ServerConfig {
                session_id: ID.into(),
                server: "shardcast",
                session_timeout: Duration::from_secs(60),
                peer: "192.0.2.1".parse().unwrap(),
                transports: Transports {
                    tcp: true,
                    udp: Some(PortPair { rtp, rtcp }),
                    multicast: false,
                },
            }),
        }
    }

    /// A server that has been told this, and has granted all of it.
    fn after(text: &str) -> Self {
        let mut server = Self::new();
        for response in server.hear(text) {
            assert!(response.status.is_success(), "{text}: {response:?}");
        }
        server
    }

    /// Its answers to the requests in `text`.
    fn hear(&mut self, text: &str) -> Vec<Response> {
        let requests = messages(text).into_iter().map(|message| match message {
            Parsed::Request { request, .. } => request,
            other => panic!("{other:?}"),
        });
        requests.map(|request| self.answer(&request)).collect()
    }

    /// Its answer to the only request in `text`, whose lines end as they should.
    fn answer_to(&mut self, text: &str) -> Response {
        let mut answers = self.hear(&crlf(text));
        assert_eq!(answers.len(), 1);
        answers.remove(0)
    }

    fn answer(&mut self, request: &Request) -> Response {
        let session = &mut self.session;
        match session.handle_request(request) {
            Step::Respond(response) | Step::RespondAndClose(response) => response,
            Step::Ask(Question::Describe { .. }) => session.grant_describe(Bytes::new(), 2),
            Step::Ask(Question::Announce { sdp: text, .. }) => {
                let tracks = sdp::tracks(&sdp::parse(&text).unwrap()).unwrap();
                session.grant_announce(tracks.into_iter().map(|track| track.control).collect())
            }
            Step::Ask(Question::Setup { .. }) => session.grant_setup(SetupAnswer::default()),
            Step::Ask(Question::Play { .. }) => session.grant_play(&[RtpInfo {
                track: 0,
                seq: Some(1),
                rtptime: Some(2),
            }]),
            Step::Ask(Question::Record) => session.grant_record(),
            Step::Ask(Question::Pause) => session.grant_pause(),
            Step::Ask(Question::Teardown) => session.grant_teardown(),
        }
    }

    /// Which tracks are set up, and how.
    fn setups(&self) -> Vec<(usize, Lower)> {
        let setups = self.session.setups().iter();
        setups.map(|setup| (setup.track, setup.transport)).collect()
    }

    fn channels(&self) -> Vec<(usize, u8)> {
        let channel = |(track, lower): (usize, Lower)| (track, lower.interleaved().unwrap().rtp);
        self.setups().into_iter().map(channel).collect()
    }
}

fn announce(controls: &[&str]) -> String {
    let tracks = controls
        .iter()
        .map(|control| format!("m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n{control}"));
    let sdp = format!("v=0\r\ns=-\r\n{}", tracks.collect::<String>());
    let length = sdp.len();
    format!(
        "ANNOUNCE rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\n\
         Content-Length: {length}\r\n\r\n{sdp}"
    )
}

/// ExoPlayer writes all names of headers in lower case: <https://github.com/google/ExoPlayer/issues/9201>.
#[test]
fn names_of_headers_may_be_in_lower_case() {
    let mut server = Server::after(&crlf(
        "SETUP rtsp://h/a/trackID=0 RTSP/1.0\ncseq: 3\nuser-agent: ExoPlayerLib/2.14.2\n\
         transport: RTP/AVP/TCP;unicast;interleaved=0-1\n\n",
    ));
    let playing = server.answer_to(&format!(
        "PLAY rtsp://h/a RTSP/1.0\ncseq: 4\nrange: npt=0.000-\nsession: {ID}\n\n"
    ));
    assert_eq!((playing.status, playing.cseq), (StatusCode::OK, Some(4)));
}

/// Blank lines before a request are skipped by live555, "be liberal in what you accept" (`RTSPCommon.cpp`,
/// `parseRTSPRequestString`), so there are clients that rely on it; lines that end with a line feed alone come from
/// programs as in <https://github.com/meetecho/janus-gateway/pull/1922>.
#[test]
fn there_may_be_blank_lines_between_requests_and_line_feeds_alone() {
    let mut server = Server::new();
    let answers = server.hear(
        "\r\n\r\nOPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n\r\n\n\
         DESCRIBE rtsp://h/a RTSP/1.0\nCSeq: 2\n\n\r\n\
         OPTIONS * RTSP/1.0\r\nCSeq: 3\r\n\r\n\r\n",
    );
    let numbers: Vec<_> = answers.iter().map(|answer| answer.cseq).collect();
    assert_eq!(numbers, [Some(1), Some(2), Some(3)]);
}

/// Longse cameras and others write a blank behind the number: <https://github.com/bluenviron/gortsplib/issues/437>,
/// <https://github.com/scottlamb/retina/pull/77>.
#[test]
fn a_number_may_have_blanks_around_it() {
    let answer = Server::new().answer_to("OPTIONS * RTSP/1.0\nCSeq:  101 \n\n");
    assert_eq!(answer.cseq, Some(101));
}

/// A request without a number cannot be answered so that its peer finds it. live555 (`RTSPCommon.cpp`: "mandatory") and
/// gortsplib (`ErrServerCSeqMissing`) refuse it, and so do the phones that met such players:
/// <https://github.com/pedroSG94/RTSP-Server/issues/17>.
#[test]
fn a_request_without_number_is_a_bad_request() {
    let mut reader = MessageReader::new(Limits::default());
    let error = reader
        .poll(b"DESCRIBE rtsp://h/a RTSP/1.0\r\nAccept: application/sdp\r\n\r\n")
        .unwrap_err();
    assert_eq!(error.kind, MessageErrorKind::CSeqMissing);
    let answer = error.response("shardcast");
    assert_eq!(
        (answer.status, answer.cseq),
        (StatusCode::BAD_REQUEST, None)
    );
}

/// Several offers in one header, the best first: <https://github.com/bluenviron/gortsplib/pull/145>.
#[test]
fn of_several_offers_the_first_that_can_be_had_is_taken() {
    let mut server = Server::new();
    let answer = server.answer_to(
        "SETUP rtsp://h/a/trackID=0 RTSP/1.0\nCSeq: 1\nTransport: RTP/SAVP;unicast;client_port=1-2, \
         RTP/AVP;unicast;client_port=45228-45229;mode=\"PLAY\", RTP/AVP/TCP;unicast;interleaved=0-1\n\n",
    );
    let transport = answer.headers.get("Transport");
    let expected = "RTP/AVP;unicast;client_port=45228-45229;server_port=8000-8001";
    assert_eq!(transport, Some(expected));
}

/// Hardware players offer a single port: <https://github.com/OpenIPC/smolrtsp/pull/30>.
#[test]
fn a_single_port_means_its_neighbour_too() {
    let mut server = Server::new();
    server.answer_to(
        "SETUP rtsp://h/a/trackID=0 RTSP/1.0\nCSeq: 1\nTransport: RTP/AVP;unicast;client_port=8523\n\n",
    );
    let (rtp, rtcp) = (8523, 8524);
    assert_eq!(server.setups(), [(0, Lower::Udp(PortPair { rtp, rtcp }))]);
}

/// GStreamer has published over UDP from ports that it did not tell: <https://github.com/bluenviron/mediamtx/issues/50>.
/// Told that this transport cannot be had, it goes on to TCP.
#[test]
fn ports_that_are_not_told_cannot_be_had() {
    let mut server = Server::after(&announce(&["a=control:stream=0\r\n"]));
    let udp = server.answer_to(
        "SETUP rtsp://h/a/stream=0 RTSP/1.0\nCSeq: 2\n\
         Transport: RTP/AVP/UDP;unicast;client_port=0-0;mode=RECORD\n\n",
    );
    assert_eq!(udp.status, StatusCode::UNSUPPORTED_TRANSPORT);
    let tcp = server.answer_to(
        "SETUP rtsp://h/a/stream=0 RTSP/1.0\nCSeq: 3\nTransport: RTP/AVP/TCP;unicast;mode=\"RECORD\"\n\n",
    );
    assert_eq!(tcp.status, StatusCode::OK);
}

/// GStreamer's `rtspclientsink` leaves the channels to the server, which must say them: gortsplib,
/// `server_session.go`, `findFreeChannelPair`.
#[test]
fn channels_may_be_left_to_the_server_or_be_unusual() {
    let setup = |track: usize, channels: &str| {
        crlf(&format!(
            "SETUP rtsp://h/a/trackID={track} RTSP/1.0\nCSeq: 1\nTransport: RTP/AVP/TCP;unicast{channels}\n\n"
        ))
    };
    let usual = Server::after(&format!("{}{}", setup(0, ""), setup(1, "")));
    assert_eq!(usual.channels(), [(0, 0), (1, 2)]);
    let unusual = [setup(1, ";interleaved=201-200"), setup(0, "")].concat();
    assert_eq!(Server::after(&unusual).channels(), [(1, 201), (0, 0)]);
}

/// Larix sends the session's timeout back: <https://github.com/bluenviron/mediamtx/issues/815>; so do ZLMediaKit
/// (<https://github.com/ZLMediaKit/ZLMediaKit/pull/662>) and ExoPlayer (<https://github.com/google/ExoPlayer/issues/9416>).
#[test]
fn a_session_may_come_back_with_its_timeout() {
    let mut server = Server::after(&announce(&["a=control:streamid=0\r\n"]));
    let answer = server.answer_to(&format!(
        "SETUP rtsp://h/a/streamid=0 RTSP/1.0\nCSeq: 3\nSession: {ID};timeout=60\n\
         Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record\n\n"
    ));
    assert_eq!(answer.status, StatusCode::OK);
}

/// Streamedian's player sets up its second track without the session that it has:
/// <https://github.com/Streamedian/html5_rtsp_player/issues/74>.
#[test]
fn a_second_setup_without_session_belongs_to_the_first() {
    let setup = |track: usize| {
        crlf(&format!(
            "SETUP rtsp://h/a/trackID={track} RTSP/1.0\nCSeq: 1\nTransport: RTP/AVP/TCP;unicast\n\n"
        ))
    };
    let server = Server::after(&[setup(0), setup(1)].concat());
    assert_eq!(server.channels(), [(0, 0), (1, 2)]);
}

/// A proxy makes up a session in its first request: <https://github.com/bluenviron/mediamtx/issues/579>. Sessions are
/// named by the server, so it is told.
#[test]
fn a_session_that_the_peer_makes_up_is_not_found() {
    let answer =
        Server::new().answer_to("DESCRIBE rtsp://h/a RTSP/1.0\nCSeq: 1\nSession: 12345678\n\n");
    assert_eq!(answer.status, StatusCode::SESSION_NOT_FOUND);
    assert_eq!(answer.headers.get("Session"), None);
}

/// FFmpeg puts the track behind the query, GStreamer before it: gortsplib, `server_session.go`,
/// `getPathAndQueryAndTrackID`.
#[test]
fn a_track_may_stand_on_either_side_of_the_query() {
    for track in ["a?token=1/trackID=1", "a/trackID=1?token=1"] {
        let mut server = Server::after(&crlf(&format!(
            "DESCRIBE rtsp://h/a?token=1 RTSP/1.0\nCSeq: 1\n\n\
             SETUP rtsp://h/{track} RTSP/1.0\nCSeq: 2\nTransport: RTP/AVP/TCP;unicast\n\n"
        )));
        assert_eq!(server.channels(), [(1, 2)], "{track}");
        for url in [
            "rtsp://h/a?token=1/",
            "rtsp://h/a/?token=1",
            "rtsp://h/a?token=1",
        ] {
            let playing =
                server.answer_to(&format!("PLAY {url} RTSP/1.0\nCSeq: 3\nSession: {ID}\n\n"));
            assert_eq!(playing.status, StatusCode::OK, "{url}");
        }
    }
}

/// A description's tracks have whatever control their encoder likes: a whole URL, even of another host
/// (<https://github.com/bluenviron/gortsplib/issues/120>), the stream's own (`*`), none at all, all the same.
#[test]
fn a_publishers_tracks_are_found_by_whatever_control_they_have() {
    let cases: [(&[&str], &[&str]); 5] = [
        (
            &["a=control:rtsp://192.168.0.218/?rtsp_tunnel&stream=video\r\n"],
            &["rtsp://192.168.0.218/?rtsp_tunnel&stream=video"],
        ),
        (&["a=control:*\r\n"], &["rtsp://h/a"]),
        (&[""], &["rtsp://h/a/"]),
        (&["", ""], &["rtsp://h/a", "rtsp://h/a"]),
        (
            &["a=control:x\r\n", "a=control:/other/y\r\n"],
            &["rtsp://h/other/y", "rtsp://h/a/x"],
        ),
    ];
    for (controls, urls) in cases {
        let mut server = Server::after(&announce(controls));
        for url in urls {
            let answer = server.answer_to(&format!(
                "SETUP {url} RTSP/1.0\nCSeq: 2\nTransport: RTP/AVP/TCP;unicast;mode=record\n\n"
            ));
            assert_eq!(answer.status, StatusCode::OK, "{controls:?} {url}");
        }
        let recording = server.answer_to(&format!(
            "RECORD rtsp://h/a RTSP/1.0\nCSeq: 3\nSession: {ID}\n\n"
        ));
        assert_eq!(recording.status, StatusCode::OK, "{controls:?}");
    }
}

/// FFmpeg's listener and Darwin Streaming Server call recording `receive`: gortsplib, `pkg/headers/transport.go`. Old
/// encoders leave the mode out.
#[test]
fn the_mode_of_a_publisher_may_have_an_old_name_or_none() {
    for mode in [
        ";mode=receive",
        ";mode=\"RECEIVE\"",
        ";mode=\"PLAY,RECORD\"",
        "",
    ] {
        let mut server = Server::after(&announce(&["a=control:streamid=0\r\n"]));
        let answer = server.answer_to(&format!(
            "SETUP rtsp://h/a/streamid=0 RTSP/1.0\nCSeq: 2\n\
             Transport: RTP/AVP/TCP;unicast;interleaved=0-1{mode}\n\n"
        ));
        assert_eq!(answer.status, StatusCode::OK, "{mode}");
        assert_eq!(server.session.state(), ServerState::Ready(Mode::Record));
    }
}

/// The sets of an H.264 track may be missing (<https://github.com/bluenviron/mediamtx/issues/715>), empty (Hikvision,
/// <https://github.com/bluenviron/gortsplib/pull/129>), or no sets at all
/// (<https://github.com/bluenviron/mediamtx/issues/2348>). They come with the key frames.
#[test]
fn broken_parameter_sets_are_left_out_of_a_description() {
    for fmtp in [
        "",
        "a=fmtp:96 packetization-mode=1\r\n",
        "a=fmtp:96 packetization-mode=1; sprop-parameter-sets=\r\n",
        "a=fmtp:96 packetization-mode=1;sprop-parameter-sets=,\r\n",
        "a=fmtp:96 packetization-mode=1;sprop-parameter-sets=!,AAAA\r\n",
    ] {
        let text = format!("v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n{fmtp}");
        let tracks = sdp::tracks(&sdp::parse(text.as_bytes()).unwrap()).unwrap();
        let [track] = tracks.as_slice() else {
            panic!("one track");
        };
        let sets = match &track.codec {
            Codec::H264 { sps, pps, .. } => (sps.len(), pps.len()),
            other => panic!("{other:?}"),
        };
        assert_eq!(sets, (0, 0), "{fmtp}");
    }
}

/// Whatever keeps a session alive is granted in every state: `SET_PARAMETER` by ONVIF
/// (<https://github.com/bluenviron/mediamtx/issues/842>), `GET_PARAMETER` by FFmpeg and live555, `OPTIONS` by VLC and
/// doorbells (<https://github.com/bluenviron/mediamtx/issues/2908>), with a session and without.
#[test]
fn a_session_is_kept_alive_by_any_of_three_methods() {
    let mut server = Server::after(&crlf(&format!(
        "SETUP rtsp://h/a/trackID=0 RTSP/1.0\nCSeq: 1\nTransport: RTP/AVP/TCP;unicast\n\n\
         PLAY rtsp://h/a RTSP/1.0\nCSeq: 2\nSession: {ID}\n\n"
    )));
    for method in ["GET_PARAMETER", "SET_PARAMETER", "OPTIONS"] {
        for session in [format!("Session: {ID}\n"), String::new()] {
            let request = format!("{method} rtsp://h/a/ RTSP/1.0\nCSeq: 9\n{session}\n");
            let answer = server.answer_to(&request);
            assert_eq!(answer.status, StatusCode::OK, "{request}");
        }
    }
}

/// In `SETUP`, VLC answers a challenge for the stream's URL with a slash, HappyTime's recorder without one, and Bosch's
/// sends the path alone: gortsplib, `pkg/auth/verify.go`, `urlMatches`.
#[test]
fn a_digest_may_name_the_stream_where_its_track_is_meant() {
    let digest = |uri: &str| {
        let text = format!(
            "SETUP rtsp://h:8554/a/trackID=0 RTSP/1.0\nCSeq: 2\nAuthorization: Digest username=\"u\", \
             realm=\"r\", nonce=\"n\", uri=\"{uri}\", response=\"0\"\n\n"
        );
        let Some(Parsed::Request { request, .. }) = messages(&crlf(&text)).pop() else {
            panic!("a request");
        };
        let credentials = Credentials::of_request(&request).unwrap();
        let Some(Credentials::Digest(response)) = credentials else {
            panic!("a digest");
        };
        (request, response)
    };
    let is_about = |(request, response): (Request, DigestResponse)| {
        response.is_about(&request.target, &request.method)
    };
    for uri in [
        "rtsp://h:8554/a/trackID=0",
        "rtsp://h:8554/a/",
        "rtsp://h:8554/a",
        "/a/trackID=0",
        "/a/",
    ] {
        assert!(is_about(digest(uri)), "{uri}");
    }
    assert!(!is_about(digest("rtsp://h:8554/b/")));
}

/// live555 tears down a session by the URL of one of its tracks, and some clients twice.
/// (`RTSPClient::sendTeardownCommand` of a `MediaSubsession`.)
#[test]
fn a_session_ends_with_any_of_its_tracks() {
    let mut server = Server::after(&crlf(&format!(
        "SETUP rtsp://h/a/trackID=0 RTSP/1.0\nCSeq: 1\nTransport: RTP/AVP/TCP;unicast\n\n\
         SETUP rtsp://h/a/trackID=1 RTSP/1.0\nCSeq: 2\nTransport: RTP/AVP/TCP;unicast\n\n\
         PLAY rtsp://h/a RTSP/1.0\nCSeq: 3\nSession: {ID}\n\n\
         TEARDOWN rtsp://h/a/trackID=0 RTSP/1.0\nCSeq: 4\nSession: {ID}\n\n"
    )));
    assert_eq!(server.session.state(), ServerState::Init);
    let again = server.answer_to("TEARDOWN rtsp://h/a/trackID=1 RTSP/1.0\nCSeq: 5\n\n");
    assert_eq!(again.status, StatusCode::OK);
}
