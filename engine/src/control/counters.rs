//! What was counted of a session over RTSP, in MediaMTX's terms: the API and the metrics show the same.

use std::time::Duration;

use crate::record::{Role, SessionRecord};

/// The clock in whose units jitter is told, as RTCP does (RFC 3550, section 6.4.1): that of nearly all video.
const JITTER_CLOCK_HZ: f64 = 90_000.0;

/// What was counted of a session, as the API names it; nothing of one that neither publishes nor reads.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) inbound_bytes: u64,
    pub(super) inbound_packets: u64,
    pub(super) inbound_lost: u64,
    pub(super) inbound_in_error: u64,
    pub(super) inbound_jitter: Duration,
    pub(super) inbound_rtcp: u64,
    pub(super) inbound_rtcp_in_error: u64,
    pub(super) outbound_bytes: u64,
    pub(super) outbound_packets: u64,
    pub(super) outbound_reported_lost: u64,
    pub(super) outbound_discarded: u64,
    pub(super) outbound_rtcp: u64,
}

impl Counters {
    pub(super) fn of(media: &SessionRecord) -> Self {
        let inbound_rtcp = media.inbound_rtcp_packets.value();
        let outbound_rtcp = media.outbound_rtcp_packets.value();
        let packets = media.packets.value();
        let (inbound_packets, outbound_packets) = match media.role {
            Role::Publisher => (packets.saturating_sub(inbound_rtcp), 0),
            Role::Reader => (0, packets.saturating_sub(outbound_rtcp)),
        };
        let (refused, refused_rtcp) = (&media.refused_packets, &media.refused_rtcp_packets);
        let refused_rtcp = refused_rtcp.value();
        Self {
            inbound_bytes: media.inbound_bytes.value(),
            inbound_packets,
            inbound_lost: media.lost_packets.value(),
            inbound_in_error: refused.value().saturating_sub(refused_rtcp),
            inbound_jitter: Duration::from_micros(media.jitter_us.value()),
            inbound_rtcp,
            inbound_rtcp_in_error: refused_rtcp,
            outbound_bytes: media.outbound_bytes.value(),
            outbound_packets,
            outbound_reported_lost: media.reported_lost_packets.value(),
            outbound_discarded: media.drops_by_reason.total(),
            outbound_rtcp,
        }
    }

    /// In ticks of a clock of 90 kHz.
    pub(super) fn jitter_ticks(&self) -> f64 {
        self.inbound_jitter.as_secs_f64() * JITTER_CLOCK_HZ
    }
}
