//! Promises of the server's side: what real clients say is understood, every method is answered in
//! every state, and what is refused changes nothing.

use bytes::Bytes;

use super::*;
use crate::rtsp::RtpInfo;

const URL: &str = "rtsp://h:8554/a";
const TCP: &str = "RTP/AVP/TCP;unicast;interleaved=0-1";
const SESSION: &str = "d41d8cd9";

/// A session and the peer that talks to it.
struct Peer {
    session: ServerSession,
    cseq: u32,
    id: Option<&'static str>,
}

impl Peer {
    fn new() -> Self {
        let session = ServerSession::new(ServerConfig {
            session_id: SESSION.into(),
            server: "shardcast".into(),
            session_timeout: Duration::from_secs(60),
        });
        Self {
            session,
            cseq: 0,
            id: None,
        }
    }

    fn step(&mut self, method: Method, url: &str, headers: &[(&str, &str)], body: &str) -> Step {
        self.cseq += 1;
        let mut request = Request::new(method, url, self.cseq);
        if let Some(id) = self.id {
            request.headers.push("Session", id).unwrap();
        }
        for (name, value) in headers {
            request.headers.push(name, value).unwrap();
        }
        request.body = Bytes::copy_from_slice(body.as_bytes());
        self.session.handle_request(&request)
    }

    /// Sends a request and grants whatever it asks for.
    fn say(&mut self, method: Method, url: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let step = self.step(method, url, headers, body);
        let response = self.grant(step);
        assert_eq!(response.cseq, Some(self.cseq));
        assert_eq!(response.headers.get("Server"), Some("shardcast"));
        if response.headers.get("Session").is_some() {
            self.id = Some(SESSION);
        }
        response
    }

    fn grant(&mut self, step: Step) -> Response {
        let session = &mut self.session;
        match step {
            Step::Respond(response) | Step::RespondAndClose(response) => response,
            Step::Ask(question) => match question {
                Question::Describe { .. } => session.grant_describe("v=0\r\n".into(), 2),
                Question::Announce { .. } => session.grant_announce(controls()),
                Question::Setup { .. } => session.grant_setup(None),
                Question::Play { .. } => session.grant_play(&starts()),
                Question::Record => session.grant_record(),
                Question::Pause => session.grant_pause(),
                Question::Teardown => session.grant_teardown(),
            },
        }
    }

    fn setup(&mut self, url: &str, transport: &str) -> Response {
        self.say(Method::Setup, url, &[("Transport", transport)], "")
    }

    fn announce(&mut self) -> Response {
        let sdp = [("Content-Type", "application/sdp")];
        self.say(Method::Announce, URL, &sdp, "v=0\r\n")
    }

    fn plain(&mut self, method: Method, url: &str) -> Response {
        self.say(method, url, &[], "")
    }

    /// A peer whose session is in this state.
    fn in_state(state: ServerState) -> Self {
        let mut peer = Self::new();
        match state {
            ServerState::Init => {}
            ServerState::Ready(Mode::Play) | ServerState::Playing => {
                peer.setup("rtsp://h:8554/a/trackID=0", TCP);
            }
            ServerState::Ready(Mode::Record) | ServerState::Recording => {
                peer.announce();
                peer.setup("rtsp://h:8554/a/streamid=0", "RTP/AVP/TCP;mode=record");
                peer.setup("rtsp://h:8554/a/streamid=1", "RTP/AVP/TCP;mode=record");
            }
        }
        match state {
            ServerState::Playing => drop(peer.plain(Method::Play, URL)),
            ServerState::Recording => drop(peer.plain(Method::Record, URL)),
            _ => {}
        }
        assert_eq!(peer.session.state(), state);
        peer
    }
}

fn controls() -> Vec<Option<String>> {
    vec![Some("streamid=0".into()), Some("streamid=1".into())]
}

fn starts() -> Vec<RtpInfo> {
    (0..2)
        .map(|track| RtpInfo {
            track,
            seq: Some(7),
            rtptime: Some(9),
        })
        .collect()
}

