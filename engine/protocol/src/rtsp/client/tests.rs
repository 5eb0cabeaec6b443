//! Promises of the client's side: it talks with our own server, and copes with servers that say
//! less, or something else.

use super::*;
use crate::rtsp::{
    Limits, Lower, MessageReader, MulticastGroup, Parsed, PortPair, Question, ServerConfig,
    ServerSession, ServerState, SetupAnswer, Step, Transports,
};

const URL: &str = "rtsp://u:p@h:8554/a";
const SERVER_PORTS: PortPair = PortPair {
    rtp: 8000,
    rtcp: 8001,
};

fn server() -> ServerSession {
    ServerSession::new(ServerConfig {
        session_id: "s1".into(),
        server: "shardcast",
        session_timeout: Duration::from_secs(60),
        peer: "192.0.2.1".parse().unwrap(),
        transports: Transports {
            tcp: true,
            udp: Some(SERVER_PORTS),
            multicast: true,
        },
    })
}

/// Grants everything; the stream has two tracks.
fn answer(server: &mut ServerSession, request: &Request) -> Response {
    match server.handle_request(request) {
        Step::Respond(response) | Step::RespondAndClose(response) => response,
        Step::Ask(Question::Describe { .. }) => server.grant_describe("v=0\r\n".into(), 2),
        Step::Ask(Question::Announce { .. }) => {
            server.grant_announce(vec![Some("x=0".into()), Some("x=1".into())])
        }
        Step::Ask(Question::Setup { transport, .. }) => server.grant_setup(SetupAnswer {
            ssrc: Some(5),
            group: (transport == Lower::Multicast).then(group),
        }),
        Step::Ask(Question::Play { .. }) => server.grant_play(&starts()),
        Step::Ask(Question::Record) => server.grant_record(),
        Step::Ask(Question::Pause) => server.grant_pause(),
        Step::Ask(Question::Teardown) => server.grant_teardown(),
    }
}

fn group() -> MulticastGroup {
    MulticastGroup {
        address: "224.1.0.1".parse().unwrap(),
        ports: PortPair {
            rtp: 8002,
            rtcp: 8003,
        },
        ttl: 16,
    }
}

fn starts() -> Vec<RtpInfo> {
    (0..2)
        .map(|track| RtpInfo {
            track,
            seq: None,
            rtptime: Some(100),
        })
        .collect()
}

fn read(bytes: &[u8]) -> Parsed {
    MessageReader::new(Limits::default()).poll(bytes).unwrap()
}

fn next_request(client: &mut ClientSession) -> Request {
    match read(&client.poll_output().expect("a request")) {
        Parsed::Request { request, .. } => request,
        other => panic!("{other:?}"),
    }
}

/// Lets both talk, through the wire, until the client has nothing to say.
fn talk(client: &mut ClientSession, server: &mut ServerSession) -> Vec<ClientEvent> {
    let mut events = Vec::new();
    while let Some(bytes) = client.poll_output() {
        let Parsed::Request { request, .. } = read(&bytes) else {
            panic!("the client sends requests");
        };
        let response = answer(server, &request).to_bytes();
        let Parsed::Response { response, .. } = read(&response) else {
            panic!("the server sends responses");
        };
        events.extend(client.handle_response(response).unwrap());
    }
    events
}

fn controls(count: usize) -> Vec<TrackControl> {
    (0..count)
        .map(|track| TrackControl {
            track,
            control: Some(format!("trackID={track}")),
        })
        .collect()
}

fn channel(track: &ClientTrack) -> u8 {
    track.transport.interleaved().expect("over TCP").rtp
}

fn ok(
    client: &mut ClientSession,
    headers: &[(&str, &str)],
) -> Result<Option<ClientEvent>, ClientError> {
    let request = next_request(client);
    let mut response = Response::new(StatusCode::OK, Some(request.cseq));
    for (name, value) in headers {
        response.headers.push(name, value).unwrap();
    }
    client.handle_response(response)
}

#[test]
fn a_client_plays_from_our_server() {
    let (mut client, mut server) = (ClientSession::new("test"), server());
    client.start_play(URL).unwrap();
    let sdp = Bytes::from_static(b"v=0\r\n");
    assert_eq!(
        talk(&mut client, &mut server),
        [ClientEvent::Described { sdp }]
    );
    client.set_up(Some("*"), &controls(2)).unwrap();
    let playing = ClientEvent::Playing { starts: starts() };
    assert_eq!(talk(&mut client, &mut server), [playing]);
    assert_eq!(server.state(), ServerState::Playing);
    let tracks: Vec<_> = client
        .tracks()
        .iter()
        .map(|t| (t.track, channel(t), t.ssrc))
        .collect();
    assert_eq!(tracks, [(0, 0, Some(5)), (1, 2, Some(5))]);
    client.keep_alive().unwrap();
    client.pause().unwrap();
    assert_eq!(talk(&mut client, &mut server), [ClientEvent::Paused]);
    client.resume().unwrap();
    client.teardown().unwrap();
    assert_eq!(
        talk(&mut client, &mut server).last(),
        Some(&ClientEvent::Ended)
    );
    assert_eq!(server.state(), ServerState::Init);
}

