//! A reader: one task goes on with requests, another one ([`super::writer`]) writes whatever the log has at the reader's
//! cursor.
//!
//! The writer ends first, always: at PAUSE and TEARDOWN when its write in flight is done, at the stream's end when the log
//! is delivered.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use shardcast_config::{Config, PathConfig, SlowReader as ConfigSlowReader, Start as ConfigStart};
use shardcast_platform::{SendBuffer, Slab};
use shardcast_protocol::rtsp::{
    Parsed, Question, Request, Response, RtpInfo, StatusCode, Step, TransportKind,
};
use shardcast_runtime::local::{Notify, Receiver, oneshot};

use super::connection::{Connection, Flow, SERVER_NAME, broken_by, read_more, too_many_refused};
use super::reported::ReportedLosses;
use super::room::reader_kind;
use super::rtp_info::rtp_infos;
use super::writer::{Media, Play, WriterEnd, Written, spawn_writer};
use crate::egress::{Begin, TcpQueue};
use crate::event::SessionEnd;
use crate::fanout::{
    ChannelMap, Cursor, ReaderSeat, SharedLog, SlowReader, SlowReaderPolicy, Start,
};
use crate::latency::PathLatency;
use crate::limits::{Reached, ReaderKind, ReaderPass};
use crate::path::PathEntry;
use crate::record::{Role, SessionRecord};
use crate::session::begun::Begun;
use crate::session::transport::{Sink, Source, Transport};
use crate::session::writing::{discard, ended};
use crate::shard::{Described, Phase, Refusal, SessionHandle, Shard};
use crate::stream::Generation;

/// Room for a read while media is written: readers send reports and keep-alives, which are smaller than most requests.
const READER_READ_BYTES: usize = 256;

/// Answers that may wait for the writer; a peer that pipelines more is read no further until they are written.
const ANSWERS_MAX: usize = 16;

/// A reader that its path's owner has admitted.
pub(super) struct ReaderStart {
    pub(super) subscription: Subscription,
    pub(super) described: Described,
    pub(super) policy: SlowReaderPolicy,
    pub(super) start: Start,
    config: Arc<Config>,
}

/// A reader's seat at a stream; given up when dropped.
pub(super) struct Subscription {
    pub(super) shard: Rc<Shard>,
    session: Rc<SessionHandle>,
    pub(super) entry: Arc<PathEntry>,
    generation: Generation,
    kind: ReaderKind,
    pub(super) log: Rc<SharedLog>,
    pub(super) seat: Rc<ReaderSeat>,
    /// Where is recorded how late its packets leave.
    pub(super) latency: Rc<PathLatency>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.log.leave(&self.seat);
        let shard = &self.shard;
        shard.detach(&self.entry, self.generation, self.session.id);
        let ledger = &shard.server.limits.ledger;
        ledger.leave(self.entry.id, self.kind, shard.id().index());
    }
}

impl ReaderStart {
    /// Asks the path's owner for the stream. Who is sent datagrams is not woken by the log: its feed is.
    pub(super) async fn attach(
        shard: &Rc<Shard>,
        session: &Rc<SessionHandle>,
        entry: &Arc<PathEntry>,
        described: &Described,
        transport: TransportKind,
    ) -> Result<Self, Refusal> {
        let config = shard.server.config.load_full();
        let kind = reader_kind(transport);
        let pass = take_place(shard, entry, kind, &config)?;
        let log = shard.attach(entry, session.id, described).await?;
        let path = config
            .path(entry.name.as_str())
            .unwrap_or(&config.path_defaults);
        let (policy, start) = (policy_of(path), start_of(path));
        let subscription = Subscription {
            shard: shard.clone(),
            session: session.clone(),
            entry: entry.clone(),
            generation: described.generation,
            kind,
            seat: match transport {
                TransportKind::Udp => log.quiet_seat(),
                TransportKind::Tcp | TransportKind::Multicast => log.seat(),
            },
            log,
            latency: shard.latencies.of(&entry.name, shardcast_platform::now()),
        };
        pass.keep();
        Ok(Self {
            subscription,
            described: described.clone(),
            policy,
            start,
            config,
        })
    }
}

