//! RTCP (RFC 3550 §6): compound packets walked in place, and the reports that the server itself
//! sends.
//!
//! Input is a compound packet as a publisher or a reader sent it. The walk hands out one packet at a
//! time with its declared length checked; whatever it does not know passes through as
//! [`Body::Other`]. Reports of our own are built by `rtcp-types`; readers are sent no others.
//! What they say about a source that is received comes from `reception`.
//!
//! The walk is lenient where peers are careless: a compound need not begin with a report, and need
//! not hold an SDES.

mod report;

pub use report::{CNAME_BYTES_MAX, goodbye, receiver_report, sender_report};

use super::clock::NtpTime;
use super::header::{RtpTimestamp, Ssrc};

/// Packet type of a sender report.
const SENDER_REPORT: u8 = 200;
/// Packet type of a receiver report.
const RECEIVER_REPORT: u8 = 201;
/// Packet type of a source description.
const SOURCE_DESCRIPTION: u8 = 202;
/// Packet type of a goodbye.
const GOODBYE: u8 = 203;

/// The header that every packet of a compound begins with.
const COMMON_HEADER_BYTES: usize = 4;
/// One report block (RFC 3550 §6.4.1).
const REPORT_BLOCK_BYTES: usize = 24;
/// SDES item type of the canonical name (RFC 3550 §6.5.1).
const SDES_CNAME: u8 = 1;

/// Why bytes are not a compound packet, or why one cannot be built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RtcpError {
    /// Fewer bytes remain than a packet's header or its declared length.
    #[error("the RTCP packet at byte {offset} ends after the compound")]
    Truncated {
        /// Where the packet begins in the compound.
        offset: usize,
    },
    /// The version field is not 2.
    #[error("the RTCP packet at byte {offset} has version {version} instead of 2")]
    Version {
        /// Where the packet begins in the compound.
        offset: usize,
        /// The version that was found.
        version: u8,
    },
    /// The canonical name is longer than [`CNAME_BYTES_MAX`].
    #[error("a canonical name of more than {CNAME_BYTES_MAX} bytes")]
    CnameTooLong,
}

/// Whether a packet is RTCP, told by its second byte where both share a channel or a port (RFC 5761
/// §4).
#[must_use]
pub const fn is_rtcp(packet: &[u8]) -> bool {
    matches!(packet, [_, 192..=223, ..])
}

/// One packet of a compound.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Where it begins in the compound.
    pub offset: usize,
    /// What it is.
    pub body: Body<'a>,
}

/// What a packet says.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// A sender report: the clock of a source, and what that hears of others.
    SenderReport(SenderReport, ReportBlocks<'a>),
    /// A receiver report.
    ReceiverReport(ReceiverReport<'a>),
    /// A source description.
    SourceDescription(SourceDescription<'a>),
    /// A goodbye: these sources end.
    Goodbye(Goodbye<'a>),
    /// Any other packet type, or one of the above that is too short for its fields.
    Other {
        /// The packet type.
        packet_type: u8,
    },
}

/// The packets of a compound, in order. An error ends the walk.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    compound: &'a [u8],
    offset: usize,
}

impl<'a> Packets<'a> {
    /// Walks `compound` from its begin.
    #[must_use]
    pub const fn new(compound: &'a [u8]) -> Self {
        Self {
            compound,
            offset: 0,
        }
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, RtcpError>;

    fn next(&mut self) -> Option<Self::Item> {
        let offset = self.offset;
        let rest = self
            .compound
            .get(offset..)
            .filter(|rest| !rest.is_empty())?;
        let raw = match RawPacket::parse(rest, offset) {
            Ok(raw) => raw,
            Err(error) => {
                self.offset = self.compound.len();
                return Some(Err(error));
            }
        };
        self.offset += raw.bytes;
        Some(Ok(Packet {
            offset,
            body: raw.body(),
        }))
    }
}

/// A packet whose header and length are checked, and nothing else.
struct RawPacket<'a> {
    packet_type: u8,
    count: usize,
    body: &'a [u8],
    bytes: usize,
}

impl<'a> RawPacket<'a> {
    fn parse(rest: &'a [u8], offset: usize) -> Result<Self, RtcpError> {
        let Some((header, after)) = rest.split_first_chunk::<COMMON_HEADER_BYTES>() else {
            return Err(RtcpError::Truncated { offset });
        };
        let version = header[0] >> 6;
        if version != 2 {
            return Err(RtcpError::Version { offset, version });
        }
        let body_bytes = usize::from(u16::from_be_bytes([header[2], header[3]])) * 4;
        let body = after
            .get(..body_bytes)
            .ok_or(RtcpError::Truncated { offset })?;
        Ok(Self {
            packet_type: header[1],
            count: usize::from(header[0] & 0x1f),
            body,
            bytes: COMMON_HEADER_BYTES + body_bytes,
        })
    }

    fn body(&self) -> Body<'a> {
        let known = match self.packet_type {
            SENDER_REPORT => self.sender_report(),
            RECEIVER_REPORT => self.receiver_report().map(Body::ReceiverReport),
            SOURCE_DESCRIPTION => Some(Body::SourceDescription(SourceDescription {
                count: self.count,
                chunks: self.body,
            })),
            GOODBYE => {
                (self.body.get(..self.count * 4)).map(|sources| Body::Goodbye(Goodbye { sources }))
            }
            _ => None,
        };
        known.unwrap_or(Body::Other {
            packet_type: self.packet_type,
        })
    }

    fn sender_report(&self) -> Option<Body<'a>> {
        let (report, rest) = SenderReport::parse(self.body)?;
        // Whatever else is wrong with it, the clock of a source is worth having.
        let blocks = self.blocks(rest).unwrap_or(ReportBlocks { bytes: &[] });
        Some(Body::SenderReport(report, blocks))
    }

    fn receiver_report(&self) -> Option<ReceiverReport<'a>> {
        let (ssrc, blocks) = self.body.split_first_chunk::<4>()?;
        Some(ReceiverReport {
            ssrc: Ssrc(u32::from_be_bytes(*ssrc)),
            blocks: self.blocks(blocks)?,
        })
    }

    fn blocks(&self, bytes: &'a [u8]) -> Option<ReportBlocks<'a>> {
        let bytes = bytes.get(..self.count * REPORT_BLOCK_BYTES)?;
        Some(ReportBlocks { bytes })
    }
}