#[test]
fn a_client_publishes_to_our_server() {
    let (mut client, mut server) = (ClientSession::new("test"), server());
    let controls = [Some("x=0".to_owned()), Some("x=1".to_owned())];
    client
        .start_publish(URL, "v=0\r\n".into(), &controls)
        .unwrap();
    assert_eq!(talk(&mut client, &mut server), [ClientEvent::Recording]);
    assert_eq!(server.state(), ServerState::Recording);
    assert_eq!(server.setups().len(), 2);
}

fn ports(rtp: u16) -> PortPair {
    let rtcp = rtp + 1;
    PortPair { rtp, rtcp }
}

#[test]
fn datagrams_go_where_both_have_agreed() {
    let offer = Offer::Udp(vec![ports(5000), ports(6000)]);
    let mut reader = ClientSession::offering("test", offer.clone());
    let mut at_server = server();
    reader.start_play(URL).unwrap();
    talk(&mut reader, &mut at_server);
    reader.set_up(Some("*"), &controls(2)).unwrap();
    talk(&mut reader, &mut at_server);
    assert_eq!(at_server.state(), ServerState::Playing);
    let mut publisher = ClientSession::offering("test", offer);
    let mut publishers_server = server();
    let controls = [Some("x=0".to_owned()), Some("x=1".to_owned())];
    publisher
        .start_publish(URL, "v=0\r\n".into(), &controls)
        .unwrap();
    talk(&mut publisher, &mut publishers_server);
    assert_eq!(publishers_server.state(), ServerState::Recording);
    for (client, server) in [(reader, at_server), (publisher, publishers_server)] {
        for (index, ours) in [ports(5000), ports(6000)].into_iter().enumerate() {
            let agreed = ClientTransport::Udp {
                ours,
                servers: Some(SERVER_PORTS),
                source: None,
            };
            assert_eq!(client.tracks()[index].transport, agreed);
            assert_eq!(server.setups()[index].transport, Lower::Udp(ours));
        }
    }
}

#[test]
fn a_group_is_the_servers_choice() {
    let (mut client, mut server) = (ClientSession::offering("test", Offer::Multicast), server());
    client.start_play(URL).unwrap();
    talk(&mut client, &mut server);
    client.set_up(Some("*"), &controls(2)).unwrap();
    talk(&mut client, &mut server);
    let groups: Vec<_> = client
        .tracks()
        .iter()
        .map(|track| track.transport)
        .collect();
    assert_eq!(groups, [ClientTransport::Multicast(group()); 2]);
    assert_eq!(server.state(), ServerState::Playing);
}

#[test]
fn as_many_ports_as_tracks_are_needed() {
    let mut client = ClientSession::offering("test", Offer::Udp(vec![ports(5000)]));
    client.start_play(URL).unwrap();
    let mut server = server();
    talk(&mut client, &mut server);
    client.set_up(None, &controls(2)).unwrap();
    next_request(&mut client);
    let mut response = Response::new(StatusCode::OK, Some(client.cseq));
    let transport = "RTP/AVP/UDP;unicast;client_port=5000-5001";
    response.headers.push("Transport", transport).unwrap();
    assert_eq!(client.handle_response(response), Err(ClientError::Ports(1)));
}

#[test]
fn an_answer_by_another_transport_is_refused() {
    for (offer, answer) in [
        (Offer::Tcp, "RTP/AVP;unicast;client_port=5000-5001"),
        (
            Offer::Udp(vec![ports(5000)]),
            "RTP/AVP/TCP;unicast;interleaved=0-1",
        ),
        (Offer::Multicast, "RTP/AVP;unicast;client_port=5000-5001"),
        (Offer::Multicast, "RTP/AVP;multicast;port=8002-8003;ttl=16"),
        (
            Offer::Multicast,
            "RTP/AVP;multicast;destination=192.0.2.1;port=8002-8003",
        ),
    ] {
        let mut client = ClientSession::offering("test", offer);
        client.start_play(URL).unwrap();
        talk(&mut client, &mut server());
        client.set_up(None, &controls(1)).unwrap();
        let refused = ok(&mut client, &[("Transport", answer)]);
        assert_eq!(refused, Err(ClientError::Transport), "{answer}");
    }
}

