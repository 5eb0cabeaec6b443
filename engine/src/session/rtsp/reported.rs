//! What a reader says that has not arrived at it (RFC 3550 section 6.4): from its reports into its record.

use std::cell::RefCell;
use std::sync::Arc;

use shardcast_protocol::container::rtp::Ssrc;
use shardcast_protocol::container::rtp::rtcp;
use smallvec::SmallVec;

use crate::record::SessionRecord;
use crate::stream::TrackBase;

/// The losses of a reader's tracks, as it has told last.
pub(super) struct ReportedLosses {
    pub(super) record: Arc<SessionRecord>,
    /// Of the stream's own sources; what is said of others is nothing that was sent.
    by_source: RefCell<SmallVec<[(Ssrc, u64); 2]>>,
}

impl ReportedLosses {
    /// Of a stream whose tracks began so.
    pub(super) fn new(record: Arc<SessionRecord>, begin: &[TrackBase]) -> Self {
        let by_source = begin.iter().map(|track| (track.ssrc, 0)).collect();
        Self {
            record,
            by_source: RefCell::new(by_source),
        }
    }

    /// Takes a compound RTCP packet of the reader.
    pub(super) fn handle_rtcp(&self, compound: &[u8]) {
        self.record.inbound_rtcp_packets.add(1);
        let mut by_source = self.by_source.borrow_mut();
        for block in rtcp::report_blocks(compound) {
            let mut sources = by_source.iter_mut();
            if let Some((_, lost)) = sources.find(|(source, _)| *source == block.ssrc) {
                // Duplicates make it negative.
                *lost = u64::try_from(block.cumulative_lost).unwrap_or(0);
            }
        }
        let lost = by_source.iter().map(|(_, lost)| lost).sum();
        self.record.reported_lost_packets.set(lost);
    }
}
