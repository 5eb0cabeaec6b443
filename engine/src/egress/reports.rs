//! What a reader is told of the clock before its first packet: players that learn of it only while they play begin anew at
//! that moment and lose pictures (VLC).

use bytes::Bytes;
use shardcast_protocol::container::rtp::rtcp::SenderReport;
use shardcast_protocol::container::rtp::{HeaderView, Ssrc};

use crate::stream::{Batch, PacketFlags, WIRE_HEADER_BYTES, compound_report};

/// The clock at the reader's first packet.
#[must_use]
pub(super) fn report_at(
    batch: &Batch,
    packet: u32,
    track: usize,
    ssrc: Ssrc,
) -> Option<SenderReport> {
    let mut packets = batch.packets.iter().skip(packet as usize);
    let first = packets.find(|packet| !packet.flags.has(PacketFlags::RTCP))?;
    let header = HeaderView::parse(batch.packet_bytes(first).get(WIRE_HEADER_BYTES..)?).ok()?;
    let (first, timestamp) = (usize::from(first.track), header.timestamp());
    let rtp_timestamp = *batch.clock.at_same_time(first, timestamp).get(track)?;
    let ntp = batch.clock.ntp(first, timestamp)?;
    let sent = batch.clock.tracks.get(track)?.standing;
    Some(SenderReport {
        ssrc,
        ntp,
        rtp_timestamp,
        packet_count: sent.packets,
        octet_count: sent.octets,
    })
}

/// The same as a compound packet.
#[must_use]
pub(super) fn first_report(batch: &Batch, packet: u32, track: usize, ssrc: Ssrc) -> Option<Bytes> {
    compound_report(&report_at(batch, packet, track, ssrc)?)
}
