//! A connection while only requests pass.

use std::rc::Rc;
use std::sync::Arc;

use shardcast_platform::{Outcome, Slab};
use shardcast_protocol::rtsp::{
    Limits, MessageError, MessageReader, Parsed, Question, Request, Response, ServerConfig,
    ServerSession, StatusCode, Step, TransportKind, Transports,
};

use super::desk::PublisherStart;
use super::identity::Identity;
use super::play::ReaderStart;
use crate::connections::ConnectionSeat;
use crate::event::SessionEnd;
use crate::limits::Reached;
use crate::path::{PathEntry, PathName};
use crate::random::random_u64;
use crate::record::SessionRecord;
use crate::refusal::RefusalReason;
use crate::session::begun::Begun;
use crate::session::sniff::{SNIFF_BYTES, Sniffed, sniff};
use crate::session::transport::{Source, Transport};
use crate::session::writing::{ended, linger, write_message};
use crate::shard::{Described, IdleSeat, MulticastGroup, Phase, SessionHandle, Shard};
use crate::stream::StreamInfo;

/// The `Server` header.
pub(super) const SERVER_NAME: &str = "shardcast";

/// Room for a read while only requests pass. Nearly all requests of real players fit into one read; more is not worth it,
/// because every session waits with so much.
const REQUEST_READ_BYTES: usize = 512;

/// A connection with its state.
pub(super) struct Connection<T> {
    pub(crate) shard: Rc<Shard>,
    pub(crate) session: Rc<SessionHandle>,
    pub(crate) transport: T,
    pub(crate) slab: Slab,
    pub(crate) reader: MessageReader,
    pub(crate) server: ServerSession,
    pub(crate) plan: Plan,
    /// It has moved once; it will not again.
    pub(crate) has_moved: bool,
    /// A session that reads, whether it plays or has paused.
    pub(crate) reading: Option<Begun>,
    /// Its place among its address's sessions that neither play nor record.
    pub(crate) idle: Option<IdleSeat>,
    /// The group of which its reader was told.
    pub(crate) group: Option<Rc<MulticastGroup>>,
    /// Who its peer has shown to be.
    pub(super) identity: Identity,
    /// What others may know of it.
    pub(super) seat: ConnectionSeat,
}

/// What the session is about to do, as its requests have said so far.
pub(super) enum Plan {
    Nothing,
    Publish {
        name: PathName,
        info: Arc<StreamInfo>,
    },
    Read {
        entry: Arc<PathEntry>,
        described: Described,
    },
}

/// What follows a request.
pub(super) enum Flow {
    /// The next request.
    Continue,
    /// The end; the peer is given time to read its last answer.
    Close(SessionEnd),
    /// The end, without an answer and at once.
    Cut(SessionEnd),
    /// The answer to PLAY is due, then media.
    Play(Box<ReaderStart>),
    /// RECORD was answered: media comes.
    Record(Box<PublisherStart>),
    /// The connection is to go on elsewhere.
    Move(Box<super::handover::Departure>),
}

/// How packets may travel.
fn transports_of(shard: &Shard) -> Transports {
    let config = shard.server.config.load();
    let has_datagrams = shard.datagrams.is_some();
    Transports {
        tcp: config.rtsp.tcp,
        udp: shard.server.datagram_ports.filter(|_| has_datagrams),
        multicast: config.rtsp.multicast,
    }
}

/// Serves a new connection to its end.
pub(crate) fn serve<T: Transport>(
    shard: &Rc<Shard>,
    session: &Rc<SessionHandle>,
    transport: T,
) -> impl Future<Output = SessionEnd> + use<T> {
    let connection = Connection::new(shard.clone(), session.clone(), transport);
    Box::new(connection).serve()
}

impl<T> Connection<T> {
    /// The same connection over another transport, or over one half of its own.
    pub(super) fn with_transport<U>(self, transport: U) -> (Connection<U>, T) {
        let Self {
            shard,
            session,
            transport: before,
            slab,
            reader,
            server,
            plan,
            has_moved,
            reading,
            idle,
            group,
            identity,
            seat,
        } = self;
        let connection = Connection {
            shard,
            session,
            transport,
            slab,
            reader,
            server,
            plan,
            has_moved,
            reading,
            idle,
            group,
            identity,
            seat,
        };
        (connection, before)
    }

