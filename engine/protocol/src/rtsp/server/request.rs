//! What the server's side makes of each method: one function per method, each for the state that
//! the session is in. It answers, refuses, or asks the caller; it changes nothing.

use super::super::control;
use super::{
    Announced, Ask, Mode, PUBLIC, Question, Refusal, Request, RtspUrl, ServerSession, ServerState,
    Step, TRACKS_MAX, Target, TrackSetup,
};
use crate::rtsp::{
    Headers, Interleaved, Lower, Method, StatusCode, TransportError, TransportKind, TransportSpec,
};

/// What a `SETUP` of a reader or of a publisher is about.
struct Wanted {
    url: RtspUrl,
    target: Target,
    track: usize,
    named_track: bool,
}

impl ServerSession {
    pub(super) fn consider_options(&self, request: &Request) -> Result<Step, Refusal> {
        check_target(request)?;
        let mut response = self.response(StatusCode::OK, Some(request.cseq));
        response.headers.put("Public", PUBLIC);
        Ok(Step::Respond(response))
    }

    /// Whoever plays or records knows what. While packets flow, only what concerns them is asked.
    pub(super) fn consider_describe(&mut self, request: &Request) -> Result<Step, Refusal> {
        if self.setup_mode().is_none() {
            return Err(self.not_in_this_state());
        }
        let url = parse_url(request)?;
        let target = url.target().map_err(|_| StatusCode::BAD_REQUEST)?;
        if !accepts_sdp(&request.headers) {
            return Err(StatusCode::NOT_ACCEPTABLE.into());
        }
        let question = Question::Describe {
            target: target.clone(),
        };
        Ok(self.ask(request.cseq, Ask::Describe { url, target }, question))
    }

    pub(super) fn consider_announce(&mut self, request: &Request) -> Result<Step, Refusal> {
        if self.state != ServerState::Init {
            return Err(self.not_in_this_state());
        }
        let url = parse_url(request)?;
        let target = url.target().map_err(|_| StatusCode::BAD_REQUEST)?;
        check_sdp_body(request)?;
        let question = Question::Announce {
            target: target.clone(),
            sdp: request.body.clone(),
        };
        Ok(self.ask(request.cseq, Ask::Announce { url, target }, question))
    }

    pub(super) fn consider_setup(&mut self, request: &Request) -> Result<Step, Refusal> {
        let mode = self.setup_mode().ok_or_else(|| self.not_in_this_state())?;
        let wanted = match (mode, &self.announced) {
            (Mode::Record, Some(announced)) => self.announced_track(announced, request)?,
            _ => self.readers_track(request)?,
        };
        if self.setup_of(wanted.track).is_some() {
            return Err(self.not_in_this_state());
        }
        let transport = self.transport(request, mode, wanted.track)?;
        let Wanted {
            url,
            target,
            track,
            named_track,
        } = wanted;
        let question = Question::Setup {
            target: target.clone(),
            track,
            named_track,
            mode,
            transport,
        };
        let url = url.to_string();
        let setup = TrackSetup {
            track,
            transport,
            url,
        };
        Ok(self.ask(
            request.cseq,
            Ask::Setup {
                setup,
                target,
                mode,
            },
            question,
        ))
    }

    /// What a `SETUP` prepares. None while packets flow: transports are not changed then.
    fn setup_mode(&self) -> Option<Mode> {
        match self.state {
            ServerState::Init => Some(Mode::Play),
            ServerState::Ready(mode) => Some(mode),
            ServerState::Playing | ServerState::Recording => None,
        }
    }

    /// The track of a publisher's `SETUP`: the first that its URL may mean and that is still to be
    /// set up.
    fn announced_track(&self, announced: &Announced, request: &Request) -> Result<Wanted, Refusal> {
        let url = parse_url(request)?;
        let target = self.target.clone().unwrap_or_default();
        let tracks: Vec<_> = control::matches(&announced.url, &announced.controls, &url).collect();
        let free = tracks.iter().find(|track| self.setup_of(**track).is_none());
        let named_track = true;
        match free.or(tracks.first()).copied() {
            Some(track) => Ok(Wanted {
                url,
                target,
                track,
                named_track,
            }),
            None if announced.controls.len() == 1 && url.target() == Ok(target.clone()) => {
                Ok(Wanted {
                    url,
                    target,
                    track: 0,
                    named_track,
                })
            }
            None => Err(StatusCode::NOT_FOUND.into()),
        }
    }