const ALL_STATES: [ServerState; 5] = [
    ServerState::Init,
    ServerState::Ready(Mode::Play),
    ServerState::Ready(Mode::Record),
    ServerState::Playing,
    ServerState::Recording,
];

#[test]
fn ffmpeg_reads() {
    let mut peer = Peer::new();
    let public = peer.plain(Method::Options, URL);
    assert!(public.headers.get("Public").unwrap().contains("DESCRIBE"));
    let described = peer.say(Method::Describe, URL, &[("Accept", "application/sdp")], "");
    assert_eq!(
        described.headers.get("Content-Base"),
        Some("rtsp://h:8554/a/")
    );
    assert_eq!(
        described.headers.get("Content-Type"),
        Some("application/sdp")
    );
    assert_eq!(described.body, "v=0\r\n");
    let set_up = peer.setup("rtsp://h:8554/a/trackID=0", TCP);
    assert_eq!(set_up.headers.get("Transport"), Some(TCP));
    assert_eq!(set_up.headers.get("Session"), Some("d41d8cd9;timeout=60"));
    peer.setup(
        "rtsp://h:8554/a/trackID=1",
        "RTP/AVP/TCP;unicast;interleaved=2-3",
    );
    let range = [("Range", "npt=0.000-")];
    let playing = peer.say(Method::Play, "rtsp://h:8554/a/", &range, "");
    assert_eq!(playing.status, StatusCode::OK);
    assert_eq!(
        playing.headers.get("RTP-Info"),
        Some(
            "url=rtsp://h:8554/a/trackID=0;seq=7;rtptime=9,\
             url=rtsp://h:8554/a/trackID=1;seq=7;rtptime=9"
        )
    );
    assert_eq!(playing.headers.get("Range"), Some("npt=0-"));
    assert_eq!(
        peer.plain(Method::GetParameter, "rtsp://h:8554/a/").status,
        StatusCode::OK
    );
    assert_eq!(
        peer.plain(Method::Teardown, "rtsp://h:8554/a/").status,
        StatusCode::OK
    );
    assert_eq!(peer.session.state(), ServerState::Init);
}

#[test]
fn ffmpeg_reads_a_path_with_a_query() {
    let mut peer = Peer::new();
    let url = "rtsp://u:p@h:8554/a?token=1";
    let Step::Ask(Question::Describe { target }) = peer.step(Method::Describe, url, &[], "") else {
        panic!("a description needs leave");
    };
    assert_eq!(
        (target.path.as_str(), target.query.as_str()),
        ("a", "token=1")
    );
    let described = peer.session.grant_describe("v=0\r\n".into(), 2);
    assert_eq!(
        described.headers.get("Content-Base"),
        Some("rtsp://h:8554/a?token=1/")
    );
    let set_up = peer.setup("rtsp://h:8554/a?token=1/trackID=1", TCP);
    assert_eq!(set_up.status, StatusCode::OK);
    assert_eq!(peer.session.setups()[0].track, 1);
    let playing = peer.plain(Method::Play, "rtsp://h:8554/a?token=1/");
    assert_eq!(
        playing.headers.get("RTP-Info"),
        Some("url=rtsp://h:8554/a?token=1/trackID=1;seq=7;rtptime=9")
    );
}

#[test]
fn ffmpeg_publishes() {
    let mut peer = Peer::new();
    peer.plain(Method::Options, URL);
    assert_eq!(peer.announce().status, StatusCode::OK);
    for (track, channels) in [(0, "0-1"), (1, "2-3")] {
        let transport = format!("RTP/AVP/TCP;unicast;interleaved={channels};mode=record");
        let set_up = peer.setup(&format!("{URL}/streamid={track}"), &transport);
        assert_eq!(set_up.headers.get("Transport"), Some(transport.as_str()));
    }
    let recording = peer.say(Method::Record, URL, &[("Range", "npt=0.000-")], "");
    assert_eq!(recording.status, StatusCode::OK);
    assert_eq!(peer.session.state(), ServerState::Recording);
    let channels: Vec<_> = peer
        .session
        .setups()
        .iter()
        .map(|setup| setup.transport.rtp)
        .collect();
    assert_eq!(channels, [0, 2]);
}

