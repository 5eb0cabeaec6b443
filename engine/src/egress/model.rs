//! A slow reader's queue against a model: whatever is published, however the reader dawdles, and whatever its policy is, what
//! it is given is the stream with counted holes between whole access units.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use proptest::prelude::*;
use shardcast_platform::Gather;

use super::{Begin, Fill, TcpQueue};
use crate::fanout::{
    ChannelMap, Cursor, Log, LogLimits, LogPlace, SlowReader, SlowReaderPolicy, Start,
};
use crate::stream::{BatchBuilder, PacketFlags, StartPoint, StreamClock, StreamInfo};

const PACKET_BYTES: usize = 40;
/// The log, and the limits, are a few access units long, so that all of them are passed again and again.
const LOG_BYTES: usize = 100 * PACKET_BYTES;
const LOG_AGE: Duration = Duration::from_secs(60);

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// An access unit of so many packets, of this kind, in two batches if it is cut, with sound behind it.
    Publish {
        kind: Kind,
        packets: usize,
        is_cut: bool,
        has_sound: bool,
    },
    /// The reader has room for a write, while the kernel holds so much for it.
    Fill { kernel_packets: u64 },
    /// Time goes by.
    Wait { ms: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Key,
    Referenced,
    Droppable,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = prop_oneof![
        1 => Just(Kind::Key),
        3 => Just(Kind::Referenced),
        4 => Just(Kind::Droppable),
    ];
    let publish = (kind, 1usize..6, any::<bool>(), any::<bool>()).prop_map(
        |(kind, packets, is_cut, has_sound)| Step::Publish {
            kind,
            packets,
            is_cut,
            has_sound,
        },
    );
    let step = prop_oneof![
        12 => publish,
        2 => (0u64..20).prop_map(|kernel_packets| Step::Fill { kernel_packets }),
        1 => (0u64..2000).prop_map(|ms| Step::Wait { ms }),
    ];
    proptest::collection::vec(step, 1..150)
}

fn policies() -> impl Strategy<Value = SlowReaderPolicy> {
    let slow_reader = prop_oneof![
        Just(SlowReader::Disconnect),
        Just(SlowReader::DropToKeyFrame),
        Just(SlowReader::SkipNonReference),
    ];
    (slow_reader, 1u64..80, 1u64..5000).prop_map(|(slow_reader, packets, age_ms)| {
        SlowReaderPolicy {
            slow_reader,
            queue_bytes: packets * PACKET_BYTES as u64,
            queue_age: Duration::from_millis(age_ms),
        }
    })
}

/// A packet as it was published.
#[derive(Clone, Copy, Debug)]
struct Published {
    track: u8,
    number: u16,
    unit: u64,
    kind: Kind,
}

/// The stream, and all that was ever in it.
struct Stream {
    log: Log,
    packets: Vec<Published>,
    numbers: [u16; 2],
    units: u64,
    batches: u64,
    now: Instant,
}

impl Stream {
    fn new(now: Instant) -> Self {
        let sdp =
            "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 0 RTP/AVP 0\r\n";
        let tracks = shardcast_protocol::sdp::parse(sdp.as_bytes())
            .and_then(|sdp| shardcast_protocol::sdp::tracks(&sdp));
        let info = Arc::new(StreamInfo::new(tracks.unwrap(), "test"));
        let limits = LogLimits {
            bytes: LOG_BYTES,
            age: LOG_AGE,
        };
        Self {
            log: Log::new(info, limits),
            packets: Vec::new(),
            numbers: [65_000, 65_500],
            units: 0,
            batches: 0,
            now,
        }
    }

    fn publish(&mut self, kind: Kind, packets: usize, is_cut: bool, has_sound: bool) {
        let mut builder = BatchBuilder::new(self.batches);
        for index in 0..packets {
            let set = [
                (index == 0, PacketFlags::AU_START),
                (index + 1 == packets, PacketFlags::AU_END),
                (kind == Kind::Droppable, PacketFlags::DROPPABLE),
            ];
            let set = set.into_iter().filter(|(is_set, _)| *is_set);
            let flags = set.fold(PacketFlags::default(), |flags, (_, flag)| flags.with(flag));
            if index == 0 && kind == Kind::Key {
                builder.note_start(StartPoint {
                    batches_back: 0,
                    packet: 0,
                });
            }
            self.packet(&mut builder, 0, flags, kind);
            if is_cut && index == packets / 2 {
                self.append(&mut builder);
            }
        }
        if has_sound {
            let whole = PacketFlags::AU_START.with(PacketFlags::AU_END);
            self.packet(&mut builder, 1, whole, kind);
        }
        self.append(&mut builder);
        self.units += 1;
    }

