//! Control packets of our own (RFC 3550 section 6): what a stream's readers are told of its clock and its end, and its
//! publisher of what has arrived.

use bytes::{Bytes, BytesMut};
use shardcast_protocol::container::rtp::Ssrc;
use shardcast_protocol::container::rtp::rtcp::{self, ReportBlock, SenderReport};

use super::WIRE_HEADER_BYTES;

/// Canonical name (RFC 3550 section 6.5.1) of every track: one name ties a stream's tracks together.
const CNAME: &str = "shardcast";

/// A report and the canonical name.
#[must_use]
pub fn compound_report(report: &SenderReport) -> Option<Bytes> {
    rtcp::sender_report(report, CNAME).ok()
}

/// The same, framed for the track's usual channel.
#[must_use]
pub fn wire_report(track: usize, report: &SenderReport) -> Option<BytesMut> {
    let compound = compound_report(report)?;
    let mut wire = BytesMut::with_capacity(WIRE_HEADER_BYTES + compound.len());
    wire.extend_from_slice(&[b'$', u8::try_from(2 * track + 1).ok()?]);
    wire.extend_from_slice(&u16::try_from(compound.len()).ok()?.to_be_bytes());
    wire.extend_from_slice(&compound);
    Some(wire)
}

/// What has arrived of a publisher's track (RFC 3550 section 6.4.2); `ssrc` is who reports.
#[must_use]
pub fn compound_reception(ssrc: Ssrc, block: &ReportBlock) -> Option<Bytes> {
    rtcp::receiver_report(ssrc, Some(block), CNAME).ok()
}

/// The end of a source (RFC 3550 section 6.6).
#[must_use]
pub fn compound_goodbye(ssrc: Ssrc) -> Option<Bytes> {
    rtcp::goodbye(ssrc, CNAME).ok()
}
