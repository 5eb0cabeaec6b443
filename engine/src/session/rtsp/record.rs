//! A publisher: reads media and hands it to ingest, batch by batch. Requests that come in between are answered on the spot.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use shardcast_platform::Slab;
use shardcast_protocol::rtsp::{
    Parsed, Question, Request, Response, ServerSession, StatusCode, Step,
};

use super::connection::{Connection, Flow, SERVER_NAME, TOO_MANY_REFUSED, read_more};
use crate::event::{Event, RefusedPacket, SessionEnd};
use crate::fanout::EndReason;
use crate::ingest::Publication;
use crate::path::{PathEntry, PathName};
use crate::record::{Role, SessionRecord};
use crate::session::transport::Transport;
use crate::session::writing::write_message;
use crate::shard::{Coalesced, Media, Phase, PublishGrant, Refusal, SessionHandle, Shard};
use crate::stream::{Batch, StreamInfo, WIRE_HEADER_BYTES};
use crate::supervise::{STAGE_SESSION, session_mark};

/// Smallest chunk that a publisher is read into.
const CHUNK_BYTES_MIN: usize = 4 * 1024;
/// Largest chunk.
const CHUNK_BYTES_MAX: usize = 256 * 1024;
/// A chunk holds this part of a second of the stream.
const CHUNKS_PER_SECOND: u64 = 4;

/// A publisher to whom the path's owner has given the path.
pub(super) struct PublisherStart {
    desk: Rc<Desk>,
    timer: Rc<dyn Coalesced>,
}

/// Where a publisher's packets become batches and leave for the owner. The path is given up when this is dropped.
struct Desk {
    shard: Rc<Shard>,
    session: Rc<SessionHandle>,
    entry: Arc<PathEntry>,
    record: Arc<SessionRecord>,
    publication: RefCell<Publication>,
    end_reason: Cell<EndReason>,
    /// The ring to the owner was full: nothing is sent before a start point.
    is_cut: Cell<bool>,
    /// The batch that the coalescing timer watches.
    watched: Cell<Option<u64>>,
    lost_batches: Cell<u64>,
    refused: Cell<Option<(RefusedPacket, u64)>>,
    last_told: Cell<Option<Instant>>,
}

/// Refused packets of one publisher are told at most so often.
const REFUSED_SUMMARY_INTERVAL: Duration = Duration::from_secs(10);

impl PublisherStart {
    /// Asks for the path. A new one is owned by this shard if connections move to where they are wanted, for then this one
    /// is there.
    pub(super) async fn publish(
        shard: &Rc<Shard>,
        session: &Rc<SessionHandle>,
        name: &PathName,
        info: &Arc<StreamInfo>,
        is_in_place: bool,
    ) -> Result<Self, Refusal> {
        let place = || {
            if is_in_place {
                shard.id()
            } else {
                shard.server.place(name)
            }
        };
        let (entry, grant) = shard.publish(name, session.id, info.clone(), place).await?;
        let desk = Rc::new(Desk::new(shard, session, entry, &grant));
        let tracks = grant.described.info.summary();
        let (id, peer, path) = (session.id, session.peer, name.clone());
        shard.server.events.publish(&Event::PublisherBegan {
            session: id,
            peer,
            path,
            tracks,
        });
        Ok(Self {
            timer: desk.clone(),
            desk,
        })
    }
}

impl Desk {
    fn new(
        shard: &Rc<Shard>,
        session: &Rc<SessionHandle>,
        entry: Arc<PathEntry>,
        grant: &PublishGrant,
    ) -> Self {
        let batch_bytes = shard.server.config.load().fanout.batch_bytes;
        let info = grant.described.info.clone();
        let publication = Publication::new(info, &grant.bases, grant.first_sequence, batch_bytes);
        let (id, peer, path) = (session.id, session.peer, entry.name.clone());
        let record = Arc::new(SessionRecord::new(
            id,
            Role::Publisher,
            peer,
            path,
            shard.id().index(),
        ));
        shard.server.records.insert(record.clone());
        Self {
            shard: shard.clone(),
            session: session.clone(),
            entry,
            record,
            publication: RefCell::new(publication),
            end_reason: Cell::new(EndReason::PublisherLost),
            is_cut: Cell::new(false),
            watched: Cell::new(None),
            lost_batches: Cell::new(0),
            refused: Cell::new(None),
            last_told: Cell::new(None),
        }
    }