#[test]
fn gstreamer_publishes_with_its_own_controls_and_no_session_in_its_first_setup() {
    let mut peer = Peer::new();
    let headers = [("Content-Type", "application/sdp")];
    peer.step(Method::Announce, URL, &headers, "v=0\r\n");
    peer.session.grant_announce(vec![Some("stream=0".into())]);
    let set_up = peer.setup(
        "rtsp://h:8554/a/stream=0",
        "RTP/AVP/TCP;unicast;mode=\"RECORD\"",
    );
    assert_eq!(
        set_up.headers.get("Transport"),
        Some("RTP/AVP/TCP;unicast;interleaved=0-1;mode=record")
    );
    assert_eq!(peer.plain(Method::Record, URL).status, StatusCode::OK);
}

#[test]
fn vlc_falls_back_to_tcp_when_udp_is_refused() {
    let mut peer = Peer::new();
    peer.plain(Method::Describe, URL);
    let track = "rtsp://h:8554/a/trackID=0";
    let refused = peer.setup(track, "RTP/AVP;unicast;client_port=5000-5001");
    assert_eq!(refused.status, StatusCode::UNSUPPORTED_TRANSPORT);
    assert_eq!(refused.headers.get("Session"), None);
    assert_eq!(peer.setup(track, TCP).status, StatusCode::OK);
    assert_eq!(
        peer.setup("rtsp://h:8554/a/trackID=1", "RTP/AVP/TCP")
            .status,
        StatusCode::OK
    );
    assert_eq!(
        peer.session.setups()[1].transport,
        Interleaved { rtp: 2, rtcp: 3 }
    );
}

/// RFC 2326, appendix A.2, with what live sources add: pausing what does not flow, and playing or
/// recording twice, are granted.
#[test]
fn every_method_in_every_state_is_answered_and_a_refusal_changes_nothing() {
    let refused = StatusCode::METHOD_NOT_VALID_IN_THIS_STATE;
    let ok = StatusCode::OK;
    let expected = [
        (Method::Options, [ok; 5]),
        (Method::Describe, [ok; 5]),
        (Method::Announce, [ok, refused, refused, refused, refused]),
        (Method::Play, [refused, ok, refused, ok, refused]),
        (Method::Record, [refused, refused, ok, refused, ok]),
        (Method::Pause, [refused, ok, ok, ok, ok]),
        (Method::Teardown, [ok; 5]),
        (Method::GetParameter, [ok; 5]),
        (Method::SetParameter, [ok; 5]),
        (
            Method::Other("REDIRECT".into()),
            [StatusCode::NOT_IMPLEMENTED; 5],
        ),
    ];
    for (method, statuses) in expected {
        for (state, status) in ALL_STATES.into_iter().zip(statuses) {
            let mut peer = Peer::in_state(state);
            let response = peer.say(
                method.clone(),
                URL,
                &[],
                "v=0\r\n".get(..body(&method)).unwrap(),
            );
            assert_eq!(response.status, status, "{method} in {state:?}");
            if status.is_error() {
                assert_eq!(peer.session.state(), state, "{method}");
            }
            if status == refused {
                let allowed = response.headers.get("Allow").unwrap();
                assert!(allowed.split(", ").all(|allowed| allowed != method.name()));
            }
        }
    }
}

fn body(method: &Method) -> usize {
    if *method == Method::Announce { 5 } else { 0 }
}