/// The sender's part of a sender report (RFC 3550 §6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SenderReport {
    /// The source that it speaks of.
    pub ssrc: Ssrc,
    /// Wall time when it was sent.
    pub ntp: NtpTime,
    /// The same instant on the source's RTP clock.
    pub rtp_timestamp: RtpTimestamp,
    /// RTP packets sent so far.
    pub packet_count: u32,
    /// Payload bytes sent so far.
    pub octet_count: u32,
}

impl SenderReport {
    /// The sender's part, and what follows.
    fn parse(body: &[u8]) -> Option<(Self, &[u8])> {
        let (ssrc, rest) = body.split_first_chunk::<4>()?;
        let (ntp, rest) = rest.split_first_chunk::<8>()?;
        let (rtp_timestamp, rest) = rest.split_first_chunk::<4>()?;
        let (packet_count, rest) = rest.split_first_chunk::<4>()?;
        let (octet_count, rest) = rest.split_first_chunk::<4>()?;
        let report = Self {
            ssrc: Ssrc(u32::from_be_bytes(*ssrc)),
            ntp: NtpTime(u64::from_be_bytes(*ntp)),
            rtp_timestamp: RtpTimestamp(u32::from_be_bytes(*rtp_timestamp)),
            packet_count: u32::from_be_bytes(*packet_count),
            octet_count: u32::from_be_bytes(*octet_count),
        };
        Some((report, rest))
    }

    /// The first sender report of `compound`, if it holds one before any error.
    #[must_use]
    pub fn find(compound: &[u8]) -> Option<Self> {
        Packets::new(compound)
            .map_while(Result::ok)
            .find_map(|packet| match packet.body {
                Body::SenderReport(report, _) => Some(report),
                _ => None,
            })
    }
}

/// A receiver report (RFC 3550 §6.4.2).
#[derive(Clone, Copy, Debug)]
pub struct ReceiverReport<'a> {
    /// The source that reports.
    pub ssrc: Ssrc,
    /// What it says about each source that it receives.
    pub blocks: ReportBlocks<'a>,
}

/// The blocks of one report.
#[derive(Clone, Copy, Debug)]
pub struct ReportBlocks<'a> {
    bytes: &'a [u8],
}

impl<'a> ReportBlocks<'a> {
    /// The blocks, in order.
    pub fn iter(&self) -> impl Iterator<Item = ReportBlock> + use<'a> {
        let (blocks, _) = self.bytes.as_chunks::<REPORT_BLOCK_BYTES>();
        blocks.iter().map(ReportBlock::parse)
    }
}