    /// Takes a frame of media in place; whether it stays part of the stream.
    fn take_media(&self, track: Option<usize>, frame: &mut [u8], now: Instant) -> bool {
        let taken = match track {
            Some(track) => self.publication.borrow_mut().handle_rtp(track, frame, now),
            None => Err(RefusedPacket::UnknownChannel),
        };
        self.count(taken, now)
    }

    /// Takes a compound RTCP packet. All memory before it has been handed in.
    fn take_rtcp(&self, track: usize, compound: &[u8], now: Instant) {
        let taken = self
            .publication
            .borrow_mut()
            .handle_rtcp(track, compound, now);
        self.count(taken, now);
    }

    fn count(&self, taken: Result<(), RefusedPacket>, now: Instant) -> bool {
        match taken {
            Ok(()) => self.record.packets.add(1),
            Err(reason) => self.note_refused(reason, now),
        }
        taken.is_ok()
    }

    fn hold(&self, memory: BytesMut) {
        self.publication.borrow_mut().hold(memory);
    }

    fn close(&self) {
        let batch = self.publication.borrow_mut().close_batch();
        if let Some(batch) = batch {
            self.send(Arc::new(batch));
        }
    }

    fn send(&self, batch: Arc<Batch>) {
        let (path, publisher, owner) = (self.entry.id, self.session.id, self.entry.owner);
        if owner == self.shard.id() {
            return self.shard.own_batch(path, publisher, batch);
        }
        let has_start = batch
            .start_points
            .iter()
            .any(|start| start.batches_back == 0);
        let is_skipped = self.is_cut.get() && !has_start;
        if is_skipped
            || self
                .shard
                .context
                .send_media(
                    owner,
                    Media::Ingest {
                        path,
                        publisher,
                        batch,
                    },
                )
                .is_err()
        {
            self.is_cut.set(true);
            self.lost_batches.set(self.lost_batches.get() + 1);
        } else if self.is_cut.replace(false) {
            let (path, batches) = (self.entry.name.clone(), self.lost_batches.replace(0));
            self.shard.server.events.publish(&Event::RingFull {
                path,
                shard: owner.index(),
                batches,
            });
        }
    }

    fn note_refused(&self, reason: RefusedPacket, now: Instant) {
        self.record.refused_packets.add(1);
        let packets = self.refused.get().map_or(0, |(_, packets)| packets) + 1;
        self.refused.set(Some((reason, packets)));
        let told = self.last_told.get();
        if told.is_none_or(|told| now.saturating_duration_since(told) >= REFUSED_SUMMARY_INTERVAL) {
            self.refused.set(None);
            self.last_told.set(Some(now));
            let (session, path) = (self.session.id, self.entry.name.clone());
            let event = Event::PublisherPacketsRefused {
                session,
                path,
                reason,
                packets,
            };
            self.shard.server.events.publish(&event);
        }
    }
}

impl Coalesced for Desk {
    fn close_batch(&self, sequence: u64) {
        let is_open = self.publication.borrow().open_sequence() == sequence;
        if is_open {
            self.close();
        }
    }
}

impl Drop for Desk {
    /// Whatever was read whole is delivered before the stream ends.
    fn drop(&mut self) {
        self.close();
        self.shard.server.records.remove(self.session.id);
        self.shard
            .unpublish(&self.entry, self.session.id, self.end_reason.get());
    }
}

/// Which channel is which track, as the publisher's SETUPs have said.
struct Channels([Option<(u8, bool)>; 256]);

impl Channels {
    fn of(server: &ServerSession) -> Self {
        let mut channels = [None; 256];
        for setup in server.setups() {
            if let Ok(track) = u8::try_from(setup.track) {
                channels[usize::from(setup.transport.rtp)] = Some((track, false));
                channels[usize::from(setup.transport.rtcp)] = Some((track, true));
            }
        }
        Self(channels)
    }

    /// The track, and whether the channel is for its RTCP.
    fn find(&self, channel: u8) -> Option<(usize, bool)> {
        self.0[usize::from(channel)].map(|(track, is_rtcp)| (usize::from(track), is_rtcp))
    }
}

/// Sizes chunks by the last second's bit rate.
struct ChunkSize {
    bytes: usize,
    read_bytes: u64,
    since: Instant,
}