#[test]
fn setup_is_refused_while_packets_flow_and_twice_for_one_track() {
    for state in [ServerState::Playing, ServerState::Recording] {
        let mut peer = Peer::in_state(state);
        let setups = peer.session.setups().to_vec();
        for track in ["trackID=0", "trackID=1", "streamid=0"] {
            let response = peer.setup(&format!("{URL}/{track}"), TCP);
            assert_eq!(response.status, StatusCode::METHOD_NOT_VALID_IN_THIS_STATE);
        }
        assert_eq!(
            (peer.session.state(), peer.session.setups()),
            (state, setups.as_slice())
        );
    }
    let mut peer = Peer::in_state(ServerState::Ready(Mode::Play));
    let other = "RTP/AVP/TCP;interleaved=2-3";
    let again = peer.setup("rtsp://h:8554/a/trackID=0", other);
    assert_eq!(again.status, StatusCode::METHOD_NOT_VALID_IN_THIS_STATE);
    let udp_after_tcp = peer.setup("rtsp://h:8554/a/trackID=1", "RTP/AVP;client_port=1-2");
    assert_eq!(udp_after_tcp.status, StatusCode::UNSUPPORTED_TRANSPORT);
    assert_eq!(peer.session.setups().len(), 1);
}

#[test]
fn a_refused_question_changes_nothing() {
    for (state, method) in [
        (ServerState::Init, Method::Describe),
        (ServerState::Init, Method::Announce),
        (ServerState::Init, Method::Setup),
        (ServerState::Ready(Mode::Play), Method::Play),
        (ServerState::Ready(Mode::Record), Method::Record),
        (ServerState::Playing, Method::Pause),
        (ServerState::Recording, Method::Teardown),
    ] {
        let mut peer = Peer::in_state(state);
        let setups = peer.session.setups().len();
        let body = "v=0\r\n".get(..body(&method)).unwrap();
        let url = if method == Method::Setup {
            "rtsp://h/a/trackID=0"
        } else {
            URL
        };
        let step = peer.step(method.clone(), url, &[("Transport", TCP)], body);
        assert!(matches!(step, Step::Ask(_)), "{method}: {step:?}");
        let mut headers = Headers::new();
        headers
            .push("WWW-Authenticate", "Basic realm=\"x\"")
            .unwrap();
        let response = peer.session.refuse_with(StatusCode::UNAUTHORIZED, headers);
        assert_eq!(response.cseq, Some(peer.cseq));
        assert!(response.headers.get("WWW-Authenticate").is_some());
        assert_eq!(peer.session.state(), state, "{method}");
        assert_eq!(peer.session.setups().len(), setups, "{method}");
    }
}

#[test]
fn another_connections_session_id_is_not_found() {
    for state in ALL_STATES {
        for method in [
            Method::Options,
            Method::Describe,
            Method::Setup,
            Method::Play,
            Method::Pause,
            Method::Record,
            Method::Teardown,
            Method::GetParameter,
        ] {
            let mut peer = Peer::in_state(state);
            peer.id = Some("0badcafe;timeout=60");
            let response = peer.plain(method, URL);
            assert_eq!(response.status, StatusCode::SESSION_NOT_FOUND);
            assert_eq!(peer.session.state(), state);
        }
    }
    let mut victim = Peer::in_state(ServerState::Playing);
    victim.id = None;
    for method in [Method::Play, Method::Pause, Method::Teardown] {
        let response = victim.plain(method, URL);
        assert_eq!(
            response.status,
            StatusCode::SESSION_NOT_FOUND,
            "without any id"
        );
    }
    assert_eq!(victim.session.state(), ServerState::Playing);
}

#[test]
fn a_session_is_gone_after_its_teardown_and_another_may_begin() {
    let mut peer = Peer::in_state(ServerState::Recording);
    peer.plain(Method::Teardown, URL);
    assert_eq!(
        peer.plain(Method::Record, URL).status,
        StatusCode::SESSION_NOT_FOUND
    );
    assert!(peer.session.target().is_none() && peer.session.setups().is_empty());
    peer.id = None;
    assert_eq!(
        peer.setup("rtsp://h/b/trackID=0", TCP).status,
        StatusCode::OK
    );
    assert_eq!(peer.session.target().unwrap().path, "b");
}

