//! `start: catchUp`: a reader is sent the group of pictures that the log has, at once, with timestamps that are pressed
//! together to end where the live stream goes on ([`super::compression`]). From there on it is a reader as any.
//!
//! A *join window* says from where to where, and which timestamp becomes which: all who come within a moment share it, and
//! the images of the group that are made for it, batch by batch, when the first of them takes the batch. Only the leading
//! track is in them: the others, and everything that is told of the clock, begin at the window's end.
//!
//! The log keeps the images of its latest window, and those for a second: at most what it holds itself, once more. A
//! reader that is not through by then has what it is sent made for itself, write by write.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use shardcast_platform::Slice;
use shardcast_protocol::container::rtp::{HeaderView, HeaderViewMut, RtpTimestamp, SequenceNumber};
use shardcast_protocol::sdp::{Codec, MediaKind};

use super::compression::Compression;
use super::cursor::Start;
use super::datagrams::{DatagramBatch, DatagramRun};
use super::local_batch::ChannelMap;
use super::log::{Entry, Log, Position};
use crate::stream::{Batch, Packet, PacketFlags, WIRE_HEADER_BYTES};

/// Readers who come so soon one after the other share a window. The last of them begins so much behind the live pictures,
/// with timestamps that say so: a tenth of a second is within what a player waits anyway.
const JOIN_WINDOW: Duration = Duration::from_millis(100);

/// Images are kept so long: a reader that takes longer for them is no quick one, and there may be few like it.
const IMAGES_KEPT: Duration = Duration::from_secs(1);

/// What a datagram holds of a packet that has to be cut, about.
const DATAGRAM_BYTES: usize = 1472;

/// From where to where readers who came at about one time catch up.
#[derive(Debug)]
pub struct CatchUp {
    start: Position,
    edge: Position,
    leading: u8,
    compression: Compression,
    first: (SequenceNumber, RtpTimestamp),
    datagrams: usize,
}

/// A batch as it is sent to readers who catch up.
#[derive(Clone, Debug)]
pub struct PressedBatch {
    /// The leading track's packets, each in its wire frame.
    pub bytes: Slice,
    /// How many they are.
    pub packets: u32,
}

/// A log's latest window, with its images.
#[derive(Debug, Default)]
pub(super) struct JoinWindow(RefCell<Option<Box<Open>>>);

#[derive(Debug)]
struct Open {
    catch_up: Rc<CatchUp>,
    made: Instant,
    batches: Images<PressedBatch>,
    datagrams: Images<Rc<[DatagramRun]>>,
}

/// One per entry of the window, as far as somebody has asked. Bounded by the log's entries.
#[derive(Debug)]
struct Images<T>(Vec<Option<T>>);

impl CatchUp {
    /// The first packet's number in the log, and its timestamp as it is sent.
    #[must_use]
    pub fn first(&self) -> (SequenceNumber, RtpTimestamp) {
        self.first
    }

    /// Where it ends, and readers go on as others do.
    #[must_use]
    pub fn edge(&self) -> Position {
        self.edge
    }

    /// About how many datagrams it makes.
    #[must_use]
    pub fn datagrams(&self) -> usize {
        self.datagrams
    }

    /// Whether a reader at this place is still to be sent pressed packets.
    #[must_use]
    pub fn covers(&self, place: Option<Position>) -> bool {
        place.is_some_and(|place| self.start <= place && place < self.edge)
    }

    /// Where in entry `number` it ends; nothing if the entry is within it as a whole.
    #[must_use]
    pub fn end_in(&self, number: u64) -> Option<u32> {
        (number == self.edge.entry).then_some(self.edge.packet)
    }

    /// From the start to the edge of the log, if there is anything to press.
    fn new(log: &Log, start: Position, edge: Position) -> Option<Self> {
        let leading = log.info().leading();
        let clock_rate = log.info().tracks().get(leading)?.clock_rate;
        let (mut first, mut datagrams, mut units) = (None, 0, Vec::new());
        for (batch, packet) in leading_packets(log, start, edge) {
            let packet = batch.packet_bytes(packet);
            datagrams += packet.len().div_ceil(DATAGRAM_BYTES);
            let rtp = packet.get(WIRE_HEADER_BYTES..).unwrap_or_default();
            let Ok(header) = HeaderView::parse(rtp) else {
                continue;
            };
            let timestamp = header.timestamp();
            first.get_or_insert((header.sequence_number(), timestamp));
            if units.last() != Some(&timestamp) {
                units.push(timestamp);
            }
        }
        let compression = Compression::new(&units, clock_rate)?;
        let (number, timestamp) = first?;
        Some(Self {
            start,
            edge,
            leading: u8::try_from(leading).ok()?,
            first: (number, compression.map(timestamp)),
            compression,
            datagrams,
        })
    }

