//! Every method is answered in every state; what cannot be granted is refused with the status that
//! the protocol defines, and changes nothing.

use proptest::prelude::*;

use super::*;

/// RFC 2326, appendix A.2, with what live sources add: pausing what does not flow, and playing or
/// recording twice, are granted.
#[test]
fn every_method_in_every_state_is_answered_and_a_refusal_changes_nothing() {
    let refused = StatusCode::METHOD_NOT_VALID_IN_THIS_STATE;
    let ok = StatusCode::OK;
    let expected = [
        (Method::Options, [ok; 5]),
        (Method::Describe, [ok, ok, ok, refused, refused]),
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
        peer.session.grant_setup(SetupAnswer::default()).status,
        StatusCode::INTERNAL_SERVER_ERROR
    );
    assert_eq!(peer.session.state(), ServerState::Init);
}

fn any_method() -> impl Strategy<Value = Method> {
    let names = PUBLIC.split(", ").chain(["REDIRECT"]).collect::<Vec<_>>();
    prop::sample::select(names).prop_map(Method::from_name)
}

fn any_target() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(URL.to_owned()),
        "rtsp://h:8554/a(/|\\?q)?(/trackID=|/streamid=)?[0-9]{0,3}/?",
        "rtsps?://[a-z@:\\[\\]]{0,6}[/?%.a-z0-9=]{0,12}",
        "\\PC{0,20}",
    ]
}

fn any_transport() -> impl Strategy<Value = String> {
    prop_oneof![
        "RTP/AVP/TCP;(unicast;)?interleaved=[0-9]{1,3}(-[0-9]{1,3})?(;mode=\"?(play|record)\"?)?",
        "RTP/AVP(/UDP)?;client_port=[0-9]{1,5}(-[0-9]{1,5})?(;mode=\"?(play|record)\"?)?",
        "RTP/AVP;multicast(;destination=224[.]0[.]0[.][0-9])?",
        "(RTP|AVP|TCP|[;,=/\"0-9-]){0,10}",
        Just("RTP/AVP/TCP".to_owned()),
    ]
}

proptest! {
    /// Whatever is sent, in whatever order: no panic, channels are never shared, tracks are never
    /// set up twice, and packets flow only where something was set up.
    #[test]
    fn no_conversation_breaks_the_session(
        talk in prop::collection::vec((any_method(), any_target(), any_transport()), 1..60),
    ) {
        let mut peer = Peer::with(everything());
        for (method, target, transport) in talk {
            let gone = peer.session.state() == ServerState::Init;
            peer.id = peer.id.filter(|_| !gone);
            let headers = [("Transport", transport.as_str())];
            let body = "v=0".get(..if method == Method::Announce { 3 } else { 0 }).unwrap();
            peer.say(method, &target, &headers, body);
            let setups = peer.session.setups();
            for (at, setup) in setups.iter().enumerate() {
                for other in &setups[..at] {
                    prop_assert!(!setup.transport.overlaps(other.transport));
                    prop_assert_eq!(setup.transport.kind(), other.transport.kind());
                    prop_assert_ne!(setup.track, other.track);
                }
            }
            let flows = matches!(peer.session.state(), ServerState::Playing | ServerState::Recording);
            prop_assert!(!(flows && setups.is_empty()));
            prop_assert!(setups.len() <= TRACKS_MAX);
        }
    }
}