#[test]
fn a_url_that_names_nothing_is_a_bad_request() {
    for url in [
        "",
        "*",
        "/a",
        "rtsp://h/%2e%2e/b",
        "rtsp://h/%00",
        "rtsp://h/../b",
        "http://h/a",
    ] {
        for method in [Method::Describe, Method::Announce, Method::Setup] {
            let mut peer = Peer::new();
            let response = peer.say(method.clone(), url, &[("Transport", TCP)], "v=0\r\n");
            assert_eq!(response.status, StatusCode::BAD_REQUEST, "{method} {url}");
        }
        for method in [Method::Options, Method::GetParameter] {
            let response = Peer::new().plain(method.clone(), url);
            assert_eq!(response.status.is_success(), url == "*", "{method} {url}");
        }
    }
}

#[test]
fn tracks_beyond_the_last_are_not_found() {
    let mut peer = Peer::new();
    let setup = |peer: &mut Peer, track: &str| peer.setup(&format!("{URL}{track}"), TCP).status;
    let beyond = format!("/trackID={TRACKS_MAX}");
    assert_eq!(setup(&mut peer, &beyond), StatusCode::NOT_FOUND);
    let last = format!("/trackID={}", TRACKS_MAX - 1);
    assert_eq!(setup(&mut peer, &last), StatusCode::OK);
    let mut peer = Peer::new();
    peer.plain(Method::Describe, URL);
    assert_eq!(setup(&mut peer, "/trackID=2"), StatusCode::NOT_FOUND);
    assert_eq!(setup(&mut peer, "/trackID=1"), StatusCode::OK);
    assert_eq!(setup(&mut peer, "/trackID=x"), StatusCode::BAD_REQUEST);
}

#[test]
fn a_setup_without_track_is_the_only_track() {
    let mut peer = Peer::new();
    let step = peer.step(Method::Setup, URL, &[("Transport", TCP)], "");
    let Step::Ask(Question::Setup {
        track: 0,
        named_track: false,
        ..
    }) = step
    else {
        panic!("{step:?}");
    };
    peer.plain(Method::Describe, URL);
    let several = peer.setup(URL, TCP);
    assert_eq!(several.status, StatusCode::AGGREGATE_OPERATION_NOT_ALLOWED);
    peer.step(Method::Describe, URL, &[], "");
    peer.session.grant_describe(Bytes::new(), 1);
    assert_eq!(peer.setup("rtsp://h:8554/a/", TCP).status, StatusCode::OK);
}

#[test]
fn a_publisher_sets_up_only_what_it_announced() {
    let mut peer = Peer::new();
    peer.announce();
    let setup = |peer: &mut Peer, url: &str, transport: &str| peer.setup(url, transport).status;
    let url = |track: usize| format!("{URL}/streamid={track}");
    assert_eq!(setup(&mut peer, &url(2), TCP), StatusCode::NOT_FOUND);
    let play = "RTP/AVP/TCP;mode=play";
    let wrong_way = setup(&mut peer, &url(0), play);
    assert_eq!(wrong_way, StatusCode::METHOD_NOT_VALID_IN_THIS_STATE);
    assert_eq!(
        setup(&mut peer, &url(1), TCP),
        StatusCode::OK,
        "the mode may be left out"
    );
    let early = peer.plain(Method::Record, URL);
    assert_eq!(
        early.status,
        StatusCode::METHOD_NOT_VALID_IN_THIS_STATE,
        "a track is missing"
    );
    assert_eq!(
        setup(&mut peer, &url(0), "RTP/AVP/TCP;interleaved=4-5"),
        StatusCode::OK
    );
    assert_eq!(peer.plain(Method::Record, URL).status, StatusCode::OK);
}

