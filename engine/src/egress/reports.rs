//! What a reader is told of the clock before its first packet: players that learn of it only while they play begin anew at
//! that moment and lose pictures (VLC).

use bytes::Bytes;
use shardcast_protocol::container::rtp::rtcp::SenderReport;
use shardcast_protocol::container::rtp::{HeaderView, RtpTimestamp, Ssrc};

use crate::fanout::{CatchUp, Log};
use crate::stream::{Batch, PacketFlags, StreamClock, WIRE_HEADER_BYTES, compound_report};

/// The clock as it is at a reader's first packet.
pub(super) struct FirstClock<'log> {
    clock: &'log StreamClock,
    track: usize,
    timestamp: RtpTimestamp,
}

impl<'log> FirstClock<'log> {
    /// For a reader that begins with a batch's packet of this index.
    pub(super) fn at(batch: &'log Batch, packet: u32) -> Option<Self> {
        let mut packets = batch.packets.iter().skip(packet as usize);
        let first = packets.find(|packet| !packet.flags.has(PacketFlags::RTCP))?;
        let header = HeaderView::parse(batch.packet_bytes(first).get(WIRE_HEADER_BYTES..)?).ok()?;
        Some(Self {
            clock: &batch.clock,
            track: usize::from(first.track),
            timestamp: header.timestamp(),
        })
    }

    /// For a reader that catches up: it is told the clock of the live edge.
    pub(super) fn catching_up(log: &'log Log, catch_up: &CatchUp) -> Option<Self> {
        let (_, timestamp) = catch_up.first();
        Some(Self {
            clock: &log.newest()?.clock,
            track: log.info().leading(),
            timestamp,
        })
    }

    /// What is told of `track`.
    pub(super) fn report(&self, track: usize, ssrc: Ssrc) -> Option<SenderReport> {
        let times = self.clock.at_same_time(self.track, self.timestamp);
        let sent = self.clock.tracks.get(track)?.standing;
        Some(SenderReport {
            ssrc,
            ntp: self.clock.ntp(self.track, self.timestamp)?,
            rtp_timestamp: *times.get(track)?,
            packet_count: sent.packets,
            octet_count: sent.octets,
        })
    }

    /// The same as a compound packet.
    pub(super) fn compound_report(&self, track: usize, ssrc: Ssrc) -> Option<Bytes> {
        compound_report(&self.report(track, ssrc)?)
    }
}
