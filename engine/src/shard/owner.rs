//! The owner's side of a path: who publishes and reads, the stream's log, and which shards take it.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use shardcast_config::{Config, PathConfig};
use shardcast_protocol::container::rtp::{RtpTimestamp, SequenceNumber, Ssrc};
use shardcast_runtime::ShardId;
use smallvec::SmallVec;

use super::{
    Answer, Control, Described, Media, MediaLink, PublishGrant, Question, Refusal, Shard, State,
    is_open_to_publishers,
};
use crate::event::{Event, SessionEnd};
use crate::fanout::{Appended, EndReason, Log, LogLimits, SharedLog};
use crate::limits::{RateMeter, Reached, announced_bit_rate, log_growth};
use crate::path::{Occupancy, PathEntry, PathId, PathName, PublishRefusal, ReadRefusal, Seat};
use crate::random::random_u32;
use crate::session_id::SessionId;
use crate::stream::{Batch, Generation, Standing, StreamInfo, TrackBase, TrackClock};
use crate::wall_clock::ntp_now;

/// So many streams with readers are measured without memory from the heap.
const FEW_STREAMS: usize = 16;

/// A path that this shard owns.
pub(super) struct OwnedPath {
    entry: Arc<PathEntry>,
    occupancy: Occupancy,
    stream: Option<OwnedStream>,
    last_generation: Generation,
}

/// A stream that this shard owns.
struct OwnedStream {
    described: Described,
    log: Rc<SharedLog>,
    /// The shards with readers, and the way to each.
    takers: HashMap<ShardId, MediaLink>,
    next_sequence: u64,
    /// Measures its bit rate.
    meter: RateMeter,
    /// Its publisher was lost: until then another one can go on with it.
    waits_until: Option<Instant>,
}

impl Shard {
    /// Answers a question about a path that this shard owns.
    pub(super) fn own_answer(&self, from: ShardId, question: Question) -> Answer {
        match question {
            Question::Publish {
                entry,
                publisher,
                info,
            } => self.own_publish(&entry, (publisher, from), info),
            Question::Describe { entry } => {
                let mut state = self.state.borrow_mut();
                let stream = state
                    .owned
                    .get_mut(&entry.id)
                    .and_then(|path| path.stream.as_mut());
                stream.map_or(Answer::Refused(Refusal::NoStream), |stream| {
                    // Whoever asks may be the first reader of a young stream.
                    stream.measure(&entry, shardcast_platform::now());
                    Answer::Describe(stream.described.clone())
                })
            }
            Question::Attach {
                entry,
                reader,
                generation,
            } => self.own_attach(&entry, (reader, from), generation),
        }
    }

    /// A batch of the path's publisher. One of an earlier publisher is dropped.
    pub fn own_batch(&self, path: PathId, publisher: SessionId, batch: Arc<Batch>) {
        let mut state = self.state.borrow_mut();
        let Some(owned) = state
            .owned
            .get_mut(&path)
            .filter(|owned| owned.occupancy.is_publisher(publisher))
        else {
            return;
        };
        owned
            .entry
            .inbound_bytes
            .fetch_add(batch.bytes() as u64, Ordering::Relaxed);
        if let Some(stream) = &mut owned.stream {
            self.append(&owned.entry, stream, batch);
        }
    }

    /// Who asks from now on is told this of the stream; its readers have seen the parameter sets in it.
    pub(super) fn own_describe_anew(
        &self,
        path: PathId,
        publisher: SessionId,
        info: Arc<StreamInfo>,
    ) {
        let mut state = self.state.borrow_mut();
        let owned = state.owned.get_mut(&path);
        let owned = owned.filter(|owned| owned.occupancy.is_publisher(publisher));
        if let Some(stream) = owned.and_then(|owned| owned.stream.as_mut()) {
            self.server.streams.describe(path, info.clone());
            stream.described.info = info;
        }
    }

