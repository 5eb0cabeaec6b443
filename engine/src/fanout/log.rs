//! The log: a stream's recent batches on one shard, bounded in bytes and age, with its start points. It is every reader's
//! queue and the cache of the latest group of pictures at once.
//!
//! Positions count this shard's entries without a gap, whatever batches a ring has lost: a loss is a mark on the entry
//! after it, which then begins at a start point.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::datagrams::{DatagramBatch, DatagramNumbering};
use super::join_window::JoinWindow;
use super::local_batch::{ChannelMap, LocalBatch, VARIANTS_MAX};
use super::log_record::LogRecord;
use crate::stream::{Batch, Packet, PacketFlags, StreamInfo};
use crate::wall_clock::micros_at;

/// Shortest wait for a start point before a reader begins without one.
const START_WAIT_MIN: Duration = Duration::from_secs(10);
/// Longest such wait, however long the groups of pictures are.
const START_WAIT_MAX: Duration = Duration::from_secs(60);

/// How much a log keeps.
#[derive(Clone, Copy, Debug)]
pub struct LogLimits {
    /// Most bytes of images.
    pub bytes: usize,
    /// Oldest entry.
    pub age: Duration,
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum EndReason {
    /// The publisher said so.
    #[error("the publisher has ended the stream")]
    PublisherLeft,
    /// The publisher's connection was lost.
    #[error("the publisher was lost")]
    PublisherLost,
    /// Another publisher came with other tracks or codecs.
    #[error("a publisher with other tracks has taken over")]
    TracksChanged,
    /// The path is not configured any more.
    #[error("the path was removed from the configuration")]
    PathRemoved,
    /// The server is going down.
    #[error("the server is shutting down")]
    Shutdown,
}

impl EndReason {
    /// Its name, one of a closed set: for programs that tell reasons apart.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::PublisherLeft => "publisher_left",
            Self::PublisherLost => "publisher_lost",
            Self::TracksChanged => "tracks_changed",
            Self::PathRemoved => "path_removed",
            Self::Shutdown => "shutdown",
        }
    }
}

/// A packet of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Number of the entry.
    pub entry: u64,
    /// Index of the packet in its batch.
    pub packet: u32,
}

/// One batch in the log.
#[derive(Debug)]
pub struct Entry {
    /// The batch.
    pub batch: LocalBatch,
    /// Bytes of the log's life up to and with this entry.
    pub end: u64,
    /// When the batch's first packet was read.
    pub read_at: Instant,
    /// Whether an access unit of the leading track goes on after this entry.
    pub open_after: bool,
    /// Batches were lost before this one: who comes from before begins at this packet.
    pub resume_at: Option<u32>,
}

impl Entry {
    /// Bytes of the log's life before one of its packets.
    #[must_use]
    pub fn bytes_before(&self, packet: u32) -> u64 {
        let batch = self.batch.shared();
        let packet = batch.packets.get(packet as usize);
        let before = packet.map_or(batch.bytes(), |packet| packet.offset as usize);
        self.end - batch.bytes() as u64 + before as u64
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is in the log.
    Kept,
    /// It follows a loss and holds no start point: it is of no use to any reader.
    WaitsForStart,
}

/// A stream's recent batches on this shard.
#[derive(Debug)]
pub struct Log {
    info: Arc<StreamInfo>,
    limits: LogLimits,
    entries: VecDeque<Entry>,
    first: u64,
    /// Bytes of the log's life before the first entry.
    evicted_bytes: u64,
    starts: VecDeque<Position>,
    /// Start points of the log's life, those evicted included.
    starts_seen: u64,
    last_start_at: Option<Instant>,
    longest_gop: Duration,
    last_sequence: Option<u64>,
    ended: Option<EndReason>,
    variants: SmallVec<[ChannelMap; VARIANTS_MAX]>,
    datagrams: RefCell<Datagrams>,
    pub(super) join_window: JoinWindow,
    /// What other threads see.
    record: Arc<LogRecord>,
}

/// How far the datagram image is built.
#[derive(Debug, Default)]
struct Datagrams {
    numbering: Option<DatagramNumbering>,
    /// Those who are sent it.
    readers: usize,
    /// The entry after the last one that was built for them.
    next: Option<u64>,
    had_oversized: bool,
}

impl Log {
    /// An empty log of a stream.
    #[must_use]
    pub fn new(info: Arc<StreamInfo>, limits: LogLimits) -> Self {
        Self {
            info,
            limits,
            entries: VecDeque::new(),
            first: 0,
            evicted_bytes: 0,
            starts: VecDeque::new(),
            starts_seen: 0,
            last_start_at: None,
            longest_gop: Duration::ZERO,
            last_sequence: None,
            ended: None,
            variants: SmallVec::new(),
            datagrams: RefCell::default(),
            join_window: JoinWindow::default(),
            record: Arc::default(),
        }
    }

