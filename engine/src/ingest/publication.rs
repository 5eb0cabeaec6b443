//! One publisher's tracks, its numbering and its open batch.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use shardcast_protocol::codec;
use shardcast_protocol::container::rtp::rtcp::{self, SenderReport};
use shardcast_protocol::container::rtp::{ClockMap, HeaderView, NtpTime, RtpTimestamp};

use super::door::TrackDoor;
use crate::event::RefusedPacket;
use crate::stream::{
    Batch, BatchBuilder, PacketFlags, StartPoint, StreamClock, StreamInfo, TrackBase,
    WIRE_HEADER_BYTES, wire_report,
};

/// Readers are told the clock so often, by the publisher's reports or by ours. RFC 3550 section 6.2 has 5 s as least for
/// small sessions; gortsplib's servers, which players know, take 10.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// What a publisher sends, on its way into batches.
#[derive(Debug)]
pub struct Publication {
    info: Arc<StreamInfo>,
    tracks: Vec<TrackDoor>,
    clock: StreamClock,
    /// From the publisher's wall clock to ours, fixed by its first report.
    ntp_offset: Option<u64>,
    builder: BatchBuilder,
    batch_bytes_max: usize,
    /// An access unit of the leading track has ended in the open batch.
    is_unit_complete: bool,
}

/// With what a publication begins.
#[derive(Debug)]
pub struct Opening<'a> {
    /// The stream, as its readers know it.
    pub info: Arc<StreamInfo>,
    /// The same tracks as the publisher has announced them.
    pub published: &'a StreamInfo,
    /// Where each track's numbering stands.
    pub bases: &'a [TrackBase],
    /// Number of the first batch.
    pub first_sequence: u64,
    /// When another publisher's stream is gone on with, if that is so: readers are in the middle of it.
    pub takes_over_at: Option<Instant>,
    /// A batch closes at this size.
    pub batch_bytes_max: usize,
}

impl Publication {
    /// Goes on from where the opening says.
    #[must_use]
    pub fn new(opening: &Opening<'_>) -> Self {
        let Opening { info, bases, .. } = opening;
        let unit_start = (opening.first_sequence, 0);
        let described = info.tracks().iter().zip(opening.published.tracks());
        let doors = described
            .zip(*bases)
            .map(|((ours, theirs), base)| TrackDoor::new(*base, ours, theirs, unit_start));
        let mut tracks: Vec<_> = doors.collect();
        if let (Some(now), Some(leading)) = (opening.takes_over_at, tracks.get_mut(info.leading()))
        {
            leading.wait_for_start(now);
        }
        Self {
            tracks,
            clock: StreamClock::begin(info, bases),
            ntp_offset: None,
            builder: BatchBuilder::new(opening.first_sequence),
            batch_bytes_max: opening.batch_bytes_max,
            is_unit_complete: false,
            info: info.clone(),
        }
    }

    /// Takes an RTP packet in its wire frame, which is rewritten in place. The memory follows in [`Self::hold`], if the packet
    /// is part of the stream: `false` says that it is left out, because the publisher takes over and has still to begin.
    ///
    /// # Errors
    /// Why the packet is refused: the frame is then not part of the batch.
    pub fn handle_rtp(
        &mut self,
        track: usize,
        frame: &mut [u8],
        now: Instant,
    ) -> Result<bool, RefusedPacket> {
        let door = self
            .tracks
            .get_mut(track)
            .ok_or(RefusedPacket::UnknownChannel)?;
        let packet = frame
            .get_mut(WIRE_HEADER_BYTES..)
            .ok_or(RefusedPacket::Malformed)?;
        let header = HeaderView::parse(packet).map_err(|_error| RefusedPacket::Malformed)?;
        let Some(unit) = door.inspect(&header, now)? else {
            return Ok(false);
        };
        let numbers = door.number(&header, now);
        let written = numbers.write(packet);
        written.map_err(|_error| RefusedPacket::Malformed)?;
        self.note_unit(track, unit);
        if let (Some(channel), Ok(rtp_channel)) = (frame.get_mut(1), u8::try_from(2 * track)) {
            *channel = rtp_channel;
        }
        self.note(track, frame.len(), flags_of(unit), now);
        self.report_if_due(track, numbers.timestamp, now);
        Ok(true)
    }