    /// Ends the publisher, if it is still that. Its stream ends with it, or waits for the next one.
    pub(super) fn own_unpublish(&self, path: PathId, publisher: SessionId, reason: EndReason) {
        let mut state = self.state.borrow_mut();
        let Some(owned) = state.owned.get_mut(&path) else {
            return;
        };
        if !owned.occupancy.unpublish(publisher) {
            return;
        }
        let grace = self.grace(&owned.entry, reason);
        match owned.stream.as_mut().filter(|_| !grace.is_zero()) {
            Some(stream) => {
                stream.waits_until = Some(shardcast_platform::now() + grace);
                let path_name = owned.entry.name.clone();
                state.waiting.insert(path);
                self.server.streams.wait(path);
                self.server.events.publish(&Event::PathWaiting {
                    path: path_name,
                    grace,
                });
            }
            None => {
                self.end_stream(owned, reason);
                self.remove_if_empty(&mut state, path);
            }
        }
    }

    /// How long a stream waits that has lost its publisher for this reason.
    fn grace(&self, entry: &PathEntry, reason: EndReason) -> Duration {
        if reason != EndReason::PublisherLost || self.sessions.is_draining() {
            return Duration::ZERO;
        }
        let config = self.server.config.load();
        let path = config.path(entry.name.as_str());
        path.map_or(Duration::ZERO, |path| path.publisher_grace)
    }

    /// Measures the streams, for what limits there are: what readers are sent, and how far logs will grow.
    pub(super) fn own_measure(&self, now: Instant) {
        let mut state = self.state.borrow_mut();
        let config = self.server.config.load();
        let (mut growth_bytes, mut read) = (0_u64, SmallVec::<[_; FEW_STREAMS]>::new());
        for owned in state.owned.values_mut() {
            let Some(stream) = &mut owned.stream else {
                continue;
            };
            let (entry, path) = (&owned.entry, config.path(owned.entry.name.as_str()));
            let bit_rate = stream.measure(entry, now);
            let limits = log_limits(path.unwrap_or(&config.path_defaults));
            growth_bytes = growth_bytes.saturating_add(stream.growth_bytes(bit_rate, limits));
            if owned.occupancy.readers() > 0 {
                read.push((entry.id, bit_rate));
            }
        }
        drop(state);
        let limits = &self.server.limits;
        limits.memory.set_growth(self.id().index(), growth_bytes);
        limits.ledger.set_bit_rates(&read);
    }

    /// Ends the streams whose wait for a publisher is over.
    pub(super) fn own_end_overdue(&self, now: Instant) {
        let is_over = |stream: &OwnedStream| stream.is_overdue(now);
        self.own_end_waiting(EndReason::PublisherLost, is_over);
    }

    /// The server is going down: nobody is waited for.
    pub(super) fn own_drain(&self) {
        self.own_end_waiting(EndReason::Shutdown, OwnedStream::is_waiting);
    }

    fn own_end_waiting(&self, reason: EndReason, is_over: impl Fn(&OwnedStream) -> bool) {
        let mut state = self.state.borrow_mut();
        let mut waiting = std::mem::take(&mut state.waiting);
        waiting.retain(|path| {
            let Some(owned) = state.owned.get_mut(path) else {
                return false;
            };
            let Some(stream) = owned.stream.as_ref().filter(|stream| stream.is_waiting()) else {
                return false;
            };
            if !is_over(stream) {
                return true;
            }
            self.end_stream(owned, reason);
            self.remove_if_empty(&mut state, *path);
            false
        });
        state.waiting = waiting;
    }

    /// Ends the path's stream and its publisher, unless `config` has it.
    pub(super) fn own_withdraw(&self, path: PathId, config: &Config) {
        let mut state = self.state.borrow_mut();
        let Some(owned) = state.owned.get_mut(&path) else {
            return;
        };
        if is_open_to_publishers(config, owned.entry.name.as_str()) {
            return;
        }
        self.end_stream(owned, EndReason::PathRemoved);
        let publisher = owned.occupancy.publisher();
        self.remove_if_empty(&mut state, path);
        drop(state);
        if let Some((publisher, shard)) = publisher {
            self.close_publisher(publisher, shard, SessionEnd::PathRemoved);
        }
    }

