//! The server's side of an RTSP connection. Input: a peer's conversation, which names the session as `FUZZ0001`. What
//! the caller decides follows from the requests' numbers, so that a conversation says it all.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::Bytes;
use shardcast_protocol::rtsp::{
    Limits, Lower, MessageReader, Mode, MulticastGroup, Parsed, PortPair, Question, REFUSALS_MAX,
    Request, Response, RtpInfo, ServerConfig, ServerSession, ServerState, SetupAnswer, StatusCode,
    Step, TRACKS_MAX, Target, TrackSetup, Transports,
};
use shardcast_protocol::sdp;

use crate::rtsp::assert_readable;

/// The session's id in conversations.
pub const SESSION_ID: &str = "FUZZ0001";

/// Where the conversation's peer is.
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Everything that there is.
const TRANSPORTS: Transports = Transports {
    tcp: true,
    udp: Some(PortPair {
        rtp: 8000,
        rtcp: 8001,
    }),
    multicast: true,
};

/// Where multicast readers find their packets.
const GROUP: MulticastGroup = MulticastGroup {
    address: IpAddr::V4(Ipv4Addr::new(224, 1, 0, 1)),
    ports: PortPair {
        rtp: 8002,
        rtcp: 8003,
    },
    ttl: 16,
};

/// Every so many-th number is refused by the caller.
const REFUSE_EVERY: u32 = 7;

/// What a peer can observe of a session, and its caller.
#[derive(Debug, PartialEq)]
struct Face {
    state: ServerState,
    target: Option<Target>,
    setups: Vec<TrackSetup>,
}

impl Face {
    fn of(session: &ServerSession) -> Self {
        Self {
            state: session.state(),
            target: session.target().cloned(),
            setups: session.setups().to_vec(),
        }
    }
}

/// - Only a grant changes the session.
/// - Every answer has its request's number and can be read; the session's id is told to nobody who has guessed wrong.
/// - Channels and ports are never shared, tracks travel alike and are never set up twice, and packets flow only where something was set up.
/// - A peer that is refused on and on is sent away.
pub fn check(conversation: &[u8]) {
    let mut reader = MessageReader::new(Limits::default());
    let mut session = ServerSession::new(ServerConfig {
        session_id: SESSION_ID.into(),
        server: "shardcast",
        session_timeout: Duration::from_secs(60),
        peer: PEER,
        transports: TRANSPORTS,
    });
    let mut unread = conversation;
    let mut refusals = 0;
    while let Ok(parsed) = reader.poll(unread) {
        let consumed = match parsed {
            Parsed::Incomplete { .. } => return,
            Parsed::Frame { consumed, .. } | Parsed::Response { consumed, .. } => consumed,
            Parsed::Request { request, consumed } => {
                if !handle_request(&mut session, &request, &mut refusals) {
                    return;
                }
                consumed
            }
        };
        unread = &unread[consumed..];
    }
}

/// One request and its answer; false when the connection is to be closed.
fn handle_request(session: &mut ServerSession, request: &Request, refusals: &mut usize) -> bool {
    let before = Face::of(session);
    let step = session.handle_request(request);
    assert_eq!(Face::of(session), before, "only a grant changes something");
    let (response, goes_on) = match step {
        Step::Ask(question) => {
            *refusals = 0;
            (decide(session, request.cseq, question, &before), true)
        }
        Step::Respond(response) => {
            *refusals = if response.status.is_error() {
                *refusals + 1
            } else {
                0
            };
            (response, true)
        }
        Step::RespondAndClose(response) => {
            *refusals += 1;
            (response, false)
        }
    };
    assert!(*refusals <= REFUSALS_MAX && goes_on == (*refusals < REFUSALS_MAX));
    assert_answers(&response, request);
    assert_consistent(session);
    goes_on
}

