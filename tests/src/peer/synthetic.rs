//! A made-up H.264 stream whose every packet says which one it is: what the raw publisher sends and the verifier
//! checks.
//!
//! The packets are real RTP with real NAL unit headers (RFC 6184), so that a server finds access units and key frames;
//! what would be slice data carries the counters and a pattern. Key access units start with their parameter sets, each
//! in a packet of its own.

/// The stream's SDP, one video track. The parameter sets are those of a real 320 × 240 clip.
pub const SDP: &str = "v=0\r\n\
    o=- 0 0 IN IP4 127.0.0.1\r\n\
    s=synthetic\r\n\
    c=IN IP4 127.0.0.1\r\n\
    t=0 0\r\n\
    m=video 0 RTP/AVP 96\r\n\
    a=rtpmap:96 H264/90000\r\n\
    a=fmtp:96 packetization-mode=1; \
    sprop-parameter-sets=Z2QAFKzZQUH7ARAAAAMAEAAAAwMg8UKZYA==,aO+8sA==; profile-level-id=640014\r\n\
    a=control:streamid=0\r\n";

/// The sequence parameter set of [`SDP`].
const SPS: [u8; 25] = [
    0x67, 0x64, 0x00, 0x14, 0xac, 0xd9, 0x41, 0x41, 0xfb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10,
    0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x42, 0x99, 0x60,
];
/// The picture parameter set of [`SDP`].
const PPS: [u8; 4] = [0x68, 0xef, 0xbc, 0xb0];

/// RTP header without extensions (RFC 3550, section 5.1).
pub(super) const RTP_HEADER_BYTES: usize = 12;
/// Type of a slice of a key picture and of any other one (RFC 6184, section 5.2).
const NAL_IDR: u8 = 5;
const NAL_SLICE: u8 = 1;
/// Type of an aggregation packet (RFC 6184, section 5.7.1).
const NAL_STAP_A: u8 = 24;
/// Type of a fragment (RFC 6184, section 5.8).
const NAL_FU_A: u8 = 28;
const FU_START: u8 = 0x80;
const FU_END: u8 = 0x40;
/// `nal_ref_idc` of every NAL unit: all are referenced.
const REFERENCED: u8 = 0x60;
/// Counters are hexadecimal digits: two zero bytes in a row may not stand in a NAL unit.
const NUMBER_DIGITS: usize = 16;
/// Stands before the counters.
pub(super) const MAGIC: &[u8; 4] = b"SHRD";
/// Payload type of [`SDP`].
const PAYLOAD_TYPE: u8 = 96;
/// 90 kHz at 30 frames a second.
const TICKS_PER_FRAME: u32 = 3000;

/// Form of a synthetic stream.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Frames from one key frame to the next.
    pub gop_frames: u64,
    /// Packets with counters in a frame, at least one.
    pub frame_packets: u64,
    /// Bytes of pattern in a packet after its counters.
    pub pattern_bytes: usize,
}

impl Default for Shape {
    /// About 2 Mbit/s at 30 frames a second.
    fn default() -> Self {
        Self {
            gop_frames: 30,
            frame_packets: 6,
            pattern_bytes: 1360,
        }
    }
}

/// Which packet of the stream a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// Number of the packet among those with counters.
    pub packet: u64,
    /// Number of its frame.
    pub frame: u64,
    /// Whether it is the first packet with a counter of a key frame.
    pub starts_key_frame: bool,
}

/// Makes the stream, frame by frame.
#[derive(Debug)]
pub struct Source {
    shape: Shape,
    sequence_number: u16,
    ssrc: u32,
    frame: u64,
    packet: u64,
}

