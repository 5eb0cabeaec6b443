//! Access units: where they begin and end in a track's packets, and which a reader can start at.
//!
//! Input is a track's packets in order: timestamp, marker, payload. Output are each packet's
//! [`PacketFlags`]. Ingest stores them with the packet; batches close at `au_end`, and the log's start
//! points come from `start_point`.
//!
//! An access unit is what shares a timestamp (RFC 6184 §5.1), with three allowances for senders that
//! are careless about it:
//! - Parameter sets with a timestamp of their own in front of a picture belong to that picture's unit.
//! - Parameter sets or a picture's first slice after a marked end begin a new unit even when the
//!   timestamp stays: cameras stamp parameter sets with the time of the picture before them.
//! - A marker on a packet in front of the first slice (cameras set one on parameter sets) ends
//!   nothing.
//!
//! Deliberately absent: reordering and loss. A caller that knows of a gap calls
//! [`AccessUnitTracker::reset`].

use super::{PacketKind, av1, h264, h265, mjpeg, mpeg_ts, mpeg_video, mpeg4_video, vp8, vp9};
use crate::container::rtp::RtpTimestamp;

/// The largest access unit, in bytes of payload. Key pictures of 8K cameras stay under 2 MiB; four
/// times that is room, and what a publisher can make the log hold in one piece.
pub const ACCESS_UNIT_BYTES_MAX: usize = 8 << 20;

/// How many packets of parameter sets, each with a timestamp of its own, wait for their picture. A
/// set of VPS, SPS, PPS and SEI takes 4; a peer that never sends a picture gets units of this size.
const PARAMETER_SET_PACKETS_MAX: u32 = 16;

/// The longest unit of a transport stream without tables, in packets: a second at 10 Mbit/s.
const TRANSPORT_PACKETS_MAX: u32 = 1024;

/// How a track's access units are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// H.264: by timestamp and marker; start points are key pictures and recovery points.
    H264,
    /// H.265: likewise.
    H265,
    /// AV1: likewise; start points are the begins of coded video sequences.
    Av1,
    /// VP8: likewise; start points are key frames.
    Vp8,
    /// VP9: likewise.
    Vp9,
    /// MPEG-4 part 2: likewise; start points are intra pictures.
    Mpeg4Video,
    /// MPEG-1 and MPEG-2 video: likewise; start points are intra pictures behind sequence headers.
    MpegVideo,
    /// Motion JPEG: likewise; every unit whose begin is there is a start point.
    Mjpeg,
    /// MPEG transport streams: from one program association table to the next, whatever timestamp and
    /// marker say (RFC 2250 §2); start points are units in which a key picture begins, or all of a
    /// stream that never marks any.
    MpegTs,
    /// By timestamp and marker, and every unit is a start point: video that is not known, metadata, and
    /// audio that may cut a frame into several packets.
    Marked,
    /// Every packet is a unit, whatever its marker says, and a start point: audio whose marker begins a
    /// talk spurt (RFC 3551 §4.1).
    Packet,
}

impl Unit {
    fn inspect(self, payload: &[u8]) -> PacketKind {
        match self {
            Self::H264 => h264::inspect(payload),
            Self::H265 => h265::inspect(payload),
            Self::Av1 => av1::inspect(payload),
            Self::Vp8 => vp8::inspect(payload),
            Self::Vp9 => vp9::inspect(payload),
            Self::Mpeg4Video => mpeg4_video::inspect(payload),
            Self::MpegVideo => mpeg_video::inspect(payload),
            Self::Mjpeg => mjpeg::inspect(payload),
            Self::MpegTs => mpeg_ts::inspect(payload),
            Self::Marked | Self::Packet => PacketKind {
                // After a marked end a unit begins, even when the clock stands still.
                picture_start: true,
                key: true,
                ..PacketKind::OPAQUE
            },
        }
    }

    /// Whether a packet of this kind ends its unit.
    const fn is_ended_by(self, marker: bool, has_picture: bool) -> bool {
        match self {
            Self::Packet => true,
            Self::MpegTs => false,
            _ => marker && has_picture,
        }
    }
}

/// What a packet is within its access unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PacketFlags {
    /// It is the first of its unit.
    pub au_start: bool,
    /// It is the last of its unit, as its marker says.
    pub au_end: bool,
    /// It is the first of its unit, and the unit before ended without a marker: that it has ended is
    /// known only now.
    pub after_unmarked_end: bool,
    /// With it, its unit has become a start point; set once per unit. The reader starts at the unit's
    /// *first* packet, [`PacketFlags::packets_before`] packets back.
    pub start_point: bool,
    /// Its unit is a start point, as far as is known with this packet.
    pub key: bool,
    /// It holds parameter sets.
    pub parameter_sets: bool,
    /// Leaving it out harms no other picture: a unit can be left out if all of its packets can.
    pub droppable: bool,
    /// How many packets of its unit precede it.
    pub packets_before: u32,
}

