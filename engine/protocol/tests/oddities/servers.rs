//! What cameras and other servers say to our client.

use std::time::Duration;

use shardcast_protocol::rtsp::client::{
    ClientError, ClientEvent, ClientSession, ClientTransport, Offer, TrackControl,
};
use shardcast_protocol::rtsp::{Interleaved, Method, Parsed, PortPair, Request, RtpInfo};

use crate::{crlf, messages};

const URL: &str = "rtsp://192.168.1.10:554/stream0";

/// Our client, and what a camera says to it.
struct Client {
    client: ClientSession,
}

impl Client {
    /// A client that has been told what the camera can do.
    fn greeted(options: &str) -> Self {
        Self::offering(Offer::Tcp, options)
    }

    fn offering(offer: Offer, options: &str) -> Self {
        let mut client = Self {
            client: ClientSession::offering("test", offer),
        };
        client.client.start_play(URL).unwrap();
        client.answered(options).unwrap();
        client
    }

    /// A client that has been given this description of one track.
    fn described(describe: &str) -> Self {
        let mut client = Self::greeted("");
        client.answered(describe).unwrap();
        client.client.set_up(None, &controls(1)).unwrap();
        client
    }

    /// A client that plays one track, as it was told to in these answers to `SETUP` and `PLAY`.
    fn playing(setup: &str, play: &str) -> (Self, Vec<RtpInfo>) {
        let mut client = Self::described("");
        client.answered(setup).unwrap();
        match client.answered(play).unwrap() {
            Some(ClientEvent::Playing { starts }) => (client, starts),
            other => panic!("{other:?}"),
        }
    }

    /// The next request.
    fn request(&mut self) -> Request {
        let bytes = self.client.poll_output().expect("a request");
        match messages(std::str::from_utf8(&bytes).unwrap()).pop() {
            Some(Parsed::Request { request, .. }) => request,
            other => panic!("{other:?}"),
        }
    }

    /// Has the next request granted with these lines, and its number unless they hold one.
    fn answered(&mut self, lines: &str) -> Result<Option<ClientEvent>, ClientError> {
        let cseq = self.request().cseq;
        let number = match lines.to_ascii_lowercase().contains("cseq") {
            true => String::new(),
            false => format!("CSeq: {cseq}\n"),
        };
        self.told(&format!("RTSP/1.0 200 OK\n{number}{lines}\n"))
    }

    fn told(&mut self, text: &str) -> Result<Option<ClientEvent>, ClientError> {
        match messages(&crlf(text)).pop() {
            Some(Parsed::Response { response, .. }) => self.client.handle_response(response),
            other => panic!("{other:?}"),
        }
    }
}

fn controls(count: usize) -> Vec<TrackControl> {
    let control = |track| TrackControl {
        track,
        control: Some(format!("trackID={track}")),
    };
    (0..count).map(control).collect()
}

/// A base without scheme comes from Anjvision and SV3C (<https://github.com/scottlamb/moonfire-nvr/issues/356>) and from
/// phones (<https://github.com/scottlamb/retina/issues/135>), with its scheme twice from icamra
/// (<https://github.com/AlexxIT/go2rtc/issues/208>), as a path alone from those of gortsplib's `client.go`, and not at
/// all from many.
#[test]
fn a_base_may_be_relative_repeated_or_absent() {
    let track = |base: &str| Client::described(base).request().target;
    for (base, url) in [
        ("", "rtsp://192.168.1.10:554/stream0/trackID=0"),
        (
            "Content-Base: \n",
            "rtsp://192.168.1.10:554/stream0/trackID=0",
        ),
        (
            "Content-Base: rtsp://10.0.0.1/x/\n",
            "rtsp://10.0.0.1/x/trackID=0",
        ),
        (
            "Content-Location: rtsp://10.0.0.1/x\n",
            "rtsp://10.0.0.1/x/trackID=0",
        ),
        (
            "Content-Base: 192.168.1.10:554/stream0/\n",
            "rtsp://192.168.1.10:554/stream0/trackID=0",
        ),
        (
            "Content-Base: 192.168.1.87:1935/\n",
            "rtsp://192.168.1.87:1935/trackID=0",
        ),
        (
            "Content-Base: rtsp://rtsp://turret2-cam.lan:554/stream1/\n",
            "rtsp://turret2-cam.lan:554/stream1/trackID=0",
        ),
        (
            "Content-Base: /stream1/\n",
            "rtsp://192.168.1.10:554/stream1/trackID=0",
        ),
        (
            "Content-Base: rtsp://:x/\n",
            "rtsp://192.168.1.10:554/stream0/trackID=0",
        ),
    ] {
        assert_eq!(track(base), url, "{base}");
    }
}