    /// Ends a reader of this path.
    pub(super) fn own_detach(
        &self,
        path: PathId,
        generation: Generation,
        reader: SessionId,
        from: ShardId,
        last: bool,
    ) {
        let mut state = self.state.borrow_mut();
        let Some(owned) = state.owned.get_mut(&path) else {
            return;
        };
        owned.occupancy.detach(reader);
        owned.note_readers();
        if let Some(stream) = owned
            .stream
            .as_mut()
            .filter(|stream| last && stream.described.generation == generation)
        {
            stream.takers.remove(&from);
        }
        self.remove_if_empty(&mut state, path);
    }

    /// A reader on the owner's own shard.
    pub(super) fn own_attach_here(
        &self,
        entry: &Arc<PathEntry>,
        reader: SessionId,
        generation: Generation,
    ) -> Result<Rc<SharedLog>, Refusal> {
        let mut state = self.state.borrow_mut();
        let max_readers = self.max_readers(entry)?;
        let owned = state.owned.get_mut(&entry.id).ok_or(Refusal::NoStream)?;
        owned
            .attach((reader, self.id()), generation, max_readers)
            .map(|stream| stream.log.clone())
    }

    fn own_attach(&self, entry: &Arc<PathEntry>, seat: Seat, generation: Generation) -> Answer {
        let mut state = self.state.borrow_mut();
        let attached = self.max_readers(entry).and_then(|max_readers| {
            let owned = state.owned.get_mut(&entry.id).ok_or(Refusal::NoStream)?;
            owned.attach(seat, generation, max_readers)
        });
        match attached {
            Err(refusal) => Answer::Refused(refusal),
            Ok(stream) => {
                let is_new = !stream.takers.contains_key(&seat.1);
                stream.takers.entry(seat.1).or_default();
                let snapshot = is_new.then(|| stream.log.log.borrow().snapshot());
                Answer::Attach(snapshot)
            }
        }
    }

    fn own_publish(&self, entry: &Arc<PathEntry>, seat: Seat, info: Arc<StreamInfo>) -> Answer {
        let config = self.server.config.load();
        let Some(path_config) = config.path(entry.name.as_str()) else {
            if !self.state.borrow().owned.contains_key(&entry.id) {
                self.server.directory.remove(entry);
            }
            return Answer::Refused(Refusal::NotConfigured);
        };
        if !self.server.directory.is_current(entry) {
            return Answer::Moved;
        }
        match self.begin_publishing(entry, seat, info, path_config) {
            Err(PublishRefusal::Occupied) => Answer::Refused(Refusal::Occupied),
            Ok((grant, overridden)) => {
                if let Some((publisher, shard)) = overridden {
                    self.close_publisher(publisher, shard, SessionEnd::Overridden);
                }
                Answer::Publish(grant)
            }
        }
    }

    fn begin_publishing(
        &self,
        entry: &Arc<PathEntry>,
        seat: Seat,
        info: Arc<StreamInfo>,
        config: &PathConfig,
    ) -> Result<(PublishGrant, Option<Seat>), PublishRefusal> {
        let mut state = self.state.borrow_mut();
        let owned = state.owned.entry(entry.id).or_insert_with(|| {
            self.server.add_load(self.id());
            OwnedPath::new(entry.clone())
        });
        let overridden = owned.occupancy.publish(seat, config.override_publisher)?;
        Ok((self.begin_stream(owned, seat.0, info, config), overridden))
    }