    fn index(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.start.entry)?).ok()
    }

    /// The packets of entry `number` that are in it.
    fn packets<'batch>(
        &self,
        number: u64,
        batch: &'batch Batch,
    ) -> impl Iterator<Item = &'batch Packet> {
        let leading = self.leading;
        within(number, batch, self.start, self.edge).filter(move |packet| packet.track == leading)
    }

    fn press(&self, number: u64, batch: &Batch, channel: u8) -> PressedBatch {
        let bytes = self
            .packets(number, batch)
            .map(|packet| packet.len as usize);
        let mut image = BytesMut::with_capacity(bytes.sum());
        let mut packets = 0;
        for packet in self.packets(number, batch) {
            let at = image.len();
            image.put_slice(batch.packet_bytes(packet));
            if let Some(place) = image.get_mut(at + 1) {
                *place = channel;
            }
            self.press_header(image.get_mut(at + WIRE_HEADER_BYTES..).unwrap_or_default());
            packets += 1;
        }
        let bytes = Slice::new(image.freeze());
        PressedBatch { bytes, packets }
    }

    fn press_datagrams(&self, number: u64, batch: &DatagramBatch) -> Rc<[DatagramRun]> {
        let from = match number == self.start.entry {
            true => self.start.packet,
            false => 0,
        };
        let to = self.end_in(number).unwrap_or(u32::MAX);
        let is_mine = |run: &DatagramRun| run.track == self.leading && !run.is_rtcp;
        let runs = batch.runs_within(from..to).filter(is_mine);
        runs.map(|run| self.press_run(run)).collect()
    }

    fn press_run(&self, run: DatagramRun) -> DatagramRun {
        let mut image = BytesMut::from(run.bytes.as_slice());
        let datagrams = image.chunks_mut(run.datagram_bytes.max(1));
        datagrams.for_each(|datagram| self.press_header(datagram));
        DatagramRun {
            bytes: Slice::new(image.freeze()),
            ..run
        }
    }

    fn press_header(&self, packet: &mut [u8]) {
        let timestamp = HeaderView::parse(packet).map(|header| header.timestamp());
        if let (Ok(timestamp), Ok(mut header)) = (timestamp, HeaderViewMut::parse(packet)) {
            header.set_timestamp(self.compression.map(timestamp));
        }
    }
}

impl<T> Images<T> {
    fn of(&mut self, index: usize, build: impl FnOnce() -> T) -> Option<&T> {
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        Some(self.0.get_mut(index)?.get_or_insert_with(build))
    }
}

impl JoinWindow {
    /// Lets go of images that are no longer kept.
    pub(super) fn prune(&mut self, now: Instant) {
        let is_over = |open: &mut Box<Open>| now.saturating_duration_since(open.made) > IMAGES_KEPT;
        self.0.get_mut().take_if(is_over);
    }
}

impl Log {
    /// What `start` means for this stream. Without pictures there is nothing to catch up with. The pictures of a transport
    /// stream have times of their own, which are not touched, so that a reader who was sent old ones would stay late.
    pub(super) fn resolve(&self, start: Start) -> Start {
        let track = self.info().tracks().get(self.info().leading());
        match track {
            Some(track) if start == Start::CatchUp => match (&track.kind, &track.codec) {
                (_, Codec::MpegTs) => Start::KeyFrame,
                (MediaKind::Video, _) => Start::CatchUp,
                _ => Start::Live,
            },
            _ => start,
        }
    }

