//! One publisher's tracks, its numbering and its open batch.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use shardcast_protocol::codec::AccessUnitTracker;
use shardcast_protocol::container::rtp::rtcp::{self, SenderReport};
use shardcast_protocol::container::rtp::{ClockMap, HeaderView, HeaderViewMut, NtpTime};
use shardcast_protocol::sdp::TrackDescription;

use crate::event::RefusedPacket;
use crate::stream::{
    Batch, BatchBuilder, Numbering, PacketFlags, StartPoint, StreamClock, StreamInfo, TrackBase,
    WIRE_HEADER_BYTES, wire_report,
};

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

#[derive(Debug)]
struct TrackDoor {
    numbering: Numbering,
    tracker: AccessUnitTracker,
    /// Batch and index of the first packet of the access unit under way.
    unit_start: (u64, u32),
}

impl Publication {
    /// Goes on from `bases`, one per track; the first batch carries `first_sequence`.
    #[must_use]
    pub fn new(
        info: Arc<StreamInfo>,
        bases: &[TrackBase],
        first_sequence: u64,
        batch_bytes_max: usize,
    ) -> Self {
        let door = |(track, base): (&TrackDescription, &TrackBase)| TrackDoor {
            numbering: Numbering::new(*base, track.clock_rate),
            tracker: track.access_unit_tracker(),
            unit_start: (first_sequence, 0),
        };
        Self {
            tracks: info.tracks().iter().zip(bases).map(door).collect(),
            clock: StreamClock::begin(&info, bases),
            ntp_offset: None,
            builder: BatchBuilder::new(first_sequence),
            batch_bytes_max,
            is_unit_complete: false,
            info,
        }
    }

    /// Takes an RTP packet in its wire frame, which is rewritten in place. The memory follows in [`Self::hold`].
    ///
    /// # Errors
    /// Why the packet is refused: the frame is then not part of the batch.
    pub fn handle_rtp(
        &mut self,
        track: usize,
        frame: &mut [u8],
        now: Instant,
    ) -> Result<(), RefusedPacket> {
        let door = self
            .tracks
            .get_mut(track)
            .ok_or(RefusedPacket::UnknownChannel)?;
        let packet = frame
            .get_mut(WIRE_HEADER_BYTES..)
            .ok_or(RefusedPacket::Malformed)?;
        let header = HeaderView::parse(packet).map_err(|_error| RefusedPacket::Malformed)?;
        let (sequence, timestamp) = door
            .numbering
            .map(&header, now)
            .ok_or(RefusedPacket::OtherSource)?;
        let unit =
            door.tracker
                .handle_packet(header.timestamp(), header.marker(), header.payload());
        let unit = unit.map_err(|_too_large| RefusedPacket::AccessUnitTooLarge)?;
        let mut header = HeaderViewMut::parse(packet).map_err(|_error| RefusedPacket::Malformed)?;
        header.set_ssrc(door.numbering.ssrc());
        header.set_sequence_number(sequence);
        header.set_timestamp(timestamp);
        self.note_unit(track, unit);
        if let (Some(channel), Ok(rtp_channel)) = (frame.get_mut(1), u8::try_from(2 * track)) {
            *channel = rtp_channel;
        }
        self.note(track, frame.len(), flags_of(unit), now);
        Ok(())
    }

    /// Takes a compound RTCP packet. From a sender report the stream's clock is set, and readers are told by a report of our
    /// own, which becomes part of the stream here; all memory of packets before it must have been handed in. The rest of
    /// RTCP is between the publisher and us: its goodbye above all, for another publisher may go on with the stream.
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
        let report = SenderReport {
            ssrc: door.numbering.ssrc(),
            ntp,
            rtp_timestamp: rtp,
            ..report
        };
        if let Some(wire) = wire_report(track, &report) {
            self.note(track, wire.len(), PacketFlags::RTCP, now);
            self.builder.hold(wire);
        }
        Ok(())
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
        self.builder.close(self.clock.clone())
    }

    /// Notes begin, end and start point of an access unit; only those of the leading track matter to batches.
    fn note_unit(&mut self, track: usize, unit: shardcast_protocol::codec::PacketFlags) {
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

fn flags_of(unit: shardcast_protocol::codec::PacketFlags) -> PacketFlags {
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
    use super::*;
    use shardcast_protocol::container::rtp::{RtpTimestamp, SequenceNumber, Ssrc};

    const SPS: &[u8] = &[0x67, 1, 2, 3];
    const IDR: &[u8] = &[0x65, 0x88, 1, 2];
    const P: &[u8] = &[0x41, 0x9a, 1, 2];

    fn publication() -> Publication {
        let sdp =
            "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 0 RTP/AVP 0\r\n";
        let tracks = shardcast_protocol::sdp::parse(sdp.as_bytes())
            .and_then(|sdp| shardcast_protocol::sdp::tracks(&sdp));
        let info = Arc::new(StreamInfo::new(tracks.unwrap(), "test"));
        let base = |ssrc| TrackBase {
            ssrc: Ssrc(ssrc),
            sequence: SequenceNumber(0),
            timestamp: RtpTimestamp(0),
            at: Instant::now(),
            ntp: NtpTime::default(),
        };
        let bases = [base(7), base(8)];
        Publication::new(info, &bases, 100, 10_000)
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
        publication.handle_rtp(track, &mut frame, Instant::now())?;
        publication.hold(frame);
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
}
