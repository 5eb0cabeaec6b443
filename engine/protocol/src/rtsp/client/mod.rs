//! The client's side of one RTSP connection, as far as playing and publishing need it.
//! Pull sources, the load generator and tests drive it: they start it with a URL, write what
//! [`ClientSession::poll_output`] yields, hand in responses that a
//! [`MessageReader`](super::MessageReader) found, and act on the events. A server that asks who it is
//! ([`ClientSession::log_in_as`]) is answered, once per request.
//!
//! Deliberately absent: sockets for datagrams (the caller has them), redirects.

mod leniency;
#[cfg(test)]
mod tests;
mod transport;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

pub use transport::{ClientTransport, Offer};

use leniency::{SESSION_TIMEOUT, base_url, keep_alive, session};

use super::auth::{Answers, Login};
use super::{
    Headers, Method, Mode, Request, Response, RtpInfo, RtpInfoEntry, RtspUrl, StatusCode,
    TRACKS_MAX, UrlError, resolve_control,
};

/// Requests that may wait for their response at a time: one of the conversation, and keep-alives
/// that a slow server has not answered yet.
pub const WAITING_MAX: usize = 4;

/// Messages that may wait to be written. A caller drains them after every call.
pub const OUTPUTS_MAX: usize = 16;

/// A track to set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackControl {
    /// Its number in the description; it comes back in [`ClientTrack`] and [`RtpInfo`].
    pub track: usize,
    /// Its `control` attribute.
    pub control: Option<String>,
}

/// A track that was set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTrack {
    /// Its number in the description.
    pub track: usize,
    /// How its packets travel, as the server chose.
    pub transport: ClientTransport,
    /// The synchronisation source that the server announced. A hint: some cameras announce another one
    /// than their packets have.
    pub ssrc: Option<u32>,
    url: String,
}

/// What has come of the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// The description is there: call [`ClientSession::set_up`] with the tracks that are wanted.
    Described {
        /// The description as it was sent.
        sdp: Bytes,
    },
    /// Packets come from here on.
    Playing {
        /// Where each track starts, as far as the server says.
        starts: Vec<RtpInfo>,
    },
    /// Packets may be sent from here on.
    Recording,
    /// The server pauses.
    Paused,
    /// The session has ended.
    Ended,
}

/// Why the conversation cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// We were given an address that is none.
    #[error("the URL is invalid: {0}")]
    Url(#[from] UrlError),
    /// We were asked for something that does not fit the state that the conversation is in.
    #[error("not possible now")]
    State,
    /// We were asked for no track, or for more than [`TRACKS_MAX`].
    #[error("{0} tracks")]
    Tracks(usize),
    /// We were given fewer pairs of ports than there are tracks.
    #[error("ports for {0} tracks only")]
    Ports(usize),
    /// We sent more requests than the server answers.
    #[error("the server leaves {WAITING_MAX} requests unanswered")]
    Unanswered,
    /// The server refused.
    #[error("{method} was refused: {status}")]
    Refused {
        /// What was refused.
        method: Method,
        /// The server's status.
        status: StatusCode,
    },
    /// The server answered what nobody has asked.
    #[error("a response to no request (CSeq {0:?})")]
    Unexpected(Option<u32>),
    /// The server chose a transport that we did not offer.
    #[error("an unusable Transport header in the response")]
    Transport,
}

/// The state machine of one connection, client's side.
#[derive(Debug)]
pub struct ClientSession {
    user_agent: String,
    offer: Offer,
    cseq: u32,
    session: Option<String>,
    session_timeout: Duration,
    keep_alive: Method,
    /// The server has been asked what it can, and has said whatever it had to say.
    greeted: bool,
    /// What `PLAY`, `RECORD`, `PAUSE`, `TEARDOWN` and keep-alives are addressed to.
    url: Option<RtspUrl>,
    mode: Mode,
    /// The description to announce.
    sdp: Bytes,
    /// Tracks still to be set up, with their URLs.
    to_set_up: VecDeque<(usize, String)>,
    tracks: Vec<ClientTrack>,
    waiting: VecDeque<Waiting>,
    outputs: VecDeque<Bytes>,
    answers: Option<Answers>,
}

/// A request that waits for its response.
#[derive(Debug)]
struct Waiting {
    cseq: u32,
    method: Method,
    /// What is sent once more when the server asks who we are; nothing when we cannot say, or have.
    again: Option<Asked>,
}

/// What a request says beside its method.
#[derive(Clone, Debug)]
struct Asked {
    url: String,
    headers: Headers,
    body: Bytes,
}

impl ClientSession {
    /// A connection on which nothing has been said. Packets go between its messages.
    pub fn new(user_agent: impl Into<String>) -> Self {
        Self::offering(user_agent, Offer::Tcp)
    }

