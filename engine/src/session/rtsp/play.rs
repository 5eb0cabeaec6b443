//! A reader: one task goes on with requests, another writes whatever the log has at the reader's cursor.
//!
//! Answers to requests go out between packets and before media. The writer ends first, always: at PAUSE and TEARDOWN when
//! its write in flight is done, at the stream's end when the log is delivered.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use shardcast_config::{PathConfig, SlowReader, Start as ConfigStart};
use shardcast_platform::{Gather, SendBuffer, Slice};
use shardcast_protocol::container::rtp::{HeaderView, RtpTimestamp, SequenceNumber};
use shardcast_protocol::rtsp::{Parsed, Question, Request, RtpInfo, Step};
use shardcast_runtime::local::{Receiver, Sender, oneshot};

use super::connection::{Connection, Movable, read_more};
use crate::egress::{Fill, TcpQueue};
use crate::event::{Event, SessionEnd};
use crate::fanout::{
    ChannelMap, Cursor, Drop as Dropped, Log, Position, ReaderSeat, SharedLog, SlowReaderPolicy,
    Start,
};
use crate::path::PathEntry;
use crate::record::{Role, SessionRecord};
use crate::session::transport::{Sink, Transport};
use crate::session::writing::{discard, ended, write_fully};
use crate::shard::{Described, Phase, Refusal, SessionHandle, Shard};
use crate::stream::{PacketFlags, WIRE_HEADER_BYTES};
use crate::supervise::{STAGE_WRITE, session_mark};

/// Room for a read while media is written: readers send reports and keep-alives.
const READER_READ_BYTES: usize = 512;

/// Drops of one reader are told at most so often.
const DROP_SUMMARY_INTERVAL: std::time::Duration = std::time::Duration::from_secs(10);

/// A reader that its path's owner has admitted.
pub(super) struct ReaderStart {
    subscription: Subscription,
    described: Described,
    policy: SlowReaderPolicy,
    start: Start,
    /// Whether the session's owner still knows the PLAY that is to be answered.
    config: Arc<shardcast_config::Config>,
}

/// A reader's seat at a stream; given up when dropped.
struct Subscription {
    shard: Rc<Shard>,
    session: Rc<SessionHandle>,
    entry: Arc<PathEntry>,
    described: Described,
    log: Rc<SharedLog>,
    seat: Rc<ReaderSeat>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.log.leave(&self.seat);
        self.shard
            .detach(&self.entry, self.described.generation, self.session.id);
    }
}

impl ReaderStart {
    /// Asks the path's owner for the stream.
    pub(super) async fn attach(
        shard: &Rc<Shard>,
        session: &Rc<SessionHandle>,
        entry: &Arc<PathEntry>,
        described: &Described,
    ) -> Result<Self, Refusal> {
        let config = shard.server.config.load_full();
        let log = shard
            .attach(entry, session.id, described.generation)
            .await?;
        let path = config
            .path(entry.name.as_str())
            .unwrap_or(&config.path_defaults);
        let (policy, start) = (policy_of(path), start_of(path));
        let subscription = Subscription {
            shard: shard.clone(),
            session: session.clone(),
            entry: entry.clone(),
            described: described.clone(),
            seat: log.seat(),
            log,
        };
        Ok(Self {
            subscription,
            described: described.clone(),
            policy,
            start,
            config,
        })
    }
}

/// What the two tasks of a reader share.
struct Play {
    session: Rc<SessionHandle>,
    record: Arc<SessionRecord>,
    subscription: Subscription,
    /// Answers that wait for the writer. Bounded: the reading task waits while they are many.
    answers: RefCell<Vec<Bytes>>,
    stop: Cell<bool>,
}

/// Answers that may wait for the writer; a peer that pipelines more is read no further until they are written.
const ANSWERS_MAX: usize = 16;

/// How the writer ended.
enum WriterEnd {
    /// It was told to stop.
    Stopped,
    /// The stream is delivered to its end.
    Delivered(SessionEnd),
    /// It cannot go on.
    Failed(SessionEnd),
}