    /// Counts an answer that refuses. One that asks for credentials is counted and not told: most players wait for it.
    pub(super) fn note_answer(&self, response: &Response) {
        if response.status == StatusCode::UNAUTHORIZED {
            self.shard.count_refusal(response.status.into());
        } else if response.status.is_error() {
            let reason = response.status.into();
            self.shard.note_refused_request(&self.session, reason);
        }
    }

    /// How the tracks that were set up travel: all alike.
    pub(super) fn transport_kind(&self) -> TransportKind {
        let first = self.server.setups().first();
        first.map_or(TransportKind::Tcp, |setup| setup.transport.kind())
    }

    /// Counts what was read beside media: with it, where the connection carries both.
    pub(super) fn count_read(&self, media: &SessionRecord, bytes: usize) {
        let count = match self.transport_kind() {
            TransportKind::Tcp => &media.inbound_bytes,
            TransportKind::Udp | TransportKind::Multicast => &self.seat.inbound_bytes,
        };
        count.add(bytes as u64);
    }

    /// The session reads no more.
    pub(super) fn end_reading(&mut self, reason: &SessionEnd) {
        if let Some(begun) = self.reading.take() {
            begun.end(reason.clone());
        }
    }
}

impl<T: Transport> Connection<T> {
    fn new(shard: Rc<Shard>, session: Rc<SessionHandle>, transport: T) -> Self {
        let config = ServerConfig {
            session_id: format!("{:016x}{:016x}", random_u64(), random_u64()),
            server: SERVER_NAME,
            session_timeout: crate::shard::IDLE_TIMEOUT,
            peer: session.peer.ip(),
            transports: transports_of(&shard),
        };
        let limits = shard.server.config.load().limits.clone();
        let most = limits.sessions_per_address;
        let idle = shard.server.idle_sessions.seat(session.peer.ip(), most);
        let (connections, most) = (&shard.server.connections, limits.connections_per_address);
        let seat = connections.seat(session.id, session.peer, shard.id(), most);
        Self {
            seat,
            idle,
            shard,
            session,
            transport,
            slab: Slab::with_capacity(REQUEST_READ_BYTES),
            reader: MessageReader::new(Limits::default()),
            server: ServerSession::new(config),
            plan: Plan::Nothing,
            has_moved: false,
            reading: None,
            group: None,
            identity: Identity::default(),
        }
    }

    /// Each phase takes what it needs from the heap for itself, and gives it back.
    async fn serve(mut self: Box<Self>) -> SessionEnd {
        if let Err(reached) = self.look_for_connection() {
            return Box::pin(self.refuse(reached)).await;
        }
        match Box::pin(self.sniff()).await {
            Ok(Sniffed::Rtsp) => self.run().await,
            Ok(Sniffed::Tls) => SessionEnd::Protocol(
                RefusalReason::Tls,
                "TLS on a port without encryption".into(),
            ),
            Err(end) => end,
        }
    }

    /// Whether there is room for one more connection of this address, and for one more at all.
    fn look_for_connection(&self) -> Result<(), Reached> {
        let (server, config) = (&self.shard.server, self.shard.server.config.load());
        if self.seat.is_surplus() {
            let most = config.limits.connections_per_address;
            return Err(Reached::ConnectionsPerAddress(most));
        }
        if self.idle.is_none() {
            return Err(Reached::SessionsPerAddress);
        }
        server.limits.memory.look_for_connection(&config.limits)
    }

    /// Refuses the connection. It is not read first, for that would be one more.
    async fn refuse(mut self: Box<Self>, reached: Reached) -> SessionEnd {
        let mut answer = Response::new(reached.status(), None);
        answer.why = Some(reached.to_string().into());
        let answer = answer.to_bytes();
        let _peer_may_be_gone = write_message(&mut self.transport, answer, &self.session).await;
        SessionEnd::Protocol(reached.reason(), reached.to_string())
    }

