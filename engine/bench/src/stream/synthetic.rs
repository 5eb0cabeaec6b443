//! A made-up stream: H.264 whose packets all have one size, and AAC beside it on request. Its shape comes from a load;
//! its packets go to a publisher.
//!
//! Each picture is cut into slices, each with a probe, so that a server which depacketises and packetises anew keeps all
//! probes: one to the packet, but no more than [`SLICES_MAX`], and the rest of a large picture's packets are fragments. Sound is silence behind a data element (ISO 14496-3, section 4.5.2.1) that fills it up
//! to its bit rate and has the probe.

use std::ops::Range;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::h264::{self, Picture};
use super::packets::{FILLER, Numbering, Packets, RTP_HEADER_BYTES};
use super::probe::{AUDIO_PROBE_OFFSET, Carrier, PROBE_BYTES, SLICE_PROBE_OFFSET, audio_unit_head};
use super::source::{SDP_HEAD, control_of};
use crate::shape::Synthetic;

/// Smallest packet with a slice: header, a fragment's one byte more than the slice's own head, that, probe.
pub(super) const PACKET_BYTES_MIN: usize = RTP_HEADER_BYTES + 1 + SLICE_PROBE_OFFSET + PROBE_BYTES;
/// Largest packet: what the length of an interleaved frame can say.
pub(super) const PACKET_BYTES_MAX: usize = u16::MAX as usize;

/// The most slices of a picture. With two parameter sets they are fewer than the 20 NAL units of an access unit that
/// depacketisers of other servers took at their strictest (mediacommon, up to 2023; 25 since).
const SLICES_MAX: usize = 16;

/// A key frame is so many times as large as a frame is on average.
const KEY_FRAME_FACTOR: f64 = 8.0;

const VIDEO_TRACK: usize = 0;
const AUDIO_TRACK: usize = 1;
const VIDEO_PAYLOAD_TYPE: u8 = 96;
const AUDIO_PAYLOAD_TYPE: u8 = 97;
/// Ticks of video per second.
const VIDEO_CLOCK_RATE: f64 = 90_000.0;
/// Samples per second, and per access unit.
const AUDIO_CLOCK_RATE: u64 = 48_000;
const AUDIO_UNIT_SAMPLES: u64 = 1024;

/// A data element that begins and ends at whole bytes and has 255 bytes and more, how many more is said next.
const DATA_ELEMENT: [u8; 2] = [0b1000_0001, 0xff];
const DATA_BYTES_MORE: u8 = 76;
/// So that, with head and silence, an access unit has 341 bytes: 128 kbit/s.
const DATA_BYTES: usize = 255 + DATA_BYTES_MORE as usize;
/// A pair of channels, each without a single band; the end of the access unit; whole bytes.
const SILENCE: [u8; 7] = [0b0010_0000, 0, 0, 0, 0, 0, 0b0000_1110];
const AUDIO_UNIT_BYTES: u16 = (AUDIO_PROBE_OFFSET + DATA_BYTES + SILENCE.len()) as u16;

/// Makes the stream, frame by frame.
#[derive(Debug)]
pub(super) struct SyntheticSource {
    shape: Synthetic,
    pace: Pace,
    chance: fastrand::Rng,
    video: Numbering,
    audio: Numbering,
    /// Pictures before the next one, and where in a group the first one stood.
    frame: u64,
    phase: u64,
    since_key: u64,
    keys: u64,
    audio_units: u64,
    parameter_sets: [Vec<u8>; 2],
}

impl SyntheticSource {
    /// A stream of this shape, whose first group of pictures is as short as chance has it.
    pub(super) fn new(shape: Synthetic, seed: u64) -> Self {
        let mut chance = fastrand::Rng::with_seed(seed);
        let gop_frames = shape.gop_frames.max(1);
        let packet_bytes = shape.packet_bytes.clamp(PACKET_BYTES_MIN, PACKET_BYTES_MAX);
        let shape = Synthetic {
            gop_frames,
            packet_bytes,
            ..shape
        };
        Self {
            shape,
            pace: Pace::new(&shape),
            phase: chance.u64(..gop_frames),
            video: Numbering::new(VIDEO_PAYLOAD_TYPE, &mut chance),
            audio: Numbering::new(AUDIO_PAYLOAD_TYPE, &mut chance),
            frame: 0,
            since_key: 0,
            keys: 0,
            audio_units: 0,
            parameter_sets: [h264::sequence_parameters(), h264::picture_parameters()],
            chance,
        }
    }

