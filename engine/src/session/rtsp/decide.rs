//! The decisions that the protocol's state machine leaves to the server: which stream, who may, and where.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use shardcast_config::Source;
use shardcast_platform::MULTICAST_TTL;
use shardcast_protocol::rtsp::{
    Lower, Mode, MulticastGroup, PortPair, Question, Response, ServerState, SetupAnswer,
    StatusCode, Target, TransportKind,
};
use shardcast_protocol::sdp;

use super::connection::{Connection, Flow, Plan};
use super::desk::PublisherStart;
use super::intake::Intake;
use super::play::ReaderStart;
use crate::admit::{Action, AdmitRequest, Decision};
use crate::connections::SessionAbout;
use crate::event::SessionEnd;
use crate::limits::Reached;
use crate::path::{PathEntry, PathName};
use crate::refusal::RefusalReason;
use crate::session::transport::Transport;
use crate::shard::{Described, Refusal};
use crate::stream::StreamInfo;

impl<T: Transport> Connection<T> {
    /// Decides, answers, and says what follows.
    pub(super) async fn decide(&mut self, question: Question) -> Flow {
        let decided = match question {
            Question::Describe { target } => self.decide_describe(target).await,
            Question::Announce { target, sdp } => self.decide_announce(target, sdp).await,
            Question::Setup {
                mode: Mode::Record, ..
            } => Ok(Decided::Respond(self.set_up(SetupAnswer::default()))),
            Question::Setup {
                target,
                track,
                named_track,
                mode: Mode::Play,
                transport,
            } => {
                self.decide_setup(Question::Setup {
                    target,
                    track,
                    named_track,
                    mode: Mode::Play,
                    transport,
                })
                .await
            }
            Question::Play { .. } => self.decide_play().await,
            Question::Record => self.decide_record().await,
            Question::Pause => Ok(Decided::Respond(self.server.grant_pause())),
            Question::Teardown => {
                self.plan = Plan::Nothing;
                self.group = None;
                self.end_reading(&SessionEnd::Teardown);
                self.seat.end_session();
                Ok(Decided::Respond(self.server.grant_teardown()))
            }
        };
        match decided {
            Ok(Decided::Respond(response)) => self.respond(&response).await,
            Ok(Decided::Flow(flow)) => flow,
            Err(denied) => self.deny(denied).await,
        }
    }

    /// Answers a request that is denied. A failed attempt ends its connection, as it does in MediaMTX.
    async fn deny(&mut self, denied: Denied) -> Flow {
        let response = match denied {
            Denied::Status(status) => self.server.refuse(status),
            Denied::NoRoom(reached) => return self.deny_room(reached).await,
            Denied::CredentialsMissing | Denied::Failed => {
                let methods = &self.shard.server.config.load().rtsp.auth_methods;
                let challenge = self.identity.challenge(methods);
                self.server.refuse_with(StatusCode::UNAUTHORIZED, challenge)
            }
            Denied::TooManyFailures => return Flow::Cut(too_many_failures()),
        };
        let flow = self.respond(&response).await;
        match denied {
            // Also if its peer has not waited for the answer.
            Denied::Failed => Flow::Close(authentication_failed()),
            _ => flow,
        }
    }

    /// Says which limit is reached. The session stays as it was: its peer may ask again.
    async fn deny_room(&mut self, reached: Reached) -> Flow {
        let response = self
            .server
            .refuse_because(reached.status(), &reached.to_string());
        self.shard
            .note_refused_request(&self.session, reached.reason());
        self.write_answer(&response).await
    }

    async fn decide_describe(&mut self, target: Target) -> Result<Decided, Denied> {
        let (entry, described) = self.find_stream(&target).await?;
        // Whoever asks in the middle of something else is told, and goes on with that.
        let is_begin = self.server.state() == ServerState::Init;
        if is_begin && let Some(shard) = self.look_for_reader(&entry)? {
            let question = Question::Describe { target };
            return Ok(Decided::Flow(self.move_to(shard, question)));
        }
        let sdp = match self.session.peer.ip().to_canonical() {
            IpAddr::V4(_) => Bytes::copy_from_slice(described.info.sdp().as_bytes()),
            IpAddr::V6(_) => sdp::over_ipv6(described.info.sdp()).into(),
        };
        let tracks = described.info.tracks().len();
        if is_begin {
            self.plan = Plan::Read { entry, described };
        }
        Ok(Decided::Respond(self.server.grant_describe(sdp, tracks)))
    }

