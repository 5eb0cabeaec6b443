//! One task per stream and shard sends datagrams to all readers of the stream, one reader after the other: a send waits for
//! nobody, so a task per reader would be a wake-up per reader and batch for nothing.
//!
//! Readers who have caught up are served in step ([`super::in_step`]); the others, who have just come, each from its own
//! place. A reader that finds the socket full is tried again when there is room, and those after it wait with it. What a
//! large batch leaves over goes in the next round, a millisecond later.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Instant;

use shardcast_runtime::local::Notify;
use smallvec::SmallVec;

use super::in_step::{InStep, Left, Sent};
use super::pacer::BURST_INTERVAL;
use super::ports::DatagramPorts;
use crate::drops::{ReaderDrops, Slow};
use crate::egress::{DatagramQueue, Fill, goodbye_runs};
use crate::fanout::{
    DatagramRun, DatagramSeat, DropReason, EndReason, IN_STEP, Log, ReaderSeat, SharedLog,
};
use crate::latency::PathLatency;
use crate::path::{PathEntry, PathId};
use crate::record::SessionRecord;
use crate::shard::Shard;
use crate::stream::{Generation, TrackBase};
use crate::supervise::STAGE_DATAGRAMS;

/// Readers that are sent a burst before the shard's other tasks have a turn: about a millisecond's work.
const READERS_PER_TURN: usize = 128;

/// Readers behind the others that are sent a burst before those in step have a turn: two milliseconds' work, as the burst
/// of a reader that has just come is some fifty datagrams.
const BEHIND_PER_ROUND: usize = 32;

/// The feeds of a shard. Bounded by the streams with readers here.
#[derive(Debug, Default)]
pub struct DatagramFeeds(RefCell<HashMap<(PathId, Generation), Weak<DatagramFeed>>>);

/// The readers of one stream's datagrams on this shard.
#[derive(Debug)]
pub struct DatagramFeed {
    entry: Arc<PathEntry>,
    log: Rc<SharedLog>,
    /// Among those whom the log wakes.
    seat: Rc<ReaderSeat>,
    /// Those who have not caught up.
    readers: RefCell<Vec<Rc<FedReader>>>,
    in_step: RefCell<Option<InStep>>,
    ports: Rc<DatagramPorts>,
    latency: Rc<PathLatency>,
    /// Which reader is served next in this round.
    next: Cell<usize>,
    is_closed: Cell<bool>,
    _datagrams: DatagramSeat,
}

/// Where datagrams go.
#[derive(Debug)]
pub struct DatagramWay {
    /// By these sockets.
    pub ports: Rc<DatagramPorts>,
    /// Addresses for RTP and RTCP of each track that was set up.
    pub tracks: SmallVec<[Option<(SocketAddr, SocketAddr)>; 2]>,
    /// Our address as the reader knows it, where the system would send from another.
    pub from: Option<IpAddr>,
}

/// Why a reader is sent nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FedEnd {
    /// Everything was sent, and the stream has ended.
    Stream(EndReason),
    /// It may not stay.
    TooSlow(DropReason),
}

/// A reader of datagrams.
#[derive(Debug)]
pub struct FedReader {
    queue: RefCell<DatagramQueue>,
    pub(super) way: DatagramWay,
    begin: Arc<[TrackBase]>,
    record: Arc<SessionRecord>,
    drops: ReaderDrops,
    ended: Cell<Option<FedEnd>>,
    /// What had been sent in step when its record was last told.
    told: RefCell<Sent>,
    /// Its session waits here for the end.
    session: Rc<ReaderSeat>,
}

/// A reader that is fed until this is dropped.
#[derive(Debug)]
pub struct FedSeat {
    feed: Rc<DatagramFeed>,
    reader: Rc<FedReader>,
}

/// Runs of one track that leave together.
type Burst = SmallVec<[DatagramRun; 4]>;

/// What became of a reader's turn.
enum Served {
    /// It has all that there is.
    AtHead,
    /// There is more for it.
    Behind,
    /// The socket takes no more.
    Blocked,
}

impl DatagramWay {
    /// Which tracks were set up.
    pub fn is_set_up(&self) -> impl Iterator<Item = bool> + '_ {
        self.tracks.iter().map(Option::is_some)
    }

    /// Sends what the socket takes; the number of bytes. A reader that cannot be reached is sent to all the same: its
    /// connection and its reports say whether it lives.
    fn send(&self, run: &DatagramRun) -> usize {
        let Some(Some((rtp, rtcp))) = self.tracks.get(usize::from(run.track)) else {
            return run.bytes.len();
        };
        let to = if run.is_rtcp { *rtcp } else { *rtp };
        let sent = self.ports.send(run, to, self.from);
        sent.unwrap_or(run.bytes.len())
    }
}

