//! RTCP: compound packets. Input: one compound, as it comes in a frame or a datagram. The oracle is `rtcp-types`.

use rtcp_types::{Compound, Packet as OraclePacket, RtcpPacketParserExt, SdesItem};
use shardcast_protocol::container::rtp::Ssrc;
use shardcast_protocol::container::rtp::rtcp::{
    Body, Packets, ReportBlock, ReportBlocks, SenderReport, report_blocks,
};

/// Our walk is lenient: what the oracle takes, we take and read the same; what it refuses must only not hurt.
pub fn check(compound: &[u8]) {
    let packets: Vec<_> = Packets::new(compound).collect();
    let refused = packets.iter().filter(|packet| packet.is_err()).count();
    assert!(refused <= 1 && packets.iter().rev().skip(1).all(Result::is_ok));
    for packet in packets.iter().flatten() {
        touch(&packet.body);
    }
    assert!(report_blocks(compound).count() <= compound.len() / 24);
    let Ok(oracle) = Compound::parse(compound) else {
        return;
    };
    for (index, expected) in oracle.enumerate() {
        // A body that the oracle refuses ends its walk.
        let Ok(expected) = expected else { return };
        let packet = packets.get(index).and_then(|packet| packet.as_ref().ok());
        let packet = packet.expect("what the oracle takes, we take");
        assert_same_packet(&packet.body, &expected);
    }
    assert_eq!(refused, 0, "the oracle took the whole compound");
}

/// Reads all that a body offers.
fn touch(body: &Body<'_>) {
    match body {
        Body::Other { .. } => {}
        Body::SenderReport(_, blocks) => assert!(blocks.iter().count() < 32),
        Body::ReceiverReport(report) => assert!(report.blocks.iter().count() < 32),
        Body::SourceDescription(description) => {
            let name = description.cname().map_or(0, |(_, name)| name.len());
            assert!(name < 256);
        }
        Body::Goodbye(goodbye) => assert!(goodbye.sources().count() < 32),
    }
}

fn assert_same_packet(body: &Body<'_>, oracle: &OraclePacket<'_>) {
    match (body, oracle) {
        (Body::SenderReport(report, blocks), OraclePacket::Sr(expected)) => {
            assert_same_report(report, expected);
            assert_same_blocks(*blocks, expected.report_blocks());
        }
        (Body::ReceiverReport(report), OraclePacket::Rr(expected)) => {
            assert_eq!(report.ssrc.0, expected.ssrc());
            assert_same_blocks(report.blocks, expected.report_blocks());
        }
        // The oracle does not go by the count of chunks, and takes null bytes of the next chunk for padding.
        (Body::SourceDescription(_), OraclePacket::Sdes(expected))
            if expected.count() != 1 || expected.chunks().count() != 1 => {}
        (Body::SourceDescription(description), OraclePacket::Sdes(expected)) => {
            let name = expected.chunks().find_map(|chunk| {
                let name = chunk.items().find(|item| item.type_() == SdesItem::CNAME)?;
                Some((Ssrc(chunk.ssrc()), name.value()))
            });
            assert_eq!(description.cname(), name);
        }
        (Body::Goodbye(goodbye), OraclePacket::Bye(expected)) => {
            assert!(
                goodbye
                    .sources()
                    .map(|source| source.0)
                    .eq(expected.ssrcs())
            );
        }
        (Body::Other { .. }, OraclePacket::Sr(_) | OraclePacket::Rr(_)) => {
            panic!("a report was not read");
        }
        (Body::Other { .. }, OraclePacket::Sdes(_) | OraclePacket::Bye(_)) => {
            panic!("a description or goodbye was not read");
        }
        (Body::Other { .. }, _) => {}
        (body, oracle) => panic!("{body:?} instead of {oracle:?}"),
    }
}

fn assert_same_report(report: &SenderReport, expected: &rtcp_types::SenderReport<'_>) {
    assert_eq!(report.ssrc.0, expected.ssrc());
    assert_eq!(report.ntp.0, expected.ntp_timestamp());
    assert_eq!(report.rtp_timestamp.0, expected.rtp_timestamp());
    assert_eq!(report.packet_count, expected.packet_count());
    assert_eq!(report.octet_count, expected.octet_count());
}

fn assert_same_blocks<'a>(
    blocks: ReportBlocks<'_>,
    expected: impl Iterator<Item = rtcp_types::ReportBlock<'a>>,
) {
    let blocks = blocks.iter().map(|block| ReportBlock {
        cumulative_lost: block.cumulative_lost & 0xff_ffff,
        ..block
    });
    let expected = expected.map(|block| ReportBlock {
        ssrc: Ssrc(block.ssrc()),
        fraction_lost: block.fraction_lost(),
        cumulative_lost: block.cumulative_lost().cast_signed(),
        extended_sequence_number: block.extended_sequence_number(),
        jitter_ticks: block.interarrival_jitter(),
        last_sender_report: block.last_sender_report_timestamp(),
        delay_since_sender_report: block.delay_since_last_sender_report_timestamp(),
    });
    assert!(blocks.eq(expected));
}