/// Takes a place among all readers, before the path's owner is asked.
fn take_place<'a>(
    shard: &'a Shard,
    entry: &PathEntry,
    kind: ReaderKind,
    config: &Config,
) -> Result<ReaderPass<'a>, Reached> {
    let (limits, cpu_percent) = (&shard.server.limits, config.limits.cpu_percent);
    let here = shard.id().index();
    if kind == ReaderKind::Own && limits.busy.is_too_busy(here, cpu_percent) {
        return Err(Reached::Cpu(cpu_percent));
    }
    let bit_rate = entry.bit_rate.load(Ordering::Relaxed);
    let ledger = &limits.ledger;
    let pass = ledger.join(entry.id, bit_rate, kind, here, &config.limits)?;
    limits.memory.reserve_reader(&config.limits)?;
    Ok(pass)
}

impl<T: Transport> Connection<T> {
    /// Answers PLAY, plays, and comes back with the connection when the reader pauses or tears down.
    pub(super) async fn play(
        self: Box<Self>,
        start: Box<ReaderStart>,
    ) -> Result<Box<Self>, SessionEnd> {
        let (mut half, written) = self.begin_halves(start);
        let next = half.read_requests().await;
        // Most readers play: what their end needs is taken from the heap only then.
        Box::pin(Self::end_halves(half, next, written)).await
    }

    /// Begins to play, with a half for each of the two tasks. Whatever only the begin needs is given back here: what an
    /// `async fn` has once had a look at, it keeps for as long as it runs.
    #[expect(
        clippy::boxed_local,
        reason = "its memory is given back here, not when the playing ends"
    )]
    fn begin_halves(
        mut self: Box<Self>,
        start: Box<ReaderStart>,
    ) -> (Reading<T::Source>, Receiver<Written<T::Sink>>) {
        self.bound_kernel_queue(&start);
        let (play, media) = self.begin_play(*start);
        let phase = match &media {
            Media::Datagrams(_) => Phase::PlayingDatagrams,
            Media::Interleaved(_) | Media::Group(_) => Phase::Playing,
        };
        self.session.enter(phase, shardcast_platform::now());
        if self.slab.is_empty() {
            // Room for a reader's messages is less than for the requests that have led here.
            self.slab = Slab::with_capacity(0);
        }
        let (connection, sink) = (*self).take_apart();
        let (done, written) = oneshot();
        spawn_writer(&connection.shard, &play, media, sink, done);
        (Reading { connection, play }, written)
    }

    /// Ends the writer, and goes on with the whole connection if it can.
    async fn end_halves(
        mut half: Reading<T::Source>,
        next: Result<Question, SessionEnd>,
        written: Receiver<Written<T::Sink>>,
    ) -> Result<Box<Self>, SessionEnd> {
        half.connection.shard.session_turns.wait().await;
        let ended = finish_play(&mut half, next, written).await;
        let Reading {
            mut connection,
            play,
        } = half;
        // Before the peer is told anything, its seat is free.
        drop(play);
        connection.seat.end_media();
        if let Err(end) = &ended {
            connection.end_reading(end);
        }
        let (sink, question) = ended?;
        let mut connection = Self::put_together(*connection, sink);
        match Box::pin(connection.decide(question)).await {
            Flow::Close(end) | Flow::Cut(end) => Err(end),
            _answered => Ok(connection),
        }
    }

    fn take_apart(self) -> (Box<Connection<T::Source>>, T::Sink) {
        let (connection, transport) = self.with_transport(());
        let (source, sink) = transport.split();
        (Box::new(connection.with_transport(source).0), sink)
    }

    fn put_together(half: Connection<T::Source>, sink: T::Sink) -> Box<Self> {
        let (connection, source) = half.with_transport(());
        let transport = T::reunite(source, sink);
        Box::new(connection.with_transport(transport).0)
    }

    fn bound_kernel_queue(&self, start: &ReaderStart) {
        let fanout = &start.config.fanout;
        let bytes = |limit: Option<std::num::NonZeroUsize>| {
            limit.and_then(|limit| u32::try_from(limit.get()).ok())
        };
        let bound = SendBuffer {
            not_sent_lowat: bytes(fanout.not_sent_lowat),
            send_buffer: bytes(fanout.send_buffer),
        };
        if let Err(error) = self.transport.bound_send_buffer(bound) {
            tracing::debug!(
                "[session {}] the send buffer stays as it is: {error}",
                self.session.id
            );
        }
    }

    /// Places the cursor, answers PLAY, and tells that a reader has begun.
    fn begin_play(&mut self, mut start: ReaderStart) -> (Rc<Play>, Media) {
        if self.reading.is_some() {
            start.start = start.start.after_pause();
        }
        let record = SessionRecord::new(
            self.session.id,
            Role::Reader,
            self.session.peer,
            start.subscription.entry.name.clone(),
            self.shard.id().index(),
        );
        let log = start.subscription.log.log.borrow().record().clone();
        let record = Arc::new(record.reading(log));
        let losses = ReportedLosses::new(record.clone(), &start.described.begin);
        let losses = Rc::new(losses);
        let (media, infos) = self.begin_media(&start, &losses);
        let answer = self.server.grant_play(&infos).to_bytes();
        self.shard.server.records.insert(record.clone());
        self.seat.begin_media(record.clone());
        if self.reading.is_none() {
            let (path, tracks) = (
                &start.subscription.entry.name,
                start.described.info.summary(),
            );
            let begun = Begun::reader(
                &self.shard,
                &self.session,
                path,
                tracks,
                self.transport_kind(),
            );
            self.reading = Some(begun);
        }
        let play = Play {
            losses,
            connection: self.seat.clone(),
            session: self.session.clone(),
            record,
            subscription: start.subscription,
            answers: RefCell::new(vec![answer]),
            answered: Notify::new(),
            stop: Cell::new(false),
        };
        (Rc::new(play), media)
    }

    /// How the reader is given media, and where it begins.
    fn begin_media(
        &self,
        start: &ReaderStart,
        losses: &Rc<ReportedLosses>,
    ) -> (Media, Vec<RtpInfo>) {
        let ReaderStart {
            subscription,
            described,
            policy,
            ..
        } = start;
        let (now, begin) = (shardcast_platform::now(), &described.begin);
        let log = &subscription.log;
        if let Some(group) = &self.group {
            group.start(
                &self.shard,
                &subscription.entry.name,
                log,
                described,
                policy.for_datagrams(),
            );
            let infos = rtp_infos(&log.log.borrow(), begin, None, None, now);
            return (Media::Group(group.clone()), infos);
        }
        if self.transport_kind() == TransportKind::Udp
            && let Some((reader, infos)) = self.begin_datagrams(start, losses)
        {
            return (Media::Datagrams(Box::new(reader)), infos);
        }
        let mut log = log.log.borrow_mut();
        let (cursor, catch_up) = Cursor::begin(&log, start.start, *policy, now);
        let infos = rtp_infos(&log, begin, cursor.position(), catch_up.as_deref(), now);
        let channels = self.channel_map(described.info.tracks().len());
        let begin = Begin::new(begin.clone(), catch_up);
        let queue = TcpQueue::new(&mut log, cursor, channels, begin);
        (Media::Interleaved(Box::new(queue)), infos)
    }

    fn channel_map(&self, tracks: usize) -> ChannelMap {
        let mut channels = ChannelMap(std::iter::repeat_n(None, tracks).collect());
        for setup in self.server.setups() {
            if let Some(place) = channels.0.get_mut(setup.track) {
                let pair = setup.transport.interleaved();
                *place = pair.map(|pair| (pair.rtp, pair.rtcp));
            }
        }
        channels
    }
}