    fn packet(&mut self, builder: &mut BatchBuilder, track: u8, flags: PacketFlags, kind: Kind) {
        let number = &mut self.numbers[usize::from(track)];
        let mut wire = BytesMut::zeroed(PACKET_BYTES);
        wire[..4].copy_from_slice(&[b'$', track * 2, 0, (PACKET_BYTES - 4) as u8]);
        wire[4] = 0x80;
        wire[6..8].copy_from_slice(&number.to_be_bytes());
        wire[8..16].copy_from_slice(&(self.packets.len() as u64).to_be_bytes());
        self.packets.push(Published {
            track,
            number: *number,
            unit: self.units,
            kind,
        });
        *number = number.wrapping_add(1);
        builder.note(wire.len(), track, flags, self.now);
        builder.hold(wire);
    }

    fn append(&mut self, builder: &mut BatchBuilder) {
        if let Some(batch) = builder.close(StreamClock::default()) {
            self.batches += 1;
            self.log.append(Arc::new(batch), drop);
        }
    }
}

/// A reader, and what it has been given: places in [`Stream::packets`], each with the number that it was given under.
struct Reader {
    queue: TcpQueue,
    given: Vec<(usize, u16)>,
    dropped_bytes: u64,
    drops: u64,
    may_stay: bool,
    /// What it was to be given next has left the log.
    has_fallen_out: bool,
}

impl Reader {
    fn new(stream: &mut Stream, policy: SlowReaderPolicy) -> Self {
        let cursor = Cursor::new(&stream.log, Start::KeyFrame, policy, stream.now);
        let channels = ChannelMap([Some((0, 1)), Some((2, 3))].into_iter().collect());
        let begin = Begin::new([].into(), None);
        Self {
            queue: TcpQueue::new(&mut stream.log, cursor, channels, begin),
            given: Vec::new(),
            dropped_bytes: 0,
            drops: 0,
            may_stay: true,
            has_fallen_out: false,
        }
    }

    fn fill(&mut self, stream: &Stream, kernel_packets: u64) {
        if !self.may_stay {
            return;
        }
        let oldest = stream.log.head_bytes() - stream.log.held_bytes();
        self.has_fallen_out |= self.queue.place().bytes < oldest;
        let mut gather = Gather::new();
        let kernel_bytes = kernel_packets * PACKET_BYTES as u64;
        let fill = self
            .queue
            .fill(&stream.log, &mut gather, kernel_bytes, stream.now);
        self.may_stay = !matches!(fill, Fill::TooSlow(_));
        if let Some(drop) = self.queue.poll_drop() {
            self.dropped_bytes += drop.bytes;
            self.drops += drop.times;
        }
        let wire: Vec<u8> = gather.slices().flat_map(|slice| slice.to_vec()).collect();
        for packet in wire.chunks(PACKET_BYTES) {
            let place = u64::from_be_bytes(packet[8..16].try_into().unwrap());
            let number = u16::from_be_bytes([packet[6], packet[7]]);
            self.given.push((place as usize, number));
        }
    }

    /// Every access unit that has come has come as a whole, but for one that is on its way, and everything is in order.
    fn assert_whole_units(&self, stream: &Stream) {
        assert!(self.given.is_sorted_by(|one, next| one.0 < next.0));
        let count = |places: &mut dyn Iterator<Item = usize>| {
            let mut units = BTreeMap::<u64, usize>::new();
            for of in places.map(|place| stream.packets[place]) {
                *units.entry(of.unit).or_default() += usize::from(of.track == 0);
            }
            units.retain(|_, packets| *packets > 0);
            units
        };
        let published = count(&mut (0..stream.packets.len()));
        let mut given = count(&mut self.given.iter().map(|(place, _)| *place));
        given.pop_last();
        for (unit, packets) in given {
            assert_eq!(packets, published[&unit], "unit {unit} is torn");
        }
    }