    /// Another stream of this shape.
    pub(super) fn beside(&self, seed: u64) -> Self {
        Self::new(self.shape, seed)
    }

    /// Goes on with other numbers, and a key picture.
    pub(super) fn begin_anew(&mut self) {
        self.video = Numbering::new(VIDEO_PAYLOAD_TYPE, &mut self.chance);
        self.audio = Numbering::new(AUDIO_PAYLOAD_TYPE, &mut self.chance);
        let gop_frames = self.shape.gop_frames;
        self.phase = (gop_frames - self.frame % gop_frames) % gop_frames;
    }

    /// The stream's description.
    pub(super) fn sdp(&self) -> String {
        let [sps, pps] = self
            .parameter_sets
            .each_ref()
            .map(|set| BASE64_STANDARD.encode(set));
        let level = self.parameter_sets[0].get(1..4).unwrap_or_default();
        let level: String = level.iter().map(|byte| format!("{byte:02x}")).collect();
        let video = format!(
            "m=video 0 RTP/AVP {VIDEO_PAYLOAD_TYPE}\r\n\
             a=rtpmap:{VIDEO_PAYLOAD_TYPE} H264/90000\r\n\
             a=fmtp:{VIDEO_PAYLOAD_TYPE} packetization-mode=1; profile-level-id={level}; \
             sprop-parameter-sets={sps},{pps}\r\n\
             a=control:{}\r\n",
            control_of(VIDEO_TRACK)
        );
        let audio = format!(
            "m=audio 0 RTP/AVP {AUDIO_PAYLOAD_TYPE}\r\n\
             a=rtpmap:{AUDIO_PAYLOAD_TYPE} mpeg4-generic/48000/2\r\n\
             a=fmtp:{AUDIO_PAYLOAD_TYPE} streamtype=5; profile-level-id=1; mode=AAC-hbr; sizelength=13; \
             indexlength=3; indexdeltalength=3; config=1190\r\n\
             a=control:{}\r\n",
            control_of(AUDIO_TRACK)
        );
        let audio = if self.shape.has_audio { &audio } else { "" };
        format!("{SDP_HEAD}{video}{audio}")
    }

    /// What the tracks carry.
    pub(super) fn carriers(&self) -> Vec<Carrier> {
        let audio = self.shape.has_audio.then_some(Carrier::Aac);
        [Carrier::H264].into_iter().chain(audio).collect()
    }

    /// Writes the next frame or access unit, and says when it is due, from the stream's begin.
    pub(super) fn next(&mut self, packets: &mut Packets) -> Duration {
        packets.clear();
        let (video, audio) = (self.video_due(), self.audio_due());
        if self.shape.has_audio && audio < video {
            self.write_audio_unit(packets);
            return audio;
        }
        self.write_picture(packets);
        video
    }

    fn video_due(&self) -> Duration {
        Duration::from_secs_f64(self.frame as f64 / self.shape.frames_per_second)
    }

    fn audio_due(&self) -> Duration {
        let samples = self.audio_units * AUDIO_UNIT_SAMPLES;
        let seconds = Duration::from_secs(samples / AUDIO_CLOCK_RATE);
        seconds
            + Duration::from_nanos(samples % AUDIO_CLOCK_RATE * 1_000_000_000 / AUDIO_CLOCK_RATE)
    }

    fn write_picture(&mut self, packets: &mut Packets) {
        let in_group = (self.frame + self.phase) % self.shape.gop_frames;
        let is_key = self.frame == 0 || in_group == 0;
        self.since_key = if is_key { 0 } else { self.since_key + 1 };
        let picture = Picture {
            is_key,
            since_key: self.since_key,
            keys_before: self.keys,
        };
        let ticks = self.frame as f64 * VIDEO_CLOCK_RATE / self.shape.frames_per_second;
        let ticks = ticks.round() as u64;
        self.pace.begin(is_key);
        if is_key {
            self.write_parameter_sets(ticks, packets);
            self.keys += 1;
        }
        let due = self.pace.packets();
        let slices = due.count.min(SLICES_MAX);
        for slice in 0..slices {
            let packets_of = |slices_before| due.count * slices_before / slices;
            let part = Part {
                head: picture.slice_head(slice, slices),
                packets: packets_of(slice)..packets_of(slice + 1),
                ticks,
                due,
            };
            self.write_slice(&part, packets);
        }
        self.frame += 1;
    }