    /// Serves the connection to its end; whatever it played or recorded has ended before.
    async fn run(mut self: Box<Self>) -> SessionEnd {
        loop {
            let followed = match Box::pin(self.serve_requests()).await {
                Ok((connection, flow)) => connection.follow(flow).await,
                Err(end) => return end,
            };
            match followed {
                Ok(connection) => self = connection,
                Err(end) => return end,
            }
        }
    }

    /// Answers requests until one leads to something else. Most sessions wait here for one, so what it takes to handle it
    /// is taken from the heap only then.
    async fn serve_requests(mut self: Box<Self>) -> Result<(Box<Self>, Flow), SessionEnd> {
        loop {
            let flow = match self.next_request().await {
                Ok(request) => Box::pin(self.handle_request(request)).await,
                Err(Unread::Broken(error)) => {
                    return Err(Box::pin(self.refuse_message(error)).await);
                }
                Err(Unread::Over(end)) => {
                    self.end_reading(&end);
                    return Err(end);
                }
            };
            if !matches!(flow, Flow::Continue) {
                return Ok((self, flow));
            }
        }
    }

    /// Goes on with a connection that has come from another shard with a question still open.
    pub(super) async fn run_with(mut self: Box<Self>, question: Question) -> SessionEnd {
        self.shard.session_turns.wait().await;
        let flow = Box::pin(self.decide(question)).await;
        match self.follow(flow).await {
            Ok(connection) => connection.run().await,
            Err(end) => end,
        }
    }

    /// Does what follows a request; then the connection, or why it has ended.
    async fn follow(mut self: Box<Self>, flow: Flow) -> Result<Box<Self>, SessionEnd> {
        match flow {
            Flow::Continue => Ok(self),
            Flow::Close(end) => Err(Box::pin(self.close(end)).await),
            Flow::Cut(end) => {
                self.end_reading(&end);
                Err(end)
            }
            Flow::Move(departure) => Err((*self).depart(*departure)),
            Flow::Record(start) => {
                self.idle = None;
                Box::pin(self.record(start)).await?;
                Ok(self.back_to_requests())
            }
            Flow::Play(start) => {
                self.idle = None;
                let connection = Box::pin(self.play(start)).await?;
                Ok(connection.back_to_requests())
            }
        }
    }

    fn back_to_requests(mut self: Box<Self>) -> Box<Self> {
        let address = self.session.peer.ip();
        self.idle = Some(self.shard.server.idle_sessions.seat_again(address));
        self.session
            .enter(Phase::Commands, shardcast_platform::now());
        self
    }

    async fn close(mut self: Box<Self>, end: SessionEnd) -> SessionEnd {
        self.end_reading(&end);
        let slab = std::mem::replace(&mut self.slab, Slab::with_capacity(0));
        linger(&mut self.transport, slab, &self.session, end.clone()).await;
        end
    }

    async fn sniff(&mut self) -> Result<Sniffed, SessionEnd> {
        loop {
            if let Some(sniffed) = sniff(self.slab.filled()) {
                return Ok(sniffed);
            }
            debug_assert!(self.slab.len() < SNIFF_BYTES);
            self.session
                .note_message(!self.slab.is_empty(), shardcast_platform::now());
            self.read_request_bytes().await?;
        }
    }

    async fn read_request_bytes(&mut self) -> Result<(), SessionEnd> {
        let (transport, slab) = (&mut self.transport, &mut self.slab);
        let bytes = read_more(transport, slab, &self.session, REQUEST_READ_BYTES).await?;
        self.seat.inbound_bytes.add(bytes as u64);
        Ok(())
    }

