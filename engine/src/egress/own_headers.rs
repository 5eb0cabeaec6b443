//! Packets with headers of one reader's own in front of payloads that all share: for channels that no image is kept for, and
//! for a reader that is given less than others and counts its packets by itself.
//!
//! Invariant: nothing of a payload is copied; the headers of one batch lie in one piece of memory.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use shardcast_platform::{GATHER_SLICES_MAX, Gather, Slice};
use smallvec::SmallVec;

use crate::fanout::{ChannelMap, Entry, LocalBatch, Log, Position};
use crate::stream::{Batch, Packet, PacketFlags, WIRE_HEADER_BYTES};

/// The wire header, and the begin of the RTP header up to the sequence number (RFC 3550 section 5.1).
const HEADER_BYTES: usize = WIRE_HEADER_BYTES + 4;
/// Where in that the sequence number lies.
const SEQUENCE_AT: usize = WIRE_HEADER_BYTES + 2;

/// A packet that the reader is given.
struct Given<'a> {
    packet: &'a Packet,
    channel: u8,
    /// Its number, if it is another than the stream's.
    number: Option<u16>,
}

/// Gives a batch's packets from `from` on, on the reader's channels; where that stopped, if not at the end.
pub(super) fn take_with_headers(
    batch: &LocalBatch,
    from: u32,
    channels: &ChannelMap,
    gather: &mut Gather,
) -> Option<u32> {
    let room = room_in(gather);
    let (mut given, mut stopped_at) = (Vec::new(), None);
    for (index, packet) in packets_from(batch, from) {
        let Some(channel) = channels.channel(packet) else {
            continue;
        };
        if given.len() == room {
            stopped_at = Some(index);
            break;
        }
        let number = None;
        given.push(Given {
            packet,
            channel,
            number,
        });
    }
    push(batch, &given, gather);
    stopped_at
}

/// How a reader counts the packets that it is given, so that those it is not given leave no gap.
#[derive(Debug)]
pub(super) struct OwnNumbers {
    tracks: SmallVec<[TrackNumbers; 2]>,
    /// The access unit of the leading track that is under way is left out.
    leaves_out: bool,
}

/// How one track's packets are counted.
#[derive(Clone, Copy, Debug, Default)]
struct TrackNumbers {
    /// So much lower than the stream's, in 16 bits.
    shift: u16,
    /// The stream's number that the reader would have been given next, while packets are left out.
    left_out_from: Option<u16>,
}

impl TrackNumbers {
    fn leave_out(&mut self, number: u16) {
        self.left_out_from.get_or_insert(number);
    }

    fn give(&mut self, number: u16) -> u16 {
        if let Some(from) = self.left_out_from.take() {
            self.shift = self.shift.wrapping_add(number.wrapping_sub(from));
        }
        number.wrapping_sub(self.shift)
    }
}

/// What a reader with its own numbers was not given of an entry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LeftOut {
    pub(super) bytes: u64,
    pub(super) packets: u32,
    pub(super) units: u64,
}

/// Part of an entry, on its way to a reader.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) log: &'a Log,
    pub(super) entry: &'a Entry,
    pub(super) from: Position,
    /// Access units that no other refers to are left out.
    pub(super) is_less: bool,
}

impl OwnNumbers {
    /// The stream's own, of so many tracks, until something is left out.
    pub(super) fn new(tracks: usize) -> Self {
        Self {
            tracks: SmallVec::from_elem(TrackNumbers::default(), tracks),
            leaves_out: false,
        }
    }

    /// The reader goes on elsewhere than here. Of what is not in the log any more, a gap remains.
    pub(super) fn move_from(&mut self, log: &Log, from: Position) {
        self.leaves_out = false;
        if from.entry < log.tail() {
            return;
        }
        for (index, track) in self.tracks.iter_mut().enumerate() {
            let number = |(batch, packet): (&Arc<Batch>, &Packet)| number_of(batch, packet);
            let first = log.media_from(from, index).and_then(number);
            // Of a track that comes seldom there may be nothing after that place yet.
            let after_last = || {
                Some(
                    log.media_before(from, index)
                        .and_then(number)?
                        .wrapping_add(1),
                )
            };
            if let Some(number) = first.or_else(after_last) {
                track.leave_out(number);
            }
        }
    }