    /// Writes a slice: one packet, or fragments (RFC 6184, section 5.8).
    fn write_slice(&mut self, slice: &Part, packets: &mut Packets) {
        let [nal, ref rest @ ..] = slice.head;
        let (first, end) = (slice.packets.start, slice.packets.end);
        for index in slice.packets.clone() {
            let (is_first, is_last) = (index == first, index + 1 == end);
            let header = self.video.header(index + 1 == slice.due.count, slice.ticks);
            let mut packet = packets.begin(VIDEO_TRACK, header);
            match (is_first, is_last) {
                (true, true) => packet.bytes(&slice.head),
                (true, false) => packet
                    .bytes(&h264::fragment_head(nal, true, false))
                    .bytes(rest),
                _ => packet.bytes(&h264::fragment_head(nal, false, is_last)),
            };
            if is_first {
                packet.probe(self.video.next_probe());
            }
            self.pace.spend(packet.fill(slice.due.bytes).end());
        }
    }

    fn write_parameter_sets(&mut self, ticks: u64, packets: &mut Packets) {
        for set in &self.parameter_sets {
            let header = self.video.header(false, ticks);
            let mut packet = packets.begin(VIDEO_TRACK, header);
            self.pace.spend(packet.bytes(set).end());
        }
    }

    fn write_audio_unit(&mut self, packets: &mut Packets) {
        let ticks = self.audio_units * AUDIO_UNIT_SAMPLES;
        let mut packet = packets.begin(AUDIO_TRACK, self.audio.header(true, ticks));
        packet.bytes(&audio_unit_head(AUDIO_UNIT_BYTES));
        packet.bytes(&DATA_ELEMENT).bytes(&[DATA_BYTES_MORE]);
        packet.probe(self.audio.next_probe());
        packet.bytes(&[FILLER; DATA_BYTES - PROBE_BYTES]);
        packet.bytes(&SILENCE).end();
        self.audio_units += 1;
    }
}

/// A slice of a picture that is being written.
#[derive(Debug)]
struct Part {
    head: [u8; SLICE_PROBE_OFFSET],
    /// Which of the picture's packets are its own, and all of them.
    packets: Range<usize>,
    due: Due,
    ticks: u64,
}

/// How many packets each frame has, so that the stream keeps its bit rate and key frames are larger.
#[derive(Debug)]
struct Pace {
    packet_bytes: usize,
    /// Bytes of a key frame and of any other.
    key_bytes: f64,
    other_bytes: f64,
    /// Bytes that the stream should have had by now, and has not.
    owed: f64,
}

/// What is due of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Due {
    /// How many packets, at least one.
    count: usize,
    /// Bytes of each.
    bytes: usize,
}

impl Pace {
    fn new(shape: &Synthetic) -> Self {
        let mean = shape.bits_per_second / 8.0 / shape.frames_per_second;
        let gop_frames = shape.gop_frames as f64;
        // What a key frame takes, the frames after it give back.
        let key_bytes = mean * KEY_FRAME_FACTOR.min(gop_frames);
        Self {
            packet_bytes: shape.packet_bytes,
            key_bytes,
            other_bytes: (mean * gop_frames - key_bytes) / (gop_frames - 1.0).max(1.0),
            owed: 0.0,
        }
    }

    /// Begins a frame.
    fn begin(&mut self, is_key: bool) {
        self.owed += if is_key {
            self.key_bytes
        } else {
            self.other_bytes
        };
    }

    /// Counts a packet of the frame.
    fn spend(&mut self, packet_bytes: usize) {
        self.owed -= packet_bytes as f64;
    }