    /// What was not given was counted, and is what the policy lets go.
    fn assert_counted(&self, stream: &Stream, policy: SlowReaderPolicy) {
        let Some((first, _)) = self.given.first() else {
            return;
        };
        let given = self.given.len() * PACKET_BYTES;
        let LogPlace { bytes: place, .. } = self.queue.place();
        if place != LogPlace::NOWHERE.bytes {
            let passed = place - (first * PACKET_BYTES) as u64;
            assert_eq!(given as u64 + self.dropped_bytes, passed);
        }
        let holes = self
            .given
            .windows(2)
            .filter(|pair| pair[1].0 != pair[0].0 + 1);
        for hole in holes {
            assert_ne!(
                policy.slow_reader,
                SlowReader::Disconnect,
                "nobody is moved"
            );
            let resumed = stream.packets[hole[1].0];
            let mut missing = (hole[0].0 + 1..hole[1].0).map(|place| stream.packets[place]);
            let are_skipped = missing.all(|of| of.track == 0 && of.kind == Kind::Droppable);
            let is_skip = policy.slow_reader == SlowReader::SkipNonReference && are_skipped;
            assert!(
                is_skip || resumed.kind == Kind::Key,
                "{hole:?}: {resumed:?}"
            );
            assert!(self.drops > 0);
        }
    }

    /// A gap in the numbers is of something that was published, and of a reader with numbers of its own only what has left
    /// the log.
    fn assert_numbers(&self, stream: &Stream, policy: SlowReaderPolicy) {
        let has_own = policy.slow_reader == SlowReader::SkipNonReference;
        for track in [0, 1] {
            let of_track = self
                .given
                .iter()
                .filter(|(place, _)| stream.packets[*place].track == track);
            let of_track: Vec<_> = of_track.collect();
            for pair in of_track.windows(2) {
                let published = [0, 1].map(|index| stream.packets[pair[index].0].number);
                let true_gap = published[1].wrapping_sub(published[0]);
                let gap = pair[1].1.wrapping_sub(pair[0].1);
                let is_right = gap == true_gap || (has_own && gap >= 1 && gap < true_gap);
                assert!(is_right, "{pair:?}");
                assert!(gap == 1 || !has_own || self.has_fallen_out, "{pair:?}");
            }
        }
    }
}

fn play(steps: &[Step], policy: SlowReaderPolicy) -> (Stream, Reader) {
    let mut stream = Stream::new(Instant::now());
    let mut reader = Reader::new(&mut stream, policy);
    for step in steps {
        match *step {
            Step::Publish {
                kind,
                packets,
                is_cut,
                has_sound,
            } => stream.publish(kind, packets, is_cut, has_sound),
            Step::Fill { kernel_packets } => reader.fill(&stream, kernel_packets),
            Step::Wait { ms } => stream.now += Duration::from_millis(ms),
        }
    }
    (stream, reader)
}

proptest! {
    #[test]
    fn a_slow_reader_is_given_the_stream_with_counted_holes_between_whole_units(
        steps in steps(),
        policy in policies(),
    ) {
        let (stream, reader) = play(&steps, policy);
        reader.assert_whole_units(&stream);
        reader.assert_counted(&stream, policy);
        reader.assert_numbers(&stream, policy);
    }

    #[test]
    fn a_reader_that_takes_what_there_is_loses_nothing(steps in steps(), policy in policies()) {
        let often = steps.into_iter().flat_map(|step| match step {
            Step::Publish { .. } => vec![step, Step::Fill { kernel_packets: 0 }],
            Step::Fill { .. } => vec![Step::Fill { kernel_packets: 0 }],
            Step::Wait { .. } => vec![step, Step::Fill { kernel_packets: 0 }],
        });
        let often: Vec<Step> = often.collect();
        let (stream, reader) = play(&often, policy);
        prop_assert!(reader.may_stay);
        prop_assert_eq!(reader.dropped_bytes, 0);
        let first = reader.given.first().map_or(stream.packets.len(), |(place, _)| *place);
        prop_assert_eq!(reader.given.len(), stream.packets.len() - first);
    }
}