    /// A connection on which nothing has been said, and whose packets go as offered.
    pub fn offering(user_agent: impl Into<String>, offer: Offer) -> Self {
        Self {
            user_agent: user_agent.into(),
            offer,
            cseq: 0,
            session: None,
            session_timeout: SESSION_TIMEOUT,
            keep_alive: Method::GetParameter,
            greeted: false,
            url: None,
            mode: Mode::Play,
            sdp: Bytes::new(),
            to_set_up: VecDeque::new(),
            tracks: Vec::new(),
            waiting: VecDeque::new(),
            outputs: VecDeque::new(),
            answers: None,
        }
    }

    /// Says who it is, by password or digest, to a server that asks.
    pub fn log_in_as(&mut self, login: Login) {
        self.answers = Some(Answers::new(login));
    }

    /// Offers another way for the packets, before tracks are set up.
    ///
    /// # Errors
    /// [`ClientError::State`] once they are.
    pub fn offer(&mut self, offer: Offer) -> Result<(), ClientError> {
        if !self.to_set_up.is_empty() || !self.tracks.is_empty() {
            return Err(ClientError::State);
        }
        self.offer = offer;
        Ok(())
    }

    /// Asks for a stream's description; [`ClientEvent::Described`] comes next.
    ///
    /// # Errors
    /// [`ClientError::Url`]; [`ClientError::State`] when something was started already.
    pub fn start_play(&mut self, url: &str) -> Result<(), ClientError> {
        self.start(url, Mode::Play)
    }

    /// Announces a stream, sets up all its tracks, and records; [`ClientEvent::Recording`] comes
    /// next. `controls` are the `control` attributes that `sdp` gives to its tracks.
    ///
    /// # Errors
    /// As [`Self::start_play`], and [`ClientError::Tracks`].
    pub fn start_publish(
        &mut self,
        url: &str,
        sdp: Bytes,
        controls: &[Option<String>],
    ) -> Result<(), ClientError> {
        check_tracks(controls.len())?;
        self.start(url, Mode::Record)?;
        let base = self.request_url();
        let urls = controls
            .iter()
            .map(|control| resolve_control(&base, control.as_deref()));
        self.to_set_up = urls.enumerate().collect();
        self.sdp = sdp;
        Ok(())
    }

    fn start(&mut self, url: &str, mode: Mode) -> Result<(), ClientError> {
        if self.url.is_some() {
            return Err(ClientError::State);
        }
        self.url = Some(RtspUrl::parse(url)?);
        self.mode = mode;
        self.send(
            Method::Options,
            self.request_url(),
            Headers::new(),
            Bytes::new(),
        )
    }

    /// Sets up these tracks and plays; [`ClientEvent::Playing`] comes next. `session_control` is
    /// the description's own `control` attribute, outside of its tracks.
    ///
    /// # Errors
    /// [`ClientError::Tracks`]; [`ClientError::State`] when nothing is to be played, or tracks are
    /// set up already; [`ClientError::Url`] when the description's control is no URL.
    pub fn set_up(
        &mut self,
        session_control: Option<&str>,
        tracks: &[TrackControl],
    ) -> Result<(), ClientError> {
        check_tracks(tracks.len())?;
        if self.url.is_none() || self.mode != Mode::Play || !self.tracks.is_empty() {
            return Err(ClientError::State);
        }
        let base = self.request_url();
        self.to_set_up = tracks
            .iter()
            .map(|wanted| {
                (
                    wanted.track,
                    resolve_control(&base, wanted.control.as_deref()),
                )
            })
            .collect();
        self.url = Some(RtspUrl::parse(&resolve_control(&base, session_control))?);
        self.set_up_next()
    }

    /// Asks the server to pause; [`ClientEvent::Paused`] comes next.
    ///
    /// # Errors
    /// [`ClientError::State`] without a session; [`ClientError::Unanswered`].
    pub fn pause(&mut self) -> Result<(), ClientError> {
        self.send_in_session(Method::Pause)
    }

    /// Goes on after a pause; [`ClientEvent::Playing`] or [`ClientEvent::Recording`] comes next.
    ///
    /// # Errors
    /// As [`Self::pause`].
    pub fn resume(&mut self) -> Result<(), ClientError> {
        self.send_in_session(match self.mode {
            Mode::Play => Method::Play,
            Mode::Record => Method::Record,
        })
    }

    /// Ends the session; [`ClientEvent::Ended`] comes next.
    ///
    /// # Errors
    /// As [`Self::pause`].
    pub fn teardown(&mut self) -> Result<(), ClientError> {
        self.send_in_session(Method::Teardown)
    }