    /// Adds a batch at the head. Entries over the limits are handed to `evict`, to be sent home.
    pub fn append(&mut self, batch: Arc<Batch>, evict: impl FnMut(LocalBatch)) -> Appended {
        let follows = self
            .last_sequence
            .is_none_or(|last| last + 1 == batch.sequence);
        let own_start = batch.own_start();
        if !follows && own_start.is_none() {
            return Appended::WaitsForStart;
        }
        self.last_sequence = Some(batch.sequence);
        self.note_starts(&batch, follows);
        let (end, read_at, open_after) = (
            self.head_bytes() + batch.bytes() as u64,
            batch.read_at,
            self.is_open_after(&batch),
        );
        let resume_at = if follows { None } else { own_start };
        let batch = LocalBatch::new(batch);
        self.entries.push_back(Entry {
            batch,
            end,
            read_at,
            open_after,
            resume_at,
        });
        self.evict_over_limits(read_at, evict);
        self.join_window.prune(read_at);
        self.record.set_head(end, read_at);
        let oldest = self.entries.front().map_or(read_at, |entry| entry.read_at);
        self.record.set_tail(self.evicted_bytes, oldest);
        Appended::Kept
    }

    /// Ends the stream: readers are given what is here and then the reason. The first reason stays.
    pub fn end(&mut self, reason: EndReason) {
        self.ended.get_or_insert(reason);
    }

    /// Why the stream has ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<EndReason> {
        self.ended
    }

    /// What other threads see of it.
    #[must_use]
    pub fn record(&self) -> &Arc<LogRecord> {
        &self.record
    }

    /// When what lies before `position` was read, in the clock of [`LogPlace`](super::LogPlace).
    #[must_use]
    pub fn read_us(&self, position: Position) -> u64 {
        let before = position.entry.checked_sub(1);
        let given = before.and_then(|number| self.entry(number));
        let entry = given.or_else(|| self.entry(position.entry));
        entry.map_or(0, |entry| micros_at(entry.read_at))
    }

    /// The stream's tracks.
    #[must_use]
    pub fn info(&self) -> &Arc<StreamInfo> {
        &self.info
    }

    /// The entry of this number; none before it comes or after it was evicted.
    #[must_use]
    pub fn entry(&self, number: u64) -> Option<&Entry> {
        let index = number.checked_sub(self.first)?;
        self.entries.get(usize::try_from(index).ok()?)
    }

    /// Number of the oldest entry.
    #[must_use]
    pub fn tail(&self) -> u64 {
        self.first
    }

    /// Number that the next entry will have.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Bytes between an entry's begin and the head.
    #[must_use]
    pub fn bytes_from(&self, entry: u64) -> u64 {
        let before = match entry
            .checked_sub(1)
            .and_then(|previous| self.entry(previous))
        {
            Some(previous) => previous.end,
            None if entry >= self.head() => self.head_bytes(),
            None => self.evicted_bytes,
        };
        self.head_bytes() - before
    }