    /// Goes on with the path's stream if the tracks are the same, else begins a new one.
    fn begin_stream(
        &self,
        owned: &mut OwnedPath,
        publisher: SessionId,
        info: Arc<StreamInfo>,
        config: &PathConfig,
    ) -> PublishGrant {
        let now = shardcast_platform::now();
        let overdue = owned.stream.as_ref().is_some_and(|s| s.is_overdue(now));
        let stream = owned
            .stream
            .as_mut()
            .filter(|stream| !overdue && stream.described.info.continues_as(&info));
        if let Some(stream) = stream {
            let grant = stream.go_on(&info);
            let described = grant.described.info.clone();
            let path = owned.entry.id;
            self.server.streams.go_on(path, described, publisher);
            return grant;
        }
        self.end_stream(
            owned,
            match overdue {
                true => EndReason::PublisherLost,
                false => EndReason::TracksChanged,
            },
        );
        owned.last_generation.0 += 1;
        let (path, tracks) = (owned.entry.name.clone(), info.summary());
        let described = Described {
            generation: owned.last_generation,
            begin: random_begin(&info),
            info,
        };
        let known = described.info.clone();
        let streams = &self.server.streams;
        streams.begin(owned.entry.id, known, publisher);
        let stream = owned.stream.insert(self.new_stream(described, config));
        self.list_log(&path, &stream.log);
        self.server.events.publish(&Event::PathAvailable {
            path,
            publisher,
            tracks,
        });
        stream.grant()
    }

    /// From here on the log is seen by other threads.
    pub(super) fn list_log(&self, path: &PathName, log: &SharedLog) {
        let (shard, log) = (self.id().index(), log.log.borrow());
        self.server.logs.insert(path.clone(), shard, log.record());
    }

    fn new_stream(&self, described: Described, config: &PathConfig) -> OwnedStream {
        let limits = log_limits(config);
        let log = Log::new(described.info.clone(), limits);
        let announced = announced_bit_rate(&described.info);
        let meter = RateMeter::new(announced, shardcast_platform::now());
        OwnedStream {
            described,
            log: SharedLog::new(log, self.context.poison()),
            takers: HashMap::new(),
            meter,
            next_sequence: 0,
            waits_until: None,
        }
    }

    /// Adds a batch to the stream's log, wakes the readers here, and sends it once to every shard with readers.
    fn append(&self, entry: &PathEntry, stream: &mut OwnedStream, batch: Arc<Batch>) {
        stream.next_sequence = batch.sequence + 1;
        let appended = stream.log.log.borrow_mut().append(batch.clone(), drop);
        if appended == Appended::WaitsForStart {
            return;
        }
        self.wake_queue.push(&stream.log);
        let generation = stream.described.generation;
        for (&shard, link) in &stream.takers {
            let path = entry.id;
            self.send_batch(link, &entry.name, shard, &batch, |batch| Media::Batch {
                path,
                generation,
                batch,
            });
        }
    }

    /// Ends the path's stream: its readers are given all that was sent and then closed, without an RTCP BYE: at one, VLC
    /// drops its last pictures, and GStreamer asks to pause a connection that is about to end.
    fn end_stream(&self, owned: &mut OwnedPath, reason: EndReason) {
        let Some(stream) = owned.stream.take() else {
            return;
        };
        stream.log.log.borrow_mut().end(reason);
        self.wake_queue.push(&stream.log);
        let (path, generation) = (owned.entry.id, stream.described.generation);
        self.server.streams.remove(path);
        for &shard in stream.takers.keys() {
            self.context.send_control(
                shard,
                Control::StreamEnded {
                    path,
                    generation,
                    reason,
                },
            );
        }
        self.server.events.publish(&Event::PathGone {
            path: owned.entry.name.clone(),
            reason,
        });
    }

    fn close_publisher(&self, publisher: SessionId, shard: ShardId, reason: SessionEnd) {
        if shard == self.id() {
            self.close_publisher_here(publisher, reason);
        } else {
            let close = Control::ClosePublisher { publisher, reason };
            self.context.send_control(shard, close);
        }
    }

    fn max_readers(&self, entry: &PathEntry) -> Result<usize, Refusal> {
        let config = self.server.config.load();
        let path = config
            .path(entry.name.as_str())
            .ok_or(Refusal::NotConfigured)?;
        Ok(path.max_readers.map_or(0, std::num::NonZeroUsize::get))
    }