    /// Tells the server that we are still there. Due in every half of [`Self::session_timeout`].
    ///
    /// # Errors
    /// As [`Self::pause`].
    pub fn keep_alive(&mut self) -> Result<(), ClientError> {
        self.send_in_session(self.keep_alive.clone())
    }

    /// How long the session lives without a request.
    pub fn session_timeout(&self) -> Duration {
        self.session_timeout
    }

    /// The next message to write. Call until there is none.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        self.outputs.pop_front()
    }

    /// The tracks that were set up, in the order in which they were.
    pub fn tracks(&self) -> &[ClientTrack] {
        &self.tracks
    }

    /// Takes a response, and goes on with the conversation.
    ///
    /// # Errors
    /// [`ClientError`]: the conversation is over, except that a refused keep-alive, `PAUSE` or
    /// `TEARDOWN` leaves the session as it was.
    pub fn handle_response(
        &mut self,
        response: Response,
    ) -> Result<Option<ClientEvent>, ClientError> {
        let Waiting { method, again, .. } = self.take_waiting(response.cseq)?;
        if let (StatusCode::UNAUTHORIZED, Some(again)) = (response.status, again)
            && self.is_answered(&response.headers)
        {
            return self.write(method, again, None).map(|()| None);
        }
        // A server that has no OPTIONS may still have what we need.
        if !response.status.is_success() && method != Method::Options {
            let status = response.status;
            return Err(ClientError::Refused { method, status });
        }
        self.take_session(&response.headers);
        match method {
            Method::Options if self.greeted => Ok(None),
            Method::Options => self.handle_options(&response).map(|()| None),
            Method::Describe => self.handle_described(response).map(Some),
            Method::Announce => self.set_up_next().map(|()| None),
            Method::Setup => self.handle_set_up(&response).map(|()| None),
            Method::Play => Ok(Some(self.playing(&response.headers))),
            Method::Record => Ok(Some(ClientEvent::Recording)),
            Method::Pause => Ok(Some(ClientEvent::Paused)),
            Method::Teardown => Ok(Some(self.ended())),
            Method::GetParameter | Method::SetParameter | Method::Other(_) => Ok(None),
        }
    }

    /// The request that a response belongs to. Without a number, which some servers leave out, that is
    /// the one that has waited longest: they answer one after the other.
    fn take_waiting(&mut self, cseq: Option<u32>) -> Result<Waiting, ClientError> {
        let is_asked = |waiting: &Waiting| cseq.is_none_or(|cseq| cseq == waiting.cseq);
        let at = self.waiting.iter().position(is_asked);
        let waiting = at.and_then(|at| self.waiting.remove(at));
        waiting.ok_or(ClientError::Unexpected(cseq))
    }

    /// Whether we can say who we are in the way that a 401 asks for.
    fn is_answered(&mut self, challenges: &Headers) -> bool {
        let answers = self.answers.as_mut();
        answers.is_some_and(|answers| answers.handle_challenges(challenges))
    }

    /// Answers a server's own request: keep-alives are granted, nothing else is known here.
    pub fn handle_request(&mut self, request: &Request) {
        let status = match request.method {
            Method::Options | Method::GetParameter | Method::SetParameter => StatusCode::OK,
            _ => StatusCode::NOT_IMPLEMENTED,
        };
        // A server that asks faster than its answers can be written gets fewer of them.
        if self.outputs.len() < OUTPUTS_MAX {
            let response = Response::new(status, Some(request.cseq));
            self.outputs.push_back(response.to_bytes());
        }
    }

    fn handle_options(&mut self, response: &Response) -> Result<(), ClientError> {
        self.greeted = true;
        self.keep_alive = keep_alive(response.status.is_success(), &response.headers);
        let mut headers = Headers::new();
        let url = self.request_url();
        match self.mode {
            Mode::Play => {
                headers.put("Accept", "application/sdp");
                self.send(Method::Describe, url, headers, Bytes::new())
            }
            Mode::Record => {
                headers.put("Content-Type", "application/sdp");
                let sdp = std::mem::take(&mut self.sdp);
                self.send(Method::Announce, url, headers, sdp)
            }
        }
    }

    fn handle_described(&mut self, response: Response) -> Result<ClientEvent, ClientError> {
        let asked = self.url.take().ok_or(ClientError::State)?;
        self.url = Some(base_url(&response.headers, asked));
        Ok(ClientEvent::Described { sdp: response.body })
    }

    fn handle_set_up(&mut self, response: &Response) -> Result<(), ClientError> {
        let (track, url) = self.to_set_up.pop_front().ok_or(ClientError::State)?;
        let (transport, ssrc) = self.offer.chosen(self.tracks.len(), response)?;
        let taken = self
            .tracks
            .iter()
            .any(|other| other.transport.overlaps(transport));
        if taken {
            return Err(ClientError::Transport);
        }
        self.tracks.push(ClientTrack {
            track,
            transport,
            ssrc,
            url,
        });
        self.set_up_next()
    }

    /// Sends the `SETUP` of the next track, or when there is none, `PLAY` or `RECORD`.
    fn set_up_next(&mut self) -> Result<(), ClientError> {
        let Some((_, url)) = self.to_set_up.front() else {
            return self.resume();
        };
        let url = url.clone();
        let mut headers = Headers::new();
        headers.put("Transport", self.offer.spec(self.tracks.len(), self.mode)?);
        self.send(Method::Setup, url, headers, Bytes::new())
    }

    fn playing(&self, headers: &Headers) -> ClientEvent {
        let entries = RtpInfoEntry::parse_all(headers.get("RTP-Info").unwrap_or_default());
        let found = entries.iter().filter_map(|entry| {
            let track = self.track_of(entry)?;
            Some(start_of(track, entry))
        });
        let mut starts: Vec<_> = found.collect();
        // With one track there is nothing to confuse, whatever its URL is said to be.
        if let ([], [entry], [only]) = (&*starts, &*entries, &*self.tracks) {
            starts.push(start_of(only, entry));
        }
        ClientEvent::Playing { starts }
    }

    /// Some servers give a track's URL with another host, or only its end.
    fn track_of(&self, entry: &RtpInfoEntry) -> Option<&ClientTrack> {
        let url = entry.url.as_str();
        let named = |track: &&ClientTrack| {
            !url.is_empty() && (url == track.url || track.url.ends_with(&format!("/{url}")))
        };
        let last_segment = |url: &str| url.rsplit('/').next().map(str::to_owned);
        let similar = |track: &&ClientTrack| last_segment(&track.url) == last_segment(url);
        let mut tracks = self.tracks.iter();
        let found = tracks.clone().find(named);
        found.or_else(|| tracks.find(similar))
    }

    fn ended(&mut self) -> ClientEvent {
        self.session = None;
        self.tracks.clear();
        ClientEvent::Ended
    }

    fn take_session(&mut self, headers: &Headers) {
        if let Some(value) = headers.get("Session") {
            let (id, timeout) = session(value);
            self.session = Some(id.to_owned());
            self.session_timeout = timeout;
        }
    }

    fn request_url(&self) -> String {
        self.url
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    fn send_in_session(&mut self, method: Method) -> Result<(), ClientError> {
        if self.session.is_none() {
            return Err(ClientError::State);
        }
        let mut headers = Headers::new();
        if matches!(method, Method::Play | Method::Record) {
            headers.put("Range", "npt=0.000-");
        }
        self.send(method, self.request_url(), headers, Bytes::new())
    }

    fn send(
        &mut self,
        method: Method,
        url: String,
        headers: Headers,
        body: Bytes,
    ) -> Result<(), ClientError> {
        let asked = Asked { url, headers, body };
        let again = self.answers.is_some().then(|| asked.clone());
        self.write(method, asked, again)
    }

    fn write(
        &mut self,
        method: Method,
        asked: Asked,
        again: Option<Asked>,
    ) -> Result<(), ClientError> {
        if self.waiting.len() >= WAITING_MAX || self.outputs.len() >= OUTPUTS_MAX {
            return Err(ClientError::Unanswered);
        }
        self.cseq = self.cseq.wrapping_add(1);
        let cseq = self.cseq;
        let answers = self.answers.as_mut();
        let authorization = answers.and_then(|answers| answers.authorization(&method, &asked.url));
        let mut request = Request::new(method.clone(), asked.url, cseq);
        request.headers.put("User-Agent", &self.user_agent);
        if let Some(authorization) = authorization {
            request.headers.put("Authorization", authorization);
        }
        if let Some(session) = &self.session {
            request.headers.put("Session", session);
        }
        request.headers.append(asked.headers);
        request.body = asked.body;
        let mut bytes = Vec::new();
        request.write(&mut bytes);
        let waiting = Waiting {
            cseq,
            method,
            again,
        };
        self.waiting.push_back(waiting);
        self.outputs.push_back(bytes.into());
        Ok(())
    }
}

fn start_of(track: &ClientTrack, entry: &RtpInfoEntry) -> RtpInfo {
    RtpInfo {
        track: track.track,
        seq: entry.seq,
        rtptime: entry.rtptime,
    }
}

fn check_tracks(tracks: usize) -> Result<(), ClientError> {
    match (1..=TRACKS_MAX).contains(&tracks) {
        true => Ok(()),
        false => Err(ClientError::Tracks(tracks)),
    }
}
