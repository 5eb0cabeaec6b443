//! One publisher's tracks, its numbering and its open batch.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use shardcast_protocol::codec;
use shardcast_protocol::container::rtp::rtcp::{self, ReportBlock, SenderReport};
use shardcast_protocol::container::rtp::{ClockMap, HeaderView, NtpTime, RtpTimestamp, Ssrc};
use shardcast_protocol::sdp::TrackDescription;
use smallvec::SmallVec;

use super::door::TrackDoor;
use crate::event::RefusedPacket;
use crate::stream::{
    Batch, BatchBuilder, PacketFlags, StartPoint, StreamClock, StreamInfo, TrackBase,
    WIRE_HEADER_BYTES, wire_report,
};

/// Readers are told the clock so often, by the publisher's reports or by ours, and publishers what has arrived. RFC 3550
/// section 6.2 has 5 s as least for small sessions; gortsplib's servers, which players know, take 10.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// A new description costs its owner a message and an allocation; encoders that adapt change their sets a few times a minute.
const DESCRIPTION_INTERVAL: Duration = Duration::from_secs(1);

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
    /// The description is not told anew before.
    description_due: Option<Instant>,
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
            description_due: None,
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
        let wire_track = u8::try_from(track).unwrap_or(u8::MAX);
        let Some(mut unit) = door.inspect(&header, now)? else {
            return Ok(false);
        };
        let described = self.info.tracks().get(track);
        if let (true, Some(described)) = (unit.start_point, described) {
            let known = self.info.parameters().get(track).copied();
            door.look_at(described, known.unwrap_or_default(), header.payload(), now);
        }
        let sets = door.missing_sets(wire_track, unit, &header, now);
        let numbers = door.number(&header, now);
        let written = numbers.write(packet);
        written.map_err(|_error| RefusedPacket::Malformed)?;
        if !sets.is_empty() {
            self.insert(track, sets, unit.au_start, now);
            unit.au_start = false;
        }
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
        door.note_report(report.ntp, now);
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

    /// Adds packets of our own to the stream; with the first of them an access unit may begin.
    fn insert(
        &mut self,
        track: usize,
        frames: SmallVec<[BytesMut; 1]>,
        mut au_start: bool,
        now: Instant,
    ) {
        let wire_track = u8::try_from(track).unwrap_or(u8::MAX);
        for frame in frames {
            let flags = codec::PacketFlags {
                au_start: std::mem::take(&mut au_start),
                ..codec::PacketFlags::default()
            };
            self.note_unit(track, flags);
            self.builder.insert(frame, wire_track, flags_of(flags), now);
        }
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

    /// The stream's description, if parameter sets have come since it was last told, or packets have told more. These change with the encoder's settings;
    /// a publisher that changes them all the time is followed at intervals.
    pub fn poll_description(&mut self, now: impl Fn() -> Instant) -> Option<Arc<StreamInfo>> {
        let has_news = |door: &TrackDoor| door.seen.is_some() || door.has_new_sets();
        if !self.tracks.iter().any(has_news) {
            return None;
        }
        let now = now();
        if self.description_due.is_some_and(|due| now < due) {
            return None;
        }
        let described = self.info.tracks().iter().zip(&mut self.tracks);
        let tracks = described.map(|(track, door)| match door.take_new_sets() {
            Some(sets) => TrackDescription {
                codec: track.codec.with_parameter_sets(sets),
                ..track.clone()
            },
            None => track.clone(),
        });
        let mut info = self.info.described_anew(tracks.collect());
        for (track, door) in self.tracks.iter_mut().enumerate() {
            if let Some(seen) = door.seen.take() {
                info = info.with_seen(track, seen);
            }
        }
        if Arc::ptr_eq(&info, &self.info) {
            return None;
        }
        self.description_due = Some(now + DESCRIPTION_INTERVAL);
        self.info = info.clone();
        Some(info)
    }

    /// What is to be reported to the publisher about each track that it sends.
    pub fn report_blocks(&mut self, now: Instant) -> impl Iterator<Item = (usize, ReportBlock)> {
        let doors = self.tracks.iter_mut().enumerate();
        doors.filter_map(move |(track, door)| Some((track, door.report_block(now)?)))
    }

    /// Packets of the publisher that have not arrived, and the longest jitter of its tracks.
    #[must_use]
    pub fn losses(&self) -> (u64, Duration) {
        let receptions = self.tracks.iter().map(TrackDoor::reception);
        receptions.fold((0, Duration::ZERO), |(lost, jitter), reception| {
            (lost + reception.lost(), jitter.max(reception.jitter()))
        })
    }

    /// Takes the memory of the frames that were let in, in order.
    pub fn hold(&mut self, memory: BytesMut) {
        self.builder.hold(memory);
    }

    /// Whether a packet of this source would be refused: its number says nothing about the track's other packets.
    #[must_use]
    pub fn is_of_another_source(&self, track: usize, ssrc: Ssrc) -> bool {
        let door = self.tracks.get(track);
        door.is_some_and(|door| door.numbering.is_settled_on_another(ssrc))
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
mod tests;