    /// Takes a compound RTCP packet. From a sender report the stream's clock is set, and readers are told by a report of our
    /// own, which becomes part of the stream here. The rest of RTCP is between the publisher and us: its goodbye above all,
    /// for another publisher may go on with the stream.
    ///
    /// # Errors
    /// Why the packet is refused.
    pub fn handle_rtcp(
        &mut self,
        track: usize,
        compound: &[u8],
        now: Instant,
    ) -> Result<(), RefusedPacket> {
        let door = self
            .tracks
            .get_mut(track)
            .ok_or(RefusedPacket::UnknownChannel)?;
        let Some(report) = SenderReport::find(compound) else {
            let is_rtcp = rtcp::Packets::new(compound)
                .next()
                .is_some_and(|first| first.is_ok());
            return if is_rtcp {
                Ok(())
            } else {
                Err(RefusedPacket::Malformed)
            };
        };
        let mapped = door
            .numbering
            .map_report(report.ssrc, report.rtp_timestamp, now);
        let rtp = mapped.ok_or(RefusedPacket::OtherSource)?;
        let here = self.clock.ntp(track, rtp).unwrap_or(report.ntp);
        let offset = *self
            .ntp_offset
            .get_or_insert(here.0.wrapping_sub(report.ntp.0));
        let ntp = NtpTime(report.ntp.0.wrapping_add(offset));
        if let Some(clock) = self.clock.tracks.get_mut(track) {
            clock.report = Some(ClockMap {
                ntp,
                rtp,
                ..clock.begin
            });
        }
        self.report(track, ntp, rtp, now);
        Ok(())
    }

    /// The publisher's reports are told when they come; one that sends none is told for.
    fn report_if_due(&mut self, track: usize, rtp: RtpTimestamp, now: Instant) {
        let Some(door) = self.tracks.get_mut(track) else {
            return;
        };
        let due = *door.report_due.get_or_insert(now + REPORT_INTERVAL);
        if now >= due
            && let Some(ntp) = self.clock.ntp(track, rtp)
        {
            self.report(track, ntp, rtp, now);
        }
    }

    /// Tells the readers that `track` stands at `rtp` at the time `ntp`.
    fn report(&mut self, track: usize, ntp: NtpTime, rtp: RtpTimestamp, now: Instant) {
        let Some(door) = self.tracks.get_mut(track) else {
            return;
        };
        door.report_due = Some(now + REPORT_INTERVAL);
        let standing = door.numbering.standing();
        let report = SenderReport {
            ssrc: door.numbering.ssrc(),
            ntp,
            rtp_timestamp: rtp,
            packet_count: standing.packets,
            octet_count: standing.octets,
        };
        if let (Some(wire), Ok(track)) = (wire_report(track, &report), u8::try_from(track)) {
            self.builder.insert(wire, track, PacketFlags::RTCP, now);
        }
    }

    /// Takes the memory of the frames that were let in, in order.
    pub fn hold(&mut self, memory: BytesMut) {
        self.builder.hold(memory);
    }

    /// Whether the open batch is to be closed now: an access unit of the leading track is complete, or it is full.
    #[must_use]
    pub fn is_batch_due(&self) -> bool {
        self.is_unit_complete || self.builder.is_full(self.batch_bytes_max)
    }

    /// Packets in the open batch.
    #[must_use]
    pub fn open_packets(&self) -> usize {
        self.builder.packets()
    }

    /// Number of the open batch.
    #[must_use]
    pub fn open_sequence(&self) -> u64 {
        self.builder.sequence()
    }

    /// Closes the open batch; nothing if it is empty.
    pub fn close_batch(&mut self) -> Option<Batch> {
        self.is_unit_complete = false;
        for (track, door) in self.tracks.iter().enumerate() {
            self.clock.note_standing(track, door.numbering.standing());
        }
        self.builder.close(self.clock.clone())
    }