impl<T: Movable> Connection<T> {
    /// Answers PLAY, plays, and comes back with the connection when the reader pauses or tears down.
    pub(super) async fn play(mut self, start: ReaderStart) -> Result<Self, SessionEnd> {
        self.bound_kernel_queue(&start);
        let (play, queue) = self.begin_play(start);
        let now = shardcast_platform::now();
        self.session.enter(Phase::Playing, now);
        let Self {
            shard,
            session,
            transport,
            slab,
            reader,
            server,
            plan,
            has_moved,
        } = self;
        let (source, sink) = transport.split();
        let (done, written) = oneshot();
        spawn_writer(&shard, &play, queue, sink, done);
        let mut half = Reading::<T> {
            source,
            slab,
            reader,
            server,
            play: play.clone(),
        };
        let next = half.read_requests().await;
        let outcome = finish_play(&mut half, next, written).await;
        shard.server.records.remove(session.id);
        let entry = &play.subscription.entry;
        entry.ended_outbound_bytes.fetch_add(
            play.record.outbound_bytes.value(),
            std::sync::atomic::Ordering::Relaxed,
        );
        let path = entry.name.clone();
        let (sink, question) = match outcome {
            Ok(back) => back,
            Err(end) => {
                shard.server.events.publish(&Event::SessionEnded {
                    session: session.id,
                    path,
                    reason: end.clone(),
                });
                return Err(end);
            }
        };
        if question == Question::Teardown {
            let event = Event::SessionEnded {
                session: session.id,
                path,
                reason: SessionEnd::Teardown,
            };
            shard.server.events.publish(&event);
        }
        let Reading {
            source,
            slab,
            reader,
            server,
            ..
        } = half;
        let transport = T::reunite(source, sink);
        let mut connection = Self {
            shard,
            session,
            transport,
            slab,
            reader,
            server,
            plan,
            has_moved,
        };
        match connection.decide_after_play(question).await {
            Ok(()) => Ok(connection),
            Err(end) => Err(end),
        }
    }

    async fn decide_after_play(&mut self, question: Question) -> Result<(), SessionEnd> {
        match Box::pin(self.decide(question)).await {
            super::connection::Flow::Close(end) => Err(end),
            _answered => Ok(()),
        }
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
    fn begin_play(&mut self, start: ReaderStart) -> (Rc<Play>, TcpQueue) {
        let now = shardcast_platform::now();
        let ReaderStart {
            subscription,
            described,
            policy,
            start,
            ..
        } = start;
        let channels = self.channel_map(described.info.tracks().len());
        let (queue, infos) = {
            let mut log = subscription.log.log.borrow_mut();
            let cursor = Cursor::new(&log, start, policy, now);
            let infos = rtp_infos(&log, cursor.position(), now);
            (TcpQueue::new(&mut log, cursor, channels), infos)
        };
        let answer = self.server.grant_play(&infos).to_bytes();
        let (id, peer, path) = (
            self.session.id,
            self.session.peer,
            subscription.entry.name.clone(),
        );
        let record = SessionRecord::new(
            id,
            Role::Reader,
            peer,
            path.clone(),
            self.shard.id().index(),
        );
        let record = Arc::new(record);
        self.shard.server.records.insert(record.clone());
        let tracks = described.info.summary();
        self.shard.server.events.publish(&Event::ReaderBegan {
            session: id,
            peer,
            path,
            tracks,
        });
        let play = Play {
            session: self.session.clone(),
            record,
            subscription,
            answers: RefCell::new(vec![answer]),
            stop: Cell::new(false),
        };
        (Rc::new(play), queue)
    }

    fn channel_map(&self, tracks: usize) -> ChannelMap {
        let mut channels = ChannelMap(std::iter::repeat_n(None, tracks).collect());
        for setup in self.server.setups() {
            if let Some(place) = channels.0.get_mut(setup.track) {
                *place = Some((setup.transport.rtp, setup.transport.rtcp));
            }
        }
        channels
    }
}

/// Where each track begins: by the packet at the cursor if it is in the log, else by what time it is.
fn rtp_infos(log: &Log, position: Option<Position>, now: Instant) -> Vec<RtpInfo> {
    let Some(clock) = log.newest().map(|batch| batch.clock.clone()) else {
        return Vec::new();
    };
    let first = position.and_then(|position| first_packet(log, position));
    let times = match first {
        Some((track, _, timestamp)) => clock.at_same_instant(track, timestamp),
        None => clock.at(now),
    };
    let info = |(track, time): (usize, Option<RtpTimestamp>)| RtpInfo {
        track,
        seq: first
            .filter(|(first, ..)| *first == track)
            .map(|(_, sequence, _)| sequence.0),
        rtptime: time.map(|time| time.0),
    };
    times.into_iter().enumerate().map(info).collect()
}

fn first_packet(log: &Log, position: Position) -> Option<(usize, SequenceNumber, RtpTimestamp)> {
    let batch = log.entry(position.entry)?.batch.shared();
    let mut packets = batch.packets.iter().skip(position.packet as usize);
    let packet = packets.find(|packet| !packet.flags.has(PacketFlags::RTCP))?;
    let header = HeaderView::parse(batch.packet_bytes(packet).get(WIRE_HEADER_BYTES..)?).ok()?;
    Some((
        usize::from(packet.track),
        header.sequence_number(),
        header.timestamp(),
    ))
}

fn policy_of(path: &PathConfig) -> SlowReaderPolicy {
    SlowReaderPolicy {
        disconnect: path.slow_reader == SlowReader::Disconnect,
        queue_bytes: path.reader_queue_bytes as u64,
        queue_age: path.reader_queue_age,
    }
}

fn start_of(path: &PathConfig) -> Start {
    match path.start {
        ConfigStart::Live => Start::Live,
        ConfigStart::KeyFrame => Start::KeyFrame,
        ConfigStart::Gop => Start::Gop,
    }
}

/// The reading half while media is written.
struct Reading<T: Transport> {
    source: T::Source,
    slab: shardcast_platform::Slab,
    reader: shardcast_protocol::rtsp::MessageReader,
    server: shardcast_protocol::rtsp::ServerSession,
    play: Rc<Play>,
}

impl<T: Transport> Reading<T> {
    /// Handles requests until one of them ends the playing.
    async fn read_requests(&mut self) -> Result<Question, SessionEnd> {
        loop {
            let session = &self.play.session;
            match self.reader.poll(self.slab.filled()) {
                Ok(Parsed::Request { request, consumed }) => {
                    drop(self.slab.split_to(consumed));
                    session.note_message_end();
                    if let Some(question) = self.handle_request(&request)? {
                        return Ok(question);
                    }
                }
                Ok(Parsed::Frame { consumed, .. } | Parsed::Response { consumed, .. }) => {
                    drop(self.slab.split_to(consumed));
                    session.note_message_end();
                }
                Ok(Parsed::Incomplete { begun, consumed }) => {
                    drop(self.slab.split_to(consumed));
                    session.note_message(begun, shardcast_platform::now());
                    let bytes =
                        read_more(&mut self.source, &mut self.slab, session, READER_READ_BYTES)
                            .await?;
                    self.play.record.inbound_bytes.add(bytes as u64);
                }
                Err(error) => {
                    let answer = error.response(super::connection::SERVER_NAME).to_bytes();
                    self.play.answers.borrow_mut().push(answer);
                    return Err(SessionEnd::Protocol(error.to_string()));
                }
            }
        }
    }