/// An access unit has grown beyond [`ACCESS_UNIT_BYTES_MAX`]. Every further packet of it gets the same
/// answer; the next unit starts afresh. The publisher is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("an access unit of {bytes} bytes so far, more than {ACCESS_UNIT_BYTES_MAX}")]
pub struct AccessUnitTooLarge {
    /// The unit's size with the packet that was refused.
    pub bytes: usize,
}

/// Follows one track's packets.
#[derive(Clone, Debug)]
pub struct AccessUnitTracker {
    unit: Unit,
    current: Option<Current>,
    /// The highest temporal layer seen: only its pictures have nobody above them that may refer to
    /// them.
    highest_layer: u8,
    /// A recovery point has been seen: the sender marks them.
    marks_recovery: bool,
}

/// The unit that the last packet belonged to.
#[derive(Clone, Copy, Debug, Default)]
struct Current {
    timestamp: RtpTimestamp,
    packets: u32,
    bytes: usize,
    /// A packet with its picture had the marker.
    marked: bool,
    picture: bool,
    parameter_sets: bool,
    start_point: bool,
}

impl AccessUnitTracker {
    /// A tracker that has seen no packet.
    #[must_use]
    pub const fn new(unit: Unit) -> Self {
        Self {
            unit,
            current: None,
            highest_layer: 0,
            marks_recovery: false,
        }
    }

    /// Takes the next packet.
    ///
    /// # Errors
    /// [`AccessUnitTooLarge`] when the packet would make its unit too large.
    #[inline]
    pub fn handle_packet(
        &mut self,
        timestamp: RtpTimestamp,
        marker: bool,
        payload: &[u8],
    ) -> Result<PacketFlags, AccessUnitTooLarge> {
        let kind = self.unit.inspect(payload);
        self.highest_layer = self.highest_layer.max(kind.temporal_layer);
        let before = self.current;
        let au_start = self.begins_unit(timestamp, kind);
        let mut unit = before.filter(|_| !au_start).unwrap_or_default();
        let mut flags = PacketFlags {
            au_start,
            after_unmarked_end: au_start && before.is_some_and(|before| !before.marked),
            packets_before: unit.packets,
            parameter_sets: kind.parameter_sets,
            droppable: self.is_droppable(kind),
            ..PacketFlags::default()
        };
        unit.timestamp = timestamp;
        unit.packets = unit.packets.saturating_add(1);
        unit.bytes = unit.bytes.saturating_add(payload.len());
        unit.picture |= kind.picture;
        unit.parameter_sets |= kind.parameter_sets;
        self.marks_recovery |= kind.recovery_point;
        let startable = self.is_startable(&unit, kind);
        flags.start_point = startable && !unit.start_point;
        unit.start_point |= startable;
        flags.key = unit.start_point;
        flags.au_end = self.unit.is_ended_by(marker, unit.picture);
        unit.marked |= flags.au_end;
        self.current = Some(unit);
        if unit.bytes > ACCESS_UNIT_BYTES_MAX {
            return Err(AccessUnitTooLarge { bytes: unit.bytes });
        }
        Ok(flags)
    }

    /// Forgets the unit that is under way: packets were lost, or another publisher takes over. The
    /// next packet begins a unit.
    pub const fn reset(&mut self) {
        self.current = None;
    }

    fn begins_unit(&self, timestamp: RtpTimestamp, kind: PacketKind) -> bool {
        let Some(current) = &self.current else {
            return true;
        };
        match self.unit {
            Unit::Packet => true,
            Unit::MpegTs => kind.parameter_sets || current.packets >= TRANSPORT_PACKETS_MAX,
            _ if current.timestamp == timestamp => {
                current.marked && (kind.parameter_sets || kind.picture_start)
            }
            _ => !current.awaits_picture(),
        }
    }

    /// Whether a packet of this kind can be left out with its unit. What is no picture and sets nothing up (delimiters,
    /// supplemental information) goes with the picture beside it.
    fn is_droppable(&self, kind: PacketKind) -> bool {
        match (kind.picture, self.unit) {
            (true, _) => kind.droppable && kind.temporal_layer == self.highest_layer,
            (false, Unit::H264 | Unit::H265) => !kind.parameter_sets && !kind.recovery_point,
            (false, _) => false,
        }
    }

