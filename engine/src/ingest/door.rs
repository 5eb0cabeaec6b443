//! One track of a publisher: what of it is let in, and the stream's numbers for it.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use shardcast_protocol::codec::{AccessUnitTracker, PacketFlags, ParameterSets, TrackParameters};
use shardcast_protocol::container::rtp::framing::frame_header;
use shardcast_protocol::container::rtp::rtcp::ReportBlock;
use shardcast_protocol::container::rtp::{
    HeaderError, HeaderView, HeaderViewMut, NtpTime, PayloadType, Reception, RtpTimestamp,
    SequenceNumber, Ssrc,
};
use shardcast_protocol::sdp::TrackDescription;
use smallvec::SmallVec;

use crate::event::RefusedPacket;
use crate::stream::{Numbering, TrackBase, WIRE_HEADER_BYTES};

/// A publisher that takes over is waited for so long to begin a group of pictures; then it begins with any access unit. As
/// long as a reader waits at the least.
pub(super) const TAKEOVER_WAIT_MAX: Duration = Duration::from_secs(10);

/// Sizes and rates change when somebody changes settings; a look costs as much as some packets do.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A header without list of sources and extension (RFC 3550 section 5.1), and its version.
const RTP_HEADER_BYTES: usize = 12;
const RTP_VERSION: u8 = 2;

/// A track's way in.
#[derive(Debug)]
pub(super) struct TrackDoor {
    pub(super) numbering: Numbering,
    tracker: AccessUnitTracker,
    /// The publisher's payload types and the stream's, where they differ.
    payload_types: SmallVec<[(PayloadType, PayloadType); 1]>,
    /// Batch and index of the first packet of the access unit under way.
    pub(super) unit_start: (u64, u32),
    /// Nothing is let in before a start point, or until then.
    waits_until: Option<Instant>,
    /// The parameter sets, of a codec that has some.
    sets: Option<ParameterSets>,
    /// They are others than the stream is described with.
    has_new_sets: bool,
    /// What packets have told of the track and the description has not; told on with that.
    pub(super) seen: Option<TrackParameters>,
    /// Packets are not asked what they tell before.
    look_due: Option<Instant>,
    /// What the access unit under way had brought before was left out, parameter sets among it.
    is_unit_cut: bool,
    reception: Reception,
    /// Arrivals are counted from here.
    began_at: Instant,
    /// When readers are to be told the clock again.
    pub(super) report_due: Option<Instant>,
}

/// The stream's numbers for a packet.
#[derive(Clone, Copy)]
pub(super) struct Numbers {
    ssrc: Ssrc,
    payload_type: PayloadType,
    sequence: SequenceNumber,
    pub(super) timestamp: RtpTimestamp,
}

impl Numbers {
    /// Writes them into a packet, in place.
    pub(super) fn write(self, packet: &mut [u8]) -> Result<(), HeaderError> {
        let mut header = HeaderViewMut::parse(packet)?;
        header.set_payload_type(self.payload_type);
        header.set_ssrc(self.ssrc);
        header.set_sequence_number(self.sequence);
        header.set_timestamp(self.timestamp);
        Ok(())
    }

    /// A packet of our own with these numbers, in its wire frame. It is no access unit's last.
    fn wire_packet(self, track: u8, payload: &[u8]) -> Option<BytesMut> {
        let packet_bytes = u16::try_from(RTP_HEADER_BYTES + payload.len()).ok()?;
        let mut wire = BytesMut::with_capacity(WIRE_HEADER_BYTES + usize::from(packet_bytes));
        wire.extend_from_slice(&frame_header(track.checked_mul(2)?, packet_bytes));
        wire.extend_from_slice(&[RTP_VERSION << 6]);
        wire.resize(WIRE_HEADER_BYTES + RTP_HEADER_BYTES, 0);
        self.write(wire.get_mut(WIRE_HEADER_BYTES..)?).ok()?;
        wire.extend_from_slice(payload);
        Some(wire)
    }
}

impl TrackDoor {
    /// A track that the publisher has announced as `published` and the stream's readers know as `described`.
    pub(super) fn new(
        base: TrackBase,
        described: &TrackDescription,
        published: &TrackDescription,
        unit_start: (u64, u32),
    ) -> Self {
        Self {
            numbering: Numbering::new(base, described.clock_rate),
            tracker: published.access_unit_tracker(),
            payload_types: differing_types(described, published),
            unit_start,
            waits_until: None,
            sets: ParameterSets::of(&published.codec),
            has_new_sets: false,
            seen: None,
            look_due: None,
            is_unit_cut: false,
            reception: Reception::new(described.clock_rate),
            began_at: base.standing.at,
            report_due: None,
        }
    }

    /// Lets nothing in before a start point, or before the first access unit after [`TAKEOVER_WAIT_MAX`].
    pub(super) fn wait_for_start(&mut self, now: Instant) {
        self.waits_until = Some(now + TAKEOVER_WAIT_MAX);
    }