/// Decides as the engine might, by the request's number.
fn decide(session: &mut ServerSession, cseq: u32, question: Question, before: &Face) -> Response {
    if cseq % REFUSE_EVERY == REFUSE_EVERY - 1 {
        let response = session.refuse(StatusCode::NOT_FOUND);
        assert_eq!(Face::of(session), *before, "a refusal changes nothing");
        return response;
    }
    match question {
        Question::Describe { target } => {
            assert_is_clean(&target);
            let tracks = usize::try_from(cseq % 4).unwrap_or(0);
            session.grant_describe(Bytes::from_static(b"v=0\r\n"), tracks)
        }
        Question::Announce { target, sdp } => {
            assert_is_clean(&target);
            grant_announce(session, &sdp)
        }
        Question::Setup {
            target,
            track,
            mode,
            transport,
            ..
        } => {
            assert_is_clean(&target);
            assert!(track < TRACKS_MAX);
            assert!(mode == Mode::Play || transport != Lower::Multicast);
            let response = session.grant_setup(SetupAnswer {
                ssrc: Some(cseq),
                group: Some(GROUP),
            });
            assert_eq!(session.state(), ServerState::Ready(mode));
            response
        }
        Question::Play { .. } => grant_play(session),
        Question::Record => {
            let response = session.grant_record();
            assert_eq!(session.state(), ServerState::Recording);
            response
        }
        Question::Pause => session.grant_pause(),
        Question::Teardown => {
            let response = session.grant_teardown();
            assert_eq!(session.state(), ServerState::Init);
            response
        }
    }
}

fn grant_announce(session: &mut ServerSession, text: &[u8]) -> Response {
    let tracks = sdp::parse(text).and_then(|session| sdp::tracks(&session));
    let Ok(tracks) = tracks else {
        return session.refuse(StatusCode::BAD_REQUEST);
    };
    let controls: Vec<_> = tracks.into_iter().map(|track| track.control).collect();
    let response = session.grant_announce(controls);
    assert_eq!(
        response.status.is_success(),
        session.state() == ServerState::Ready(Mode::Record)
    );
    response
}

fn grant_play(session: &mut ServerSession) -> Response {
    let start = |setup: &TrackSetup| RtpInfo {
        track: setup.track,
        seq: Some(7),
        rtptime: Some(90_000),
    };
    let starts: Vec<_> = session.setups().iter().map(start).collect();
    let response = session.grant_play(&starts);
    assert_eq!(session.state(), ServerState::Playing);
    let info = response.headers.get("RTP-Info").unwrap_or_default();
    assert_eq!(
        info.matches("rtptime=90000").count(),
        starts.len(),
        "{info}"
    );
    response
}

/// A target names a path and leads nowhere else.
fn assert_is_clean(target: &Target) {
    assert!(!target.path.contains(char::is_control), "{target:?}");
    let mut segments = target.path.split(['/', '\\']);
    assert!(
        segments.all(|segment| segment != "." && segment != ".."),
        "{target:?}"
    );
}

fn assert_answers(response: &Response, request: &Request) {
    assert_eq!(response.cseq, Some(request.cseq));
    assert_readable(response, response.status);
    let told = response.headers.get("Session").is_some();
    assert!(!(told && response.status == StatusCode::SESSION_NOT_FOUND));
}

fn assert_consistent(session: &ServerSession) {
    let setups = session.setups();
    for (at, setup) in setups.iter().enumerate() {
        for other in &setups[..at] {
            assert!(!setup.transport.overlaps(other.transport));
            assert_eq!(setup.transport.kind(), other.transport.kind());
            assert_ne!(setup.track, other.track);
        }
    }
    assert!(setups.len() <= TRACKS_MAX);
    match session.state() {
        ServerState::Init => assert!(setups.is_empty() && session.target().is_none()),
        ServerState::Ready(_) => assert!(session.target().is_some()),
        ServerState::Playing | ServerState::Recording => assert!(!setups.is_empty()),
    }
}
