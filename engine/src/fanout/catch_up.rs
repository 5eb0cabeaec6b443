//! `start: catchUp`: a reader is sent the group of pictures that the log has, at once, with timestamps that are pressed
//! together to end where the live stream goes on ([`super::compression`]). From there on it is a reader as any.
//!
//! Only the leading track is in what is sent so: the others, and everything that is told of the clock, begin at the live
//! edge. Who shares it with whom is the matter of [`super::join_window`].

use std::rc::Rc;

use bytes::{BufMut, BytesMut};
use shardcast_platform::Slice;
use shardcast_protocol::container::rtp::{HeaderView, HeaderViewMut, RtpTimestamp, SequenceNumber};
use shardcast_protocol::sdp::{Codec, MediaKind};

use super::compression::Compression;
use super::cursor::Start;
use super::datagrams::{DatagramBatch, DatagramRun};
use super::log::{Entry, Log, Position};
use crate::stream::{Batch, Packet, PacketFlags, WIRE_HEADER_BYTES};

/// What a datagram holds of a packet that has to be cut, about.
const DATAGRAM_BYTES: usize = 1472;

/// From where to where readers who came at about one time catch up.
#[derive(Debug)]
pub struct CatchUp {
    pub(super) start: Position,
    edge: Position,
    pub(super) leading: u8,
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
    pub(super) fn new(log: &Log, start: Position, edge: Position) -> Option<Self> {
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

    /// Which entry of the window this is, from 0.
    pub(super) fn index(&self, number: u64) -> Option<usize> {
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

    /// Entry `number` as it is sent over TCP on this channel.
    pub(super) fn press(&self, number: u64, batch: &Batch, channel: u8) -> PressedBatch {
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

    /// The datagrams of entry `number`.
    pub(super) fn press_datagrams(&self, number: u64, batch: &DatagramBatch) -> Rc<[DatagramRun]> {
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

    /// Where the access unit of the leading track begins that is open; else the head.
    pub(super) fn live_edge(&self) -> Position {
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
pub(super) mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

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
    pub(crate) fn append(log: &mut Log, unit: u16, is_whole: bool, read_at: Instant) {
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
    pub(crate) fn cached(now: Instant) -> Log {
        let mut log = log_of(&format!("{VIDEO}{SOUND}"));
        (0..270).for_each(|unit| append(&mut log, unit, true, now));
        log
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