#[test]
fn publishers_tracks_with_one_control_are_set_up_in_order() {
    let mut peer = Peer::new();
    peer.step(Method::Announce, URL, &[], "v=0\r\n");
    peer.session.grant_announce(vec![None, None]);
    for track in 0..2 {
        assert_eq!(peer.setup(URL, "RTP/AVP/TCP").status, StatusCode::OK);
        assert_eq!(peer.session.setups()[track].track, track);
    }
    let third = peer.setup(URL, "RTP/AVP/TCP").status;
    assert_eq!(third, StatusCode::METHOD_NOT_VALID_IN_THIS_STATE);
}

#[test]
fn an_announced_description_has_one_to_sixteen_tracks() {
    for (tracks, status) in [
        (0, StatusCode::BAD_REQUEST),
        (1, StatusCode::OK),
        (TRACKS_MAX, StatusCode::OK),
        (TRACKS_MAX + 1, StatusCode::BAD_REQUEST),
    ] {
        let mut peer = Peer::new();
        peer.step(Method::Announce, URL, &[], "v=0\r\n");
        assert_eq!(
            peer.session.grant_announce(vec![None; tracks]).status,
            status,
            "{tracks}"
        );
        let published = peer.session.state() != ServerState::Init;
        assert_eq!(published, status.is_success());
    }
}

