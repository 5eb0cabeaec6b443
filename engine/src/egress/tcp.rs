//! The queue of a reader over interleaved TCP: everything between its cursor and the log's head leaves in one write.
//!
//! A reader with the usual channels takes each batch as one slice. For other channels the shard keeps up to four more
//! images; beyond those a reader gets headers of its own in front of shared payloads, as does one that is given less than
//! others ([`super::own_headers`]).

use std::time::Instant;

use shardcast_platform::{GATHER_SLICES_MAX, Gather, Slice};

use super::begin::Begin;
use super::cargo::Cargo;
use super::own_headers::{LeftOut, OwnNumbers, Part, take_with_headers};
use super::reports::FirstClock;
use super::taken::Taken;
use crate::fanout::{
    ChannelMap, Cursor, Drop, DropReason, EndReason, Entry, Log, LogPlace, Next, Position,
};
use crate::stream::{RUNS_MAX, TrackBase, wire_report};

/// A write stops growing here: it is what a stalled reader can pin.
pub const WRITE_BYTES_MAX: usize = 256 * 1024;

/// Which image a reader takes.
#[derive(Debug)]
enum Image {
    Usual,
    Variant(usize),
    OwnHeaders,
    /// Of a reader that is or was given less than others.
    OwnNumbers(Box<OwnNumbers>),
}

/// What [`TcpQueue::fill`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// There is something to write.
    Ready,
    /// Nothing to write until the log has news.
    Empty,
    /// Everything was taken before, and the stream has ended.
    Ended(EndReason),
    /// The reader may not stay.
    TooSlow(DropReason),
}

/// A reader's place in a log and the image it is given.
#[derive(Debug)]
pub struct TcpQueue {
    cursor: Cursor,
    channels: ChannelMap,
    image: Image,
    taken: Taken,
    /// What was taken last.
    cargo: Cargo,
    /// Where that has brought the reader.
    place: LogPlace,
    /// Until the reader has caught up.
    begin: Option<Box<Begin>>,
}

impl TcpQueue {
    /// A reader at `cursor` with these channels that begins so.
    #[must_use]
    pub fn new(log: &mut Log, cursor: Cursor, channels: ChannelMap, begin: Box<Begin>) -> Self {
        let whole = channels.0.len() == log.info().tracks().len();
        let image = match channels.is_usual() && whole {
            true => Image::Usual,
            false => log
                .variant_index(&channels)
                .map_or(Image::OwnHeaders, Image::Variant),
        };
        Self {
            cursor,
            channels,
            image,
            taken: Taken::default(),
            cargo: Cargo::default(),
            place: LogPlace::NOWHERE,
            begin: Some(begin),
        }
    }

    /// Whether [`Self::fill`] could find something else than [`Fill::Empty`].
    #[must_use]
    pub fn has_news(&self, log: &Log) -> bool {
        !self.cursor.is_at_head(log) || log.ended().is_some()
    }

    /// Whether the reader has not taken yet all that it begins with.
    #[must_use]
    pub fn is_beginning(&self) -> bool {
        self.begin.is_some()
    }

    /// Takes what there is into `gather`, up to [`WRITE_BYTES_MAX`]. The kernel holds so many bytes for the reader: they are
    /// part of its queue.
    pub fn fill(
        &mut self,
        log: &Log,
        gather: &mut Gather,
        kernel_bytes: u64,
        now: Instant,
    ) -> Fill {
        self.cargo = Cargo::default();
        let fill = self.fill_up(log, gather, kernel_bytes, now);
        self.place = self.cursor.place(log);
        fill
    }

    fn fill_up(&mut self, log: &Log, gather: &mut Gather, kernel_bytes: u64, now: Instant) -> Fill {
        loop {
            match self.cursor.next_behind(log, kernel_bytes, now) {
                Next::Take(entry, packet) => {
                    if !self.has_room(gather, entry, packet) {
                        return Fill::Ready;
                    }
                    if self.begin.is_some() && self.take_begin(log, entry, packet, gather) {
                        continue;
                    }
                    self.take_entry(log, entry, packet, gather, false);
                }
                Next::TakeLess(entry, packet) => {
                    if !self.has_room(gather, entry, packet) {
                        return Fill::Ready;
                    }
                    if self.begin.is_some() && self.take_begin(log, entry, packet, gather) {
                        continue;
                    }
                    self.own_numbers();
                    self.take_entry(log, entry, packet, gather, true);
                }
                Next::Moved(from) => self.own_numbers().move_from(log, from),
                Next::TooSlow(reason) => return Fill::TooSlow(reason),
                Next::Wait | Next::Ended(_) if !gather.is_empty() => return Fill::Ready,
                Next::Wait => return Fill::Empty,
                Next::Ended(reason) => return Fill::Ended(reason),
            }
        }
    }