    /// The track of a reader's `SETUP`. All tracks of a session are of one stream.
    fn readers_track(&self, request: &Request) -> Result<Wanted, Refusal> {
        let url = parse_url(request)?;
        let (target, track) = url
            .target_and_track()
            .map_err(|_| StatusCode::BAD_REQUEST)?;
        if self
            .target
            .as_ref()
            .is_some_and(|ours| ours.path != target.path)
        {
            return Err(StatusCode::BAD_REQUEST.into());
        }
        let described = self.described.as_ref();
        let tracks = described
            .filter(|(described, _)| described.path == target.path)
            .map(|(_, tracks)| *tracks);
        let last = tracks.unwrap_or(TRACKS_MAX).min(TRACKS_MAX);
        match track {
            Some(track) if track >= last => Err(StatusCode::NOT_FOUND.into()),
            None if tracks.is_some_and(|tracks| tracks > 1) => {
                Err(StatusCode::AGGREGATE_OPERATION_NOT_ALLOWED.into())
            }
            track => Ok(Wanted {
                url,
                target,
                track: track.unwrap_or(0),
                named_track: track.is_some(),
            }),
        }
    }

    fn setup_of(&self, track: usize) -> Option<&TrackSetup> {
        self.setups.iter().find(|setup| setup.track == track)
    }

    /// How a new track's packets will travel: the first offer that can be taken says it.
    fn transport(&self, request: &Request, mode: Mode, track: usize) -> Result<Lower, Refusal> {
        let offers = request.headers.all("Transport");
        let spec = TransportSpec::choose(offers, |spec| self.can_take(spec, mode));
        let spec = spec.map_err(|error| match error {
            TransportError::Malformed => StatusCode::BAD_REQUEST,
            TransportError::Unsupported => StatusCode::UNSUPPORTED_TRANSPORT,
        })?;
        // Old encoders leave the mode out after their ANNOUNCE; whoever states one must mean ours.
        if spec.mode.is_some_and(|offered| offered != mode) {
            return Err(self.not_in_this_state());
        }
        let transport = match (spec.kind, spec.interleaved, spec.client_port) {
            (TransportKind::Tcp, Some(channels), _) => Lower::Tcp(channels),
            (TransportKind::Tcp, None, _) => Lower::Tcp(self.free_channels(track)?),
            (TransportKind::Udp, _, Some(ports)) => Lower::Udp(ports),
            (TransportKind::Udp, _, None) => return Err(StatusCode::BAD_REQUEST.into()),
            (TransportKind::Multicast, ..) => Lower::Multicast,
        };
        match self.is_free(transport) {
            true => Ok(transport),
            false => Err(StatusCode::BAD_REQUEST.into()),
        }
    }

    /// Whether an offer is enabled, of the session's kind, for the peer itself, and for its part: a
    /// publisher sends to us and not to a group, and datagrams need a port to go to.
    fn can_take(&self, spec: &TransportSpec, mode: Mode) -> bool {
        let first = self.setups.first().map(|setup| setup.transport.kind());
        let possible = match spec.kind {
            TransportKind::Tcp => true,
            TransportKind::Udp => spec.client_port.is_some(),
            TransportKind::Multicast => mode == Mode::Play,
        };
        possible
            && first.is_none_or(|first| first == spec.kind)
            && self.config.transports.has(spec.kind)
            && spec.is_meant_for(self.config.peer)
    }

    fn is_free(&self, transport: Lower) -> bool {
        let mut taken = self.setups.iter().map(|setup| setup.transport);
        !taken.any(|taken| taken.overlaps(transport))
    }

    /// The usual channels of the track, or the first free pair. There is one: at most
    /// [`TRACKS_MAX`] pairs are taken, each of which can spoil two of the 128 even ones.
    fn free_channels(&self, track: usize) -> Result<Interleaved, Refusal> {
        std::iter::once(track)
            .chain(0..)
            .map_while(Interleaved::of_track)
            .find(|pair| self.is_free(Lower::Tcp(*pair)))
            .ok_or(StatusCode::NOT_ENOUGH_BANDWIDTH.into())
    }

    pub(super) fn consider_play(&mut self, request: &Request) -> Result<Step, Refusal> {
        match self.state {
            ServerState::Ready(Mode::Play) => {}
            ServerState::Playing => {
                self.check_session_url(request)?;
                return Ok(self.ok(request.cseq));
            }
            _ => return Err(self.not_in_this_state()),
        }
        self.check_session_url(request)?;
        let header = |name| request.headers.get(name).map(str::to_owned);
        let (range, scale) = (header("Range"), header("Scale"));
        Ok(self.ask(request.cseq, Ask::Play, Question::Play { range, scale }))
    }

