//! A made-up audio track: each packet carries its number, and the check of what arrives of it.

use super::rtp::Rtp;

/// The track in an SDP, behind the video track.
pub const SOUND_SDP: &str =
    "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\na=control:streamid=1\r\n";

/// Ticks of one packet: 20 ms at 48 kHz.
const TICKS_PER_PACKET: u32 = 960;

/// Makes the packets.
#[derive(Debug)]
pub struct SoundSource {
    next: u32,
}

impl SoundSource {
    /// From packet 0 on. Timestamps begin just before their wrap.
    pub fn new() -> Self {
        Self { next: 0 }
    }

    /// The next RTP packet.
    pub fn next_packet(&mut self) -> Vec<u8> {
        let number = self.next;
        self.next += 1;
        let sequence = (number % 65_536) as u16;
        let timestamp = u32::MAX
            .wrapping_sub(TICKS_PER_PACKET)
            .wrapping_add(number.wrapping_mul(TICKS_PER_PACKET));
        let mut packet = vec![0x80, 0x80 | 97];
        packet.extend_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(&timestamp.to_be_bytes());
        packet.extend_from_slice(&0xa0d1_0000_u32.to_be_bytes());
        packet.extend_from_slice(b"SOUND");
        packet.extend_from_slice(&number.to_be_bytes());
        packet
    }
}

impl Default for SoundSource {
    fn default() -> Self {
        Self::new()
    }
}

/// Checks that what arrives has no gap.
#[derive(Debug, Default)]
pub struct SoundCheck {
    last: Option<(u32, u16)>,
    packets: u64,
}

impl SoundCheck {
    /// Looks at the next packet.
    ///
    /// # Panics
    /// When it is not the one that is due.
    pub fn check(&mut self, packet: &[u8]) {
        let rtp = Rtp::read(packet);
        let number = rtp.payload.strip_prefix(b"SOUND");
        let number = number.and_then(|number| number.try_into().ok());
        let number = u32::from_be_bytes(number.expect("a packet of the sound track"));
        if let Some((last, sequence)) = self.last {
            assert_eq!(number, last + 1, "packets of the sound track are missing");
            assert_eq!(rtp.sequence, sequence.wrapping_add(1), "a jump in numbers");
        }
        self.last = Some((number, rtp.sequence));
        self.packets += 1;
    }

    /// Packets so far.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Number of the last packet.
    pub fn last(&self) -> Option<u32> {
        self.last.map(|(number, _)| number)
    }
}