impl FedReader {
    /// A reader with this queue, counted in `record`; its session is woken at `session`.
    #[must_use]
    pub fn new(
        queue: DatagramQueue,
        way: DatagramWay,
        begin: Arc<[TrackBase]>,
        record: Arc<SessionRecord>,
        session: Rc<ReaderSeat>,
    ) -> Self {
        Self {
            queue: RefCell::new(queue),
            way,
            begin,
            record,
            drops: ReaderDrops::default(),
            ended: Cell::new(None),
            told: RefCell::default(),
            session,
        }
    }

    fn slow<'a>(&'a self, path: &'a PathEntry, shard: &'a Shard) -> Slow<'a> {
        Slow {
            record: &self.record,
            path,
            server: &shard.server,
        }
    }

    /// From here on it is sent what is sent in step.
    pub(super) fn note_told(&self, sent: &Sent) {
        self.told.replace(sent.clone());
        self.record.progress.set(IN_STEP);
    }

    /// Counts what it was sent in step since it was last told.
    pub(super) fn tell(&self, sent: &Sent) {
        let told = self.told.replace(sent.clone());
        let tracks = sent.tracks.iter().zip(&told.tracks);
        let tracks = tracks.zip(self.way.is_set_up());
        for ((now, before), _) in tracks.filter(|(_, is_set_up)| *is_set_up) {
            self.record.packets.add(now.datagrams - before.datagrams);
            let rtcp = now.rtcp_datagrams - before.rtcp_datagrams;
            self.record.outbound_rtcp_packets.add(rtcp);
            self.record.outbound_bytes.add(now.bytes - before.bytes);
        }
        let (sum_us, packets) = (sent.sum_us - told.sum_us, sent.packets - told.packets);
        let (last_us, max_us) = (sent.last_us, sent.max_us);
        self.record.latency.add(last_us, max_us, sum_us, packets);
    }

    pub(super) fn end(&self, end: FedEnd) {
        self.ended.set(Some(end));
        self.session.wake.notify();
    }

    /// Sends a burst; false when the socket takes no more.
    fn send_burst(&self, queue: &mut DatagramQueue, log: &Log, latency: &PathLatency) -> bool {
        let (is_taken, cargo) = queue.send_burst(|run| {
            let sent = self.way.send(run);
            self.record.outbound_bytes.add(sent as u64);
            sent
        });
        if !cargo.is_empty()
            && let Some((latency_us, packets)) = cargo.record(latency, shardcast_platform::now(), 1)
        {
            self.record.latency.note(latency_us, packets.into());
        }
        if let Some(place) = queue.place(log) {
            self.record.progress.set(place);
        }
        is_taken
    }
}

impl FedSeat {
    /// Why the reader is sent nothing any more, if that is so.
    #[must_use]
    pub fn ended(&self) -> Option<FedEnd> {
        self.reader.ended.get()
    }

    /// Tells what has not been told yet of what the reader was not given.
    pub fn finish_drops(&self, shard: &Shard) {
        let slow = self.reader.slow(&self.feed.entry, shard);
        self.reader.drops.finish(slow);
    }

    /// Tells the reader that the stream has ended (RFC 3550, section 6.6). It may be lost; its connection says it again.
    pub fn send_goodbye(&self) {
        for run in goodbye_runs(&self.reader.begin) {
            self.reader.way.send(&run);
        }
    }
}

impl Drop for FedSeat {
    /// The last reader's end leaves nobody at the log.
    fn drop(&mut self) {
        self.feed.remove(&self.reader);
    }
}

impl DatagramFeed {
    /// Seats a reader.
    #[must_use]
    pub fn add(self: &Rc<Self>, reader: FedReader) -> FedSeat {
        let reader = Rc::new(reader);
        self.readers.borrow_mut().push(reader.clone());
        self.seat.wake.notify();
        FedSeat {
            feed: self.clone(),
            reader,
        }
    }

    fn remove(&self, reader: &Rc<FedReader>) {
        let mut in_step = self.in_step.borrow_mut();
        if let Some(group) = in_step.as_mut() {
            group.leave(reader);
        }
        in_step.take_if(|group| group.is_empty());
        let mut readers = self.readers.borrow_mut();
        if let Some(index) = readers.iter().position(|found| Rc::ptr_eq(found, reader)) {
            readers.remove(index);
            if index < self.next.get() {
                self.next.set(self.next.get() - 1);
            }
        }
        if readers.is_empty() && in_step.is_none() && !self.is_closed.replace(true) {
            self.seat.wake.notify();
            self.log.leave(&self.seat);
        }
    }