    /// Notes begin, end and start point of an access unit; only those of the leading track matter to batches.
    fn note_unit(&mut self, track: usize, unit: codec::PacketFlags) {
        let here = (
            self.builder.sequence(),
            u32::try_from(self.builder.packets()).unwrap_or(u32::MAX),
        );
        let is_leading = track == self.info.leading();
        let Some(door) = self.tracks.get_mut(track) else {
            return;
        };
        if unit.au_start {
            door.unit_start = here;
        }
        if unit.start_point && is_leading {
            let (batch, packet) = door.unit_start;
            if let Ok(batches_back) = u32::try_from(here.0 - batch) {
                self.builder.note_start(StartPoint {
                    batches_back,
                    packet,
                });
            }
        }
        self.is_unit_complete |= unit.au_end && is_leading;
    }

    fn note(&mut self, track: usize, len: usize, flags: PacketFlags, now: Instant) {
        self.builder
            .note(len, u8::try_from(track).unwrap_or(u8::MAX), flags, now);
    }
}

fn flags_of(unit: codec::PacketFlags) -> PacketFlags {
    let set = [
        (unit.au_start, PacketFlags::AU_START),
        (unit.au_end, PacketFlags::AU_END),
        (unit.droppable, PacketFlags::DROPPABLE),
    ];
    set.into_iter()
        .filter(|(is_set, _)| *is_set)
        .fold(PacketFlags::default(), |flags, (_, flag)| flags.with(flag))
}

#[cfg(test)]
mod tests {
    use super::super::door::TAKEOVER_WAIT_MAX;
    use super::*;
    use crate::stream::Standing;
    use shardcast_protocol::container::rtp::{SequenceNumber, Ssrc};

    const SPS: &[u8] = &[0x67, 1, 2, 3];
    const IDR: &[u8] = &[0x65, 0x88, 1, 2];
    const P: &[u8] = &[0x41, 0x9a, 1, 2];

    const SDP: &str =
        "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 0 RTP/AVP 0\r\n";

    fn info(sdp: &str) -> Arc<StreamInfo> {
        let tracks = shardcast_protocol::sdp::parse(sdp.as_bytes())
            .and_then(|sdp| shardcast_protocol::sdp::tracks(&sdp));
        Arc::new(StreamInfo::new(tracks.unwrap(), "test"))
    }

    fn publication() -> Publication {
        open(&info(SDP), None)
    }

    fn open(published: &StreamInfo, takes_over_at: Option<Instant>) -> Publication {
        let info = info(SDP);
        let base = |ssrc| TrackBase {
            ssrc: Ssrc(ssrc),
            standing: Standing::begin(SequenceNumber(0), RtpTimestamp(0), Instant::now()),
            ntp: NtpTime::default(),
        };
        let bases = [base(7), base(8)];
        Publication::new(&Opening {
            published,
            info,
            bases: &bases,
            first_sequence: 100,
            takes_over_at,
            batch_bytes_max: 10_000,
        })
    }

    fn frame(sequence: u16, timestamp: u32, marker: bool, payload: &[u8]) -> BytesMut {
        let mut frame = BytesMut::from(
            &[
                b'$',
                99,
                0,
                12 + payload.len() as u8,
                0x80,
                96 | u8::from(marker) << 7,
            ][..],
        );
        frame.extend_from_slice(&sequence.to_be_bytes());
        frame.extend_from_slice(&timestamp.to_be_bytes());
        frame.extend_from_slice(&1u32.to_be_bytes());
        frame.extend_from_slice(payload);
        frame
    }

    fn take(
        publication: &mut Publication,
        track: usize,
        mut frame: BytesMut,
    ) -> Result<(), RefusedPacket> {
        if publication.handle_rtp(track, &mut frame, Instant::now())? {
            publication.hold(frame);
        }
        Ok(())
    }

    #[test]
    fn a_batch_is_due_at_the_end_of_a_leading_access_unit_and_audio_rides_along() {
        let mut publication = publication();
        take(&mut publication, 1, frame(1, 0, true, &[1, 2])).unwrap();
        assert!(!publication.is_batch_due());
        take(&mut publication, 0, frame(1, 0, true, P)).unwrap();
        assert!(publication.is_batch_due());
        let batch = publication.close_batch().unwrap();
        assert_eq!((batch.sequence, batch.packets.len()), (100, 2));
        assert_eq!(
            (
                batch.packet_bytes(&batch.packets[0])[1],
                batch.packet_bytes(&batch.packets[1])[1]
            ),
            (2, 0)
        );
        assert!(!publication.is_batch_due());
    }

