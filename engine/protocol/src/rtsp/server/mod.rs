//! The server's side of one RTSP connection: what each request means in the state that the session
//! is in (RFC 2326, appendix A.2). Requests come from `reader`; questions go to the engine's session,
//! which answers by a grant (see `grant`) or a refusal; responses go back to the wire.
//!
//! Invariants: the state changes only when a request has been granted; whatever is refused leaves
//! everything as it was. At most one question is open.
//!
//! Deliberately absent: who may do what, and whether a path exists. That is the caller's to decide.

mod grant;
mod request;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;

use super::{
    Headers, Lower, Method, Mode, MulticastGroup, PortPair, Request, Response, RtspUrl, StatusCode,
    Target, TransportKind,
};

/// The most tracks of one session: more than any camera or encoder sends, and as many channel
/// pairs as a session has to remember.
pub const TRACKS_MAX: usize = 16;

/// Refusals in a row after which the connection is closed. A reader that tries UDP for each of its
/// tracks first is refused once per track; nobody well-meaning is refused three times as often.
/// Only the state machine's own refusals count: a player that polls for a stream until somebody
/// publishes it, and is refused by the caller each time, means well.
pub const REFUSALS_MAX: usize = 48;

const PUBLIC: &str = "OPTIONS, DESCRIBE, ANNOUNCE, SETUP, PLAY, PAUSE, RECORD, TEARDOWN, \
    GET_PARAMETER, SET_PARAMETER";

/// What a [`ServerSession`] is told at its start.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The session's id, made by the caller from its random source. Nobody may be able to guess it.
    pub session_id: String,
    /// What the `Server` header says.
    pub server: &'static str,
    /// After how long without a request or media the caller ends a session; clients are told.
    pub session_timeout: Duration,
    /// Where the peer is: packets go there and nowhere else.
    pub peer: IpAddr,
    /// How packets may travel.
    pub transports: Transports,
}

/// The lower transports that a peer may choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transports {
    /// Between the messages of the control connection.
    pub tcp: bool,
    /// As datagrams, from and to these ports of ours.
    pub udp: Option<PortPair>,
    /// As datagrams to a group, for readers.
    pub multicast: bool,
}

impl Transports {
    fn has(self, kind: TransportKind) -> bool {
        match kind {
            TransportKind::Tcp => self.tcp,
            TransportKind::Udp => self.udp.is_some(),
            TransportKind::Multicast => self.multicast,
        }
    }
}

/// What to do about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this.
    Respond(Response),
    /// Decide; then call the grant of the question's name, or [`ServerSession::refuse`].
    Ask(Question),
    /// Send this and close the connection: the peer has sent nothing sensible for too long.
    RespondAndClose(Response),
}

/// What the caller decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// May the stream's description be given out? [`ServerSession::grant_describe`].
    Describe {
        /// Whose.
        target: Target,
    },
    /// May the peer publish this? [`ServerSession::grant_announce`].
    Announce {
        /// Where.
        target: Target,
        /// The description as it was sent.
        sdp: Bytes,
    },
    /// May the track be set up? [`ServerSession::grant_setup`].
    Setup {
        /// Of which stream. For publishers that of their `ANNOUNCE`.
        target: Target,
        /// Which track. For publishers it is one of those announced; for readers it may be beyond
        /// the stream's last one: refuse with 404.
        track: usize,
        /// False when the URL named no track: then it is track 0, and if the stream has several,
        /// refuse with 459.
        named_track: bool,
        /// Which way.
        mode: Mode,
        /// How its packets will travel. A group is the caller's to name: [`SetupAnswer::group`].
        transport: Lower,
    },
    /// May the reader start? [`ServerSession::grant_play`].
    Play {
        /// The `Range` header, as it was sent.
        range: Option<String>,
        /// The `Scale` header, as it was sent.
        scale: Option<String>,
    },
    /// May the publisher start? [`ServerSession::grant_record`].
    Record,
    /// The peer wants packets to stop for a while. [`ServerSession::grant_pause`].
    Pause,
    /// The peer wants to end the session. [`ServerSession::grant_teardown`].
    Teardown,
}

/// Where the session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// There is no session.
    Init,
    /// A description was announced, or tracks were set up; nothing flows.
    Ready(Mode),
    /// The peer is a reader and gets packets.
    Playing,
    /// The peer is a publisher and sends packets.
    Recording,
}