#[test]
fn credentials_are_not_sent_in_urls() {
    let mut client = ClientSession::new("test");
    client.start_play(URL).unwrap();
    let request = next_request(&mut client);
    assert_eq!(request.target, "rtsp://h:8554/a");
    assert_eq!(request.headers.get("User-Agent"), Some("test"));
}

#[test]
fn a_server_without_options_is_asked_all_the_same() {
    let mut client = ClientSession::new("test");
    client.start_play(URL).unwrap();
    let cseq = next_request(&mut client).cseq;
    let response = Response::new(StatusCode::NOT_IMPLEMENTED, Some(cseq));
    assert_eq!(client.handle_response(response), Ok(None));
    assert_eq!(next_request(&mut client).method, Method::Describe);
}

fn login() -> Login {
    Login {
        user: "u".into(),
        pass: "p".into(),
        client_nonce: "c".into(),
    }
}

/// A server that answers `request` with 401 and this challenge.
fn challenge(client: &mut ClientSession, challenge: &str) -> Result<Request, ClientError> {
    let request = next_request(client);
    let mut response = Response::new(StatusCode::UNAUTHORIZED, Some(request.cseq));
    let name = "WWW-Authenticate";
    response.headers.push(name, challenge).unwrap();
    client.handle_response(response).map(|_| request)
}

#[test]
fn a_server_that_asks_who_it_is_is_told_with_every_request() {
    let mut client = ClientSession::new("test");
    client.log_in_as(login());
    let sdp = Bytes::from_static(b"v=0\r\n");
    client.start_publish(URL, sdp.clone(), &[None]).unwrap();
    ok(&mut client, &[]).unwrap();
    let asked = challenge(&mut client, "Digest realm=\"r\", nonce=\"n\", qop=auth").unwrap();
    assert_eq!(asked.headers.get("Authorization"), None);
    for method in [Method::Announce, Method::Setup, Method::Record] {
        let request = next_request(&mut client);
        assert_eq!(request.method, method);
        let answer = request.headers.get("Authorization").unwrap();
        assert!(answer.starts_with("Digest username=\"u\", realm=\"r\", nonce=\"n\""));
        assert_eq!(request.body == sdp, method == Method::Announce);
        let mut response = Response::new(StatusCode::OK, Some(request.cseq));
        for (name, value) in [
            ("Session", "9"),
            ("Transport", "RTP/AVP/TCP;interleaved=0-1"),
        ] {
            response.headers.push(name, value).unwrap();
        }
        client.handle_response(response).unwrap();
    }
}

#[test]
fn a_new_nonce_in_the_middle_is_answered() {
    let mut client = ClientSession::new("test");
    client.log_in_as(login());
    client.start_play(URL).unwrap();
    challenge(&mut client, "Digest realm=\"r\", nonce=\"1\"").unwrap();
    ok(&mut client, &[]).unwrap();
    challenge(&mut client, "Digest realm=\"r\", nonce=\"2\", stale=true").unwrap();
    let request = next_request(&mut client);
    let answer = request.headers.get("Authorization").unwrap();
    assert!(answer.contains("nonce=\"2\""), "{answer}");
}

#[test]
fn a_password_that_is_wrong_is_tried_once() {
    let refused = ClientError::Refused {
        method: Method::Describe,
        status: StatusCode::UNAUTHORIZED,
    };
    for (knows, tries) in [(true, 1), (false, 0)] {
        let mut client = ClientSession::new("test");
        if knows {
            client.log_in_as(login());
        }
        client.start_play(URL).unwrap();
        ok(&mut client, &[]).unwrap();
        for _ in 0..tries {
            challenge(&mut client, "Basic realm=\"r\"").unwrap();
        }
        let outcome = challenge(&mut client, "Basic realm=\"r\"");
        assert_eq!(outcome.unwrap_err(), refused);
    }
}

#[test]
fn another_way_is_offered_until_tracks_are_set_up() {
    let (mut client, mut server) = (ClientSession::new("test"), server());
    client.start_play(URL).unwrap();
    talk(&mut client, &mut server);
    client.offer(Offer::Udp(vec![ports(5000)])).unwrap();
    client.set_up(None, &controls(1)).unwrap();
    assert_eq!(client.offer(Offer::Tcp), Err(ClientError::State));
    talk(&mut client, &mut server);
    assert_eq!(server.setups()[0].transport, Lower::Udp(ports(5000)));
    assert_eq!(client.offer(Offer::Tcp), Err(ClientError::State));
}

#[test]
fn a_refusal_says_what_was_refused() {
    let mut client = ClientSession::new("test");
    client.start_play(URL).unwrap();
    ok(&mut client, &[]).unwrap();
    let cseq = next_request(&mut client).cseq;
    let status = StatusCode::NOT_FOUND;
    let refused = client.handle_response(Response::new(status, Some(cseq)));
    let method = Method::Describe;
    assert_eq!(refused, Err(ClientError::Refused { method, status }));
}

