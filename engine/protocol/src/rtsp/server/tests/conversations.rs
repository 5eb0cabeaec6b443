//! What real clients say, and what else a well-meaning peer may say, is understood.

use bytes::Bytes;

use super::*;

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
        .filter_map(|setup| setup.transport.interleaved())
        .map(|channels| channels.rtp)
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
        Lower::Tcp(Interleaved { rtp: 2, rtcp: 3 })
    );
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
                .and_then(|setup| setup.transport.interleaved())
                .map(|channels| channels.rtp),
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
fn the_ssrc_is_told_to_readers() {
    let mut peer = Peer::new();
    peer.step(
        Method::Setup,
        "rtsp://h/a/trackID=0",
        &[("Transport", TCP)],
        "",
    );
    let response = peer.session.grant_setup(SetupAnswer {
        ssrc: Some(0x1A),
        group: None,
    });
    let transport = response.headers.get("Transport").unwrap();
    assert!(transport.ends_with(";ssrc=0000001A"), "{transport}");
}

#[test]
fn a_timestamp_is_repeated_in_the_response_and_not_in_the_next() {
    let mut peer = Peer::new();
    let timestamp = [("Timestamp", "12.5")];
    let described = peer.say(Method::Describe, URL, &timestamp, "");
    assert_eq!(described.headers.get("Timestamp"), Some("12.5"));
    let options = peer.plain(Method::Options, URL);
    assert_eq!(options.headers.get("Timestamp"), None);
}

#[test]
fn a_peer_that_forgets_pictures_at_a_goodbye_is_known_by_its_name() {
    // VLC 3.0.24, which names the library below it too.
    let vlc = [(
        "User-Agent",
        "LibVLC/3.0.24 (LIVE555 Streaming Media v2024.11.28)",
    )];
    for (headers, ends_hard) in [
        (&vlc[..], true),
        (&[("User-Agent", "Lavf59.27.100")], false),
    ] {
        let mut peer = Peer::new();
        peer.say(Method::Options, URL, headers, "");
        peer.plain(Method::Options, URL);
        assert_eq!(peer.session.ends_hard_at_goodbye(), ends_hard);
    }
}