/// A track that was set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackSetup {
    /// Its number.
    pub track: usize,
    /// How its packets travel. All tracks of a session share its kind, and no channel or port.
    pub transport: Lower,
    /// Its URL as the peer writes it, without credentials: players find their tracks in `RTP-Info`
    /// by comparing text.
    url: String,
}

/// What the caller adds to the answer to a `SETUP`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetupAnswer {
    /// Told to a reader when the track's packets have it, and always will.
    pub ssrc: Option<u32>,
    /// Where the track is sent, when the question's transport is [`Lower::Multicast`].
    pub group: Option<MulticastGroup>,
}

/// The state machine of one connection, server's side.
#[derive(Debug)]
pub struct ServerSession {
    config: ServerConfig,
    state: ServerState,
    /// What the session is about. Set while the state is not `Init`.
    target: Option<Target>,
    /// What was announced. Set for publishers.
    announced: Option<Box<Announced>>,
    /// Path and number of tracks of the last description given out.
    described: Option<(Target, usize)>,
    setups: Vec<TrackSetup>,
    /// On the heap: most sessions have none, most of the time.
    pending: Option<Box<Pending>>,
    /// The `Timestamp` of the request at hand, which its response repeats.
    timestamp: Option<String>,
    refusals: usize,
    ends_hard: bool,
}

#[derive(Debug)]
struct Announced {
    url: RtspUrl,
    controls: Vec<Option<String>>,
}

/// An open question: what its grant needs.
#[derive(Debug)]
struct Pending {
    cseq: u32,
    ask: Ask,
}

#[derive(Debug)]
enum Ask {
    Describe {
        url: RtspUrl,
        target: Target,
    },
    Announce {
        url: RtspUrl,
        target: Target,
    },
    Setup {
        setup: TrackSetup,
        target: Target,
        mode: Mode,
    },
    Play,
    Record,
    Pause,
    Teardown,
}

/// A refusal by the state machine itself.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    header: Option<(&'static str, String)>,
}

impl From<StatusCode> for Refusal {
    fn from(status: StatusCode) -> Self {
        let header = None;
        Self { status, header }
    }
}

impl ServerSession {
    /// A connection without a session.
    pub fn new(config: ServerConfig) -> Self {
        Self {
            config,
            state: ServerState::Init,
            target: None,
            announced: None,
            described: None,
            setups: Vec::new(),
            pending: None,
            timestamp: None,
            refusals: 0,
            ends_hard: false,
        }
    }

    /// Where the session is.
    pub fn state(&self) -> ServerState {
        self.state
    }

    /// What the session is about, once there is one.
    pub fn target(&self) -> Option<&Target> {
        self.target.as_ref()
    }

    /// The tracks that were set up, in the order in which they were.
    pub fn setups(&self) -> &[TrackSetup] {
        &self.setups
    }

    /// Whether the peer forgets what it has not shown yet when it hears an RTCP BYE: VLC (3.0.24) lacks the last two
    /// pictures then, however late the BYE comes, and nothing when it finds by itself that nothing comes any more.
    pub fn ends_hard_at_goodbye(&self) -> bool {
        self.ends_hard
    }

    /// The answer to this request, or the question that the caller must decide first. A question
    /// that is still open is forgotten: answer it before the next request is handed in.
    pub fn handle_request(&mut self, request: &Request) -> Step {
        self.pending = None;
        self.timestamp = request.headers.get("Timestamp").map(str::to_owned);
        let agent = request.headers.get("User-Agent");
        self.ends_hard |= agent.is_some_and(|agent| agent.starts_with("LibVLC/"));
        let step = match self.consider(request) {
            Ok(step) => step,
            Err(refusal) => Step::Respond(self.refusal(request.cseq, refusal)),
        };
        match step {
            Step::Respond(response) if self.is_one_refusal_too_many(&response) => {
                Step::RespondAndClose(response)
            }
            step => step,
        }
    }