    async fn run(self: Rc<Self>, shard: Rc<Shard>) {
        let turn = Rc::new(Notify::new());
        while !self.is_closed.get() {
            let begun = shardcast_platform::now();
            let is_group_behind = self.serve_in_step(&shard, &turn).await;
            let is_behind = self.serve_others(&shard, &turn).await;
            if !is_behind && !is_group_behind {
                self.seat.wake.notified().await;
            } else if shardcast_platform::now().saturating_duration_since(begun) < BURST_INTERVAL {
                shard.bursts.wait(&turn).await;
            } else {
                shardcast_platform::yield_now().await;
            }
        }
    }

    /// Sends a burst to all who are in step; whether there is more for them.
    async fn serve_in_step(&self, shard: &Shard, turn: &Rc<Notify>) -> bool {
        let mut left = self.fill_in_step(shard, shardcast_platform::now());
        let is_fed = left > 0;
        while let Some(burst) = self.next_burst(&mut left) {
            self.send_in_step(&burst, turn).await;
        }
        let in_step = self.in_step.borrow();
        let log = self.log.log.borrow();
        let place = in_step.as_ref().and_then(|group| group.queue.place(&log));
        place.inspect(|place| log.record().in_step.set(*place));
        // The end may have come with the last batch, and then nobody wakes the feed for it.
        let is_end_due = is_fed && log.ended().is_some();
        in_step
            .as_ref()
            .is_some_and(|group| group.queue.has_more(&log) || is_end_due)
    }

    /// Looks up what those in step are sent next; how many datagrams may leave at once.
    fn fill_in_step(&self, shard: &Shard, now: Instant) -> usize {
        let mut in_step = self.in_step.borrow_mut();
        let Some(group) = in_step.as_mut() else {
            return 0;
        };
        let fill = {
            let log = self.log.log.borrow();
            let fill = group.queue.fill(&log, now);
            shard.note_oversized(&self.entry.name, &log);
            fill
        };
        if let Some(dropped) = group.queue.poll_drop() {
            for reader in group.readers() {
                let slow = reader.slow(&self.entry, shard);
                reader.drops.note(Some(dropped), now, slow);
            }
        }
        group.tell(now);
        match fill {
            Fill::Ready => return group.burst_datagrams(),
            Fill::Empty => {}
            Fill::Ended(reason) => group.end(FedEnd::Stream(reason)),
            Fill::TooSlow(reason) => group.end(FedEnd::TooSlow(reason)),
        }
        0
    }

    /// The runs of one track that are to leave next, of `left` datagrams at most.
    fn next_burst(&self, left: &mut usize) -> Option<Burst> {
        let mut in_step = self.in_step.borrow_mut();
        let group = in_step.as_mut().filter(|_| *left > 0)?;
        let mut burst = Burst::new();
        let is_next = |run: &DatagramRun, burst: &Burst| {
            burst.first().is_none_or(|first| first.track == run.track)
        };
        while *left > 0
            && group
                .queue
                .next_run()
                .is_some_and(|run| is_next(run, &burst))
        {
            let run = group.queue.pop_run(*left)?;
            *left = left.saturating_sub(run.datagrams());
            burst.push(run);
        }
        group.begin_burst(&burst);
        (!burst.is_empty()).then_some(burst)
    }

    /// Sends a burst to all who are in step. What the socket has taken of it for a reader is not sent again.
    async fn send_in_step(&self, burst: &Burst, turn: &Rc<Notify>) {
        loop {
            let left = match self.in_step.borrow_mut().as_mut() {
                Some(group) => {
                    let left = group.send_some(&self.ports, burst, READERS_PER_TURN);
                    group.note_turn(burst, &self.latency);
                    left
                }
                None => return,
            };
            match left {
                Left::Nobody => return,
                Left::Some => shardcast_platform::yield_now().await,
                Left::Blocked => self.ports.room(turn).await,
            }
        }
    }

    /// Serves each reader that is not in step once, until so many were behind; whether one of them is. Each round begins
    /// where the one before has ended, or one reader further on, so that none is always last.
    async fn serve_others(&self, shard: &Shard, turn: &Rc<Notify>) -> bool {
        let mut behind = 0;
        self.begin_round();
        let mut now = shardcast_platform::now();
        while behind < BEHIND_PER_ROUND
            && let Some(reader) = self.next_reader()
        {
            match self.serve(shard, &reader, now) {
                Served::AtHead => self.bring_into_step(&reader, now),
                Served::Behind => behind += 1,
                Served::Blocked => {
                    self.next.set(self.next.get() - 1);
                    reader.way.ports.room(turn).await;
                    now = shardcast_platform::now();
                }
            }
            if self.next.get().is_multiple_of(READERS_PER_TURN) {
                shardcast_platform::yield_now().await;
                now = shardcast_platform::now();
            }
        }
        behind > 0
    }