    /// What was dropped since it was last asked.
    pub fn poll_drop(&mut self) -> Option<Drop> {
        self.cursor.poll_drop()
    }

    /// What [`Self::fill`] has taken last; once.
    pub fn take_cargo(&mut self) -> Cargo {
        std::mem::take(&mut self.cargo)
    }

    /// Where the reader is when that has left.
    #[must_use]
    pub fn place(&self) -> LogPlace {
        self.place
    }

    /// What was taken since it was last asked, packets of tracks that the reader did not set up included.
    pub fn take_taken(&mut self) -> Taken {
        std::mem::take(&mut self.taken)
    }

    /// What comes before all else, and what the reader is sent until it has caught up; whether that was the entry, as far as
    /// it is to be sent so.
    fn take_begin(&mut self, log: &Log, entry: &Entry, packet: u32, gather: &mut Gather) -> bool {
        let Some(mut begin) = self.begin.take() else {
            return false;
        };
        if let Some((clock, tracks)) = begin.take_clock(log, entry, packet) {
            self.push_reports(&clock, &tracks, gather);
        }
        let place = self.cursor.position();
        let (Some(catch_up), Some(Position { entry: number, .. })) = (begin.catch_up(place), place)
        else {
            return false;
        };
        if let Some(pressed) = log.pressed_batch(catch_up, number, entry, &self.channels) {
            self.taken.packets += pressed.packets;
            push_all(std::iter::once(pressed.bytes), gather);
        }
        self.cursor.advance(entry, catch_up.end_in(number));
        self.begin = Some(begin);
        true
    }

    /// A sender report for each of the reader's tracks, before its first packet.
    fn push_reports(&mut self, clock: &FirstClock<'_>, tracks: &[TrackBase], gather: &mut Gather) {
        for (track, (base, place)) in tracks.iter().zip(&self.channels.0).enumerate() {
            let report = clock.report(track, base.ssrc);
            let wire = report.and_then(|report| wire_report(track, &report));
            if let (Some(mut wire), Some((_, rtcp))) = (wire, *place) {
                wire[1] = rtcp;
                push_all(std::iter::once(Slice::new(wire.freeze())), gather);
                self.taken.packets += 1;
                self.taken.rtcp += 1;
            }
        }
    }

    /// An empty write takes any batch, so that a large one cannot block for ever.
    fn has_room(&self, gather: &Gather, entry: &Entry, packet: u32) -> bool {
        if gather.is_empty() {
            return true;
        }
        let batch = entry.batch.shared();
        let from = batch
            .packets
            .get(packet as usize)
            .map_or(0, |packet| packet.offset as usize);
        gather.bytes() + batch.bytes() - from <= WRITE_BYTES_MAX
            && gather.len() + RUNS_MAX <= GATHER_SLICES_MAX
    }

    /// Takes an entry's packets from `packet` on.
    fn take_entry(
        &mut self,
        log: &Log,
        entry: &Entry,
        packet: u32,
        gather: &mut Gather,
        is_less: bool,
    ) {
        let taken_before = self.taken.packets;
        let taken_to = self.take(log, entry, packet, gather, is_less);
        let packets = self.taken.packets - taken_before;
        let read_at = self.cursor.read_time(entry);
        self.cargo.add(read_at, packets.into());
        self.cursor.advance(entry, taken_to);
    }

    /// From here on the reader has headers of its own, with numbers of its own.
    fn own_numbers(&mut self) -> &mut OwnNumbers {
        if !matches!(self.image, Image::OwnNumbers(_)) {
            let numbers = OwnNumbers::new(self.channels.0.len());
            self.image = Image::OwnNumbers(Box::new(numbers));
        }
        match &mut self.image {
            Image::OwnNumbers(numbers) => numbers,
            _ => unreachable!("it has just become that"),
        }
    }