    async fn decide_announce(&mut self, target: Target, sdp: Bytes) -> Result<Decided, Denied> {
        let name = path_name(&target)?;
        self.admit(Action::Publish, &name).await?;
        match self
            .shard
            .server
            .config
            .load()
            .path(name.as_str())
            .map(|path| &path.source)
        {
            None => return Err(Refusal::NotConfigured.into()),
            Some(Source::Elsewhere(_)) => return Err(Refusal::NotForPublishers.into()),
            Some(Source::Publisher) => {}
        }
        let description = sdp::parse(&sdp).map_err(|_error| StatusCode::BAD_REQUEST)?;
        let tracks = sdp::tracks(&description).map_err(|_error| StatusCode::BAD_REQUEST)?;
        let server = &self.shard.server;
        let owner = server
            .directory
            .find(&name)
            .map_or_else(|| server.place(&name), |entry| entry.owner);
        if self.may_move_to(owner) {
            return Ok(Decided::Flow(
                self.move_to(owner, Question::Announce { target, sdp }),
            ));
        }
        let controls = tracks.iter().map(|track| track.control.clone()).collect();
        let info = Arc::new(StreamInfo::new(tracks, name.as_str()));
        self.look_for_publisher(&name, &info)?;
        self.begin_session(&name, &target.query);
        self.plan = Plan::Publish { name, info };
        Ok(Decided::Respond(self.server.grant_announce(controls)))
    }

    async fn decide_setup(&mut self, question: Question) -> Result<Decided, Denied> {
        let Question::Setup {
            ref target,
            track,
            named_track,
            transport,
            ..
        } = question
        else {
            return Err(StatusCode::INTERNAL_SERVER_ERROR.into());
        };
        if !matches!(self.plan, Plan::Read { .. }) || self.server.setups().is_empty() {
            let (entry, described) = self.find_stream(target).await?;
            let better = self.look_for_reader(&entry)?;
            let needed = self.is_needed_at_owner(transport, &entry);
            if let Some(shard) = needed.then_some(entry.owner).or(better) {
                return Ok(Decided::Flow(self.move_to(shard, question)));
            }
            self.plan = Plan::Read { entry, described };
        }
        let Plan::Read { entry, described } = &self.plan else {
            return Err(StatusCode::INTERNAL_SERVER_ERROR.into());
        };
        let path = entry.name.clone();
        let tracks = described.info.tracks().len();
        match (track < tracks, named_track || tracks == 1) {
            (false, _) => Err(StatusCode::NOT_FOUND.into()),
            (true, false) => Err(StatusCode::AGGREGATE_OPERATION_NOT_ALLOWED.into()),
            (true, true) => {
                let ssrc = described.begin.get(track).map(|base| base.ssrc.0);
                let group = match transport {
                    Lower::Multicast => Some(self.group_of(track)?),
                    _ => None,
                };
                self.begin_session(&path, &target.query);
                Ok(Decided::Respond(self.set_up(SetupAnswer { ssrc, group })))
            }
        }
    }

    /// Grants a track's SETUP.
    fn set_up(&mut self, answer: SetupAnswer) -> Response {
        let response = self.server.grant_setup(answer);
        if !self.server.setups().is_empty() {
            self.seat.note_transport(self.transport_kind());
        }
        response
    }

    /// There is a session from now on, about this path.
    fn begin_session(&mut self, path: &PathName, query: &str) {
        let identity = &mut self.identity;
        self.seat.begin_session(|| {
            let program = identity.take_user_agent();
            SessionAbout::new(path.clone(), query, identity.user(), &program)
        });
    }

    /// Where the track is sent for everybody who listens.
    fn group_of(&mut self, track: usize) -> Result<MulticastGroup, StatusCode> {
        let Plan::Read { entry, described } = &self.plan else {
            return Err(StatusCode::INTERNAL_SERVER_ERROR);
        };
        if self.group.is_none() {
            let interface = self.transport.local_ip();
            let interface = interface.ok_or(StatusCode::UNSUPPORTED_TRANSPORT)?;
            let group = self.shard.multicast_group(entry, described, interface);
            self.group = Some(group.map_err(|_error| StatusCode::UNSUPPORTED_TRANSPORT)?);
        }
        let address = self.group.as_ref().and_then(|group| group.address(track));
        let config = self.shard.server.config.load();
        Ok(MulticastGroup {
            address: address.ok_or(StatusCode::NOT_FOUND)?.into(),
            ports: PortPair {
                rtp: config.rtsp.multicast_rtp_port,
                rtcp: config.rtsp.multicast_rtcp_port,
            },
            ttl: MULTICAST_TTL,
        })
    }

    async fn decide_play(&mut self) -> Result<Decided, Denied> {
        let Plan::Read { entry, described } = &self.plan else {
            return Err(StatusCode::METHOD_NOT_VALID_IN_THIS_STATE.into());
        };
        if self.shard.datagrams.is_none() && self.transport_kind() == TransportKind::Udp {
            return Err(StatusCode::UNSUPPORTED_TRANSPORT.into());
        }
        let (shard, session) = (&self.shard, &self.session);
        let transport = self.transport_kind();
        let start = ReaderStart::attach(shard, session, entry, described, transport).await;
        let start = start?;
        Ok(Decided::Flow(Flow::Play(Box::new(start))))
    }