    /// A reader that has caught up goes on with the others.
    fn bring_into_step(&self, reader: &Rc<FedReader>, now: Instant) {
        let (log, queue) = (self.log.log.borrow(), reader.queue.borrow());
        if reader.ended.get().is_some() || !queue.stands_with(&queue, &log) {
            return;
        }
        let mut in_step = self.in_step.borrow_mut();
        let group = in_step.get_or_insert_with(|| InStep::at(&queue, reader.way.tracks.len(), now));
        if group.queue.stands_with(&queue, &log) {
            group.join(reader);
            let place = group.queue.place(&log);
            place.inspect(|place| log.record().in_step.set(*place));
            self.next.set(self.next.get() - 1);
            self.readers.borrow_mut().remove(self.next.get());
        } else if group.is_empty() {
            *in_step = None;
        }
    }

    fn begin_round(&self) {
        let served = self.next.replace(0);
        let mut readers = self.readers.borrow_mut();
        if served < readers.len() {
            readers.rotate_left(served);
        } else if !readers.is_empty() {
            readers.rotate_left(1);
        }
    }

    fn next_reader(&self) -> Option<Rc<FedReader>> {
        let next = self.next.get();
        let reader = self.readers.borrow().get(next).cloned()?;
        self.next.set(next + 1);
        Some(reader)
    }

    fn serve(&self, shard: &Shard, reader: &FedReader, now: Instant) -> Served {
        if reader.ended.get().is_some() {
            return Served::AtHead;
        }
        let mut queue = reader.queue.borrow_mut();
        let log = self.log.log.borrow();
        let fill = queue.fill(&log, now);
        shard.note_oversized(&self.entry.name, &log);
        let taken = queue.take_taken();
        reader.record.packets.add(taken.packets.into());
        let rtcp = &reader.record.outbound_rtcp_packets;
        rtcp.add(taken.rtcp.into());
        let slow = reader.slow(&self.entry, shard);
        reader.drops.note(queue.poll_drop(), now, slow);
        match fill {
            Fill::Ready => {}
            Fill::Empty => return Served::AtHead,
            Fill::Ended(reason) => reader.end(FedEnd::Stream(reason)),
            Fill::TooSlow(reason) => reader.end(FedEnd::TooSlow(reason)),
        }
        // As above.
        let is_end_due = log.ended().is_some() && reader.ended.get().is_none();
        let has_more = |queue: &DatagramQueue| queue.has_more(&log) || is_end_due;
        let is_taken = reader.send_burst(&mut queue, &log, &self.latency);
        match (is_taken, has_more(&queue)) {
            (false, _) => Served::Blocked,
            (true, true) => Served::Behind,
            (true, false) => Served::AtHead,
        }
    }
}

impl Shard {
    /// The feed of a stream that this shard has; a new one for its first reader of datagrams.
    #[must_use]
    pub fn datagram_feed(
        self: &Rc<Self>,
        entry: &Arc<PathEntry>,
        generation: Generation,
        log: &Rc<SharedLog>,
        ports: Rc<DatagramPorts>,
    ) -> Rc<DatagramFeed> {
        let key = (entry.id, generation);
        let mut feeds = self.feeds.0.borrow_mut();
        let known = feeds.get(&key).and_then(Weak::upgrade);
        let is_open = |feed: &Rc<DatagramFeed>| !feed.is_closed.get() && Rc::ptr_eq(&feed.log, log);
        if let Some(feed) = known.filter(is_open) {
            return feed;
        }
        feeds.retain(|_, feed| feed.strong_count() > 0);
        let packet_bytes_max = self.server.config.load().rtsp.udp_payload_bytes_max;
        let feed = Rc::new(DatagramFeed {
            entry: entry.clone(),
            log: log.clone(),
            seat: log.seat(),
            readers: RefCell::default(),
            in_step: RefCell::default(),
            ports,
            latency: self.latencies.of(&entry.name, shardcast_platform::now()),
            next: Cell::new(0),
            is_closed: Cell::new(false),
            _datagrams: log.join_datagrams(packet_bytes_max),
        });
        feeds.insert(key, Rc::downgrade(&feed));
        self.spawn_stage(STAGE_DATAGRAMS, |shard| feed.clone().run(shard));
        feed
    }
}