    #[test]
    fn a_start_point_is_the_first_packet_of_the_key_unit_even_if_that_has_left() {
        let mut publication = publication();
        take(&mut publication, 1, frame(1, 0, true, &[1, 2])).unwrap();
        take(&mut publication, 0, frame(1, 90, false, SPS)).unwrap();
        let first = publication.close_batch().unwrap();
        take(&mut publication, 0, frame(2, 90, true, IDR)).unwrap();
        let second = publication.close_batch().unwrap();
        assert!(first.start_points.is_empty());
        assert_eq!(
            second.start_points[..],
            [StartPoint {
                batches_back: 1,
                packet: 1
            }]
        );
    }

    #[test]
    fn packets_carry_the_streams_ssrc_and_other_sources_are_refused() {
        let mut publication = publication();
        take(&mut publication, 0, frame(1, 0, true, IDR)).unwrap();
        let mut other = frame(1, 0, true, IDR);
        other[12..16].copy_from_slice(&2u32.to_be_bytes());
        assert_eq!(
            take(&mut publication, 0, other),
            Err(RefusedPacket::OtherSource)
        );
        let batch = publication.close_batch().unwrap();
        let header = HeaderView::parse(&batch.packet_bytes(&batch.packets[0])[4..]).unwrap();
        assert_eq!((batch.packets.len(), header.ssrc()), (1, Ssrc(7)));
    }

    #[test]
    fn what_is_no_rtp_is_refused_and_leaves_the_batch_whole() {
        let mut publication = publication();
        assert_eq!(
            take(&mut publication, 0, BytesMut::from(&b"$\0\0\x04abcd"[..])),
            Err(RefusedPacket::Malformed)
        );
        assert_eq!(
            take(&mut publication, 5, frame(1, 0, true, IDR)),
            Err(RefusedPacket::UnknownChannel)
        );
        assert!(publication.close_batch().is_none());
    }

    #[test]
    fn a_publishers_report_becomes_the_streams_and_the_rest_of_rtcp_does_not() {
        let mut publication = publication();
        let report = SenderReport {
            ssrc: Ssrc(1),
            ntp: NtpTime(5 << 32),
            ..SenderReport::default()
        };
        let sender = [
            rtcp::sender_report(&report, "peer").unwrap(),
            rtcp::goodbye(Ssrc(1), "peer").unwrap(),
        ]
        .concat();
        assert_eq!(publication.handle_rtcp(0, &sender, Instant::now()), Ok(()));
        take(&mut publication, 0, frame(1, 5000, true, IDR)).unwrap();
        let receiver = rtcp::receiver_report(Ssrc(1), None, "peer").unwrap();
        assert_eq!(
            publication.handle_rtcp(0, &receiver, Instant::now()),
            Ok(())
        );
        assert_eq!(
            publication.handle_rtcp(0, b"junk", Instant::now()),
            Err(RefusedPacket::Malformed)
        );
        let batch = publication.close_batch().unwrap();
        let wire = batch.packet_bytes(&batch.packets[0]);
        let kept = SenderReport::find(&wire[4..]).unwrap();
        assert_eq!((batch.packets.len(), kept.ssrc, wire[1]), (2, Ssrc(7), 1));
        assert!(batch.packets[0].flags.has(PacketFlags::RTCP));
        assert!(
            !rtcp::Packets::new(&wire[4..])
                .any(|packet| matches!(packet.unwrap().body, rtcp::Body::Goodbye(_)))
        );
    }

    #[test]
    fn reports_move_to_this_machines_clock_and_keep_the_tracks_together() {
        let mut publication = publication();
        let mut report = |track: usize, seconds: u64, rtp: u32| {
            let ssrc = Ssrc(10 + track as u32);
            let report = SenderReport {
                ssrc,
                ntp: NtpTime(seconds << 32),
                rtp_timestamp: RtpTimestamp(rtp),
                ..SenderReport::default()
            };
            let compound = rtcp::sender_report(&report, "peer").unwrap();
            publication
                .handle_rtcp(track, &compound, Instant::now())
                .unwrap();
            publication.clock.tracks[track].report.unwrap()
        };
        let (video, audio) = (report(0, 1_000, 0), report(1, 1_003, 0));
        assert_eq!(audio.ntp.0.wrapping_sub(video.ntp.0), 3 << 32);
        assert!(
            video.ntp.0.cast_signed() < 60 << 32,
            "the stream began at NTP 0 here"
        );
    }