    /// What is due of the frame: full packets, or one that is smaller where not even one is due.
    fn packets(&self) -> Due {
        let full = self.owed / self.packet_bytes as f64;
        if full < 1.0 {
            let bytes = self
                .owed
                .clamp(PACKET_BYTES_MIN as f64, self.packet_bytes as f64);
            return Due {
                count: 1,
                bytes: bytes as usize,
            };
        }
        Due {
            count: full as usize,
            bytes: self.packet_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use shardcast_protocol::codec::{AccessUnitTracker, PacketFlags, TrackParameters, Unit};
    use shardcast_protocol::container::rtp::header::HeaderView;
    use shardcast_protocol::sdp;

    use super::super::probe::{self, Probe};
    use super::*;

    const SHAPE: Synthetic = Synthetic {
        bits_per_second: 2e6,
        frames_per_second: 30.0,
        gop_frames: 60,
        packet_bytes: 1400,
        has_audio: true,
    };

    /// The RTP packets of a track and their moments, of so many frames and access units.
    fn packets(shape: Synthetic, frames: usize, wanted: usize) -> Vec<(Duration, Vec<u8>)> {
        let (mut source, mut packets) = (SyntheticSource::new(shape, 7), Packets::default());
        let mut all = Vec::new();
        for _ in 0..frames {
            let due = source.next(&mut packets);
            (0..packets.len()).for_each(|index| packets.stamp(index, due.as_nanos() as u64));
            let of_track = packets.iter().filter(|(track, _)| *track == wanted);
            all.extend(of_track.map(|(_, frame)| (due, frame[4..].to_vec())));
        }
        all
    }

    fn flags_of(packets: &[(Duration, Vec<u8>)]) -> Vec<PacketFlags> {
        let mut tracker = AccessUnitTracker::new(Unit::H264);
        let packets = packets.iter().map(|(_, packet)| {
            let view = HeaderView::parse(packet).unwrap();
            let flags = tracker.handle_packet(view.timestamp(), view.marker(), view.payload());
            flags.unwrap()
        });
        packets.collect()
    }

    #[test]
    fn a_stream_keeps_its_bit_rate_whatever_its_frames_are_like() {
        for (bits_per_second, gop_frames) in [(2e6, 60), (64e3, 30), (5e7, 1), (3e5, 2), (2e6, 7)] {
            let shape = Synthetic {
                bits_per_second,
                gop_frames,
                has_audio: false,
                ..SHAPE
            };
            let bytes: usize = packets(shape, 600, 0).iter().map(|(_, it)| it.len()).sum();
            let rate = bytes as f64 * 8.0 / 20.0;
            let off = (rate - bits_per_second).abs() / bits_per_second;
            assert!(off < 0.04, "{rate} instead of {bits_per_second}");
        }
    }

    #[test]
    fn pictures_are_access_units_and_key_pictures_start_points() {
        let packets = packets(SHAPE, 900, 0);
        let flags = flags_of(&packets);
        let begins = flags.iter().filter(|flags| flags.au_start).count();
        let ends = flags.iter().filter(|flags| flags.au_end).count();
        assert_eq!(begins, ends);
        assert!(flags.iter().all(|flags| !flags.after_unmarked_end));
        let starts = flags.iter().filter(|flags| flags.start_point);
        let starts: Vec<u32> = starts.map(|flags| flags.packets_before).collect();
        assert!(
            starts.len() > 5 && starts.iter().all(|before| *before == 2),
            "{starts:?}"
        );
        let full = packets
            .iter()
            .filter(|(_, packet)| packet.len() == SHAPE.packet_bytes);
        assert_eq!(full.count(), packets.len() - 2 * starts.len());
    }

    #[test]
    fn every_slice_carries_its_moment_and_number() {
        let mut number = 0;
        for (due, packet) in packets(SHAPE, 300, 0) {
            let payload = HeaderView::parse(&packet).unwrap().payload();
            let found: Vec<Probe> = probe::find(Carrier::H264, payload).collect();
            let begins_slice = match payload[0] & 0x1f {
                1 | 5 => true,
                28 => payload[1] & 0x80 != 0,
                _ => false,
            };
            if begins_slice {
                let due_unix_nanos = due.as_nanos() as u64;
                assert_eq!(
                    found,
                    [Probe {
                        due_unix_nanos,
                        number
                    }]
                );
                number += 1;
            } else {
                assert!(found.is_empty());
            }
        }
        assert!(number > 300);
    }

    #[test]
    fn small_pictures_have_a_slice_per_packet_and_none_has_more_than_others_take() {
        let sent = packets(SHAPE, 300, 0);
        let mut pictures: Vec<(usize, usize)> = Vec::new();
        for ((due, packet), flags) in sent.iter().zip(flags_of(&sent)) {
            if flags.au_start {
                pictures.push((0, 0));
            }
            let payload = HeaderView::parse(packet).unwrap().payload();
            let picture = pictures.last_mut().unwrap_or_else(|| panic!("at {due:?}"));
            picture.0 += 1;
            picture.1 += usize::from(payload[0] & 0x1f != 28 || payload[1] & 0x80 != 0);
        }
        let small = pictures
            .iter()
            .filter(|(packets, _)| *packets <= SLICES_MAX);
        assert!(small.clone().count() > 100);
        assert!(small.into_iter().all(|(packets, units)| packets == units));
        let most = pictures.iter().map(|(_, units)| *units).max();
        assert_eq!(most, Some(SLICES_MAX + 2));
    }

    #[test]
    fn nothing_looks_like_a_start_code() {
        for (_, packet) in packets(SHAPE, 300, 0) {
            let payload = HeaderView::parse(&packet).unwrap().payload();
            let codes = payload
                .windows(3)
                .filter(|three| matches!(three, [0, 0, 0..=2]));
            assert_eq!(codes.count(), 0);
        }
    }

    #[test]
    fn sound_is_due_between_pictures_and_has_its_own_numbers() {
        let packets = packets(SHAPE, 300, 1);
        let bits: usize = packets
            .iter()
            .map(|(_, packet)| packet.len() - 16)
            .sum::<usize>()
            * 8;
        let seconds = packets.len() as f64 * 1024.0 / 48e3;
        assert!((bits as f64 / seconds - 128e3).abs() < 1e3);
        for (index, (due, packet)) in packets.iter().enumerate() {
            let payload = HeaderView::parse(packet).unwrap().payload();
            let found: Vec<Probe> = probe::find(Carrier::Aac, payload).collect();
            assert_eq!(
                *due,
                Duration::from_nanos(index as u64 * 1024 * 1_000_000 / 48)
            );
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].number, index as u64);
        }
    }