#[test]
fn a_server_that_leaves_channels_out_takes_the_offered_ones() {
    let mut client = ClientSession::new("test");
    client.start_play(URL).unwrap();
    ok(&mut client, &[]).unwrap();
    ok(&mut client, &[("Content-Base", "rtsp://cam/live/")]).unwrap();
    client.set_up(None, &controls(3)).unwrap();
    let session = ("Session", "9;timeout=10");
    let transports = ["RTP/AVP/TCP;unicast", "RTP/AVP/TCP;interleaved=8-9"];
    for transport in transports {
        ok(&mut client, &[session, ("Transport", transport)]).unwrap();
    }
    let channels: Vec<_> = client.tracks().iter().map(channel).collect();
    assert_eq!(channels, [0, 8]);
    let taken = ok(
        &mut client,
        &[session, ("Transport", "RTP/AVP/TCP;interleaved=9-10")],
    );
    assert_eq!(taken, Err(ClientError::Transport));
}

#[test]
fn track_urls_and_starts_follow_the_servers_base() {
    let mut client = ClientSession::new("test");
    client.start_play(URL).unwrap();
    ok(&mut client, &[]).unwrap();
    ok(&mut client, &[("Content-Base", "rtsp://cam/live")]).unwrap();
    client.set_up(Some("rtsp://cam/all"), &controls(1)).unwrap();
    let request = next_request(&mut client);
    assert_eq!(request.target, "rtsp://cam/live/trackID=0");
    let mut response = Response::new(StatusCode::OK, Some(request.cseq));
    response.headers.push("Session", "9").unwrap();
    response
        .headers
        .push("Transport", "RTP/AVP/TCP;interleaved=0-1")
        .unwrap();
    client.handle_response(response).unwrap();
    let info = (
        "RTP-Info",
        "url=rtsp://10.0.0.1/x/trackID=0;seq=3;rtptime=4, url=other;seq=1",
    );
    let starts = vec![RtpInfo {
        track: 0,
        seq: Some(3),
        rtptime: Some(4),
    }];
    assert_eq!(
        ok(&mut client, &[info]),
        Ok(Some(ClientEvent::Playing { starts }))
    );
    client.teardown().unwrap();
    let request = next_request(&mut client);
    assert_eq!(request.target, "rtsp://cam/all");
    assert_eq!(request.headers.get("Session"), Some("9"));
}

#[test]
fn what_nobody_asked_is_unexpected() {
    let mut client = ClientSession::new("test");
    for cseq in [None, Some(7)] {
        let outcome = client.handle_response(Response::new(StatusCode::OK, cseq));
        assert_eq!(outcome, Err(ClientError::Unexpected(cseq)));
    }
    assert_eq!(client.keep_alive(), Err(ClientError::State));
    assert_eq!(client.set_up(None, &controls(1)), Err(ClientError::State));
    client.start_play(URL).unwrap();
    assert_eq!(client.start_play(URL), Err(ClientError::State));
}

#[test]
fn a_silent_server_is_asked_no_more_than_four_times() {
    let (mut client, mut server) = (ClientSession::new("test"), server());
    client
        .start_publish(
            URL,
            "v=0\r\n".into(),
            &[Some("x=0".into()), Some("x=1".into())],
        )
        .unwrap();
    talk(&mut client, &mut server);
    for _ in 0..WAITING_MAX {
        client.keep_alive().unwrap();
    }
    assert_eq!(client.keep_alive(), Err(ClientError::Unanswered));
}

#[test]
fn as_many_tracks_as_a_session_has_and_not_one_more() {
    for (tracks, outcome) in [
        (0, Err(ClientError::Tracks(0))),
        (TRACKS_MAX, Ok(())),
        (TRACKS_MAX + 1, Err(ClientError::Tracks(TRACKS_MAX + 1))),
    ] {
        let mut client = ClientSession::new("test");
        assert_eq!(
            client.start_publish(URL, Bytes::new(), &vec![None; tracks]),
            outcome
        );
    }
}

#[test]
fn a_servers_own_keep_alive_is_granted_and_a_flood_is_bounded() {
    let mut client = ClientSession::new("test");
    for cseq in 0..100 {
        client.handle_request(&Request::new(Method::Options, "*", cseq));
    }
    let first = client.poll_output().unwrap();
    assert_eq!(first, "RTSP/1.0 200 OK\r\nCSeq: 0\r\n\r\n");
    assert_eq!(
        std::iter::from_fn(|| client.poll_output()).count(),
        OUTPUTS_MAX - 1
    );
    client.handle_request(&Request::new(Method::Announce, "*", 3));
    assert!(client.poll_output().unwrap().starts_with(b"RTSP/1.0 501"));
}