/// A description's own control is `*`, absent (VStarcam, <https://github.com/scottlamb/retina/issues/9>), or a URL of its
/// own; a track's is joined to the base as text, also behind a query (<https://github.com/bluenviron/gortsplib/issues/121>).
#[test]
fn controls_are_joined_as_everybody_joins_them() {
    let base = "Content-Base: rtsp://h/cam?token=69154&trackID=0\n";
    for (session_control, plays) in [
        (None, "rtsp://h/cam?token=69154&trackID=0"),
        (Some("*"), "rtsp://h/cam?token=69154&trackID=0"),
        (Some("rtsp://h/all"), "rtsp://h/all"),
        (Some("all"), "rtsp://h/cam?token=69154&trackID=0/all"),
    ] {
        let mut client = Client::greeted("");
        client.answered(base).unwrap();
        client.client.set_up(session_control, &controls(1)).unwrap();
        let setup = client.request();
        assert_eq!(setup.target, "rtsp://h/cam?token=69154&trackID=0/trackID=0");
        let cseq = setup.cseq;
        client
            .told(&format!(
                "RTSP/1.0 200 OK\nCSeq: {cseq}\nSession: 1\nTransport: RTP/AVP/TCP\n\n"
            ))
            .unwrap();
        assert_eq!(client.request().target, plays, "{session_control:?}");
    }
}

/// A session's timeout is absent on many cameras (<https://github.com/AxisCommunications/media-stream-library-js/issues/235>),
/// has a blank before it on GW Security's (retina, `gw_main_setup_video.txt`), is as short as 5 s
/// (<https://github.com/google/ExoPlayer/issues/9416>), or zero, which nobody can mean (retina, `client/parse.rs`).
#[test]
fn a_session_lives_as_long_as_the_server_says_or_a_minute() {
    for (session, id, seconds) in [
        ("45266830", "45266830", 60),
        ("45266830;timeout=5", "45266830", 5),
        ("9a90de54; timeout=120", "9a90de54", 120),
        (
            "610a63df-9b57-4856-97ac-665f356e9c04;Timeout=30;x",
            "610a63df-9b57-4856-97ac-665f356e9c04",
            30,
        ),
        ("1;timeout=0", "1", 60),
        ("1;timeout=soon", "1", 60),
        ("1;", "1", 60),
    ] {
        let setup = format!("Session: {session}\nTransport: RTP/AVP/TCP;interleaved=0-1\n");
        let (mut client, _) = Client::playing(&setup, "");
        let timeout = client.client.session_timeout();
        assert_eq!(timeout, Duration::from_secs(seconds), "{session}");
        client.client.keep_alive().unwrap();
        assert_eq!(client.request().headers.get("Session"), Some(id));
    }
}

/// A server may name the session in its description already: <https://github.com/google/ExoPlayer/issues/9254>.
#[test]
fn a_session_may_begin_with_the_description() {
    let mut client = Client::described("Session: 610a63df\n");
    assert_eq!(client.request().headers.get("Session"), Some("610a63df"));
}

