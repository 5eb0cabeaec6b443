//! One track of a publisher: what of it is let in, and the stream's numbers for it.

use std::time::{Duration, Instant};

use shardcast_protocol::codec::{AccessUnitTracker, PacketFlags};
use shardcast_protocol::container::rtp::{
    HeaderError, HeaderView, HeaderViewMut, PayloadType, RtpTimestamp, SequenceNumber, Ssrc,
};
use shardcast_protocol::sdp::TrackDescription;
use smallvec::SmallVec;

use crate::event::RefusedPacket;
use crate::stream::{Numbering, TrackBase};

/// A publisher that takes over is waited for so long to begin a group of pictures; then it begins with any access unit. As
/// long as a reader waits at the least.
pub(super) const TAKEOVER_WAIT_MAX: Duration = Duration::from_secs(10);

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
        let unit =
            self.tracker
                .handle_packet(header.timestamp(), header.marker(), header.payload());
        let mut unit = unit.map_err(|_too_large| RefusedPacket::AccessUnitTooLarge)?;
        if let Some(until) = self.waits_until {
            if !(unit.start_point || unit.au_start && now >= until) {
                return Ok(None);
            }
            // What came before of its unit was left out: for readers the unit begins here.
            unit.au_start = true;
            self.waits_until = None;
        }
        Ok(Some(unit))
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