/// All that the peer reports in `compound` about sources that it receives, up to any error. Both
/// kinds of report have such blocks: a peer that also sends puts them into its sender report.
pub fn report_blocks(compound: &[u8]) -> impl Iterator<Item = ReportBlock> {
    let bodies = Packets::new(compound)
        .map_while(Result::ok)
        .map(|packet| packet.body);
    let blocks = bodies.filter_map(|body| match body {
        Body::SenderReport(_, blocks) => Some(blocks),
        Body::ReceiverReport(report) => Some(report.blocks),
        _ => None,
    });
    blocks.flat_map(|blocks| blocks.iter())
}

/// What a receiver says about one source (RFC 3550 §6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReportBlock {
    /// The source.
    pub ssrc: Ssrc,
    /// Packets lost since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Packets lost in all; duplicates make it negative.
    pub cumulative_lost: i32,
    /// Highest sequence number received, with the count of wraps in its upper half.
    pub extended_sequence_number: u32,
    /// Jitter between arrivals, in ticks of the source's clock.
    pub jitter_ticks: u32,
    /// Middle of the NTP time of the last sender report that arrived, or 0.
    pub last_sender_report: u32,
    /// Time since that report arrived, in 65536ths of a second.
    pub delay_since_sender_report: u32,
}

impl ReportBlock {
    fn parse(block: &[u8; REPORT_BLOCK_BYTES]) -> Self {
        let word = |index: usize| {
            let (words, _) = block.as_chunks::<4>();
            words.get(index).map_or(0, |word| u32::from_be_bytes(*word))
        };
        Self {
            ssrc: Ssrc(word(0)),
            fraction_lost: block[4],
            // 24 bits with a sign: shifted up and down again, the sign spreads.
            cumulative_lost: (word(1) << 8).cast_signed() >> 8,
            extended_sequence_number: word(2),
            jitter_ticks: word(3),
            last_sender_report: word(4),
            delay_since_sender_report: word(5),
        }
    }
}

/// A source description (RFC 3550 §6.5).
#[derive(Clone, Copy, Debug)]
pub struct SourceDescription<'a> {
    count: usize,
    chunks: &'a [u8],
}

impl<'a> SourceDescription<'a> {
    /// The canonical name of the first source that has one, as it was sent.
    #[must_use]
    pub fn cname(&self) -> Option<(Ssrc, &'a [u8])> {
        let mut chunks = self.chunks;
        for _ in 0..self.count {
            let (ssrc, items) = chunks.split_first_chunk::<4>()?;
            let (cname, items_bytes) = walk_sdes_items(items);
            if let Some(cname) = cname {
                return Some((Ssrc(u32::from_be_bytes(*ssrc)), cname));
            }
            chunks = items.get(items_bytes..)?;
        }
        None
    }
}

/// Walks the items of one SDES chunk; returns its canonical name and how many bytes they take, the
/// null bytes that fill up to a word included. Truncated items take the rest.
fn walk_sdes_items(items: &[u8]) -> (Option<&[u8]>, usize) {
    let mut cname = None;
    let mut offset = 0;
    loop {
        match items.get(offset..).unwrap_or_default() {
            [0, ..] => return (cname, (offset + 4) & !3),
            [kind, len, rest @ ..] => {
                let Some(value) = rest.get(..usize::from(*len)) else {
                    return (cname, items.len());
                };
                if *kind == SDES_CNAME {
                    cname = cname.or(Some(value));
                }
                offset += 2 + value.len();
            }
            _ => return (cname, items.len()),
        }
    }
}

/// A goodbye (RFC 3550 §6.6).
#[derive(Clone, Copy, Debug)]
pub struct Goodbye<'a> {
    sources: &'a [u8],
}

