//! A publisher's reports numbered anew, in place.
//!
//! Input is a publisher's compound where it was received, and what the stream adds to that
//! publisher's numbers; afterwards it speaks for the stream.

use super::super::header::Ssrc;
use super::{
    COMMON_HEADER_BYTES, GOODBYE, RECEIVER_REPORT, RawPacket, RtcpError, SENDER_REPORT,
    SOURCE_DESCRIPTION, SenderReport, walk_sdes_items,
};

/// How a stream numbers a publisher's reports anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rewrite {
    /// The stream's source: every source that the compound speaks for becomes this one.
    pub ssrc: Ssrc,
    /// What is added to RTP times, as to the timestamps of the track's packets.
    pub timestamp_offset: u32,
    /// What is added to the count of packets.
    pub packet_count_offset: u32,
    /// What is added to the count of payload bytes.
    pub octet_count_offset: u32,
}

/// Rewrites a publisher's compound in place: the sources of sender reports, source descriptions and
/// goodbyes, and a sender report's clock and counts. Report blocks are about others and stay.
///
/// # Errors
/// [`RtcpError`] at the first packet whose length or version is wrong; what precedes it has been
/// rewritten by then, so the caller discards the compound.
pub fn rewrite(compound: &mut [u8], by: &Rewrite) -> Result<(), RtcpError> {
    let mut offset = 0;
    while offset < compound.len() {
        let rest = compound.get_mut(offset..).unwrap_or_default();
        let raw = RawPacket::parse(rest, offset)?;
        let (packet_type, count, bytes) = (raw.packet_type, raw.count, raw.bytes);
        let body = rest.get_mut(COMMON_HEADER_BYTES..bytes).unwrap_or_default();
        match packet_type {
            SENDER_REPORT => rewrite_sender_report(body, by),
            RECEIVER_REPORT => set_word(body, 0, by.ssrc.0),
            SOURCE_DESCRIPTION => rewrite_source_description(body, count, by.ssrc),
            GOODBYE => (0..count).for_each(|index| set_word(body, index * 4, by.ssrc.0)),
            _ => {}
        }
        offset += bytes;
    }
    Ok(())
}

fn rewrite_sender_report(body: &mut [u8], by: &Rewrite) {
    let Some(report) = SenderReport::parse(body) else {
        return;
    };
    set_word(body, 0, by.ssrc.0);
    let rtp_timestamp = report.rtp_timestamp.wrapping_add(by.timestamp_offset);
    set_word(body, 12, rtp_timestamp.0);
    let packet_count = report.packet_count.wrapping_add(by.packet_count_offset);
    set_word(body, 16, packet_count);
    let octet_count = report.octet_count.wrapping_add(by.octet_count_offset);
    set_word(body, 20, octet_count);
}

fn rewrite_source_description(body: &mut [u8], count: usize, ssrc: Ssrc) {
    let mut offset = 0;
    for _ in 0..count {
        set_word(body, offset, ssrc.0);
        let Some(items) = body.get(offset + 4..) else {
            return;
        };
        offset += 4 + walk_sdes_items(items).1;
    }
}

/// Writes a word at `offset`, where one is.
fn set_word(bytes: &mut [u8], offset: usize, word: u32) {
    let place = bytes
        .get_mut(offset..)
        .and_then(<[u8]>::first_chunk_mut::<4>);
    if let Some(place) = place {
        *place = word.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{NtpTime, RtpTimestamp};
    use super::super::{Body, Packets, goodbye, sender_report};
    use super::*;

    const REPORT: SenderReport = SenderReport {
        ssrc: Ssrc(0x1122_3344),
        ntp: NtpTime(0x0102_0304_0506_0708),
        rtp_timestamp: RtpTimestamp(0xffff_fff0),
        packet_count: 7,
        octet_count: 9000,
    };

    #[test]
    fn a_rewrite_moves_source_clock_and_counts_and_keeps_the_rest() {
        let mut compound = sender_report(&REPORT, "stream@host").unwrap().to_vec();
        compound.extend(goodbye(REPORT.ssrc, "stream@host").unwrap());
        let by = Rewrite {
            ssrc: Ssrc(1),
            timestamp_offset: 0x20,
            packet_count_offset: 1,
            octet_count_offset: 10,
        };
        rewrite(&mut compound, &by).unwrap();
        let mut expected = sender_report(
            &SenderReport {
                ssrc: Ssrc(1),
                ntp: REPORT.ntp,
                rtp_timestamp: RtpTimestamp(0x10),
                packet_count: 8,
                octet_count: 9010,
            },
            "stream@host",
        )
        .unwrap()
        .to_vec();
        expected.extend(goodbye(Ssrc(1), "stream@host").unwrap());
        assert_eq!(compound, expected);
    }

    #[test]
    fn every_chunk_of_a_source_description_gets_the_source() {
        let sdes = [
            0x82, 202, 0, 6, 0, 0, 0, 1, 2, 2, b'h', b'i', 0, 0, 0, 0, 0, 0, 0, 2, 1, 1, b'n', 0,
            0, 0, 0, 0,
        ];
        let Body::SourceDescription(view) = Packets::new(&sdes).next().unwrap().unwrap().body
        else {
            panic!("a source description");
        };
        assert_eq!(view.cname(), Some((Ssrc(2), &b"n"[..])));
        let mut rewritten = sdes;
        let by = Rewrite {
            ssrc: Ssrc(0xaabb_ccdd),
            timestamp_offset: 0,
            packet_count_offset: 0,
            octet_count_offset: 0,
        };
        rewrite(&mut rewritten, &by).unwrap();
        assert_eq!(rewritten[4..8], [0xaa, 0xbb, 0xcc, 0xdd]);
        assert_eq!(rewritten[16..20], [0xaa, 0xbb, 0xcc, 0xdd]);
        assert_eq!(rewritten[20..], sdes[20..]);
    }
}