    /// What a packet is within its access unit; nothing if it is left out, because the publisher has still to begin.
    ///
    /// # Errors
    /// Why the packet is refused.
    pub(super) fn inspect(
        &mut self,
        header: &HeaderView<'_>,
        now: Instant,
    ) -> Result<Option<PacketFlags>, RefusedPacket> {
        if !self.numbering.accepts(header, now) {
            return Err(RefusedPacket::OtherSource);
        }
        self.note_arrival(header, now);
        let unit =
            self.tracker
                .handle_packet(header.timestamp(), header.marker(), header.payload());
        let mut unit = unit.map_err(|_too_large| RefusedPacket::AccessUnitTooLarge)?;
        self.collect_sets(unit, header.payload());
        self.is_unit_cut &= !unit.au_start;
        if let Some(until) = self.waits_until {
            if !(unit.start_point || unit.au_start && now >= until) {
                return Ok(None);
            }
            // What came before of its unit was left out: for readers the unit begins here.
            self.is_unit_cut = !unit.au_start;
            unit.au_start = true;
            self.waits_until = None;
        }
        Ok(Some(unit))
    }

    fn note_arrival(&mut self, header: &HeaderView<'_>, now: Instant) {
        let (sequence, timestamp) = (header.sequence_number(), header.timestamp());
        let arrival = now.saturating_duration_since(self.began_at);
        self.reception.handle_packet(sequence, timestamp, arrival);
    }

    /// Takes the publisher's report into the statistics of what arrives.
    pub(super) fn note_report(&mut self, ntp: NtpTime, now: Instant) {
        let arrival = now.saturating_duration_since(self.began_at);
        self.reception.handle_sender_report(ntp, arrival);
    }

    /// What is to be reported to the publisher about this track.
    pub(super) fn report_block(&mut self, now: Instant) -> Option<ReportBlock> {
        let since_begin = now.saturating_duration_since(self.began_at);
        let source = self.numbering.publisher()?;
        self.reception.report_block(source, since_begin)
    }

    /// The statistics of what has arrived.
    pub(super) fn reception(&self) -> &Reception {
        &self.reception
    }

    fn collect_sets(&mut self, unit: PacketFlags, payload: &[u8]) {
        let Some(sets) = &mut self.sets else {
            return;
        };
        if unit.au_start {
            sets.begin_unit();
        }
        if unit.parameter_sets {
            self.has_new_sets |= sets.handle_payload(payload);
        }
    }

    /// Looks now and then whether a packet at which decoding can start tells more of the track than is known. Of codecs with
    /// parameter sets these tell all.
    pub(super) fn look_at(
        &mut self,
        described: &TrackDescription,
        known: TrackParameters,
        payload: &[u8],
        now: Instant,
    ) {
        if self.sets.is_some() || self.look_due.is_some_and(|due| now < due) {
            return;
        }
        self.look_due = Some(now + LOOK_INTERVAL);
        let seen = described.parameters_in(payload);
        self.seen = seen.filter(|seen| known.updated_by(*seen) != known);
    }

    /// The sets that the track is to be described with from now on, if they are complete and others than before.
    pub(super) fn take_new_sets(&mut self) -> Option<&ParameterSets> {
        let sets = self.sets.as_ref().filter(|sets| sets.are_complete())?;
        std::mem::take(&mut self.has_new_sets).then_some(sets)
    }

    /// Whether [`Self::take_new_sets`] could find some.
    pub(super) fn has_new_sets(&self) -> bool {
        let is_complete = |sets: &ParameterSets| sets.are_complete();
        self.has_new_sets && self.sets.as_ref().is_some_and(is_complete)
    }

    /// The parameter sets as packets of our own in their wire frames, if this packet makes a start point of an access unit
    /// that has not brought them. They come before it, with its time.
    pub(super) fn missing_sets(
        &mut self,
        track: u8,
        unit: PacketFlags,
        header: &HeaderView<'_>,
        now: Instant,
    ) -> SmallVec<[BytesMut; 1]> {
        let lacking = self
            .sets
            .as_ref()
            .filter(|sets| unit.start_point && (self.is_unit_cut || !sets.are_in_unit()));
        let Some(sets) = lacking else {
            return SmallVec::new();
        };
        let payload_type = self.payload_type(header.payload_type());
        let ssrc = self.numbering.ssrc();
        let payloads = sets.insertion().iter();
        let frames = payloads.map(|payload| {
            let (sequence, timestamp) = self.numbering.insert_before(header, payload.len(), now);
            let numbers = Numbers {
                ssrc,
                payload_type,
                sequence,
                timestamp,
            };
            numbers.wire_packet(track, payload)
        });
        frames.flatten().collect()
    }

    /// The numbers of the next packet that is let in.
    pub(super) fn number(&mut self, header: &HeaderView<'_>, now: Instant) -> Numbers {
        let (sequence, timestamp) = self.numbering.number(header, now);
        Numbers {
            ssrc: self.numbering.ssrc(),
            payload_type: self.payload_type(header.payload_type()),
            sequence,
            timestamp,
        }
    }

    fn payload_type(&self, theirs: PayloadType) -> PayloadType {
        let mut known = self.payload_types.iter();
        known
            .find(|(from, _)| *from == theirs)
            .map_or(theirs, |(_, ours)| *ours)
    }
}

/// The payload types that have to be rewritten; usually none.
fn differing_types(
    described: &TrackDescription,
    published: &TrackDescription,
) -> SmallVec<[(PayloadType, PayloadType); 1]> {
    let of = |track: &TrackDescription| {
        let others = track.other_payload_types.clone();
        std::iter::once(track.payload_type).chain(others)
    };
    let pairs = of(published).zip(of(described));
    pairs.filter(|(theirs, ours)| theirs != ours).collect()
}
