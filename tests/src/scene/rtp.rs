//! What an RTP or RTCP packet says, for tests that look at the numbers themselves.

/// The fixed header of an RTP packet (RFC 3550, section 5.1), and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rtp {
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Rtp {
    /// Reads a packet without extension.
    ///
    /// # Panics
    /// When it is none.
    pub fn read(packet: &[u8]) -> Self {
        let (header, payload) = packet.split_first_chunk::<12>().expect("an RTP header");
        assert_eq!(header[0], 0x80, "not plain RTP: {header:02x?}");
        Self {
            sequence: u16::from_be_bytes([header[2], header[3]]),
            timestamp: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            ssrc: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
            payload: payload.to_vec(),
        }
    }
}

/// Packet types of a sender report, of a receiver report, and of a source description (RFC 3550, section 12.1).
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;

/// What a sender report says (RFC 3550, section 6.4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderReport {
    /// Synchronisation source.
    pub ssrc: u32,
    /// Time of the report, in seconds since 1900 with 32 bits of fraction.
    pub ntp: u64,
    /// The same time in the track's timestamps.
    pub timestamp: u32,
}

impl SenderReport {
    /// Reads a compound packet that is a sender report and a source description, and nothing else.
    ///
    /// # Panics
    /// When it is anything else.
    pub fn read(compound: &[u8]) -> Self {
        assert_eq!(kinds(compound), [SENDER_REPORT, SOURCE_DESCRIPTION]);
        let (_, body) = compound.split_at(4);
        let (&ssrc, body) = body.split_first_chunk::<4>().expect("a source");
        let (&ntp, body) = body.split_first_chunk::<8>().expect("a time");
        let (&timestamp, _) = body.split_first_chunk::<4>().expect("a timestamp");
        Self {
            ssrc: u32::from_be_bytes(ssrc),
            ntp: u64::from_be_bytes(ntp),
            timestamp: u32::from_be_bytes(timestamp),
        }
    }
}

/// What a receiver says about one source (RFC 3550, section 6.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiverReport {
    /// Who says it.
    pub receiver: u32,
    /// About whom.
    pub source: u32,
    /// Share of packets lost since the report before, in 256ths.
    pub fraction_lost: u8,
    /// Packets lost so far.
    pub lost: u32,
    /// Highest sequence number so far, with the wraps above it.
    pub highest: u32,
    /// Jitter in units of the track's timestamps.
    pub jitter: u32,
}

impl ReceiverReport {
    /// Reads the receiver report with one block that a compound packet begins with; `None` if it begins with another
    /// packet or has no block.
    ///
    /// # Panics
    /// When the block is cut short.
    pub fn read(compound: &[u8]) -> Option<Self> {
        let (&[first, kind, _, _], body) = compound.split_first_chunk::<4>()?;
        if kind != RECEIVER_REPORT || first & 0x1f == 0 {
            return None;
        }
        let words: Vec<u32> = body
            .as_chunks()
            .0
            .iter()
            .map(|word| u32::from_be_bytes(*word))
            .collect();
        let &[receiver, source, losses, highest, jitter, ..] = words.as_slice() else {
            panic!("a report block is cut short: {compound:02x?}");
        };
        let [fraction_lost, ..] = losses.to_be_bytes();
        Some(Self {
            receiver,
            source,
            fraction_lost,
            lost: losses & 0x00ff_ffff,
            highest,
            jitter,
        })
    }

    /// The report as a packet.
    pub fn write(&self) -> Vec<u8> {
        let losses = u32::from(self.fraction_lost) << 24 | self.lost;
        let words = [
            self.receiver,
            self.source,
            losses,
            self.highest,
            self.jitter,
            0,
            0,
        ];
        let mut packet = vec![0x81, RECEIVER_REPORT, 0, 7];
        packet.extend(words.into_iter().flat_map(u32::to_be_bytes));
        packet
    }
}

/// The types of the packets in a compound packet.
fn kinds(compound: &[u8]) -> Vec<u8> {
    let (mut kinds, mut rest) = (Vec::new(), compound);
    while let Some((&[_, kind, high, low], _)) = rest.split_first_chunk::<4>() {
        kinds.push(kind);
        let words = usize::from(u16::from_be_bytes([high, low])) + 1;
        rest = rest.get(words * 4..).expect("whole packets");
    }
    kinds
}

/// Where each track starts, as the answer to PLAY says (RFC 2326, section 12.33).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The track's URL.
    pub url: String,
    /// Sequence number of its first packet, if it is told.
    pub seq: Option<u16>,
    /// Timestamp of the start, if it is told.
    pub rtptime: Option<u32>,
}

/// Reads an `RTP-Info` header.
pub fn read_starts(header: &str) -> Vec<Start> {
    let value = |entry: &str, name: &str| {
        let mut parameters = entry.split(';');
        parameters.find_map(|parameter| {
            let (key, value) = parameter.trim().split_once('=')?;
            (key == name).then(|| value.to_owned())
        })
    };
    let start = |entry: &str| Start {
        url: value(entry, "url").unwrap_or_default(),
        seq: value(entry, "seq").and_then(|seq| seq.parse().ok()),
        rtptime: value(entry, "rtptime").and_then(|time| time.parse().ok()),
    };
    header.split(',').map(start).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_with_its_description_is_read() {
        let mut report = vec![
            0x80, 200, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4,
        ];
        report.resize(28, 0);
        report.extend_from_slice(&[0x81, 202, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0]);
        let read = SenderReport::read(&report);
        assert_eq!((read.ssrc, read.ntp, read.timestamp), (1, 2 << 32 | 3, 4));
    }

    #[test]
    fn a_receivers_report_is_read_as_it_was_written() {
        let report = ReceiverReport {
            receiver: 1,
            source: 2,
            fraction_lost: 3,
            lost: 4,
            highest: 5,
            jitter: 6,
        };
        assert_eq!(ReceiverReport::read(&report.write()), Some(report));
        assert_eq!(ReceiverReport::read(&[0x80, 201, 0, 1, 0, 0, 0, 1]), None);
    }

    #[test]
    fn starts_are_read_with_and_without_a_number() {
        let starts = read_starts("url=rtsp://h/a/trackID=0;seq=7;rtptime=9,url=b;rtptime=1");
        assert_eq!((starts[0].seq, starts[0].rtptime), (Some(7), Some(9)));
        assert_eq!((starts[1].seq, starts[1].rtptime), (None, Some(1)));
    }
}