#[test]
fn a_description_that_is_no_sdp_is_refused() {
    let mut peer = Peer::new();
    let other = [("Content-Type", "text/plain")];
    let response = peer.say(Method::Announce, URL, &other, "v=0\r\n");
    assert_eq!(response.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let parameters = [("Content-Type", "Application/SDP; charset=utf-8")];
    assert_eq!(
        peer.say(Method::Announce, URL, &parameters, "").status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        peer.say(Method::Announce, URL, &parameters, "v=0").status,
        StatusCode::OK
    );
    let mut reader = Peer::new();
    let accept = [("Accept", "application/x-rtsp-mh, text/html")];
    let response = reader.say(Method::Describe, URL, &accept, "");
    assert_eq!(response.status, StatusCode::NOT_ACCEPTABLE);
    let accept = [("Accept", "application/rtsl, application/sdp;level=-2")];
    assert_eq!(
        reader.say(Method::Describe, URL, &accept, "").status,
        StatusCode::OK
    );
}

#[test]
fn channels_are_the_peers_choice_and_never_shared() {
    let mut peer = Peer::new();
    let setup = |peer: &mut Peer, track: usize, transport: &str| {
        let status = peer
            .setup(&format!("{URL}/trackID={track}"), transport)
            .status;
        (
            status,
            peer.session
                .setups()
                .last()
                .map(|setup| setup.transport.rtp),
        )
    };
    let ok = StatusCode::OK;
    assert_eq!(
        setup(&mut peer, 0, "RTP/AVP/TCP;interleaved=1-2"),
        (ok, Some(1))
    );
    let shared = setup(&mut peer, 1, "RTP/AVP/TCP;interleaved=2-3");
    assert_eq!(shared, (StatusCode::BAD_REQUEST, Some(1)));
    assert_eq!(
        setup(&mut peer, 1, "RTP/AVP/TCP"),
        (ok, Some(4)),
        "0-1 and 2-3 are taken"
    );
    assert_eq!(setup(&mut peer, 3, "RTP/AVP/TCP"), (ok, Some(6)));
    assert_eq!(
        setup(&mut peer, 4, "RTP/AVP/TCP;interleaved=254-255"),
        (ok, Some(254))
    );
}

#[test]
fn a_third_partys_address_is_refused() {
    let mut peer = Peer::new();
    let transport = "RTP/AVP/TCP;unicast;interleaved=0-1;destination=192.0.2.7";
    let response = peer.setup("rtsp://h:8554/a/trackID=0", transport);
    assert_eq!(response.status, StatusCode::UNSUPPORTED_TRANSPORT);
}

#[test]
fn all_tracks_of_a_session_are_of_one_stream() {
    let mut peer = Peer::in_state(ServerState::Ready(Mode::Play));
    let other = peer.setup("rtsp://h:8554/b/trackID=1", "RTP/AVP/TCP");
    assert_eq!(other.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        peer.plain(Method::Play, "rtsp://h:8554/b").status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(peer.session.state(), ServerState::Ready(Mode::Play));
}

#[test]
fn a_single_track_may_be_played_by_its_own_url_and_one_of_several_may_not() {
    let track = |track: usize| format!("{URL}/trackID={track}");
    let mut peer = Peer::in_state(ServerState::Ready(Mode::Play));
    assert_eq!(peer.plain(Method::Play, &track(0)).status, StatusCode::OK);
    let mut peer = Peer::in_state(ServerState::Ready(Mode::Play));
    peer.setup(&track(1), "RTP/AVP/TCP");
    let part = peer.plain(Method::Play, &track(0));
    assert_eq!(part.status, StatusCode::ONLY_AGGREGATE_OPERATION_ALLOWED);
    assert_eq!(
        peer.plain(Method::Play, &track(5)).status,
        StatusCode::BAD_REQUEST
    );
}

#[test]
fn a_pause_keeps_the_session_and_play_goes_on() {
    for (state, again) in [
        (ServerState::Playing, Method::Play),
        (ServerState::Recording, Method::Record),
    ] {
        let mut peer = Peer::in_state(state);
        assert_eq!(peer.plain(Method::Pause, URL).status, StatusCode::OK);
        assert!(matches!(peer.session.state(), ServerState::Ready(_)));
        assert_eq!(peer.plain(again, URL).status, StatusCode::OK);
        assert_eq!(peer.session.state(), state);
    }
}

#[test]
fn parameters_and_options_that_nobody_knows_are_refused_by_name() {
    let mut peer = Peer::new();
    let response = peer.say(Method::GetParameter, URL, &[], "jitter\r\n");
    assert_eq!(response.status, StatusCode::PARAMETER_NOT_UNDERSTOOD);
    assert_eq!(
        peer.say(Method::SetParameter, "*", &[], "\r\n").status,
        StatusCode::OK
    );
    let required = [("Require", "onvif-replay")];
    let response = peer.say(Method::Describe, URL, &required, "");
    assert_eq!(response.status, StatusCode::OPTION_NOT_SUPPORTED);
    assert_eq!(response.headers.get("Unsupported"), Some("onvif-replay"));
}

#[test]
fn a_peer_that_is_only_refused_is_closed() {
    let mut peer = Peer::new();
    for _ in 1..REFUSALS_MAX {
        assert!(matches!(
            peer.step(Method::Play, URL, &[], ""),
            Step::Respond(_)
        ));
    }
    peer.plain(Method::Options, URL);
    for _ in 1..REFUSALS_MAX {
        assert!(matches!(
            peer.step(Method::Play, URL, &[], ""),
            Step::Respond(_)
        ));
    }
    assert!(matches!(
        peer.step(Method::Play, URL, &[], ""),
        Step::RespondAndClose(_)
    ));
}

#[test]
fn a_grant_without_its_question_is_our_fault_and_changes_nothing() {
    let mut peer = Peer::new();
    assert_eq!(
        peer.session.grant_record().status,
        StatusCode::INTERNAL_SERVER_ERROR
    );
    peer.step(Method::Describe, URL, &[], "");
    assert_eq!(
        peer.session.grant_setup(None).status,
        StatusCode::INTERNAL_SERVER_ERROR
    );
    assert_eq!(peer.session.state(), ServerState::Init);
}

#[test]
fn the_ssrc_is_told_to_readers() {
    let mut peer = Peer::new();
    peer.step(
        Method::Setup,
        "rtsp://h/a/trackID=0",
        &[("Transport", TCP)],
        "",
    );
    let response = peer.session.grant_setup(Some(0x1A));
    let transport = response.headers.get("Transport").unwrap();
    assert!(transport.ends_with(";ssrc=0000001A"), "{transport}");
}