    /// Bytes that the log holds.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.head_bytes() - self.evicted_bytes
    }

    /// Whether an access unit of the leading track is open at the head.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.entries.back().is_some_and(|entry| entry.open_after)
    }

    /// The newest start point.
    #[must_use]
    pub fn latest_start(&self) -> Option<Position> {
        self.starts.back().copied()
    }

    /// The oldest start point that is still here of those after the first `seen` of the log's life.
    #[must_use]
    pub fn start_after(&self, seen: u64) -> Option<Position> {
        let evicted = self.starts_seen - self.starts.len() as u64;
        let index = usize::try_from(seen.saturating_sub(evicted)).ok()?;
        self.starts.get(index).copied()
    }

    /// Start points of the log's life.
    #[must_use]
    pub fn starts_seen(&self) -> u64 {
        self.starts_seen
    }

    /// How long a reader waits for a start point: twice the longest group of pictures seen, within bounds.
    #[must_use]
    pub fn start_wait(&self) -> Duration {
        (2 * self.longest_gop).clamp(START_WAIT_MIN, START_WAIT_MAX)
    }

    /// The batches from the latest start point on, for a shard that begins to take the stream; without one, the newest.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Arc<Batch>> {
        let from = self
            .latest_start()
            .map_or(self.head().saturating_sub(1), |start| start.entry)
            .max(self.first);
        (from..self.head())
            .filter_map(|number| self.entry(number))
            .map(|entry| entry.batch.shared().clone())
            .collect()
    }

    /// The newest batch.
    #[must_use]
    pub fn newest(&self) -> Option<&Arc<Batch>> {
        self.entries.back().map(|entry| entry.batch.shared())
    }

    /// Batches from the newest to the oldest.
    pub fn batches_back(&self) -> impl Iterator<Item = &Arc<Batch>> {
        self.entries.iter().rev().map(|entry| entry.batch.shared())
    }

    /// The index under which images for this map are kept; none when [`VARIANTS_MAX`] others came first.
    pub fn variant_index(&mut self, map: &ChannelMap) -> Option<usize> {
        if let Some(index) = self.variants.iter().position(|known| known == map) {
            return Some(index);
        }
        if self.variants.len() == VARIANTS_MAX {
            return None;
        }
        self.variants.push(map.clone());
        Some(self.variants.len() - 1)
    }

    /// A reader of datagrams has come; a packet takes at most so many bytes.
    pub fn join_datagrams(&self, packet_bytes_max: usize) {
        let mut datagrams = self.datagrams.borrow_mut();
        datagrams.readers += 1;
        datagrams
            .numbering
            .get_or_insert_with(|| DatagramNumbering::new(&self.info, packet_bytes_max));
    }

    /// A reader of datagrams has left. After the last one nothing is built until the next comes.
    pub fn leave_datagrams(&self) {
        let mut datagrams = self.datagrams.borrow_mut();
        datagrams.readers = datagrams.readers.saturating_sub(1);
        if datagrams.readers == 0 {
            datagrams.next = None;
        }
    }

    /// The datagram image of an entry. Entries are built in order, because their numbers go on; the first is where a reader
    /// that comes now could begin, so that none needs one before it.
    #[must_use]
    pub fn datagrams(&self, number: u64) -> Option<&DatagramBatch> {
        let mut datagrams = self.datagrams.borrow_mut();
        let Datagrams {
            numbering, next, ..
        } = &mut *datagrams;
        let first = self
            .latest_start()
            .map_or(number, |start| start.entry.min(number));
        let from = next.unwrap_or(first).max(self.first);
        for number in from..=number {
            if let (Some(entry), Some(numbering)) = (self.entry(number), numbering.as_mut()) {
                entry.batch.build_datagrams(numbering);
                *next = Some(number + 1);
            }
        }
        self.entry(number)?.batch.datagrams()
    }

    /// Packets that no datagram can hold, since it was last asked; and whether they are the first of the log's life.
    pub fn take_oversized(&self) -> (u64, bool) {
        let mut datagrams = self.datagrams.borrow_mut();
        let numbering = datagrams.numbering.as_mut();
        let packets = numbering.map_or(0, DatagramNumbering::take_oversized);
        let is_first = packets > 0 && !std::mem::replace(&mut datagrams.had_oversized, true);
        (packets, is_first)
    }

    /// Whether the first packet of the leading track at or after `position` in its entry begins an access unit, as it does
    /// when the one before ended without a marker.
    #[must_use]
    pub fn begins_unit(&self, position: Position) -> bool {
        let Some(entry) = self.entry(position.entry) else {
            return false;
        };
        let mut packets = entry
            .batch
            .shared()
            .packets
            .iter()
            .skip(position.packet as usize);
        packets
            .find(|packet| self.is_leading(packet))
            .is_some_and(|packet| packet.flags.has(PacketFlags::AU_START))
    }

    /// Bytes of the log's life.
    #[must_use]
    pub fn head_bytes(&self) -> u64 {
        self.entries
            .back()
            .map_or(self.evicted_bytes, |entry| entry.end)
    }

    fn is_open_after(&self, batch: &Batch) -> bool {
        let last = batch
            .packets
            .iter()
            .rev()
            .find(|packet| self.is_leading(packet));
        last.map_or(self.is_open(), |packet| {
            !packet.flags.has(PacketFlags::AU_END)
        })
    }

    /// Whether it is media of the track whose access units count.
    #[must_use]
    pub fn is_leading(&self, packet: &Packet) -> bool {
        usize::from(packet.track) == self.info.leading() && !packet.flags.has(PacketFlags::RTCP)
    }

    /// Notes the batch's start points under the number that its entry is about to get.
    fn note_starts(&mut self, batch: &Batch, follows: bool) {
        let number = self.head();
        for start in &batch.start_points {
            let reachable = if follows { number - self.first } else { 0 };
            if u64::from(start.batches_back) > reachable {
                continue;
            }
            self.starts.push_back(Position {
                entry: number - u64::from(start.batches_back),
                packet: start.packet,
            });
            self.starts_seen += 1;
            if let Some(previous) = self.last_start_at.replace(batch.read_at) {
                self.longest_gop = self
                    .longest_gop
                    .max(batch.read_at.saturating_duration_since(previous));
            }
        }
    }

    /// The head entry always stays, however large.
    fn evict_over_limits(&mut self, now: Instant, mut evict: impl FnMut(LocalBatch)) {
        while self.entries.len() > 1 {
            let Some(oldest) = self.entries.front() else {
                return;
            };
            let too_old = now.saturating_duration_since(oldest.read_at) > self.limits.age;
            if self.held_bytes() <= self.limits.bytes as u64 && !too_old {
                return;
            }
            self.evicted_bytes = oldest.end;
            self.first += 1;
            let oldest = self.entries.pop_front();
            while self
                .starts
                .front()
                .is_some_and(|start| start.entry < self.first)
            {
                self.starts.pop_front();
            }
            if let Some(entry) = oldest {
                evict(entry.batch);
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.record.clear();
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::stream::{BatchBuilder, StartPoint, StreamClock};
    use bytes::BytesMut;

    /// A batch whose packets are 20 bytes each: (track, whether it is a start point). The last one ends its access unit.
    pub(crate) fn batch_of(sequence: u64, packets: &[(u8, bool)]) -> Batch {
        batch_at(sequence, packets, Instant::now())
    }

    pub(crate) fn batch_at(sequence: u64, packets: &[(u8, bool)], read_at: Instant) -> Batch {
        let mut builder = BatchBuilder::new(sequence);
        for (index, &(track, start)) in packets.iter().enumerate() {
            let last = index + 1 == packets.len();
            let flags = if last {
                PacketFlags::AU_END
            } else {
                PacketFlags::default()
            };
            builder.note(20, track, flags, read_at);
            let mut wire = BytesMut::from(&[sequence as u8; 20][..]);
            wire[..4].copy_from_slice(&[b'$', track * 2, 0, 16]);
            builder.hold(wire);
            if start {
                builder.note_start(StartPoint {
                    batches_back: 0,
                    packet: index as u32,
                });
            }
        }
        builder.close(StreamClock::default()).unwrap()
    }

    pub(crate) fn log_with(limits: LogLimits) -> Log {
        let sdp = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
        let tracks = shardcast_protocol::sdp::parse(sdp.as_bytes())
            .and_then(|sdp| shardcast_protocol::sdp::tracks(&sdp));
        Log::new(Arc::new(StreamInfo::new(tracks.unwrap(), "test")), limits)
    }

    pub(crate) const ROOMY: LogLimits = LogLimits {
        bytes: 1 << 20,
        age: Duration::from_secs(3600),
    };

    #[test]
    fn the_log_keeps_no_more_bytes_than_its_limit() {
        let mut log = log_with(LogLimits {
            bytes: 100,
            age: Duration::from_secs(60),
        });
        let mut evicted = Vec::new();
        for sequence in 0..10 {
            log.append(
                Arc::new(batch_of(sequence, &[(0, true), (0, false)])),
                |batch| evicted.push(batch.shared().sequence),
            );
        }
        assert_eq!((log.held_bytes(), log.tail(), log.head()), (80, 8, 10));
        assert_eq!(evicted, (0..8).collect::<Vec<_>>());
        assert_eq!(
            log.start_after(0),
            Some(Position {
                entry: 8,
                packet: 0
            })
        );
    }

    #[test]
    fn the_log_keeps_nothing_older_than_its_age() {
        let mut log = log_with(LogLimits {
            bytes: 1 << 20,
            age: Duration::from_secs(5),
        });
        let begin = Instant::now();
        for second in 0..20 {
            log.append(
                Arc::new(batch_at(
                    second,
                    &[(0, true)],
                    begin + Duration::from_secs(second),
                )),
                drop,
            );
        }
        assert_eq!((log.tail(), log.head()), (14, 20));
        assert_eq!(log.bytes_from(15), 100);
    }

    #[test]
    fn after_a_loss_the_log_goes_on_at_a_start_point_only() {
        let mut log = log_with(ROOMY);
        assert_eq!(
            log.append(Arc::new(batch_of(0, &[(0, true)])), drop),
            Appended::Kept
        );
        assert_eq!(
            log.append(Arc::new(batch_of(2, &[(0, false)])), drop),
            Appended::WaitsForStart
        );
        assert_eq!(
            log.append(Arc::new(batch_of(3, &[(0, false), (0, true)])), drop),
            Appended::Kept
        );
        assert_eq!(log.entry(1).and_then(|entry| entry.resume_at), Some(1));
    }

    #[test]
    fn a_start_point_may_be_told_after_its_first_packets_have_left() {
        let mut log = log_with(ROOMY);
        log.append(Arc::new(batch_of(0, &[(0, false), (0, false)])), drop);
        let mut late = batch_of(1, &[(0, false)]);
        late.start_points.push(StartPoint {
            batches_back: 1,
            packet: 1,
        });
        log.append(Arc::new(late), drop);
        assert_eq!(
            log.latest_start(),
            Some(Position {
                entry: 0,
                packet: 1
            })
        );
        assert_eq!(log.snapshot().len(), 2);
    }

    #[test]
    fn a_reader_waits_for_a_start_point_twice_the_longest_group_within_bounds() {
        let mut log = log_with(ROOMY);
        let begin = Instant::now();
        assert_eq!(log.start_wait(), START_WAIT_MIN);
        for (sequence, second) in [0, 8, 10].into_iter().enumerate() {
            log.append(
                Arc::new(batch_at(
                    sequence as u64,
                    &[(0, true)],
                    begin + Duration::from_secs(second),
                )),
                drop,
            );
        }
        assert_eq!(log.start_wait(), Duration::from_secs(16));
        log.append(
            Arc::new(batch_at(3, &[(0, true)], begin + Duration::from_secs(1000))),
            drop,
        );
        assert_eq!(log.start_wait(), START_WAIT_MAX);
    }

    #[test]
    fn only_four_channel_maps_get_an_image() {
        let mut log = log_with(ROOMY);
        let map = |channel| ChannelMap([Some((channel, channel + 1))].into_iter().collect());
        let indexes: Vec<_> = [4u8, 6, 8, 10, 12, 6]
            .map(|channel| log.variant_index(&map(channel)))
            .into();
        assert_eq!(indexes, [Some(0), Some(1), Some(2), Some(3), None, Some(1)]);
    }

    #[test]
    fn others_see_where_a_log_begins_and_ends_and_how_far_somebody_stands_behind() {
        let (begin, limits) = (
            Instant::now(),
            LogLimits {
                bytes: 100,
                ..ROOMY
            },
        );
        let mut log = log_with(limits);
        for sequence in 0..10 {
            let read_at = begin + Duration::from_millis(100 * sequence);
            let batch = batch_at(sequence, &[(0, sequence % 2 == 0)], read_at);
            log.append(Arc::new(batch), drop);
        }
        let (record, oldest) = (log.record().clone(), log.tail());
        assert_eq!(record.head().bytes, 200);
        assert_eq!(
            (record.held_bytes(), record.held_time().as_millis()),
            (100, 400)
        );
        let place = Position {
            entry: oldest + 2,
            packet: 0,
        };
        assert_eq!(log.bytes_before(place), 140);
        assert_eq!(record.head().read_us - log.read_us(place), 300_000);
        drop(log);
        assert_eq!(
            (record.held_bytes(), record.held_time()),
            (0, Duration::ZERO)
        );
    }
}