    /// Gives a part of an entry; where that stopped, if not at the end, and what was left out.
    pub(super) fn take(
        &mut self,
        part: Part<'_>,
        channels: &ChannelMap,
        gather: &mut Gather,
    ) -> (Option<u32>, LeftOut) {
        let batch = &part.entry.batch;
        let room = room_in(gather);
        let (mut given, mut left_out, mut stopped_at) = (Vec::new(), LeftOut::default(), None);
        for (index, packet) in packets_from(batch, part.from.packet) {
            if given.len() == room {
                stopped_at = Some(index);
                break;
            }
            if self.is_left_out(part, index, packet, &mut left_out) {
                continue;
            }
            if let Some(channel) = channels.channel(packet) {
                let number = self.number(batch.shared(), packet);
                given.push(Given {
                    packet,
                    channel,
                    number,
                });
            }
        }
        push(batch, &given, gather);
        (stopped_at, left_out)
    }

    /// Whether a packet is of an access unit that the reader is not given.
    fn is_left_out(
        &mut self,
        part: Part<'_>,
        index: u32,
        packet: &Packet,
        left_out: &mut LeftOut,
    ) -> bool {
        if !part.log.is_leading(packet) {
            return false;
        }
        if packet.flags.has(PacketFlags::AU_START) {
            let here = Position {
                packet: index,
                ..part.from
            };
            self.leaves_out = part.is_less && part.log.is_droppable_unit(here);
            left_out.units += u64::from(self.leaves_out);
        }
        if !self.leaves_out {
            return false;
        }
        left_out.bytes += u64::from(packet.len);
        left_out.packets += 1;
        let track = self.tracks.get_mut(usize::from(packet.track));
        if let (Some(track), Some(number)) = (track, number_of(part.entry.batch.shared(), packet)) {
            track.leave_out(number);
        }
        true
    }

    /// The packet's number for this reader; none of RTCP.
    fn number(&mut self, batch: &Batch, packet: &Packet) -> Option<u16> {
        if packet.flags.has(PacketFlags::RTCP) {
            return None;
        }
        let track = self.tracks.get_mut(usize::from(packet.track))?;
        Some(track.give(number_of(batch, packet)?))
    }
}