impl ChunkSize {
    fn new(now: Instant) -> Self {
        Self {
            bytes: CHUNK_BYTES_MIN * 4,
            read_bytes: 0,
            since: now,
        }
    }

    fn note(&mut self, read_bytes: usize, now: Instant) {
        self.read_bytes += read_bytes as u64;
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            let wanted =
                usize::try_from(self.read_bytes / CHUNKS_PER_SECOND).unwrap_or(CHUNK_BYTES_MAX);
            self.bytes = wanted
                .next_power_of_two()
                .clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
            (self.read_bytes, self.since) = (0, now);
        }
    }
}

/// What stops a recording.
enum Stop {
    /// A request that is still to be decided.
    Question(Question),
    /// The connection ends with this answer.
    Refused { answer: Response, reason: String },
    /// The session is over.
    Over(SessionEnd),
}

impl Stop {
    /// Why the stream ends, for its readers, and why the session does.
    fn reasons(&self) -> (EndReason, SessionEnd) {
        match self {
            Self::Question(_) => (EndReason::PublisherLeft, SessionEnd::Teardown),
            Self::Refused { reason, .. } => (
                EndReason::PublisherLost,
                SessionEnd::Protocol(reason.clone()),
            ),
            Self::Over(SessionEnd::Shutdown) => (EndReason::Shutdown, SessionEnd::Shutdown),
            Self::Over(end) => (EndReason::PublisherLost, end.clone()),
        }
    }
}

impl<T: Transport> Connection<T> {
    /// Reads media until the publisher pauses, tears down or is lost. The path is free before the peer is told anything.
    pub(super) async fn record(&mut self, start: PublisherStart) -> Result<(), SessionEnd> {
        let PublisherStart { desk, timer } = start;
        self.session
            .enter(Phase::Recording, shardcast_platform::now());
        let channels = Box::new(Channels::of(&self.server));
        let Err(stop) = self.read_media(&desk, &timer, &channels).await;
        let (end_reason, reason) = stop.reasons();
        desk.end_reason.set(end_reason);
        let (session, path) = (self.session.id, desk.entry.name.clone());
        drop((desk, timer));
        let event = Event::SessionEnded {
            session,
            path,
            reason,
        };
        self.shard.server.events.publish(&event);
        match stop {
            Stop::Over(end) => Err(end),
            Stop::Refused { answer, reason } => {
                Err(self.close_with(&answer, SessionEnd::Protocol(reason)).await)
            }
            Stop::Question(question) => match Box::pin(self.decide(question)).await {
                Flow::Close(end) => Err(end),
                _answered => Ok(()),
            },
        }
    }

    /// Reads until something stops it.
    async fn read_media(
        &mut self,
        desk: &Rc<Desk>,
        timer: &Rc<dyn Coalesced>,
        channels: &Channels,
    ) -> Result<Infallible, Stop> {
        let mut chunk = ChunkSize::new(shardcast_platform::now());
        let mark = session_mark(STAGE_SESSION, Some(desk.entry.id), self.session.id);
        loop {
            self.shard.context.mark(mark);
            while let Some(request) = self.take_frames(desk, channels)? {
                self.handle_request_while_recording(&request).await?;
            }
            self.watch_batch(desk, timer);
            self.renew_chunk(chunk.bytes);
            let read = read_more(&mut self.transport, &mut self.slab, &self.session, 0).await;
            let bytes = read.map_err(Stop::Over)?;
            let now = shardcast_platform::now();
            chunk.note(bytes, now);
            desk.record.inbound_bytes.add(bytes as u64);
        }
    }

    /// The coalescing timer watches every batch that stays open after a read.
    fn watch_batch(&self, desk: &Rc<Desk>, timer: &Rc<dyn Coalesced>) {
        let publication = desk.publication.borrow();
        let open = Some(publication.open_sequence()).filter(|_| publication.open_packets() > 0);
        if let Some(sequence) = open.filter(|_| desk.watched.get() != open) {
            desk.watched.set(open);
            self.shard
                .coalesce
                .batch_opened(timer, sequence, shardcast_platform::now());
        }
    }