    fn consider(&mut self, request: &Request) -> Result<Step, Refusal> {
        check_required_options(&request.headers)?;
        self.check_session(request)?;
        match &request.method {
            Method::Options => self.consider_options(request),
            Method::Describe => self.consider_describe(request),
            Method::Announce => self.consider_announce(request),
            Method::Setup => self.consider_setup(request),
            Method::Play => self.consider_play(request),
            Method::Record => self.consider_record(request),
            Method::Pause => self.consider_pause(request),
            Method::Teardown => self.consider_teardown(request),
            Method::GetParameter | Method::SetParameter => self.consider_parameters(request),
            Method::Other(_) => Err(StatusCode::NOT_IMPLEMENTED.into()),
        }
    }

    /// A session id, where there is one, must be ours. Where a session exists, requests that act on
    /// it must carry the id (RFC 2326, 12.37); `ANNOUNCE` and `SETUP` need not, because a publisher's
    /// first `SETUP` may be sent before it has seen an id.
    fn check_session(&self, request: &Request) -> Result<(), Refusal> {
        let exists = self.state != ServerState::Init;
        let acts_on_session = matches!(
            request.method,
            Method::Play | Method::Record | Method::Pause | Method::Teardown
        );
        let given = request.headers.get("Session").map(session_id);
        let valid = match given {
            Some(id) => exists && id == self.config.session_id,
            None => !(exists && acts_on_session),
        };
        match valid {
            true => Ok(()),
            false => Err(StatusCode::SESSION_NOT_FOUND.into()),
        }
    }

    fn is_one_refusal_too_many(&mut self, response: &Response) -> bool {
        self.refusals = match response.status.is_error() {
            true => self.refusals + 1,
            false => 0,
        };
        self.refusals >= REFUSALS_MAX
    }

    fn refusal(&self, cseq: u32, refusal: Refusal) -> Response {
        let mut response = self.response(refusal.status, Some(cseq));
        if let Some((name, value)) = refusal.header {
            response.headers.put(name, value);
        }
        response
    }

    /// 455, with what would be valid (RFC 2326, 11.3.6).
    fn not_in_this_state(&self) -> Refusal {
        let allowed = match self.state {
            ServerState::Init => "OPTIONS, DESCRIBE, ANNOUNCE, SETUP, GET_PARAMETER, SET_PARAMETER",
            ServerState::Ready(Mode::Play) => {
                "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER"
            }
            ServerState::Ready(Mode::Record) => {
                "OPTIONS, DESCRIBE, SETUP, RECORD, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER"
            }
            ServerState::Playing => "OPTIONS, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER",
            ServerState::Recording => {
                "OPTIONS, RECORD, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER"
            }
        };
        let header = Some(("Allow", allowed.to_owned()));
        let status = StatusCode::METHOD_NOT_VALID_IN_THIS_STATE;
        Refusal { status, header }
    }

    /// A response with what every one of them carries. Whoever does not know the session's id is not
    /// told it.
    fn response(&self, status: StatusCode, cseq: Option<u32>) -> Response {
        let mut response = Response::new(status, cseq);
        response.headers.put("Server", self.config.server);
        // RFC 2326, section 12.38: "The server MUST echo the exact same value".
        if let Some(timestamp) = &self.timestamp {
            response.headers.put("Timestamp", timestamp);
        }
        if self.state != ServerState::Init && status != StatusCode::SESSION_NOT_FOUND {
            let timeout = self.config.session_timeout.as_secs();
            let session = format!("{};timeout={timeout}", self.config.session_id);
            response.headers.put("Session", session);
        }
        response
    }

    fn ok(&self, cseq: u32) -> Step {
        Step::Respond(self.response(StatusCode::OK, Some(cseq)))
    }

    fn ask(&mut self, cseq: u32, ask: Ask, question: Question) -> Step {
        self.pending = Some(Box::new(Pending { cseq, ask }));
        Step::Ask(question)
    }
}

/// The id of a `Session` header without its parameters.
fn session_id(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

/// We support no extension, so whatever is required is refused by name (RFC 2326, 12.32 and 12.41).
fn check_required_options(headers: &Headers) -> Result<(), Refusal> {
    let required = headers
        .all("Require")
        .chain(headers.all("Proxy-Require"))
        .next();
    match required {
        None => Ok(()),
        Some(options) => Err(Refusal {
            status: StatusCode::OPTION_NOT_SUPPORTED,
            header: Some(("Unsupported", options.to_owned())),
        }),
    }
}