    /// How a reader that comes now catches up; nothing if the latest start point is the live edge, or there is none.
    #[must_use]
    pub fn catch_up(&self, now: Instant) -> Option<Rc<CatchUp>> {
        let start = self.latest_start()?;
        let mut window = self.join_window.0.borrow_mut();
        let is_current = |open: &&Open| {
            let age = now.saturating_duration_since(open.made);
            open.catch_up.start == start && age <= JOIN_WINDOW
        };
        if let Some(open) = window.as_deref().filter(is_current) {
            return Some(open.catch_up.clone());
        }
        let catch_up = Rc::new(CatchUp::new(self, start, self.live_edge())?);
        *window = Some(Box::new(Open {
            catch_up: catch_up.clone(),
            made: now,
            batches: Images(Vec::new()),
            datagrams: Images(Vec::new()),
        }));
        Some(catch_up)
    }

    /// An entry within the window as it is sent over TCP to readers with these channels; nothing for those who do not take
    /// the leading track.
    #[must_use]
    pub fn pressed_batch(
        &self,
        catch_up: &Rc<CatchUp>,
        number: u64,
        entry: &Entry,
        channels: &ChannelMap,
    ) -> Option<PressedBatch> {
        let leading = usize::from(catch_up.leading);
        let (channel, _) = (*channels.0.get(leading)?)?;
        let build = |channel| catch_up.press(number, entry.batch.shared(), channel);
        let usual = catch_up.leading.checked_mul(2)?;
        let mut window = self.join_window.0.borrow_mut();
        let shared = window
            .as_mut()
            .filter(|open| channel == usual && Rc::ptr_eq(&open.catch_up, catch_up));
        match shared {
            Some(open) => open
                .batches
                .of(catch_up.index(number)?, || build(usual))
                .cloned(),
            None => Some(build(channel)),
        }
    }

    /// The datagrams of an entry within the window.
    #[must_use]
    pub fn pressed_datagrams(
        &self,
        catch_up: &Rc<CatchUp>,
        number: u64,
    ) -> Option<Rc<[DatagramRun]>> {
        let datagrams = self.datagrams(number)?;
        let build = || catch_up.press_datagrams(number, datagrams);
        let mut window = self.join_window.0.borrow_mut();
        let is_its = |open: &&mut Box<Open>| Rc::ptr_eq(&open.catch_up, catch_up);
        match window.as_mut().filter(is_its) {
            Some(open) => open.datagrams.of(catch_up.index(number)?, build).cloned(),
            None => Some(build()),
        }
    }

    /// Where the access unit of the leading track begins that is open; else the head.
    fn live_edge(&self) -> Position {
        let head = Position {
            entry: self.head(),
            packet: 0,
        };
        if !self.is_open() {
            return head;
        }
        let numbers = (self.tail()..self.head()).rev();
        let mut entries = numbers.filter_map(|number| Some((number, self.entry(number)?)));
        let begin = |(number, entry): (u64, &Entry)| {
            let packets = &entry.batch.shared().packets;
            let begins = |packet: &Packet| {
                self.is_leading(packet) && packet.flags.has(PacketFlags::AU_START)
            };
            let packet = u32::try_from(packets.iter().rposition(begins)?).ok()?;
            Some(Position {
                entry: number,
                packet,
            })
        };
        entries.find_map(begin).unwrap_or(head)
    }
}

/// The leading track's packets from `start` to `edge`.
fn leading_packets(
    log: &Log,
    start: Position,
    edge: Position,
) -> impl Iterator<Item = (&Batch, &Packet)> {
    let entries =
        (start.entry..=edge.entry).filter_map(|number| Some((number, log.entry(number)?)));
    entries.flat_map(move |(number, entry)| {
        let batch = &**entry.batch.shared();
        let packets = within(number, batch, start, edge);
        let leading = packets.filter(|packet| log.is_leading(packet));
        leading.map(move |packet| (batch, packet))
    })
}