    /// Takes an entry's packets from `packet` on; where it stopped, if not at the end.
    fn take(
        &mut self,
        log: &Log,
        entry: &Entry,
        packet: u32,
        gather: &mut Gather,
        is_less: bool,
    ) -> Option<u32> {
        let packets = entry.batch.shared().packets.len() as u32;
        let mut left_out = LeftOut::default();
        let taken_to = match &mut self.image {
            Image::Usual => push_all(entry.batch.slices_from(packet), gather),
            Image::Variant(index) => {
                let slice = entry.batch.variant(*index, &self.channels).after(packet);
                push_all((!slice.is_empty()).then_some(slice).into_iter(), gather)
            }
            Image::OwnHeaders => take_with_headers(&entry.batch, packet, &self.channels, gather),
            Image::OwnNumbers(numbers) => {
                let number = self.cursor.position().map_or(0, |at| at.entry);
                let part = Part {
                    log,
                    entry,
                    from: Position {
                        entry: number,
                        packet,
                    },
                    is_less,
                };
                let (taken_to, left) = numbers.take(part, &self.channels, gather);
                self.cursor.note_left_out(left.bytes, left.units);
                left_out = left;
                taken_to
            }
        };
        let to = taken_to.unwrap_or(packets);
        self.taken.packets += to.saturating_sub(packet).saturating_sub(left_out.packets);
        self.taken.rtcp += entry.batch.shared().rtcp_packets(packet..to);
        taken_to
    }
}