impl Source {
    /// A stream from its first key frame. Its sequence numbers wrap early, after 100 packets, and so are tested to.
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            sequence_number: u16::MAX - 99,
            ssrc: 0x5eed_cafe,
            frame: 0,
            packet: 0,
        }
    }

    /// Frames made so far.
    pub fn frames(&self) -> u64 {
        self.frame
    }

    /// Packets with counters made so far.
    pub fn packets(&self) -> u64 {
        self.packet
    }

    /// The RTP packets of the next access unit.
    pub fn next_frame(&mut self) -> Vec<Vec<u8>> {
        let key = self.frame.is_multiple_of(self.shape.gop_frames);
        let mut packets = Vec::new();
        if key {
            packets.push(self.rtp(false, &SPS));
            packets.push(self.rtp(false, &PPS));
        }
        for index in 0..self.shape.frame_packets {
            let payload = self.slice(key, index);
            let last = index + 1 == self.shape.frame_packets;
            packets.push(self.rtp(last, &payload));
            self.packet += 1;
        }
        self.frame += 1;
        packets
    }

    /// A NAL unit, or the fragment `index` of one, with its counters.
    fn slice(&self, key: bool, index: u64) -> Vec<u8> {
        let kind = if key { NAL_IDR } else { NAL_SLICE };
        let mut payload = if self.shape.frame_packets == 1 {
            vec![REFERENCED | kind]
        } else {
            let start = if index == 0 { FU_START } else { 0 };
            let last = index + 1 == self.shape.frame_packets;
            let end = if last { FU_END } else { 0 };
            vec![REFERENCED | NAL_FU_A, start | end | kind]
        };
        payload.extend_from_slice(MAGIC);
        let starts = u8::from(key && index == 0);
        payload.extend(format!("{:016x}{:016x}{starts}", self.packet, self.frame).bytes());
        payload.extend(pattern(self.packet).take(self.shape.pattern_bytes));
        payload
    }

    fn rtp(&mut self, marker: bool, payload: &[u8]) -> Vec<u8> {
        let timestamp = u32::try_from(self.frame % (1 << 20)).unwrap_or(0) * TICKS_PER_FRAME;
        let mut packet = vec![0x80, (u8::from(marker) << 7) | PAYLOAD_TYPE];
        packet.extend_from_slice(&self.sequence_number.to_be_bytes());
        packet.extend_from_slice(&timestamp.to_be_bytes());
        packet.extend_from_slice(&self.ssrc.to_be_bytes());
        packet.extend_from_slice(payload);
        self.sequence_number = self.sequence_number.wrapping_add(1);
        packet
    }
}

/// The bytes after the counters of packet `seed`: a different row for each packet, never a NAL start code.
pub(super) fn pattern(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0] | 0x10
    })
}

/// Whether an RTP payload is a parameter set of the synthetic stream, or the aggregation packet of both that a server puts
/// in front of a key frame that lacks them (RFC 6184, section 5.7.1).
pub(super) fn is_parameter_set(payload: &[u8]) -> bool {
    let sized = |set: &[u8]| [&[0, set.len() as u8], set].concat();
    match payload.split_first() {
        Some((header, units)) if *header == REFERENCED | NAL_STAP_A => {
            units == [sized(&SPS), sized(&PPS)].concat()
        }
        _ => payload == SPS || payload == PPS,
    }
}

/// The counters and the pattern behind them, read from an RTP payload.
pub(super) fn read_counter(payload: &[u8]) -> Option<(Counter, &[u8])> {
    let nal = payload.first()? & 0x1f;
    let body = payload.get(if nal == NAL_FU_A { 2 } else { 1 }..)?;
    let body = body.strip_prefix(MAGIC)?;
    let (packet, body) = body.split_at_checked(NUMBER_DIGITS)?;
    let (frame, body) = body.split_at_checked(NUMBER_DIGITS)?;
    let (starts, pattern) = body.split_first()?;
    let counter = Counter {
        packet: read_number(packet)?,
        frame: read_number(frame)?,
        starts_key_frame: *starts == b'1',
    };
    Some((counter, pattern))
}

fn read_number(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packet_gives_its_counter_back() {
        let mut source = Source::new(Shape::default());
        let packets = source.next_frame();
        assert_eq!(packets.len(), 8, "two parameter sets and six fragments");
        let payloads: Vec<_> = packets
            .iter()
            .map(|packet| packet.split_at(RTP_HEADER_BYTES).1)
            .collect();
        assert!(
            payloads
                .iter()
                .take(2)
                .all(|payload| is_parameter_set(payload))
        );
        let counters = payloads
            .iter()
            .skip(2)
            .map(|payload| read_counter(payload).unwrap().0);
        for (counter, due) in counters.zip(0..) {
            assert_eq!((counter.packet, counter.frame), (due, 0));
            assert_eq!(counter.starts_key_frame, due == 0);
        }
    }

    #[test]
    fn only_a_frames_last_packet_has_the_marker() {
        let mut source = Source::new(Shape::default());
        let markers = source
            .next_frame()
            .iter()
            .filter(|packet| packet.get(1) == Some(&0xe0))
            .count();
        assert_eq!(markers, 1);
    }
}