/// The packets of media of entry `number` from `start` to `edge`.
fn within(
    number: u64,
    batch: &Batch,
    start: Position,
    edge: Position,
) -> impl Iterator<Item = &Packet> {
    let place = move |packet| Position {
        entry: number,
        packet,
    };
    let packets = (0..).map(place).zip(&batch.packets);
    packets
        .filter(move |(place, _)| start <= *place && *place < edge)
        .map(|(_, packet)| packet)
        .filter(|packet| !packet.flags.has(PacketFlags::RTCP))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shardcast_protocol::sdp;

    use super::*;
    use crate::fanout::LogLimits;
    use crate::stream::{BatchBuilder, StartPoint, StreamClock, StreamInfo};

    const VIDEO: &str = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
    const SOUND: &str = "m=audio 0 RTP/AVP 0\r\n";
    const TICKS: u32 = 3000;
    const WHOLE: PacketFlags = PacketFlags::AU_START.with(PacketFlags::AU_END);

    fn log_of(media: &str) -> Log {
        let text = format!("v=0\r\n{media}");
        let tracks = sdp::parse(text.as_bytes()).and_then(|sdp| sdp::tracks(&sdp));
        let limits = LogLimits {
            bytes: 1 << 20,
            age: Duration::from_secs(3600),
        };
        Log::new(Arc::new(StreamInfo::new(tracks.unwrap(), "test")), limits)
    }

    fn packet(track: u8, number: u16) -> BytesMut {
        let mut wire = BytesMut::from(&[b'$', 2 * track, 0, 14, 0x80, 96][..]);
        wire.put_u16(number);
        wire.put_u32(u32::from(number / 2) * TICKS);
        wire.put_slice(&[0, 0, 0, 7, 0x41, number as u8]);
        wire
    }

    /// A picture of two packets and a packet of sound between them; the last two only if the picture is whole.
    fn append(log: &mut Log, unit: u16, is_whole: bool, read_at: Instant) {
        let mut builder = BatchBuilder::new(unit.into());
        let mut add = |track, number, flags| {
            let wire = packet(track, number);
            builder.note(wire.len(), track, flags, read_at);
            builder.hold(wire);
        };
        add(0, 2 * unit, PacketFlags::AU_START);
        if is_whole {
            add(1, unit, WHOLE);
            add(0, 2 * unit + 1, PacketFlags::AU_END);
        }
        if unit == 0 {
            builder.note_start(StartPoint {
                batches_back: 0,
                packet: 0,
            });
        }
        let batch = builder.close(StreamClock::default());
        log.append(Arc::new(batch.unwrap()), drop);
    }

    /// Nine seconds of pictures.
    fn cached(now: Instant) -> Log {
        let mut log = log_of(&format!("{VIDEO}{SOUND}"));
        (0..270).for_each(|unit| append(&mut log, unit, true, now));
        log
    }

    fn usual() -> ChannelMap {
        ChannelMap([Some((0, 1)), Some((2, 3))].into_iter().collect())
    }

    fn pressed(log: &Log, catch_up: &Rc<CatchUp>, number: u64, map: &ChannelMap) -> PressedBatch {
        let entry = log.entry(number).unwrap();
        log.pressed_batch(catch_up, number, entry, map).unwrap()
    }

    #[test]
    fn a_hundred_readers_of_a_window_share_one_image_per_batch() {
        let now = Instant::now();
        let log = cached(now);
        let first = log.catch_up(now).unwrap();
        let images = [0, 7, 269].map(|number| pressed(&log, &first, number, &usual()).bytes);
        for reader in 1..100 {
            let catch_up = log.catch_up(now + Duration::from_millis(reader)).unwrap();
            assert!(Rc::ptr_eq(&first, &catch_up));
            for (number, image) in [0, 7, 269].into_iter().zip(&images) {
                let bytes = pressed(&log, &catch_up, number, &usual()).bytes;
                assert_eq!((bytes.as_ptr(), bytes.len()), (image.as_ptr(), image.len()));
            }
        }
        let later = log.catch_up(now + 2 * JOIN_WINDOW).unwrap();
        assert!(!Rc::ptr_eq(&first, &later));
    }

    #[test]
    fn the_image_is_the_leading_track_with_its_numbers_and_other_timestamps() {
        let now = Instant::now();
        let log = cached(now);
        let catch_up = log.catch_up(now).unwrap();
        let mut last = None;
        for unit in 0..270 {
            let image = pressed(&log, &catch_up, u64::from(unit), &usual());
            assert_eq!(image.packets, 2);
            let packets: Vec<_> = image.bytes.chunks(18).map(|wire| &wire[4..]).collect();
            let views = packets
                .iter()
                .map(|packet| HeaderView::parse(packet).unwrap());
            let numbers: Vec<_> = views.map(|view| view.sequence_number().0).collect();
            assert_eq!(numbers, [2 * unit, 2 * unit + 1]);
            assert!(
                packets.iter().all(|packet| packet[13] == packet[3]),
                "its payload"
            );
            let timestamp = HeaderView::parse(packets[0]).unwrap().timestamp();
            assert!(last.is_none_or(|last| timestamp.distance_from(last) > 0));
            last = Some(timestamp);
        }
    }

    #[test]
    fn a_reader_of_an_older_window_is_sent_the_same_as_before() {
        let now = Instant::now();
        let mut log = cached(now);
        let catch_up = log.catch_up(now).unwrap();
        let before = pressed(&log, &catch_up, 5, &usual()).bytes;
        append(&mut log, 270, true, now);
        let newer = log.catch_up(now + 2 * JOIN_WINDOW).unwrap();
        let after = pressed(&log, &catch_up, 5, &usual()).bytes;
        assert_eq!(&*before, &*after);
        assert_ne!(&*after, &*pressed(&log, &newer, 5, &usual()).bytes);
    }

    #[test]
    fn images_are_let_go_of_when_nobody_quick_takes_them_any_more() {
        let now = Instant::now();
        let mut log = cached(now);
        let _catch_up = log.catch_up(now).unwrap();
        append(&mut log, 270, true, now + IMAGES_KEPT);
        assert!(log.join_window.0.borrow().is_some());
        append(&mut log, 271, true, now + 2 * IMAGES_KEPT);
        assert!(log.join_window.0.borrow().is_none());
    }

    #[test]
    fn readers_with_other_channels_have_theirs_and_those_without_pictures_nothing() {
        let now = Instant::now();
        let log = cached(now);
        let catch_up = log.catch_up(now).unwrap();
        let map = |video| ChannelMap([video, Some((0, 1))].into_iter().collect());
        let other = pressed(&log, &catch_up, 3, &map(Some((8, 9)))).bytes;
        assert_eq!((other[1], other[19]), (8, 8));
        assert_eq!(pressed(&log, &catch_up, 3, &usual()).bytes[1], 0);
        let entry = log.entry(3).unwrap();
        assert!(log.pressed_batch(&catch_up, 3, entry, &map(None)).is_none());
    }

    #[test]
    fn a_window_ends_where_a_unit_begins_that_is_still_open() {
        let now = Instant::now();
        let mut log = cached(now);
        append(&mut log, 270, false, now);
        let catch_up = log.catch_up(now).unwrap();
        let edge = Position {
            entry: 270,
            packet: 0,
        };
        assert_eq!(catch_up.edge(), edge);
        assert!(!catch_up.covers(Some(edge)) && catch_up.covers(log.latest_start()));
    }

    #[test]
    fn datagrams_are_made_once_for_all_with_the_numbers_of_their_image() {
        let now = Instant::now();
        let log = cached(now);
        log.join_datagrams(1452);
        let catch_up = log.catch_up(now).unwrap();
        let runs = log.pressed_datagrams(&catch_up, 3).unwrap();
        assert!(Rc::ptr_eq(
            &runs,
            &log.pressed_datagrams(&catch_up, 3).unwrap()
        ));
        assert_eq!(runs.len(), 1, "the sound is left out");
        assert_eq!(runs[0].datagrams(), 2);
        let wire = pressed(&log, &catch_up, 3, &usual()).bytes;
        assert_eq!(&runs[0].bytes[..14], &wire[4..18]);
    }

    #[test]
    fn there_is_nothing_to_catch_up_with_at_a_key_picture_or_without_one() {
        let now = Instant::now();
        let mut log = log_of(VIDEO);
        assert!(log.catch_up(now).is_none());
        append(&mut log, 1, true, now);
        assert!(log.catch_up(now).is_none(), "no start point yet");
        let mut log = log_of(VIDEO);
        append(&mut log, 0, false, now);
        assert!(
            log.catch_up(now).is_none(),
            "the key picture is the live one"
        );
    }

    #[test]
    fn streams_without_pictures_of_their_own_time_begin_otherwise() {
        let transport = "m=video 0 RTP/AVP 33\r\na=rtpmap:33 MP2T/90000\r\n";
        let resolved = |media| log_of(media).resolve(Start::CatchUp);
        assert_eq!(resolved(VIDEO), Start::CatchUp);
        assert_eq!(resolved(SOUND), Start::Live);
        assert_eq!(resolved(transport), Start::KeyFrame);
        assert_eq!(log_of(SOUND).resolve(Start::Gop), Start::Gop);
    }
}
