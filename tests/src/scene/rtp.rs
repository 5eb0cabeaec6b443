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

/// Packet types of a sender report, of and of a source description (RFC 3550, section 12.1).
const SENDER_REPORT: u8 = 200;
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
    fn starts_are_read_with_and_without_a_number() {
        let starts = read_starts("url=rtsp://h/a/trackID=0;seq=7;rtptime=9,url=b;rtptime=1");
        assert_eq!((starts[0].seq, starts[0].rtptime), (Some(7), Some(9)));
        assert_eq!((starts[1].seq, starts[1].rtptime), (None, Some(1)));
    }
}