    /// Recording starts once every announced track is set up: readers are told of all of them.
    pub(super) fn consider_record(&mut self, request: &Request) -> Result<Step, Refusal> {
        let announced = self
            .announced
            .as_ref()
            .map_or(0, |announced| announced.controls.len());
        match self.state {
            ServerState::Ready(Mode::Record) if self.setups.len() == announced => {}
            ServerState::Recording => {
                self.check_session_url(request)?;
                return Ok(self.ok(request.cseq));
            }
            _ => return Err(self.not_in_this_state()),
        }
        self.check_session_url(request)?;
        Ok(self.ask(request.cseq, Ask::Record, Question::Record))
    }

    /// While nothing flows, a pause is granted as it is. Without tracks there is nothing to pause.
    pub(super) fn consider_pause(&mut self, request: &Request) -> Result<Step, Refusal> {
        match self.state {
            ServerState::Init => return Err(self.not_in_this_state()),
            ServerState::Ready(_) => {
                self.check_session_url(request)?;
                return Ok(self.ok(request.cseq));
            }
            ServerState::Playing | ServerState::Recording => self.check_session_url(request)?,
        }
        Ok(self.ask(request.cseq, Ask::Pause, Question::Pause))
    }

    /// The session ends whatever its URL says: live555 and others name one of its tracks. Without
    /// a session there is nothing to end, and that is granted (RFC 2326, A.2).
    pub(super) fn consider_teardown(&mut self, request: &Request) -> Result<Step, Refusal> {
        check_target(request)?;
        if self.state == ServerState::Init {
            return Ok(self.ok(request.cseq));
        }
        Ok(self.ask(request.cseq, Ask::Teardown, Question::Teardown))
    }

    /// Without a body it is a keep-alive. There is no parameter that we know (RFC 2326, 10.8).
    pub(super) fn consider_parameters(&self, request: &Request) -> Result<Step, Refusal> {
        check_target(request)?;
        match request.body.trim_ascii().is_empty() {
            true => Ok(self.ok(request.cseq)),
            false => Err(StatusCode::PARAMETER_NOT_UNDERSTOOD.into()),
        }
    }

    /// `PLAY`, `PAUSE` and `RECORD` are about the session's stream as a whole, or about its only
    /// track.
    fn check_session_url(&self, request: &Request) -> Result<(), Refusal> {
        let url = parse_url(request)?;
        let ours = self.target.as_ref().map(|target| target.path.as_str());
        let whole = url.target().map_err(|_| StatusCode::BAD_REQUEST)?;
        if Some(whole.path.as_str()) == ours && !names_track(&url) {
            return Ok(());
        }
        let text = url.to_string();
        let is_setup = |setup: &TrackSetup| setup.url == text;
        match self.setups.as_slice() {
            [only] if is_setup(only) => Ok(()),
            [..] if self.setups.iter().any(is_setup) => {
                Err(StatusCode::ONLY_AGGREGATE_OPERATION_ALLOWED.into())
            }
            _ => Err(StatusCode::BAD_REQUEST.into()),
        }
    }
}

fn names_track(url: &RtspUrl) -> bool {
    matches!(url.target_and_track(), Ok((_, Some(_))))
}

fn parse_url(request: &Request) -> Result<RtspUrl, Refusal> {
    RtspUrl::parse(&request.target).map_err(|_| StatusCode::BAD_REQUEST.into())
}

/// `*`, or a URL that names something.
fn check_target(request: &Request) -> Result<(), Refusal> {
    if request.target == "*" && request.method != Method::Teardown {
        return Ok(());
    }
    let url = parse_url(request)?;
    url.target()
        .map(drop)
        .map_err(|_| StatusCode::BAD_REQUEST.into())
}

/// Whether a description may be answered with SDP, the only form there is.
fn accepts_sdp(headers: &Headers) -> bool {
    let mut accepted = headers
        .all("Accept")
        .flat_map(|value| value.split(','))
        .map(media_type)
        .peekable();
    let known = ["application/sdp", "application/*", "*/*"];
    accepted.peek().is_none()
        || accepted.any(|accepted| {
            known
                .iter()
                .any(|known| accepted.eq_ignore_ascii_case(known))
        })
}

/// An `ANNOUNCE` carries SDP. Without a `Content-Type` there is nothing else that it could be.
fn check_sdp_body(request: &Request) -> Result<(), Refusal> {
    let content_type = request.headers.get("Content-Type").map(media_type);
    if content_type.is_some_and(|given| !given.eq_ignore_ascii_case("application/sdp")) {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE.into());
    }
    match request.body.is_empty() {
        true => Err(StatusCode::BAD_REQUEST.into()),
        false => Ok(()),
    }
}

/// A media type without its parameters.
fn media_type(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}