    /// The next request. Interleaved frames and responses that stray in between are passed over.
    async fn next_request(&mut self) -> Result<Request, Unread> {
        loop {
            match self.reader.poll(self.slab.filled()) {
                Ok(Parsed::Request { request, consumed }) => {
                    drop(self.slab.split_to(consumed));
                    self.session.note_message_end();
                    self.session.note_request(shardcast_platform::now());
                    return Ok(request);
                }
                Ok(Parsed::Frame { consumed, .. } | Parsed::Response { consumed, .. }) => {
                    drop(self.slab.split_to(consumed));
                    self.session.note_message_end();
                }
                Ok(Parsed::Incomplete { begun, consumed }) => {
                    drop(self.slab.split_to(consumed));
                    self.session.note_message(begun, shardcast_platform::now());
                    self.read_request_bytes().await.map_err(Unread::Over)?;
                }
                Err(error) => return Err(Unread::Broken(error)),
            }
        }
    }

    async fn handle_request(&mut self, request: Request) -> Flow {
        self.shard.session_turns.wait().await;
        self.identity.note_request(&request);
        let step = self.server.handle_request(&request);
        drop(request);
        match step {
            Step::Respond(response) => self.respond(&response).await,
            Step::Ask(question) => self.decide(question).await,
            Step::RespondAndClose(response) => match self.respond(&response).await {
                Flow::Continue => Flow::Close(too_many_refused()),
                closed => closed,
            },
        }
    }

    /// Writes an answer.
    pub(super) async fn respond(&mut self, response: &Response) -> Flow {
        self.note_answer(response);
        self.write_answer(response).await
    }

    /// Writes an answer that was counted already.
    pub(super) async fn write_answer(&mut self, response: &Response) -> Flow {
        let answer = response.to_bytes();
        let bytes = answer.len() as u64;
        match write_message(&mut self.transport, answer, &self.session).await {
            Ok(()) => {
                self.seat.outbound_bytes.add(bytes);
                Flow::Continue
            }
            Err(end) => Flow::Close(end),
        }
    }

    /// Answers what is no message of the protocol; the connection cannot go on after it.
    async fn refuse_message(mut self: Box<Self>, error: MessageError) -> SessionEnd {
        let end = broken_by(&error);
        let end = self.close_with(&error.response(SERVER_NAME), end).await;
        self.end_reading(&end);
        end
    }

    /// Writes a last answer, and gives the peer time to read it.
    pub(super) async fn close_with(&mut self, response: &Response, end: SessionEnd) -> SessionEnd {
        let answer = response.to_bytes();
        if write_message(&mut self.transport, answer, &self.session)
            .await
            .is_ok()
        {
            let slab = std::mem::replace(&mut self.slab, Slab::with_capacity(0));
            linger(&mut self.transport, slab, &self.session, end.clone()).await;
        }
        end
    }
}

/// Why there is no next request.
enum Unread {
    /// What came is no message.
    Broken(MessageError),
    /// The session is over.
    Over(SessionEnd),
}

/// Why a session is over whose peer asks for nothing sensible.
pub(super) fn too_many_refused() -> SessionEnd {
    SessionEnd::Protocol(
        RefusalReason::TooManyRefusals,
        "too many refused requests".into(),
    )
}

/// Why a session is over whose peer has sent what is no message.
pub(super) fn broken_by(error: &MessageError) -> SessionEnd {
    SessionEnd::Protocol(error.kind.into(), error.to_string())
}

/// Reads at least one byte more.
///
/// # Errors
/// Why the session is over.
pub(super) async fn read_more(
    source: &mut impl Source,
    slab: &mut Slab,
    session: &SessionHandle,
    room: usize,
) -> Result<usize, SessionEnd> {
    let mut taken = std::mem::replace(slab, Slab::with_capacity(0));
    if taken.spare() < room / 2 {
        taken.reserve(room);
    }
    let (outcome, back) = source.read_or(taken, &session.cancel).await;
    *slab = back;
    match outcome {
        Outcome::Done(Ok(0)) => Err(SessionEnd::PeerClosed),
        Outcome::Done(Ok(bytes)) => Ok(bytes),
        Outcome::Done(Err(error)) => Err(SessionEnd::Connection(error.to_string())),
        Outcome::Cancelled => Err(ended(session)),
    }
}