    #[test]
    fn a_publisher_that_comes_back_begins_with_a_key_picture_and_its_first_probe() {
        let (mut source, mut packets) = (SyntheticSource::new(SHAPE, 7), Packets::default());
        let before = (0..100).map(|_| source.next(&mut packets)).last();
        let old: Vec<Vec<u8>> = packets.iter().map(|(_, it)| it.to_vec()).collect();
        source.begin_anew();
        let mut due = source.next(&mut packets);
        while packets.len() == 1 {
            due = source.next(&mut packets);
        }
        assert!(Some(due) > before);
        (0..packets.len()).for_each(|index| packets.stamp(index, 1));
        let new: Vec<&[u8]> = packets.iter().map(|(_, it)| &it[4..]).collect();
        assert_eq!(new[0][12] & 0x1f, 7, "parameter sets come first");
        assert_ne!(new[0][8..12], old[0][12..16], "the source is another");
        let probe = probe::find(Carrier::H264, &new[2][12..]).next();
        assert_eq!(probe.unwrap().number, 0);
    }

    #[test]
    fn moments_never_go_back() {
        let (mut source, mut packets) = (SyntheticSource::new(SHAPE, 7), Packets::default());
        let moments: Vec<Duration> = (0..1000).map(|_| source.next(&mut packets)).collect();
        assert!(moments.is_sorted());
    }

    #[test]
    fn key_frames_of_streams_with_other_seeds_come_at_other_moments() {
        let phases = (0..10).map(|seed| SyntheticSource::new(SHAPE, seed).phase);
        let phases: std::collections::BTreeSet<u64> = phases.collect();
        assert!(phases.len() > 5, "{phases:?}");
    }

    #[test]
    fn the_description_says_what_the_parameter_sets_say() {
        let source = SyntheticSource::new(SHAPE, 7);
        let session = sdp::parse(source.sdp().as_bytes()).unwrap();
        let tracks = sdp::tracks(&session).unwrap();
        let TrackParameters::Video(video) = tracks[0].parameters() else {
            panic!("no video");
        };
        assert_eq!(video.to_string(), "Baseline 4, 1920 x 1080");
        let TrackParameters::Audio(audio) = tracks[1].parameters() else {
            panic!("no audio");
        };
        assert_eq!(audio.to_string(), "48000 Hz, 2 channels");
        let carriers: Vec<Carrier> = tracks.iter().map(|it| Carrier::from(&it.codec)).collect();
        assert_eq!(carriers, source.carriers());
    }
}