/// The stream's number of a packet of media.
fn number_of(batch: &Batch, packet: &Packet) -> Option<u16> {
    let bytes = batch.packet_bytes(packet).get(SEQUENCE_AT..HEADER_BYTES)?;
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

fn packets_from(batch: &LocalBatch, from: u32) -> impl Iterator<Item = (u32, &Packet)> {
    let packets = (0u32..).zip(&batch.shared().packets);
    packets.skip(from as usize)
}

/// Packets that a write still takes, each of two slices.
fn room_in(gather: &Gather) -> usize {
    (GATHER_SLICES_MAX - gather.len()) / 2
}

fn push(batch: &LocalBatch, given: &[Given<'_>], gather: &mut Gather) {
    let headers = Slice::new(headers_of(batch.shared(), given));
    for (nth, given) in given.iter().enumerate() {
        let header = headers.slice(nth * HEADER_BYTES..(nth + 1) * HEADER_BYTES);
        let pushed = batch
            .after_header(given.packet, HEADER_BYTES)
            .map(|payload| gather.push(header).and_then(|()| gather.push(payload)));
        assert!(
            matches!(pushed, Some(Ok(()))),
            "there is room for two slices"
        );
    }
}

fn headers_of(batch: &Batch, given: &[Given<'_>]) -> Bytes {
    let mut headers = BytesMut::with_capacity(given.len() * HEADER_BYTES);
    for given in given {
        let mut header = [0; HEADER_BYTES];
        // The smallest packet, an RTP header alone, is longer.
        if let Some(bytes) = batch.packet_bytes(given.packet).first_chunk() {
            header = *bytes;
        }
        header[1] = given.channel;
        if let Some(number) = given.number {
            header[SEQUENCE_AT..].copy_from_slice(&number.to_be_bytes());
        }
        headers.extend_from_slice(&header);
    }
    headers.freeze()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::egress::{Begin, Fill, TcpQueue};
    use crate::fanout::{Cursor, LogLimits, SlowReader, SlowReaderPolicy, Start};
    use crate::stream::{BatchBuilder, StartPoint, StreamClock, StreamInfo};

    const SKIPS: SlowReaderPolicy = SlowReaderPolicy {
        slow_reader: SlowReader::SkipNonReference,
        queue_bytes: 1000,
        queue_age: Duration::from_secs(3600),
    };
    const PACKET_BYTES: usize = 50;

    /// A stream of access units of two packets, each followed by one of sound.
    struct Stream {
        log: Log,
        numbers: [u16; 2],
        units: u64,
    }

    impl Stream {
        fn new(bytes: usize) -> Self {
            let sdp =
                "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 0 RTP/AVP 0\r\n";
            let tracks = shardcast_protocol::sdp::parse(sdp.as_bytes())
                .and_then(|sdp| shardcast_protocol::sdp::tracks(&sdp));
            let info = Arc::new(StreamInfo::new(tracks.unwrap(), "test"));
            let age = Duration::from_secs(3600);
            Self {
                log: Log::new(info, LogLimits { bytes, age }),
                // Numbers pass their end soon.
                numbers: [65_500, 65_530],
                units: 0,
            }
        }

        /// A unit is a key frame (`k`), one that others refer to (`p`), or one that none does (`b`).
        fn append(&mut self, units: &str) {
            for kind in units.chars() {
                let mut builder = BatchBuilder::new(self.units);
                let droppable = match kind {
                    'b' => PacketFlags::DROPPABLE,
                    _ => PacketFlags::default(),
                };
                let flags = [PacketFlags::AU_START, PacketFlags::AU_END];
                for flags in flags {
                    self.packet(&mut builder, 0, flags.with(droppable));
                }
                self.packet(
                    &mut builder,
                    1,
                    PacketFlags::AU_START.with(PacketFlags::AU_END),
                );
                if kind == 'k' {
                    builder.note_start(StartPoint {
                        batches_back: 0,
                        packet: 0,
                    });
                }
                self.units += 1;
                let batch = builder.close(StreamClock::default()).unwrap();
                self.log.append(Arc::new(batch), drop);
            }
        }

        fn packet(&mut self, builder: &mut BatchBuilder, track: u8, flags: PacketFlags) {
            let number = &mut self.numbers[usize::from(track)];
            let mut wire = BytesMut::zeroed(PACKET_BYTES);
            wire[..4].copy_from_slice(&[b'$', track * 2, 0, (PACKET_BYTES - 4) as u8]);
            wire[4] = 0x80;
            wire[6..8].copy_from_slice(&number.to_be_bytes());
            // What tells it apart, whatever its number becomes.
            wire[8..16].copy_from_slice(&self.units.to_be_bytes());
            *number = number.wrapping_add(1);
            builder.note(wire.len(), track, flags, Instant::now());
            builder.hold(wire);
        }
    }

    fn reader(stream: &mut Stream, channels: &[Option<(u8, u8)>]) -> TcpQueue {
        let cursor = Cursor::new(&stream.log, Start::KeyFrame, SKIPS, Instant::now());
        let channels = ChannelMap(channels.iter().copied().collect());
        let begin = Begin::new([].into(), None);
        TcpQueue::new(&mut stream.log, cursor, channels, begin)
    }

    /// What the reader is given: channel, number and unit of each packet.
    fn given(stream: &Stream, queue: &mut TcpQueue) -> Vec<(u8, u16, u64)> {
        let (mut gather, mut wire) = (Gather::new(), Vec::new());
        while queue.fill(&stream.log, &mut gather, 0, Instant::now()) == Fill::Ready {
            for slice in gather.slices() {
                wire.extend_from_slice(slice);
            }
            gather.clear();
        }
        let packets = wire.chunks(PACKET_BYTES).map(|packet| {
            assert_eq!((packet[0], packet[3]), (b'$', (PACKET_BYTES - 4) as u8));
            let number = u16::from_be_bytes([packet[6], packet[7]]);
            let unit = u64::from_be_bytes(packet[8..16].try_into().unwrap());
            (packet[1], number, unit)
        });
        packets.collect()
    }

    fn units_of(given: &[(u8, u16, u64)], channel: u8) -> Vec<u64> {
        let its = given.iter().filter(|(of, ..)| *of == channel);
        its.map(|(_, _, unit)| *unit).collect()
    }

    /// The numbers of a channel have no gap, and go on from `before`.
    fn assert_no_gap(given: &[(u8, u16, u64)], channel: u8, before: &mut u16) {
        for (_, number, _) in given.iter().filter(|(of, ..)| *of == channel) {
            *before = before.wrapping_add(1);
            assert_eq!(number, before, "channel {channel}");
        }
    }

    #[test]
    fn a_slow_reader_is_not_given_what_no_other_refers_to_and_sees_no_gap() {
        for channels in [[0, 2], [6, 4], [8, 10], [12, 14], [16, 18], [20, 22]] {
            let mut stream = Stream::new(1 << 20);
            // Those for whom images are kept came before.
            for other in [30u8, 40, 50, 60] {
                let _ = reader(&mut stream, &[Some((other, 1)), None]);
            }
            let map = channels.map(|rtp| Some((rtp, rtp + 1)));
            let mut queue = reader(&mut stream, &map);
            stream.append("kbp");
            let first = given(&stream, &mut queue);
            assert_eq!(first.len(), 9);
            let mut last = [65_499, 65_529];
            assert_no_gap(&first, channels[0], &mut last[0]);
            assert_no_gap(&first, channels[1], &mut last[1]);

            // Ten units of 150 bytes: more than the limit, less than twice as much.
            stream.append("bbpbbpbbpb");
            let less = given(&stream, &mut queue);
            assert_eq!(units_of(&less, channels[0]), [5, 5, 8, 8, 11, 11]);
            assert_eq!(units_of(&less, channels[1]), (3..13).collect::<Vec<_>>());
            assert_no_gap(&less, channels[0], &mut last[0]);
            assert_no_gap(&less, channels[1], &mut last[1]);
            let drop = queue.poll_drop().unwrap();
            assert_eq!((drop.bytes, drop.units, drop.times), (700, 7, 1));

            // It has caught up, and is given everything again, still without a gap.
            stream.append("bbp");
            let all = given(&stream, &mut queue);
            assert_eq!(all.len(), 9);
            assert_no_gap(&all, channels[0], &mut last[0]);
            assert_no_gap(&all, channels[1], &mut last[1]);
            assert_eq!(queue.poll_drop(), None);
        }
    }

    #[test]
    fn where_that_is_not_enough_the_reader_goes_on_at_a_key_frame_without_a_gap() {
        let mut stream = Stream::new(1 << 20);
        let mut queue = reader(&mut stream, &[Some((0, 1)), Some((2, 3))]);
        stream.append("kbp");
        let mut last = [65_499, 65_529];
        let mut check = |given: &[(u8, u16, u64)]| {
            assert_no_gap(given, 0, &mut last[0]);
            assert_no_gap(given, 2, &mut last[1]);
        };
        check(&given(&stream, &mut queue));
        stream.append("ppppppppppppppppppkp");
        let moved = given(&stream, &mut queue);
        assert_eq!(units_of(&moved, 0), [21, 21, 22, 22]);
        assert_eq!(units_of(&moved, 2), [21, 22]);
        check(&moved);
        let drop = queue.poll_drop().unwrap();
        assert_eq!((drop.bytes, drop.units, drop.times), (18 * 150, 18, 1));
        // Without a start point near, it waits for the next one.
        stream.append("kpppppppppppppppppppp");
        assert_eq!(given(&stream, &mut queue), []);
        stream.append("ppkb");
        let later = given(&stream, &mut queue);
        assert_eq!(units_of(&later, 0), [46, 46, 47, 47]);
        check(&later);
    }

    #[test]
    fn of_what_has_left_the_log_a_gap_remains() {
        let mut stream = Stream::new(3000);
        let mut queue = reader(&mut stream, &[Some((0, 1)), Some((2, 3))]);
        stream.append("kp");
        assert_eq!(given(&stream, &mut queue).len(), 6);
        stream.append(&"p".repeat(50));
        stream.append("kp");
        let moved = given(&stream, &mut queue);
        assert_eq!(units_of(&moved, 0), [52, 52, 53, 53]);
        assert_eq!(moved[0].1, 65_500u16.wrapping_add(104));
    }

    #[test]
    fn a_unit_that_is_still_arriving_is_given_although_it_may_be_one_that_none_refers_to() {
        let mut stream = Stream::new(1 << 20);
        let mut queue = reader(&mut stream, &[Some((0, 1)), Some((2, 3))]);
        stream.append("k");
        assert_eq!(given(&stream, &mut queue).len(), 3);
        stream.append("bbbbbbbbbb");
        let mut builder = BatchBuilder::new(stream.units);
        let open = PacketFlags::AU_START.with(PacketFlags::DROPPABLE);
        stream.packet(&mut builder, 0, open);
        let batch = builder.close(StreamClock::default()).unwrap();
        stream.log.append(Arc::new(batch), drop);
        let less = given(&stream, &mut queue);
        assert_eq!(units_of(&less, 0), [11]);
    }
}