    /// RECORD takes the path: only now is the publisher sure to send.
    async fn decide_record(&mut self) -> Result<Decided, Denied> {
        let Plan::Publish { name, info } = &self.plan else {
            return Err(StatusCode::METHOD_NOT_VALID_IN_THIS_STATE.into());
        };
        self.reserve_publisher(name, info)?;
        let (shard, session) = (&self.shard, &self.session);
        let transport = self.transport_kind();
        let start =
            PublisherStart::publish(shard, session, name, info, transport, self.can_move()).await;
        let mut start = start?;
        self.seat.begin_media(start.desk.record.clone());
        // Datagrams may come as soon as the answer has left.
        let (shard, session, setups) = (&self.shard, &self.session, self.server.setups());
        let local = self.transport.local_ip();
        start.intake = Intake::start(shard, session, &start.desk, &start.timer, setups, local);
        let response = self.server.grant_record();
        match self.respond(&response).await {
            Flow::Continue => Ok(Decided::Flow(Flow::Record(Box::new(start)))),
            Flow::Close(end) => {
                start.begun.end(end.clone());
                Ok(Decided::Flow(Flow::Close(end)))
            }
            other => Ok(Decided::Flow(other)),
        }
    }

    async fn find_stream(
        &mut self,
        target: &Target,
    ) -> Result<(Arc<PathEntry>, Described), Denied> {
        let name = path_name(target)?;
        self.admit(Action::Read, &name).await?;
        Ok(self.shard.describe(&name).await?)
    }

    /// Whether the peer may, by what its request offers or what it has proven before.
    async fn admit(&mut self, action: Action, path: &PathName) -> Result<(), Denied> {
        let config = self.shard.server.config.load_full();
        if self.identity.has_proven(&config.access, action, path) {
            return Ok(());
        }
        let is_made_with = |pass: &str| self.identity.is_made_with(pass);
        let offered = self
            .identity
            .offered(&config.rtsp.auth_methods, &is_made_with);
        let request = AdmitRequest {
            action,
            path: Some(path),
            peer: self.session.peer,
            offered,
        };
        match self.shard.admit(&self.session, request).await {
            Decision::Open => Ok(()),
            Decision::Proven => {
                self.identity.prove(&config.access, action, path);
                Ok(())
            }
            Decision::CredentialsMissing => Err(Denied::CredentialsMissing),
            Decision::Failed => Err(Denied::Failed),
            Decision::TooManyFailures => Err(Denied::TooManyFailures),
            Decision::Busy => Err(StatusCode::SERVICE_UNAVAILABLE.into()),
        }
    }

    /// One group serves all readers of a stream only on one shard.
    fn is_needed_at_owner(&self, transport: Lower, entry: &PathEntry) -> bool {
        transport == Lower::Multicast && self.may_move_to(entry.owner)
    }
}

enum Decided {
    Respond(Response),
    Flow(Flow),
}

/// Why a request is not granted.
#[derive(Clone, Copy)]
enum Denied {
    /// For the reason that the status says.
    Status(StatusCode),
    /// It has to say who it is first.
    CredentialsMissing,
    /// It is not who may.
    Failed,
    /// Its address has failed too often.
    TooManyFailures,
    /// There is no room for it.
    NoRoom(Reached),
}

impl From<StatusCode> for Denied {
    fn from(status: StatusCode) -> Self {
        Self::Status(status)
    }
}

impl From<Reached> for Denied {
    fn from(reached: Reached) -> Self {
        Self::NoRoom(reached)
    }
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Limit(reached) => Self::NoRoom(reached),
            Refusal::NotConfigured | Refusal::NoStream | Refusal::StreamChanged => {
                Self::Status(StatusCode::NOT_FOUND)
            }
            Refusal::Occupied | Refusal::NotForPublishers => Self::Status(StatusCode::FORBIDDEN),
            Refusal::TooManyPaths => Self::Status(StatusCode::NOT_ENOUGH_BANDWIDTH),
            Refusal::ShuttingDown => Self::Status(StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}

/// In MediaMTX's words: filters of operators depend on them.
fn authentication_failed() -> SessionEnd {
    let why = "failed to authenticate: authentication failed";
    SessionEnd::Protocol(RefusalReason::AuthenticationFailed, why.into())
}

fn too_many_failures() -> SessionEnd {
    let why = "failed to authenticate: too many attempts of this address have failed";
    SessionEnd::Protocol(RefusalReason::TooManyFailures, why.into())
}

fn path_name(target: &Target) -> Result<PathName, StatusCode> {
    PathName::from_url_path(&target.path).map_err(|_error| StatusCode::NOT_FOUND)
}
