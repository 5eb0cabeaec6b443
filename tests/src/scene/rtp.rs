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

/// Packet type of BYE (RFC 3550, section 6.6).
const BYE: u8 = 203;

/// Whether a compound RTCP packet says goodbye.
pub fn says_goodbye(compound: &[u8]) -> bool {
    let mut rest = compound;
    while let Some((&[_, kind, high, low], _)) = rest.split_first_chunk::<4>() {
        if kind == BYE {
            return true;
        }
        let words = usize::from(u16::from_be_bytes([high, low])) + 1;
        rest = rest.get(words * 4..).unwrap_or_default();
    }
    false
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
    fn goodbye_is_found_behind_a_report() {
        let report = [0x80, 200, 0, 1, 0, 0, 0, 1];
        let goodbye = [0x81, 203, 0, 1, 0, 0, 0, 1];
        assert!(says_goodbye(&[report, goodbye].concat()));
        assert!(!says_goodbye(&report));
    }

    #[test]
    fn starts_are_read_with_and_without_a_number() {
        let starts = read_starts("url=rtsp://h/a/trackID=0;seq=7;rtptime=9,url=b;rtptime=1");
        assert_eq!((starts[0].seq, starts[0].rtptime), (Some(7), Some(9)));
        assert_eq!((starts[1].seq, starts[1].rtptime), (None, Some(1)));
    }
}