/// The channels are the server's choice: <https://github.com/bluenviron/mediamtx/issues/19> met `8-9` where `2-3` was
/// asked for. Some servers say none, and mean those that were offered.
#[test]
fn channels_are_the_servers_choice() {
    for (transport, rtp, rtcp) in [
        ("RTP/AVP/TCP;unicast;interleaved=8-9;ssrc=2A27A3FB", 8, 9),
        ("RTP/AVP/TCP;unicast;interleaved=6", 6, 7),
        ("RTP/AVP/TCP;unicast", 0, 1),
        (
            "RTP/AVP/TCP;unicast;destination=10.0.0.9;source=10.0.0.1;interleaved=0-1",
            0,
            1,
        ),
    ] {
        let (client, _) = Client::playing(&format!("Session: 1\nTransport: {transport}\n"), "");
        let chosen = client.client.tracks()[0].transport;
        assert_eq!(
            chosen,
            ClientTransport::Tcp(Interleaved { rtp, rtcp }),
            "{transport}"
        );
    }
}

/// Over UDP a server may leave its ports out (<https://github.com/OpenIPC/smolrtsp/issues/31>), or set a comma where a
/// semicolon is due (<https://github.com/FFmpeg/FFmpeg/pull/336>).
#[test]
fn a_servers_ports_may_be_missing_and_its_commas_wrong() {
    let (rtp, rtcp) = (11658, 11659);
    let ours = PortPair { rtp, rtcp };
    let (rtp, rtcp) = (40000, 40001);
    let servers = Some(PortPair { rtp, rtcp });
    let source = Some("192.168.66.164".parse().unwrap());
    for (transport, chosen) in [
        (
            "RTP/AVP/UDP; unicast; client_port=11658-11659",
            (None, None),
        ),
        (
            "RTP/AVP;unicast;mode=PLAY;source=192.168.66.164;client_port=11658-11659;\
             server_port=40000-40001,ssrc=FFFFCCCC",
            (servers, source),
        ),
        (
            "RTP/AVP;unicast;client_port=11658-11659;server_port=0-0",
            (None, None),
        ),
    ] {
        let mut client = Client::offering(Offer::Udp(vec![ours]), "");
        client.answered("").unwrap();
        client.client.set_up(None, &controls(1)).unwrap();
        client
            .answered(&format!("Session: 1\nTransport: {transport}\n"))
            .unwrap();
        let (servers, source) = chosen;
        let expected = ClientTransport::Udp {
            ours,
            servers,
            source,
        };
        assert_eq!(client.client.tracks()[0].transport, expected, "{transport}");
    }
}

/// The source is told with a blank before it or too short (Hikvision), as `0x` (Rubetek,
/// <https://github.com/scottlamb/retina/pull/138>), in decimal (ibaRTSPServer,
/// <https://github.com/bluenviron/gortsplib/issues/95>), as 0 (<https://github.com/bluenviron/gortsplib/issues/480>), or not.
#[test]
fn the_announced_source_is_a_hint_however_it_is_written() {
    for (ssrc, expected) in [
        ("ssrc= d6d6627", Some(0xd6d_6627)),
        ("ssrc=0x6f7c", Some(0x6f7c)),
        ("ssrc=00000000", Some(0)),
        ("ssrc=4294962989", None),
        ("ssrc=", None),
    ] {
        let setup = format!("Session: 1\nTransport: RTP/AVP/TCP;interleaved=0-1;{ssrc}\n");
        let (client, _) = Client::playing(&setup, "");
        assert_eq!(client.client.tracks()[0].ssrc, expected, "{ssrc}");
    }
}

/// What keeps a session alive depends on what the server has: `GET_PARAMETER`, if it is listed, is what FFmpeg,
/// GStreamer and VLC send, else `OPTIONS` (<https://github.com/bluenviron/mediamtx/issues/1066>,
/// <https://github.com/meetecho/janus-gateway/pull/1407>). `SET_PARAMETER` is not tried: Tapo cameras list it and answer
/// it wrongly (retina, `client/mod.rs`).
#[test]
fn a_server_without_get_parameter_is_kept_alive_by_options() {
    let public = "Public: OPTIONS, DESCRIBE, SETUP, TEARDOWN, PLAY, SET_PARAMETER";
    for (options, method) in [
        (format!("{public}, GET_PARAMETER\n"), Method::GetParameter),
        (format!("{public}\n"), Method::Options),
        (
            format!("{public}\nPublic: GET_PARAMETER\n"),
            Method::GetParameter,
        ),
        (String::new(), Method::Options),
    ] {
        let mut client = Client::greeted(&options);
        client.answered("").unwrap();
        client.client.set_up(None, &controls(1)).unwrap();
        client
            .answered("Session: 1\nTransport: RTP/AVP/TCP\n")
            .unwrap();
        client.answered("").unwrap();
        client.client.keep_alive().unwrap();
        assert_eq!(
            client
                .client
                .poll_output()
                .map(|bytes| bytes.starts_with(method.name().as_bytes())),
            Some(true)
        );
    }
}

