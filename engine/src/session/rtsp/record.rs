//! A publisher: reads media and hands it to ingest, batch by batch. Requests that come in between are answered on the spot.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::{Duration, Instant};

use shardcast_platform::Slab;
use shardcast_protocol::rtsp::{
    Parsed, Question, Request, Response, ServerSession, StatusCode, Step,
};

use super::connection::{Connection, Flow, SERVER_NAME, broken_by, read_more, too_many_refused};
use super::desk::{Desk, PublisherStart};
use crate::event::SessionEnd;
use crate::fanout::EndReason;
use crate::session::transport::Transport;
use crate::session::writing::write_message;
use crate::shard::{Coalesced, Phase, Shard};
use crate::stream::WIRE_HEADER_BYTES;
use crate::supervise::{STAGE_SESSION, session_mark};

/// Smallest chunk that a publisher is read into.
const CHUNK_BYTES_MIN: usize = 4 * 1024;
/// Largest chunk.
const CHUNK_BYTES_MAX: usize = 256 * 1024;

/// Which channel is which track, as the publisher's SETUPs have said.
struct Channels([Option<(u8, bool)>; 256]);

impl Channels {
    fn of(server: &ServerSession) -> Self {
        let mut channels = [None; 256];
        for setup in server.setups() {
            let track = u8::try_from(setup.track).ok();
            if let Some((track, pair)) = track.zip(setup.transport.interleaved()) {
                channels[usize::from(pair.rtp)] = Some((track, false));
                channels[usize::from(pair.rtcp)] = Some((track, true));
            }
        }
        Self(channels)
    }

    /// The track, and whether the channel is for its RTCP.
    fn find(&self, channel: u8) -> Option<(usize, bool)> {
        self.0[usize::from(channel)].map(|(track, is_rtcp)| (usize::from(track), is_rtcp))
    }
}

/// Sizes chunks to hold a second of the stream, by the last one's bit rate: a frame that lies in two chunks leaves as two
/// slices, which costs more than one, and so should be rare.
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
            let wanted = usize::try_from(self.read_bytes).unwrap_or(CHUNK_BYTES_MAX);
            self.bytes = wanted
                .min(CHUNK_BYTES_MAX)
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
    Refused { answer: Response, end: SessionEnd },
    /// The session is over.
    Over(SessionEnd),
}

impl Stop {
    /// Why the stream ends, for its readers, and why the session does.
    fn reasons(&self) -> (EndReason, SessionEnd) {
        match self {
            Self::Question(_) => (EndReason::PublisherLeft, SessionEnd::Teardown),
            Self::Refused { end, .. } => (EndReason::PublisherLost, end.clone()),
            Self::Over(SessionEnd::Kicked) => (EndReason::PublisherLeft, SessionEnd::Kicked),
            Self::Over(SessionEnd::Shutdown) => (EndReason::Shutdown, SessionEnd::Shutdown),
            Self::Over(end) => (EndReason::PublisherLost, end.clone()),
        }
    }
}

/// The coalescing timer watches every batch that stays open after a read.
pub(super) fn watch_batch(shard: &Shard, desk: &Desk, timer: &Rc<dyn Coalesced>) {
    let publication = desk.publication.borrow();
    let open = Some(publication.open_sequence()).filter(|_| publication.open_packets() > 0);
    if let Some(sequence) = open.filter(|_| desk.watched.get() != open) {
        desk.watched.set(open);
        let now = shardcast_platform::now();
        shard.coalesce.batch_opened(timer, sequence, now);
    }
}

impl<T: Transport> Connection<T> {
    /// Reads media until the publisher pauses, tears down or is lost. The path is free before the peer is told anything.
    pub(super) async fn record(&mut self, start: Box<PublisherStart>) -> Result<(), SessionEnd> {
        let PublisherStart {
            begun,
            desk,
            timer,
            intake,
        } = *start;
        self.session
            .enter(Phase::Recording, shardcast_platform::now());
        let channels = Box::new(Channels::of(&self.server));
        let Err(stop) = self.read_media(&desk, &timer, &channels).await;
        if let Some(intake) = intake {
            intake.stop().await;
        }
        let (end_reason, reason) = stop.reasons();
        desk.end_reason.set(end_reason);
        drop((desk, timer));
        self.seat.end_media();
        begun.end(reason);
        match stop {
            Stop::Over(end) => Err(end),
            Stop::Refused { answer, end } => Err(self.close_with(&answer, end).await),
            Stop::Question(question) => match Box::pin(self.decide(question)).await {
                Flow::Close(end) | Flow::Cut(end) => Err(end),
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
            watch_batch(&self.shard, desk, timer);
            self.renew_chunk(chunk.bytes);
            let read = read_more(&mut self.transport, &mut self.slab, &self.session, 0).await;
            let bytes = read.map_err(Stop::Over)?;
            let now = shardcast_platform::now();
            chunk.note(bytes, now);
            self.count_read(&desk.record, bytes);
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
                    let (answer, end) = (error.response(SERVER_NAME), broken_by(&error));
                    return Err(Stop::Refused { answer, end });
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
                self.note_answer(&answer);
                let end = too_many_refused();
                return Err(Stop::Refused { answer, end });
            }
        };
        self.note_answer(&response);
        let answer = response.to_bytes();
        write_message(&mut self.transport, answer, &self.session)
            .await
            .map_err(Stop::Over)
    }
}