    /// Answers what can be answered while media flows; a question that ends the playing comes back.
    fn handle_request(&mut self, request: &Request) -> Result<Option<Question>, SessionEnd> {
        let response = match self.server.handle_request(request) {
            Step::Ask(question @ (Question::Pause | Question::Teardown)) => {
                return Ok(Some(question));
            }
            Step::Ask(_) => self
                .server
                .refuse(shardcast_protocol::rtsp::StatusCode::METHOD_NOT_VALID_IN_THIS_STATE),
            Step::Respond(response) => response,
            Step::RespondAndClose(_) => {
                return Err(SessionEnd::Protocol("too many refused requests".into()));
            }
        };
        let waiting = {
            let mut answers = self.play.answers.borrow_mut();
            answers.push(response.to_bytes());
            answers.len()
        };
        if waiting > ANSWERS_MAX {
            return Err(SessionEnd::Protocol("too many requests at once".into()));
        }
        self.play.subscription.seat.wake.notify();
        Ok(None)
    }
}

/// Stops the writer and takes its half back; or, when the session is over, waits for the writer's end so that nothing is in
/// flight when the connection is dropped.
async fn finish_play<T: Transport>(
    half: &mut Reading<T>,
    next: Result<Question, SessionEnd>,
    written: Receiver<(T::Sink, WriterEnd)>,
) -> Result<(T::Sink, Question), SessionEnd> {
    let play = half.play.clone();
    match &next {
        Ok(_) => {}
        Err(SessionEnd::Protocol(_)) => play.session.linger(
            next.as_ref()
                .err()
                .cloned()
                .unwrap_or(SessionEnd::PeerClosed),
            shardcast_platform::now(),
        ),
        Err(end) => play.session.end(end.clone()),
    }
    play.stop.set(true);
    play.subscription.seat.wake.notify();
    let Ok((mut sink, writer_end)) = written.await else {
        return Err(SessionEnd::Panicked);
    };
    match (next, writer_end) {
        (Ok(question), WriterEnd::Stopped) => Ok((sink, question)),
        (Ok(_), WriterEnd::Delivered(end) | WriterEnd::Failed(end)) => Err(end),
        (Err(SessionEnd::Protocol(reason)), _) => {
            if sink.shutdown_write().await.is_ok() {
                discard(&mut half.source, &mut half.slab, &play.session).await;
            }
            Err(SessionEnd::Protocol(reason))
        }
        (Err(_), _) => Err(ended(&play.session)),
    }
}

fn spawn_writer<S: Sink>(
    shard: &Rc<Shard>,
    play: &Rc<Play>,
    queue: TcpQueue,
    sink: S,
    done: Sender<(S, WriterEnd)>,
) {
    let (id, path) = (play.session.id, play.subscription.entry.id);
    let (task, panicked) = (play.clone(), play.clone());
    let write = async move {
        let (sink, end) = write_media(&task, queue, sink).await;
        let _session_is_gone = done.send((sink, end));
    };
    shard.context.spawn_session(
        session_mark(STAGE_WRITE, Some(path), id),
        write,
        move |message| {
            let events = &panicked.subscription.shard.server.events;
            events.publish(&Event::SessionPanicked {
                session: panicked.session.id,
                message,
            });
            panicked.session.end(SessionEnd::Panicked);
        },
    );
}

/// Writes until the reader stops, the stream is delivered, or the connection fails.
async fn write_media<S: Sink>(play: &Play, mut queue: TcpQueue, mut sink: S) -> (S, WriterEnd) {
    let mut gather = Gather::new();
    let mut drops = DropSummary::default();
    loop {
        play.take_answers(&mut gather);
        let fill = play.fill(&mut queue, &mut gather, &mut drops);
        let (result, written) = write_fully(
            &mut sink,
            gather,
            &play.session,
            Some(&play.record.outbound_bytes),
        )
        .await;
        gather = written;
        if let Err(end) = result {
            play.session.end(end.clone());
            return (sink, WriterEnd::Failed(end));
        }
        match fill {
            _ if play.stop.get() => return (sink, WriterEnd::Stopped),
            Fill::Ready => {}
            Fill::Empty => play.subscription.seat.wake.notified().await,
            Fill::TooSlow(reason) => {
                let end = SessionEnd::TooSlow(reason);
                play.session.end(end.clone());
                return (sink, WriterEnd::Failed(end));
            }
            Fill::Ended(reason) => {
                let end = SessionEnd::Stream(reason);
                play.session.linger(end.clone(), shardcast_platform::now());
                let _peer_may_be_gone = sink.shutdown_write().await;
                return (sink, WriterEnd::Delivered(end));
            }
        }
    }
}

impl Play {
    fn take_answers(&self, gather: &mut Gather) {
        for answer in self.answers.borrow_mut().drain(..) {
            if gather.push(Slice::new(answer)).is_err() {
                unreachable!("a write has room for all answers that may wait");
            }
        }
    }