fn policy_of(path: &PathConfig) -> SlowReaderPolicy {
    SlowReaderPolicy {
        slow_reader: match path.slow_reader {
            ConfigSlowReader::Disconnect => SlowReader::Disconnect,
            ConfigSlowReader::DropToKeyFrame => SlowReader::DropToKeyFrame,
            ConfigSlowReader::SkipNonReference => SlowReader::SkipNonReference,
        },
        queue_bytes: path.reader_queue_bytes as u64,
        queue_age: path.reader_queue_age,
    }
}

fn start_of(path: &PathConfig) -> Start {
    match path.start {
        ConfigStart::Live => Start::Live,
        ConfigStart::KeyFrame => Start::KeyFrame,
        ConfigStart::Gop => Start::Gop,
        ConfigStart::CatchUp => Start::CatchUp,
    }
}

/// The reading half while media is written.
struct Reading<S> {
    connection: Box<Connection<S>>,
    play: Rc<Play>,
}

impl<S: Source> Reading<S> {
    /// Handles requests until one of them ends the playing.
    async fn read_requests(&mut self) -> Result<Question, SessionEnd> {
        loop {
            match self.next_request()? {
                Some(request) => {
                    if let Some(question) = self.handle_request(&request)? {
                        return Ok(question);
                    }
                    drop(request);
                    self.wait_for_room().await;
                }
                None => self.read().await?,
            }
        }
    }