fn push_all(slices: impl Iterator<Item = Slice>, gather: &mut Gather) -> Option<u32> {
    for slice in slices {
        let pushed = gather.push(slice);
        assert!(
            pushed.is_ok(),
            "a batch has fewer runs than a write has slices"
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::{SlowReader, SlowReaderPolicy, Start};
    use crate::stream::{
        Batch, BatchBuilder, PacketFlags, Standing, StartPoint, StreamClock, StreamInfo,
    };
    use bytes::BytesMut;
    use shardcast_protocol::container::rtp::{NtpTime, RtpTimestamp, SequenceNumber, Ssrc};
    use std::sync::Arc;
    use std::time::Duration;

    fn log() -> Log {
        let sdp =
            "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 0 RTP/AVP 0\r\n";
        let tracks = shardcast_protocol::sdp::parse(sdp.as_bytes())
            .and_then(|sdp| shardcast_protocol::sdp::tracks(&sdp));
        let info = Arc::new(StreamInfo::new(tracks.unwrap(), "test"));
        let limits = crate::fanout::LogLimits {
            bytes: 64 << 20,
            age: Duration::from_secs(3600),
        };
        Log::new(info, limits)
    }

    fn batch(sequence: u64, packets: usize, size: usize) -> Arc<Batch> {
        batch_with(sequence, packets, size, StreamClock::default())
    }

    fn batch_with(sequence: u64, packets: usize, size: usize, clock: StreamClock) -> Arc<Batch> {
        let mut builder = BatchBuilder::new(sequence);
        for index in 0..packets {
            let track = (index % 2) as u8;
            builder.note(size, track, PacketFlags::AU_END, Instant::now());
            let mut wire = BytesMut::zeroed(size);
            wire[0] = b'$';
            wire[1] = track * 2;
            wire[2..4].copy_from_slice(&((size - 4) as u16).to_be_bytes());
            wire[4..].fill(index as u8);
            wire[4] = 0x80;
            builder.hold(wire);
        }
        builder.note_start(StartPoint {
            batches_back: 0,
            packet: 0,
        });
        Arc::new(builder.close(clock).unwrap())
    }

    fn queue(log: &mut Log, channels: &[Option<(u8, u8)>]) -> TcpQueue {
        let policy = SlowReaderPolicy {
            slow_reader: SlowReader::DropToKeyFrame,
            queue_bytes: u64::MAX,
            queue_age: Duration::from_secs(3600),
        };
        let cursor = Cursor::new(log, Start::Gop, policy, Instant::now());
        let channels = ChannelMap(channels.iter().copied().collect());
        let mut queue = TcpQueue::new(log, cursor, channels, Begin::new([].into(), None));
        queue.begin = None;
        queue
    }

    #[test]
    fn all_batches_since_the_last_write_leave_in_one() {
        let mut log = log();
        log.append(batch(0, 4, 100), drop);
        let mut queue = queue(&mut log, &[Some((0, 1)), Some((2, 3))]);
        log.append(batch(1, 4, 100), drop);
        let mut gather = Gather::new();
        assert_eq!(
            queue.fill(&log, &mut gather, 0, Instant::now()),
            Fill::Ready
        );
        assert_eq!((gather.bytes(), queue.take_taken().packets), (800, 8));
        gather.clear();
        assert_eq!(
            queue.fill(&log, &mut gather, 0, Instant::now()),
            Fill::Empty
        );
    }

    #[test]
    fn the_clock_is_told_once_before_the_first_packet_on_the_readers_channels() {
        let mut log = log();
        let base = |ssrc| TrackBase {
            ssrc: Ssrc(ssrc),
            standing: Standing::begin(SequenceNumber(0), RtpTimestamp(0), Instant::now()),
            ntp: NtpTime(1 << 32),
        };
        let begin = [base(7), base(8)];
        let clock = StreamClock::begin(log.info(), &begin);
        log.append(batch_with(0, 2, 100, clock), drop);
        let mut queue = queue(&mut log, &[Some((4, 5)), None]);
        queue.begin = Some(Begin::new(begin.into(), None));
        let mut gather = Gather::new();
        assert_eq!(
            queue.fill(&log, &mut gather, 0, Instant::now()),
            Fill::Ready
        );
        assert_eq!(
            gather.len(),
            2,
            "one track was set up: its report, then its packet"
        );
        let report = gather.bytes() - 100;
        assert!((28..80).contains(&report), "{report}");
        log.append(batch(1, 2, 100), drop);
        gather.clear();
        assert_eq!(
            queue.fill(&log, &mut gather, 0, Instant::now()),
            Fill::Ready
        );
        assert_eq!((gather.len(), gather.bytes()), (1, 100));
    }

    #[test]
    fn a_write_stops_growing_at_its_maximum() {
        let mut log = log();
        log.append(batch(0, 1, 60_000), drop);
        let mut queue = queue(&mut log, &[Some((0, 1)), Some((2, 3))]);
        for sequence in 1..10 {
            log.append(batch(sequence, 1, 60_000), drop);
        }
        let mut gather = Gather::new();
        assert_eq!(
            queue.fill(&log, &mut gather, 0, Instant::now()),
            Fill::Ready
        );
        assert_eq!(gather.bytes(), 240_000);
    }

    #[test]
    fn a_fifth_channel_map_is_served_with_headers_of_its_own() {
        let mut log = log();
        log.append(batch(0, 6, 100), drop);
        let maps = [4u8, 6, 8, 10, 12].map(|channel| [Some((channel, channel + 1)), None]);
        let mut images = Vec::new();
        for map in &maps {
            let mut queue = queue(&mut log, map);
            let mut gather = Gather::new();
            assert_eq!(
                queue.fill(&log, &mut gather, 0, Instant::now()),
                Fill::Ready
            );
            images.push((
                matches!(queue.image, Image::OwnHeaders),
                gather.bytes(),
                gather.len(),
            ));
        }
        assert_eq!(images[..4], [(false, 300, 1); 4]);
        assert_eq!(images[4], (true, 300, 6));
    }

    #[test]
    fn a_batch_of_more_packets_than_a_write_has_slices_goes_on_in_the_next() {
        let mut log = log();
        log.append(batch(0, 3000, 50), drop);
        for channel in [4u8, 6, 8, 10] {
            let _ = queue(&mut log, &[Some((channel, 1)), None]);
        }
        let mut queue = queue(&mut log, &[Some((20, 21)), Some((22, 23))]);
        let (mut gather, mut bytes) = (Gather::new(), 0);
        while queue.fill(&log, &mut gather, 0, Instant::now()) == Fill::Ready {
            bytes += gather.bytes();
            gather.clear();
        }
        assert_eq!((bytes, queue.take_taken().packets), (150_000, 3000));
    }
}