    /// Takes all whole frames from the slab; a request in between comes back.
    fn take_frames(&mut self, desk: &Desk, channels: &Channels) -> Result<Option<Request>, Stop> {
        let now = shardcast_platform::now();
        let mut kept = 0;
        loop {
            let unread = self.slab.filled().get(kept..).unwrap_or_default();
            match self.reader.poll(unread) {
                Ok(Parsed::Frame {
                    channel, payload, ..
                }) => {
                    self.session.note_message_end();
                    self.session.note_media(now);
                    let begin = kept + payload.start - WIRE_HEADER_BYTES;
                    self.pass_over(desk, &mut kept, begin);
                    let frame_bytes = WIRE_HEADER_BYTES + payload.len();
                    self.take_frame(desk, channels.find(channel), &mut kept, frame_bytes, now);
                }
                Ok(Parsed::Request { request, consumed }) => {
                    self.session.note_message_end();
                    self.session.note_request(now);
                    let end = kept + consumed;
                    self.pass_over(desk, &mut kept, end);
                    return Ok(Some(request));
                }
                Ok(Parsed::Response { consumed, .. }) => {
                    let end = kept + consumed;
                    self.pass_over(desk, &mut kept, end);
                }
                Ok(Parsed::Incomplete { begun, consumed }) => {
                    let end = kept + consumed;
                    self.pass_over(desk, &mut kept, end);
                    self.hold(desk, &mut kept);
                    self.session.note_message(begun, now);
                    return Ok(None);
                }
                Err(error) => {
                    self.hold(desk, &mut kept);
                    let (answer, reason) = (error.response(SERVER_NAME), error.to_string());
                    return Err(Stop::Refused { answer, reason });
                }
            }
        }
    }

    /// Takes the frame that stands at `kept`.
    fn take_frame(
        &mut self,
        desk: &Desk,
        place: Option<(usize, bool)>,
        kept: &mut usize,
        frame_bytes: usize,
        now: Instant,
    ) {
        if let Some((track, true)) = place {
            self.hold(desk, kept);
            let frame = self.slab.split_to(frame_bytes);
            return desk.take_rtcp(
                track,
                frame.get(WIRE_HEADER_BYTES..).unwrap_or_default(),
                now,
            );
        }
        let (track, end) = (place.map(|(track, _)| track), *kept + frame_bytes);
        let frame = self
            .slab
            .filled_mut()
            .get_mut(*kept..end)
            .unwrap_or_default();
        if desk.take_media(track, frame, now) {
            *kept = end;
            self.close_if_due(desk, kept);
        } else {
            self.pass_over(desk, kept, end);
        }
    }

    /// The slab's first `kept` bytes belong to packets that were let in: their memory goes to the batch.
    fn hold(&mut self, desk: &Desk, kept: &mut usize) {
        desk.hold(self.slab.split_to(std::mem::take(kept)));
    }

    /// Leaves out the bytes from `kept` to `end`.
    fn pass_over(&mut self, desk: &Desk, kept: &mut usize, end: usize) {
        if end > *kept {
            let skipped = end - *kept;
            self.hold(desk, kept);
            drop(self.slab.split_to(skipped));
        }
    }

    fn close_if_due(&mut self, desk: &Desk, kept: &mut usize) {
        let due = desk.publication.borrow().is_batch_due();
        if due {
            self.hold(desk, kept);
            desk.close();
        }
    }

    /// A chunk that is nearly full is left to its batches; what was begun moves to the next one.
    fn renew_chunk(&mut self, chunk_bytes: usize) {
        if self.slab.spare() >= chunk_bytes / 8 {
            return;
        }
        let mut next = Slab::with_capacity(chunk_bytes.max(self.slab.len() + chunk_bytes / 2));
        next.extend_from_slice(self.slab.filled());
        self.slab = next;
    }

    async fn handle_request_while_recording(&mut self, request: &Request) -> Result<(), Stop> {
        let response = match self.server.handle_request(request) {
            Step::Ask(question @ (Question::Pause | Question::Teardown)) => {
                return Err(Stop::Question(question));
            }
            Step::Ask(_) => self
                .server
                .refuse(StatusCode::METHOD_NOT_VALID_IN_THIS_STATE),
            Step::Respond(response) => response,
            Step::RespondAndClose(answer) => {
                let reason = TOO_MANY_REFUSED.into();
                return Err(Stop::Refused { answer, reason });
            }
        };
        let answer = response.to_bytes();
        write_message(&mut self.transport, answer, &self.session)
            .await
            .map_err(Stop::Over)
    }
}