    /// Whether a reader can start at `unit`, now that it has a packet of this kind.
    fn is_startable(&self, unit: &Current, kind: PacketKind) -> bool {
        match self.unit {
            Unit::MpegTs => unit.parameter_sets && (kind.recovery_point || !self.marks_recovery),
            _ => kind.key || kind.recovery_point,
        }
    }
}

impl Current {
    /// Whether this is parameter sets alone, whose picture has another timestamp.
    const fn awaits_picture(&self) -> bool {
        self.parameter_sets && !self.picture && self.packets < PARAMETER_SET_PACKETS_MAX
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPS: &[u8] = &[0x67, 0x42, 0xc0];
    const PPS: &[u8] = &[0x68, 0xce];
    const SEI: &[u8] = &[0x06, 0x05, 0x01, 0x00, 0x80];
    const RECOVERY: &[u8] = &[0x06, 0x06, 0x01, 0xc4, 0x80];
    const AUD: &[u8] = &[0x09, 0xf0];
    const IDR_FIRST: &[u8] = &[0x7c, 0x85, 0x88];
    const IDR_LAST: &[u8] = &[0x7c, 0x45, 0x11];
    const P: &[u8] = &[0x41, 0x9a];
    const P_SECOND_SLICE: &[u8] = &[0x41, 0x2a];
    const B: &[u8] = &[0x01, 0x9e];

    /// Feeds packets (timestamp, marker, payload) and returns their flags.
    fn track(unit: Unit, packets: &[(u32, bool, &[u8])]) -> Vec<PacketFlags> {
        let mut tracker = AccessUnitTracker::new(unit);
        packets
            .iter()
            .map(|(timestamp, marker, payload)| {
                tracker
                    .handle_packet(RtpTimestamp(*timestamp), *marker, payload)
                    .unwrap()
            })
            .collect()
    }

    /// The flags as letters: `s`tart, `e`nd, `u`nmarked end before, `*` start point with its distance
    /// to the unit's first packet, `d`roppable.
    fn letters(unit: Unit, packets: &[(u32, bool, &[u8])]) -> String {
        let mut words = Vec::new();
        for flags in track(unit, packets) {
            let mut word = String::new();
            for (set, letter) in [
                (flags.au_start, 's'),
                (flags.after_unmarked_end, 'u'),
                (flags.au_end, 'e'),
                (flags.droppable, 'd'),
            ] {
                if set {
                    word.push(letter);
                }
            }
            if flags.start_point {
                word.push_str(&format!("*{}", flags.packets_before));
            }
            words.push(if word.is_empty() { "-".into() } else { word });
        }
        words.join(" ")
    }

    #[test]
    fn the_start_point_is_the_units_first_packet_parameter_sets_included() {
        let packets = [
            (0, false, SPS),
            (0, false, PPS),
            (0, false, SEI),
            (0, false, IDR_FIRST),
            (0, true, IDR_LAST),
            (3000, true, P),
            (6000, true, B),
        ];
        assert_eq!(letters(Unit::H264, &packets), "s - d *3 e se sed");
        let flags = track(Unit::H264, &packets);
        assert!(flags[4].key && !flags[2].key && !flags[5].key);
        assert!(flags[0].parameter_sets && !flags[3].parameter_sets);
    }

    #[test]
    fn a_unit_without_marker_ends_at_the_next_timestamp() {
        let packets = [(0, false, IDR_FIRST), (0, false, IDR_LAST), (1, false, P)];
        assert_eq!(letters(Unit::H264, &packets), "s*0 - su");
    }

    #[test]
    fn parameter_sets_stamped_with_the_picture_before_begin_the_key_unit() {
        let packets = [
            (0, true, P),
            (0, false, SPS),
            (0, false, PPS),
            (3000, false, IDR_FIRST),
            (3000, true, IDR_LAST),
            (6000, true, P),
        ];
        assert_eq!(letters(Unit::H264, &packets), "se s - *2 e se");
    }

    #[test]
    fn a_marker_on_parameter_sets_ends_nothing() {
        let packets = [
            (0, true, AUD),
            (0, true, SPS),
            (0, true, PPS),
            (0, false, IDR_FIRST),
            (0, true, IDR_LAST),
        ];
        assert_eq!(letters(Unit::H264, &packets), "sd - - *3 e");
    }

    #[test]
    fn a_marker_on_every_slice_does_not_cut_a_unit() {
        let packets = [(0, true, P), (0, true, P_SECOND_SLICE), (3000, true, P)];
        assert_eq!(letters(Unit::H264, &packets), "se e se");
    }

    #[test]
    fn a_clock_that_stands_still_does_not_make_one_endless_unit() {
        let packets = [
            (7, true, P),
            (7, false, P),
            (7, true, P_SECOND_SLICE),
            (7, true, P),
        ];
        assert_eq!(letters(Unit::H264, &packets), "se s e se");
    }

    #[test]
    fn sound_with_a_clock_that_stands_still_is_not_one_endless_unit() {
        let packets: [(u32, bool, &[u8]); 2] = [(7, true, b"a"), (7, true, b"b")];
        assert_eq!(letters(Unit::Packet, &packets), "se*0 se*0");
        assert_eq!(letters(Unit::Marked, &packets), "se*0 se*0");
    }

    #[test]
    fn a_recovery_point_is_a_start_point() {
        let packets = [
            (0, true, P),
            (1, false, AUD),
            (1, false, RECOVERY),
            (1, true, P),
        ];
        assert_eq!(letters(Unit::H264, &packets), "se sd *1 e");
    }

    #[test]
    fn a_unit_becomes_a_start_point_once() {
        let packets = [
            (0, false, RECOVERY),
            (0, false, IDR_FIRST),
            (0, false, IDR_LAST),
            (0, true, &[0x65, 0x11]),
        ];
        assert_eq!(letters(Unit::H264, &packets), "s*0 - - e");
    }

    #[test]
    fn timestamps_of_b_frames_go_back_and_begin_units() {
        let packets = [(9000, true, P), (3000, true, B), (6000, true, B)];
        assert_eq!(letters(Unit::H264, &packets), "se sed sed");
    }

    #[test]
    fn parameter_sets_without_picture_do_not_grow_for_ever() {
        let packets: Vec<_> = (0..34).map(|index| (index, false, SPS)).collect();
        let starts = track(Unit::H264, &packets)
            .iter()
            .filter(|flags| flags.au_start)
            .count();
        assert_eq!(starts, 3);
    }

    #[test]
    fn h265_key_pictures_start_and_lower_layers_are_kept() {
        let vps: &[u8] = &[0x40, 0x01, 0x0c];
        let cra: &[u8] = &[0x2a, 0x01, 0x80];
        let low_n: &[u8] = &[0x00, 0x01, 0x80];
        let high_n: &[u8] = &[0x00, 0x02, 0x80];
        let packets = [
            (0, false, vps),
            (0, true, cra),
            (1, true, low_n),
            (2, true, high_n),
            (3, true, low_n),
            (4, true, high_n),
        ];
        assert_eq!(letters(Unit::H265, &packets), "s e*1 sed sed se sed");
    }

    #[test]
    fn every_audio_packet_is_a_unit_and_a_start_point() {
        let packets: [(u32, bool, &[u8]); 3] =
            [(0, true, b"a"), (960, false, b"b"), (1920, false, b"c")];
        assert_eq!(letters(Unit::Packet, &packets), "se*0 se*0 se*0");
    }

    #[test]
    fn a_fragmented_frame_of_another_codec_is_one_unit_and_start_point() {
        let packets: [(u32, bool, &[u8]); 3] =
            [(0, false, b"a"), (0, true, b"b"), (1024, true, b"c")];
        assert_eq!(letters(Unit::Marked, &packets), "s*0 e se*0");
    }

    /// A transport packet with this head.
    fn transport(head: &[u8]) -> Vec<u8> {
        [head, &vec![0xff; 188 - head.len()]].concat()
    }

    #[test]
    fn a_transport_stream_is_cut_at_its_tables_and_starts_at_those_before_key_pictures() {
        let table = transport(&[0x47, 0x40, 0x00, 0x10]);
        let other = transport(&[0x47, 0x01, 0x00, 0x10]);
        let key = transport(&[0x47, 0x41, 0x00, 0x30, 1, 0x40, 0, 0, 1, 0xe0]);
        let packets: [(u32, bool, &[u8]); 8] = [
            (0, true, &other),
            (0, false, &table),
            (900, true, &other),
            (900, false, &table),
            (900, false, &key),
            (1800, true, &table),
            (1800, false, &table),
            (2700, false, &key),
        ];
        assert_eq!(letters(Unit::MpegTs, &packets), "s su*0 - su*0 - su su *1");
        let without_tables = vec![(0, false, other.as_slice()); 1025];
        let flags = track(Unit::MpegTs, &without_tables);
        assert!(flags[1024].au_start && flags[1..1024].iter().all(|flags| !flags.au_start));
        assert!(flags.iter().all(|flags| !flags.start_point));
    }

    #[test]
    fn key_frames_of_every_codec_are_start_points_and_others_are_not() {
        let vp9 = |frame: u8| vec![0x08, frame, 0x49, 0x83, 0x42];
        for (unit, key, rest, other) in [
            (
                Unit::Av1,
                vec![0x08, 1, 0x30],
                vec![0x80, 1, 9],
                vec![0x00, 1, 0x30],
            ),
            (
                Unit::Vp8,
                vec![0x10, 0x00],
                vec![0x00, 0x00],
                vec![0x10, 0x01],
            ),
            (Unit::Vp9, vp9(0x82), vec![0x04, 0x82], vp9(0x86)),
            (
                Unit::Mpeg4Video,
                vec![0, 0, 1, 0xb6, 0x10],
                vec![7, 7],
                vec![0, 0, 1, 0xb6, 0x50],
            ),
            (
                Unit::MpegVideo,
                vec![0, 0, 0x39, 0, 0, 0, 1, 0xb3],
                vec![0, 0, 0x09, 0, 0, 0, 1, 1],
                vec![0, 0, 0x0a, 0, 0, 0, 1, 0],
            ),
        ] {
            let packets: [(u32, bool, &[u8]); 5] = [
                (0, false, &key),
                (0, true, &rest),
                (3000, true, &other),
                // The clock stands still.
                (3000, true, &other),
                (6000, true, &key),
            ];
            assert_eq!(letters(unit, &packets), "s*0 e se se se*0", "{unit:?}");
        }
    }

    #[test]
    fn a_picture_whose_begin_is_lost_is_no_start_point() {
        let begin: &[u8] = &[0, 0, 0, 0, 1, 255, 80, 60];
        let rest: &[u8] = &[0, 0, 5, 0, 1, 255, 80, 60];
        let packets = [(0, true, rest), (3000, false, begin), (3000, true, rest)];
        assert_eq!(letters(Unit::Mjpeg, &packets), "se s*0 e");
    }

    #[test]
    fn the_largest_unit_passes_and_one_byte_more_is_refused_until_the_next() {
        let mut tracker = AccessUnitTracker::new(Unit::H264);
        let mut packet = vec![0x11; 1 << 16];
        packet[..2].copy_from_slice(&[0x7c, 0x05]);
        for _ in 0..ACCESS_UNIT_BYTES_MAX / packet.len() {
            tracker
                .handle_packet(RtpTimestamp(0), false, &packet)
                .unwrap();
        }
        for more in 1..3 {
            let refused = tracker.handle_packet(RtpTimestamp(0), false, &[0x41]);
            let bytes = ACCESS_UNIT_BYTES_MAX + more;
            assert_eq!(refused, Err(AccessUnitTooLarge { bytes }));
        }
        let next = tracker.handle_packet(RtpTimestamp(1), true, P).unwrap();
        assert!(next.au_start && next.after_unmarked_end);
    }

    #[test]
    fn after_a_reset_the_next_packet_begins_a_unit() {
        let mut tracker = AccessUnitTracker::new(Unit::H264);
        tracker.handle_packet(RtpTimestamp(0), false, P).unwrap();
        tracker.reset();
        let flags = tracker.handle_packet(RtpTimestamp(0), false, P).unwrap();
        assert!(flags.au_start && !flags.after_unmarked_end);
    }

    proptest! {
        #[test]
        fn every_unit_has_one_first_packet_and_at_most_one_start_point(
            packets in proptest::collection::vec(
                (0u32..4, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..6)), 1..80,
            ),
            unit in prop_oneof![
                Just(Unit::H264), Just(Unit::H265), Just(Unit::Av1), Just(Unit::Vp8), Just(Unit::Vp9),
                Just(Unit::Mpeg4Video), Just(Unit::MpegVideo), Just(Unit::Mjpeg), Just(Unit::MpegTs),
                Just(Unit::Marked), Just(Unit::Packet),
            ],
        ) {
            let mut tracker = AccessUnitTracker::new(unit);
            let (mut since_start, mut start_points) = (0, 0);
            for (index, (timestamp, marker, payload)) in packets.iter().enumerate() {
                let flags = tracker
                    .handle_packet(RtpTimestamp(*timestamp), *marker, payload)
                    .unwrap();
                prop_assert!(flags.au_start || index > 0);
                if flags.au_start {
                    (since_start, start_points) = (0, 0);
                }
                prop_assert_eq!(flags.packets_before, since_start);
                since_start += 1;
                start_points += u32::from(flags.start_point);
                prop_assert!(start_points <= 1);
                prop_assert_eq!(flags.key, start_points == 1);
            }
        }
    }
}
