//! Where a reader's tracks begin, for the answer to PLAY (RFC 2326 section 12.33).
//!
//! Every track has its `rtptime`, all of one instant: some clients refuse PLAY without it, and all tie their tracks together
//! by it. `seq` is told only of a packet that is in the log already.

use std::time::Instant;

use shardcast_protocol::container::rtp::{HeaderView, RtpTimestamp, SequenceNumber};
use shardcast_protocol::rtsp::RtpInfo;

use crate::fanout::{Log, Position};
use crate::stream::{Batch, Packet, PacketFlags, StreamClock, WIRE_HEADER_BYTES};

/// Where each track begins, all at one instant: that of the packet at the cursor if it is in the log, else that of the
/// newest packet, else now.
pub(super) fn rtp_infos(
    log: &Log,
    begin: &StreamClock,
    position: Option<Position>,
    now: Instant,
) -> Vec<RtpInfo> {
    let clock = log.newest().map_or(begin, |batch| &batch.clock);
    let leading = log.info().leading();
    let first = position.and_then(|position| first_packet(log, position));
    let times = match first.or_else(|| newest_packet(log, leading)) {
        Some((track, _, timestamp)) => clock.at_same_instant(track, timestamp),
        None => clock
            .at(leading, now)
            .map_or_else(Vec::new, |time| clock.at_same_instant(leading, time)),
    };
    let info = |(track, time): (usize, Option<RtpTimestamp>)| RtpInfo {
        track,
        seq: first
            .filter(|(first, ..)| *first == track)
            .map(|(_, sequence, _)| sequence.0),
        rtptime: time.map(|time| time.0),
    };
    times.into_iter().enumerate().map(info).collect()
}

/// Track, number and timestamp of a packet.
type Numbers = (usize, SequenceNumber, RtpTimestamp);

fn first_packet(log: &Log, position: Position) -> Option<Numbers> {
    let batch = log.entry(position.entry)?.batch.shared();
    let mut packets = batch.packets.iter().skip(position.packet as usize);
    numbers(
        batch,
        packets.find(|packet| !packet.flags.has(PacketFlags::RTCP))?,
    )
}

fn newest_packet(log: &Log, track: usize) -> Option<Numbers> {
    let of_track = |packet: &&Packet| {
        usize::from(packet.track) == track && !packet.flags.has(PacketFlags::RTCP)
    };
    log.batches_back()
        .find_map(|batch| numbers(batch, batch.packets.iter().rev().find(of_track)?))
}

fn numbers(batch: &Batch, packet: &Packet) -> Option<Numbers> {
    let header = HeaderView::parse(batch.packet_bytes(packet).get(WIRE_HEADER_BYTES..)?).ok()?;
    Some((
        usize::from(packet.track),
        header.sequence_number(),
        header.timestamp(),
    ))
}