    /// The next request of what was read. Reports are taken on the way, and responses passed over.
    fn next_request(&mut self) -> Result<Option<Request>, SessionEnd> {
        let (connection, play) = (&mut *self.connection, &self.play);
        loop {
            match connection.reader.poll(connection.slab.filled()) {
                Ok(Parsed::Request { request, consumed }) => {
                    drop(connection.slab.split_to(consumed));
                    play.session.note_message_end();
                    // Over UDP, requests are what says that the reader is still there.
                    play.session.note_request(shardcast_platform::now());
                    return Ok(Some(request));
                }
                Ok(Parsed::Frame {
                    payload, consumed, ..
                }) => {
                    let packet = connection.slab.filled().get(payload).unwrap_or_default();
                    play.losses.handle_rtcp(packet);
                    drop(connection.slab.split_to(consumed));
                    play.session.note_message_end();
                }
                Ok(Parsed::Response { consumed, .. }) => {
                    drop(connection.slab.split_to(consumed));
                    play.session.note_message_end();
                }
                Ok(Parsed::Incomplete { begun, consumed }) => {
                    drop(connection.slab.split_to(consumed));
                    play.session.note_message(begun, shardcast_platform::now());
                    return Ok(None);
                }
                Err(error) => {
                    let answer = error.response(SERVER_NAME).to_bytes();
                    play.answers.borrow_mut().push(answer);
                    return Err(broken_by(&error));
                }
            }
        }
    }

    async fn read(&mut self) -> Result<(), SessionEnd> {
        let Connection {
            transport, slab, ..
        } = &mut *self.connection;
        let bytes = read_more(transport, slab, &self.play.session, READER_READ_BYTES).await?;
        self.connection.count_read(&self.play.record, bytes);
        Ok(())
    }

    /// Answers what can be answered while media flows; a question that ends the playing comes back.
    fn handle_request(&mut self, request: &Request) -> Result<Option<Question>, SessionEnd> {
        let server = &mut self.connection.server;
        match server.handle_request(request) {
            Step::Ask(question @ (Question::Pause | Question::Teardown)) => {
                return Ok(Some(question));
            }
            Step::Ask(_) => {
                let response = server.refuse(StatusCode::METHOD_NOT_VALID_IN_THIS_STATE);
                self.answer(&response);
            }
            Step::Respond(response) => self.answer(&response),
            Step::RespondAndClose(response) => {
                self.answer(&response);
                return Err(too_many_refused());
            }
        }
        self.play.subscription.seat.wake.notify();
        Ok(None)
    }

    /// Leaves an answer to the writer.
    fn answer(&self, response: &Response) {
        self.connection.note_answer(response);
        self.play.answers.borrow_mut().push(response.to_bytes());
    }

    /// A peer that asks faster than its answers leave is read no further until they have.
    async fn wait_for_room(&self) {
        let play = &self.play;
        while play.answers.borrow().len() >= ANSWERS_MAX && !play.session.cancel.is_cancelled() {
            play.answered.notified().await;
        }
    }
}

/// Stops the writer and takes its half back; or, when the session is over, waits for the writer's end so that nothing is in
/// flight when the connection is dropped.
async fn finish_play<S: Source, K: Sink>(
    half: &mut Reading<S>,
    next: Result<Question, SessionEnd>,
    written: Receiver<Written<K>>,
) -> Result<(K, Question), SessionEnd> {
    let play = half.play.clone();
    match &next {
        Ok(_) => {}
        Err(end @ SessionEnd::Protocol(..)) => {
            play.session.linger(end.clone(), shardcast_platform::now());
        }
        Err(end) => play.session.end(end.clone()),
    }
    play.stop.set(true);
    play.subscription.seat.wake.notify();
    let Ok(written) = written.await else {
        return Err(SessionEnd::Panicked);
    };
    let (mut sink, writer_end) = *written;
    match (next, writer_end) {
        (Ok(question), WriterEnd::Stopped) => Ok((sink, question)),
        (Ok(_), WriterEnd::Delivered(end) | WriterEnd::Failed(end)) => Err(end),
        (Err(end @ SessionEnd::Protocol(..)), _) => {
            if sink.shutdown_write().await.is_ok() {
                let Connection {
                    transport, slab, ..
                } = &mut *half.connection;
                discard(transport, slab, &play.session).await;
            }
            Err(end)
        }
        (Err(_), _) => Err(ended(&play.session)),
    }
}
