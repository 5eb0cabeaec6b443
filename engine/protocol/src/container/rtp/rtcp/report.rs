//! The reports that the server itself sends.
//!
//! Input are a source's numbers and its canonical name; output is a compound packet, written by
//! `rtcp-types`. One is built per source and report interval, so it may allocate.

use bytes::Bytes;
use rtcp_types::{
    ByeBuilder, Compound, RtcpPacketWriter, RtcpPacketWriterExt, RtcpWriteError, Sdes, SdesChunk,
    SdesItem,
};

use super::super::header::Ssrc;
use super::{ReportBlock, RtcpError, SenderReport};

/// The longest canonical name: its length takes one byte (RFC 3550 §6.5).
pub const CNAME_BYTES_MAX: usize = 255;

/// The compound that a sender sends: its report and its canonical name.
///
/// # Errors
/// [`RtcpError::CnameTooLong`].
pub fn sender_report(report: &SenderReport, cname: &str) -> Result<Bytes, RtcpError> {
    let packet = rtcp_types::SenderReport::builder(report.ssrc.0)
        .ntp_timestamp(report.ntp.0)
        .rtp_timestamp(report.rtp_timestamp.0)
        .packet_count(report.packet_count)
        .octet_count(report.octet_count);
    with_cname(packet, report.ssrc, cname)
}

/// The compound that a receiver sends: its report, about one source if it has heard one, and its
/// canonical name.
///
/// # Errors
/// [`RtcpError::CnameTooLong`].
pub fn receiver_report(
    ssrc: Ssrc,
    block: Option<&ReportBlock>,
    cname: &str,
) -> Result<Bytes, RtcpError> {
    let mut packet = rtcp_types::ReceiverReport::builder(ssrc.0);
    if let Some(block) = block {
        packet = packet.add_report_block(report_block_builder(block));
    }
    with_cname(packet, ssrc, cname)
}

/// The compound that ends a source: an empty report, its canonical name, and the goodbye.
///
/// # Errors
/// [`RtcpError::CnameTooLong`].
pub fn goodbye(ssrc: Ssrc, cname: &str) -> Result<Bytes, RtcpError> {
    let compound = Compound::builder()
        .add_packet(rtcp_types::ReceiverReport::builder(ssrc.0))
        .add_packet(sdes(ssrc, cname))
        .add_packet(goodbye_builder(ssrc));
    write(&compound)
}

fn goodbye_builder(ssrc: Ssrc) -> ByeBuilder<'static> {
    rtcp_types::Bye::builder().add_source(ssrc.0)
}

fn report_block_builder(block: &ReportBlock) -> rtcp_types::ReportBlockBuilder {
    // The field has 24 bits and a sign; more loss than it can say is said as its end.
    let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff);
    rtcp_types::ReportBlock::builder(block.ssrc.0)
        .fraction_lost(block.fraction_lost)
        .cumulative_lost(lost.cast_unsigned() & 0xff_ffff)
        .extended_sequence_number(block.extended_sequence_number)
        .interarrival_jitter(block.jitter_ticks)
        .last_sender_report_timestamp(block.last_sender_report)
        .delay_since_last_sender_report_timestamp(block.delay_since_sender_report)
}

fn with_cname<'a>(
    report: impl RtcpPacketWriter + 'a,
    ssrc: Ssrc,
    cname: &'a str,
) -> Result<Bytes, RtcpError> {
    write(
        &Compound::builder()
            .add_packet(report)
            .add_packet(sdes(ssrc, cname)),
    )
}

fn sdes(ssrc: Ssrc, cname: &str) -> rtcp_types::SdesBuilder<'_> {
    let item = SdesItem::builder(SdesItem::CNAME, cname);
    Sdes::builder().add_chunk(SdesChunk::builder(ssrc.0).add_item(item))
}

/// Writes a compound. Its only field of free length is the canonical name, so that is what an error
/// is about.
fn write(compound: &impl RtcpPacketWriter) -> Result<Bytes, RtcpError> {
    let too_long = |_: RtcpWriteError| RtcpError::CnameTooLong;
    let mut bytes = vec![0; compound.calculate_size().map_err(too_long)?];
    compound.write_into(&mut bytes).map_err(too_long)?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_fits_and_a_longer_one_is_refused() {
        let name = "n".repeat(CNAME_BYTES_MAX);
        assert!(sender_report(&SenderReport::default(), &name).is_ok());
        assert_eq!(
            sender_report(&SenderReport::default(), &format!("{name}n")),
            Err(RtcpError::CnameTooLong)
        );
    }
}