    /// Sequence number and payload type of each packet of a track.
    fn numbers(batch: &Batch, track: u8) -> Vec<(u16, u8)> {
        let packets = batch.packets.iter().filter(|packet| packet.track == track);
        let media = packets.filter(|packet| !packet.flags.has(PacketFlags::RTCP));
        media
            .map(|packet| {
                let header = HeaderView::parse(&batch.packet_bytes(packet)[4..]).unwrap();
                (header.sequence_number().0, header.payload_type().value())
            })
            .collect()
    }

    #[test]
    fn a_publisher_that_takes_over_begins_at_a_start_point_and_its_sound_at_once() {
        let mut publication = open(&info(SDP), Some(Instant::now()));
        take(&mut publication, 0, frame(70, 0, true, P)).unwrap();
        take(&mut publication, 1, frame(40, 0, true, &[1])).unwrap();
        take(&mut publication, 0, frame(71, 3000, true, P)).unwrap();
        take(&mut publication, 0, frame(72, 6000, false, IDR)).unwrap();
        take(&mut publication, 0, frame(73, 6000, true, &IDR[..3])).unwrap();
        let batch = publication.close_batch().unwrap();
        assert_eq!(numbers(&batch, 0), [(1, 96), (2, 96)]);
        assert_eq!(numbers(&batch, 1).len(), 1);
        assert!(batch.packets[1].flags.has(PacketFlags::AU_START));
        assert_eq!(batch.own_start(), Some(1));
    }

    #[test]
    fn without_a_start_point_a_publisher_that_takes_over_begins_at_an_access_unit_in_time() {
        let begin = Instant::now();
        let mut publication = open(&info(SDP), Some(begin));
        let late = begin + TAKEOVER_WAIT_MAX;
        for (number, at, expected) in [(1, begin, false), (2, late, false), (3, late, true)] {
            let timestamp = u32::from(number == 3) * 3000;
            let mut frame = frame(number, timestamp, number == 3, &P[..2]);
            let taken = publication.handle_rtp(0, &mut frame, at);
            assert_eq!(taken, Ok(expected), "packet {number}");
        }
    }

    #[test]
    fn payload_types_become_those_that_the_readers_know() {
        let mut publication = open(&info(&SDP.replace("96", "105")), None);
        let mut frame = frame(1, 0, true, IDR);
        frame[5] = 0x80 | 105;
        take(&mut publication, 0, frame).unwrap();
        let batch = publication.close_batch().unwrap();
        assert_eq!(numbers(&batch, 0), [(1, 96)]);
        assert!(batch.packets[0].flags.has(PacketFlags::AU_END));
    }

    #[test]
    fn a_publisher_that_sends_no_reports_is_reported_for_in_intervals() {
        let begin = Instant::now();
        let mut publication = publication();
        let mut reports = Vec::new();
        for second in 0..25u16 {
            let now = begin + Duration::from_secs(u64::from(second));
            let mut frame = frame(second, u32::from(second) * 90_000, true, IDR);
            assert_eq!(publication.handle_rtp(0, &mut frame, now), Ok(true));
            publication.hold(frame);
            let batch = publication.close_batch().unwrap();
            let wires = batch
                .packets
                .iter()
                .map(|packet| batch.packet_bytes(packet));
            reports.extend(wires.filter_map(|wire| SenderReport::find(&wire[4..])));
        }
        let seconds: Vec<_> = reports.iter().map(|report| report.ntp.0 >> 32).collect();
        assert_eq!(seconds, [10, 20]);
        let ticks = reports[1]
            .rtp_timestamp
            .distance_from(reports[0].rtp_timestamp);
        assert_eq!(ticks, 900_000);
        assert_eq!((reports[1].packet_count, reports[1].octet_count), (21, 84));
        assert_eq!(reports[0].ssrc, Ssrc(7));
    }
}