impl<'a> Goodbye<'a> {
    /// The sources that end.
    pub fn sources(&self) -> impl Iterator<Item = Ssrc> + use<'a> {
        let (sources, _) = self.sources.as_chunks::<4>();
        sources
            .iter()
            .map(|source| Ssrc(u32::from_be_bytes(*source)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REPORT: SenderReport = SenderReport {
        ssrc: Ssrc(0x1122_3344),
        ntp: NtpTime(0x0102_0304_0506_0708),
        rtp_timestamp: RtpTimestamp(0xffff_fff0),
        packet_count: 7,
        octet_count: 9000,
    };

    const BLOCK: ReportBlock = ReportBlock {
        ssrc: Ssrc(5),
        fraction_lost: 12,
        cumulative_lost: -3,
        extended_sequence_number: 0x0001_0002,
        jitter_ticks: 90,
        last_sender_report: 0x0304_0506,
        delay_since_sender_report: 65536,
    };

    fn bodies(compound: &[u8]) -> Vec<Body<'_>> {
        Packets::new(compound)
            .map(|packet| packet.unwrap().body)
            .collect()
    }

    #[test]
    fn a_sender_report_comes_back_as_it_was_built() {
        let compound = sender_report(&REPORT, "stream@host").unwrap();
        assert!(is_rtcp(&compound));
        let found = bodies(&compound);
        let Body::SenderReport(report, blocks) = found[0] else {
            panic!("the compound begins with a sender report");
        };
        assert_eq!((report, blocks.iter().count()), (REPORT, 0));
        let Body::SourceDescription(sdes) = found[1] else {
            panic!("the compound ends with a source description");
        };
        assert_eq!(sdes.cname(), Some((REPORT.ssrc, &b"stream@host"[..])));
        assert_eq!(SenderReport::find(&compound), Some(REPORT));
    }

    #[test]
    fn a_receiver_report_and_a_goodbye_come_back_as_they_were_built() {
        let compound = receiver_report(Ssrc(9), Some(&BLOCK), "me").unwrap();
        let Body::ReceiverReport(report) = bodies(&compound)[0] else {
            panic!("the compound begins with a receiver report");
        };
        assert_eq!(report.ssrc, Ssrc(9));
        assert_eq!(report.blocks.iter().collect::<Vec<_>>(), [BLOCK]);
        assert_eq!(SenderReport::find(&compound), None);

        let compound = goodbye(Ssrc(9), "me").unwrap();
        let Body::Goodbye(goodbye) = bodies(&compound)[2] else {
            panic!("the compound ends with a goodbye");
        };
        assert_eq!(goodbye.sources().collect::<Vec<_>>(), [Ssrc(9)]);
    }

    #[test]
    fn losses_are_found_in_both_kinds_of_report() {
        let mut sender = sender_report(&REPORT, "me").unwrap().to_vec();
        let receiver = receiver_report(Ssrc(9), Some(&BLOCK), "me").unwrap();
        // A sender report with the block of the other: counted, longer by 6 words, and with its bytes.
        sender[0] |= 1;
        sender[3] += 6;
        sender.splice(28..28, receiver[8..32].iter().copied());
        sender.extend(&receiver);
        assert_eq!(report_blocks(&sender).collect::<Vec<_>>(), [BLOCK; 2]);
        let Body::SenderReport(report, _) = bodies(&sender)[0] else {
            panic!("the compound begins with a sender report");
        };
        assert_eq!(report, REPORT);
        sender[0] |= 2;
        assert_eq!(report_blocks(&sender).count(), 1, "more blocks than bytes");
    }

    #[test]
    fn a_cut_compound_ends_with_an_error_at_every_byte() {
        let compound = sender_report(&REPORT, "stream@host").unwrap();
        let whole = [0, 28, compound.len()];
        for cut in 0..compound.len() {
            let ends_well = Packets::new(&compound[..cut]).all(|packet| packet.is_ok());
            assert_eq!(ends_well, whole.contains(&cut), "cut {cut}");
        }
    }

    #[test]
    fn a_wrong_version_names_its_place() {
        let mut compound = sender_report(&REPORT, "a").unwrap().to_vec();
        compound[28] = 0x41;
        let error = RtcpError::Version {
            offset: 28,
            version: 1,
        };
        assert_eq!(Packets::new(&compound).nth(1).unwrap().unwrap_err(), error);
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_or_refused(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..120),
            headers in proptest::collection::vec((0usize..30, 198u8..206, 0u8..12), 0..5),
        ) {
            for (word, packet_type, words) in headers {
                if let Some(place) = bytes.get_mut(word * 4..word * 4 + 4) {
                    place.copy_from_slice(&[0x80 | (words & 0x1f), packet_type, 0, words]);
                }
            }
            for packet in Packets::new(&bytes).map_while(Result::ok) {
                match packet.body {
                    Body::ReceiverReport(report) => { let _ = report.blocks.iter().count(); }
                    Body::SourceDescription(sdes) => { let _ = sdes.cname(); }
                    Body::Goodbye(goodbye) => { let _ = goodbye.sources().count(); }
                    Body::SenderReport(_, blocks) => { let _ = blocks.iter().count(); }
                    Body::Other { .. } => {}
                }
            }
        }
    }
}
