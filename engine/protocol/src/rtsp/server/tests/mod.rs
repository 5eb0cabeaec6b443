//! Promises of the server's side: what real clients say is understood (`conversations`), every
//! method is answered in every state, and what is refused changes nothing (`refusals`), and all tracks
//! of a session travel alike (`transports`).

mod conversations;
mod refusals;
mod transports;

use bytes::Bytes;

use super::*;
use crate::rtsp::{Interleaved, RtpInfo};

const URL: &str = "rtsp://h:8554/a";
const TCP: &str = "RTP/AVP/TCP;unicast;interleaved=0-1";
const UDP: &str = "RTP/AVP/UDP;unicast;client_port=5000-5001";
const SESSION: &str = "d41d8cd9";

/// A session and the peer that talks to it.
struct Peer {
    session: ServerSession,
    cseq: u32,
    id: Option<&'static str>,
}

impl Peer {
    fn new() -> Self {
        Self::with(Transports {
            tcp: true,
            udp: None,
            multicast: false,
        })
    }

    fn with(transports: Transports) -> Self {
        let session = ServerSession::new(ServerConfig {
            session_id: SESSION.into(),
            server: "shardcast",
            session_timeout: Duration::from_secs(60),
            peer: "192.0.2.1".parse().unwrap(),
            transports,
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
                Question::Setup { transport, .. } => session.grant_setup(SetupAnswer {
                    ssrc: None,
                    group: (transport == Lower::Multicast).then(group),
                }),
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

fn everything() -> Transports {
    let (rtp, rtcp) = (8000, 8001);
    Transports {
        tcp: true,
        udp: Some(PortPair { rtp, rtcp }),
        multicast: true,
    }
}

fn group() -> MulticastGroup {
    let (rtp, rtcp) = (8002, 8003);
    MulticastGroup {
        address: "224.1.0.1".parse().unwrap(),
        ports: PortPair { rtp, rtcp },
        ttl: 16,
    }
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