    /// Takes media behind the answers, unless the reader is to stop.
    fn fill(&self, queue: &mut TcpQueue, gather: &mut Gather, drops: &mut DropSummary) -> Fill {
        if self.stop.get() {
            return Fill::Empty;
        }
        let now = shardcast_platform::now();
        let fill = queue.fill(&self.subscription.log.log.borrow(), gather, now);
        self.record.packets.set(queue.packets_taken());
        if let Some(dropped) = queue.poll_drop() {
            self.record.dropped_bytes.add(dropped.bytes);
            self.record.drops.add(1);
            drops.add(dropped);
        }
        if let Some((dropped, times)) = drops.poll(now) {
            let (session, path) = (self.session.id, self.subscription.entry.name.clone());
            let event = Event::ReaderDropped {
                session,
                path,
                reason: dropped.reason,
                bytes: dropped.bytes,
                times,
            };
            self.subscription.shard.server.events.publish(&event);
        }
        fill
    }
}

/// The drops of a reader since they were last told.
#[derive(Default)]
struct DropSummary {
    dropped: Option<Dropped>,
    times: u64,
    last_told: Option<Instant>,
}

impl DropSummary {
    fn add(&mut self, dropped: Dropped) {
        let bytes = self.dropped.map_or(0, |before| before.bytes) + dropped.bytes;
        self.dropped = Some(Dropped { bytes, ..dropped });
        self.times += 1;
    }

    fn poll(&mut self, now: Instant) -> Option<(Dropped, u64)> {
        let is_due = self
            .last_told
            .is_none_or(|told| now.saturating_duration_since(told) >= DROP_SUMMARY_INTERVAL);
        let dropped = self.dropped.take_if(|_| is_due)?;
        self.last_told = Some(now);
        Some((dropped, std::mem::take(&mut self.times)))
    }
}
