//! Where a reader's tracks begin, for the answer to PLAY (RFC 2326 section 12.33).
//!
//! Every track has its `rtptime`, all of one instant: some clients refuse PLAY without it, and all tie their tracks together
//! by it. `seq` is told only of a packet that is in the log already.

use std::time::Instant;

use shardcast_protocol::container::rtp::{HeaderView, RtpTimestamp, SequenceNumber};
use shardcast_protocol::rtsp::RtpInfo;

use crate::fanout::{CatchUp, Log, Position};
use crate::stream::{Batch, Packet, PacketFlags, TrackBase, WIRE_HEADER_BYTES};

/// Where each track begins, all at one time: that of the packet at the cursor if it is in the log, as it is sent to a reader
/// that catches up, else that of the newest packet, else now.
pub(super) fn rtp_infos(
    log: &Log,
    begin: &[TrackBase],
    position: Option<Position>,
    catch_up: Option<&CatchUp>,
    now: Instant,
) -> Vec<RtpInfo> {
    let pressed = |catch_up: &CatchUp| {
        let (number, timestamp) = catch_up.first();
        (log.info().leading(), number, timestamp)
    };
    let first = match catch_up {
        Some(catch_up) => Some(pressed(catch_up)),
        None => position.and_then(|position| first_packet(log, position)),
    };
    let known = first.or_else(|| newest_packet(log, log.info().leading()));
    let times = match (known, log.newest()) {
        (Some((track, _, timestamp)), Some(batch)) => batch.clock.at_same_time(track, timestamp),
        _ => times_without_packets(log, begin, now),
    };
    let info = |(track, time): (usize, RtpTimestamp)| RtpInfo {
        track,
        seq: first
            .filter(|(first, ..)| *first == track)
            .map(|(_, sequence, _)| sequence.0),
        rtptime: Some(time.0),
    };
    times.into_iter().enumerate().map(info).collect()
}

fn times_without_packets(log: &Log, begin: &[TrackBase], now: Instant) -> Vec<RtpTimestamp> {
    let tracks = log.info().tracks().iter().zip(begin);
    tracks
        .map(|(track, base)| base.timestamp_at(now, track.clock_rate))
        .collect()
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