    fn remove_if_empty(&self, state: &mut State, path: PathId) {
        let is_empty = state
            .owned
            .get(&path)
            .is_some_and(|owned| owned.occupancy.is_empty() && owned.stream.is_none());
        if is_empty && let Some(owned) = state.owned.remove(&path) {
            self.server.directory.remove(&owned.entry);
            self.server.remove_load(self.id());
        }
    }
}

impl OwnedPath {
    fn new(entry: Arc<PathEntry>) -> Self {
        Self {
            entry,
            occupancy: Occupancy::default(),
            stream: None,
            last_generation: Generation::default(),
        }
    }

    fn attach(
        &mut self,
        seat: Seat,
        generation: Generation,
        max_readers: usize,
    ) -> Result<&mut OwnedStream, Refusal> {
        let current = self
            .stream
            .as_ref()
            .ok_or(Refusal::NoStream)?
            .described
            .generation;
        if current != generation {
            return Err(Refusal::StreamChanged);
        }
        self.occupancy
            .attach(seat, max_readers)
            .map_err(|ReadRefusal::TooManyReaders| Reached::MaxReaders(max_readers))?;
        self.note_readers();
        self.stream.as_mut().ok_or(Refusal::NoStream)
    }

    fn note_readers(&self) {
        let readers = u32::try_from(self.occupancy.readers()).unwrap_or(u32::MAX);
        self.entry.readers.store(readers, Ordering::Relaxed);
    }
}

impl OwnedStream {
    /// Another publisher of the same tracks.
    fn go_on(&mut self, published: &StreamInfo) -> PublishGrant {
        self.waits_until = None;
        self.described.info = self.described.info.continued_by(published);
        self.grant()
    }

    fn grant(&self) -> PublishGrant {
        PublishGrant {
            described: self.described.clone(),
            bases: self.bases(),
            first_sequence: self.next_sequence,
            takes_over: self.next_sequence > 0,
        }
    }

    /// Its bit rate of late, which whoever looks at the path is told.
    fn measure(&mut self, entry: &PathEntry, now: Instant) -> u64 {
        let bytes = self.log.log.borrow().record().head().bytes;
        let bit_rate = self.meter.note(bytes, now);
        entry.bit_rate.store(bit_rate, Ordering::Relaxed);
        bit_rate
    }

    /// What its log will grow by at this bit rate.
    fn growth_bytes(&self, bit_rate: u64, limits: LogLimits) -> u64 {
        let held_bytes = self.log.log.borrow().record().held_bytes();
        log_growth(bit_rate, limits.bytes, limits.age, held_bytes)
    }

    fn is_waiting(&self) -> bool {
        self.waits_until.is_some()
    }

    fn is_overdue(&self, now: Instant) -> bool {
        self.waits_until.is_some_and(|until| now >= until)
    }

    /// Where the numbering of each track stands: after the log's newest batch, else at its begin.
    fn bases(&self) -> Vec<TrackBase> {
        let log = self.log.log.borrow();
        let begin = self.described.begin.iter();
        let Some(newest) = log.newest() else {
            return begin.copied().collect();
        };
        let clock = &newest.clock;
        let base = |((track, begin), reached): ((usize, &TrackBase), &TrackClock)| TrackBase {
            ssrc: begin.ssrc,
            standing: reached.standing,
            ntp: clock
                .ntp(track, reached.standing.timestamp)
                .unwrap_or(begin.ntp),
        };
        begin.enumerate().zip(&clock.tracks).map(base).collect()
    }
}

/// A new stream's tracks begin at random numbers.
fn random_begin(info: &StreamInfo) -> Arc<[TrackBase]> {
    let (at, ntp) = (shardcast_platform::now(), ntp_now());
    let base = |_track| TrackBase {
        ssrc: Ssrc(random_u32()),
        standing: Standing::begin(
            SequenceNumber((random_u32() >> 16) as u16),
            RtpTimestamp(random_u32()),
            at,
        ),
        ntp,
    };
    info.tracks().iter().map(base).collect()
}

pub(super) fn log_limits(config: &PathConfig) -> LogLimits {
    LogLimits {
        bytes: config.log_bytes,
        age: config.log_age,
    }
}