/// An answer to `OPTIONS` that keeps a session alive is not the begin of another conversation.
#[test]
fn keep_alives_by_options_are_answered_and_nothing_more() {
    let (mut client, _) = Client::playing("Session: 1\nTransport: RTP/AVP/TCP\n", "");
    for _ in 0..3 {
        client.client.keep_alive().unwrap();
        assert_eq!(client.answered("Public: DESCRIBE\n"), Ok(None));
        assert_eq!(client.client.poll_output(), None);
    }
}

/// A server may leave the number out (<https://github.com/postlund/pyatv/issues/1576>), or write a blank behind it
/// (<https://github.com/bluenviron/gortsplib/issues/437>). One of another request is no answer to this one.
#[test]
fn an_answer_without_number_belongs_to_the_oldest_request() {
    let mut client = Client::greeted("");
    client.request();
    let described = client.told("RTSP/1.0 200 OK\nServer: x\n\n").unwrap();
    assert!(matches!(described, Some(ClientEvent::Described { .. })));
    client.client.set_up(None, &controls(1)).unwrap();
    let cseq = client.request().cseq;
    let wrong = client.told(&format!("RTSP/1.0 200 OK\nCseq: {}\n\n", cseq - 1));
    assert_eq!(wrong, Err(ClientError::Unexpected(Some(cseq - 1))));
    let right = format!("RTSP/1.0 200 OK\nCseq: {cseq} \nSession: 1\nTransport: RTP/AVP/TCP\n\n");
    assert_eq!(client.told(&right), Ok(None));
}

/// Luma's cameras have a line of one blank between their headers: <https://github.com/koush/scrypted/pull/2137>. It goes
/// on with the line before, and ends nothing.
#[test]
fn a_line_of_one_blank_does_not_end_the_headers() {
    let rtp_info =
        "RTP-Info: url=rtsp://192.168.2.236:554/profile1/trackID=0;seq=56350;rtptime=1173786446\n";
    let play = format!("Session: 821724453759789\n \n{rtp_info}");
    let (_, starts) = Client::playing("Session: 1\nTransport: RTP/AVP/TCP\n", &play);
    let start = RtpInfo {
        track: 0,
        seq: Some(56_350),
        rtptime: Some(1_173_786_446),
    };
    assert_eq!(starts, [start]);
}

/// The begin of a track is told for another URL (GW Security, retina `gw_main_play.txt`), for the end of one with more
/// behind it (Dahua, retina `dahua_play_decimal_ssrc.txt`), for no URL, or not.
#[test]
fn the_only_tracks_begin_is_found_whatever_its_url_is_said_to_be() {
    for (info, start) in [
        (
            "url=rtsp://192.168.1.110:5050/H264/video;seq=271;rtptime=9",
            Some((271, 9)),
        ),
        (
            "url=trackID=0;seq=13210;rtptime=9;ssrc=4294962989",
            Some((13_210, 9)),
        ),
        ("url=;seq=1;rtptime=9", Some((1, 9))),
        ("", None),
    ] {
        let play = format!("RTP-Info: {info}\n");
        let (_, starts) = Client::playing("Session: 1\nTransport: RTP/AVP/TCP\n", &play);
        let found = starts
            .first()
            .and_then(|start| start.seq.zip(start.rtptime));
        assert_eq!(found, start, "{info}");
    }
}
