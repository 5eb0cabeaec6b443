//! A made-up H.264 stream as interleaved frames, with every packet of one size: what the publisher sends.
//!
//! The packets are real RTP with real NAL unit headers (RFC 6184), so that a server finds access units and key frames in
//! them. The parameter sets are in the description alone.

use shardcast_protocol::container::rtp::framing::{INTERLEAVED_HEADER_BYTES, frame_header};

use crate::stamp::Stamp;

/// The stream's description, one video track. The parameter sets are those of a 320 × 240 clip.
pub const SDP: &str = "v=0\r\n\
    o=- 0 0 IN IP4 127.0.0.1\r\n\
    s=load\r\n\
    c=IN IP4 127.0.0.1\r\n\
    t=0 0\r\n\
    m=video 0 RTP/AVP 96\r\n\
    a=rtpmap:96 H264/90000\r\n\
    a=fmtp:96 packetization-mode=1; \
    sprop-parameter-sets=Z2QAFKzZQUH7ARAAAAMAEAAAAwMg8UKZYA==,aO+8sA==; profile-level-id=640014\r\n\
    a=control:streamid=0\r\n";

/// The `control` attribute of the track of [`SDP`].
pub const CONTROL: &str = "streamid=0";

/// Bytes of a packet on the wire, interleaved header included, where nothing else is asked for.
pub const PACKET_BYTES: usize = 1400;

/// RTP header without extensions (RFC 3550, section 5.1).
pub(crate) const RTP_HEADER_BYTES: usize = 12;
const PAYLOAD_TYPE: u8 = 96;
const MARKER: u8 = 0x80;
/// Types of a slice of a key picture, of any other, and of a fragment (RFC 6184, sections 5.2 and 5.8).
const NAL_IDR: u8 = 5;
const NAL_SLICE: u8 = 1;
const NAL_FU_A: u8 = 28;
const FU_START: u8 = 0x80;
const FU_END: u8 = 0x40;
/// `nal_ref_idc` of every NAL unit: all are referenced.
const REFERENCED: u8 = 0x60;
/// Slice data without start codes in it.
const FILLER: u8 = 0x55;
/// 90 kHz at 30 frames a second.
const TICKS_PER_FRAME: u32 = 3000;

/// Makes the stream, frame by frame.
#[derive(Debug)]
pub struct Source {
    gop_frames: u64,
    packet_bytes: usize,
    frame: u64,
    sequence_number: u16,
}

impl Source {
    /// A stream of packets of so many bytes, 64 at least, whose every `gop_frames`-th frame is a key frame, from the first
    /// on.
    #[must_use]
    pub fn new(gop_frames: u64, packet_bytes: usize) -> Self {
        Self {
            gop_frames,
            packet_bytes: packet_bytes.max(64),
            frame: 0,
            sequence_number: 0,
        }
    }

    /// Whether the next frame is a key frame.
    #[must_use]
    pub fn is_key_next(&self) -> bool {
        self.frame.is_multiple_of(self.gop_frames)
    }

    /// Writes the next frame's packets, at least one, to the end of `out`. They carry no moment yet.
    pub fn write_frame(&mut self, packets: usize, out: &mut Vec<u8>) {
        let kind = if self.is_key_next() {
            NAL_IDR
        } else {
            NAL_SLICE
        };
        for index in 0..packets {
            let is_last = index + 1 == packets;
            self.write_header(is_last, out);
            let mut fragment = kind;
            if index == 0 {
                fragment |= FU_START;
            }
            if is_last {
                fragment |= FU_END;
            }
            let end = out.len() + self.packet_bytes - INTERLEAVED_HEADER_BYTES - RTP_HEADER_BYTES;
            match packets {
                1 => out.extend_from_slice(&[REFERENCED | kind, FILLER]),
                _ => out.extend_from_slice(&[REFERENCED | NAL_FU_A, fragment]),
            }
            out.extend_from_slice(&Stamp::default().to_bytes());
            out.resize(end, FILLER);
        }
        self.frame += 1;
    }

    fn write_header(&mut self, is_last: bool, out: &mut Vec<u8>) {
        let length = self.packet_bytes - INTERLEAVED_HEADER_BYTES;
        let length = u16::try_from(length).expect("a packet is below 64 KiB");
        // The timestamp wraps after 13 hours, as RTP's does.
        let timestamp = (self.frame as u32).wrapping_mul(TICKS_PER_FRAME);
        let marker = if is_last { MARKER } else { 0 };
        out.extend_from_slice(&frame_header(0, length));
        out.extend_from_slice(&[0x80, marker | PAYLOAD_TYPE]);
        out.extend_from_slice(&self.sequence_number.to_be_bytes());
        out.extend_from_slice(&timestamp.to_be_bytes());
        out.extend_from_slice(&0x5eed_cafe_u32.to_be_bytes());
        self.sequence_number = self.sequence_number.wrapping_add(1);
    }
}

/// How many packets each frame has, so that the stream keeps its bit rate and key frames are larger.
#[derive(Debug)]
pub struct Pace {
    packets_per_frame: f64,
    owed: f64,
}

/// A key frame is so many times as large as a frame is on average.
const KEY_FRAME_FACTOR: f64 = 8.0;

impl Pace {
    /// A stream of this bit rate on the wire, in packets of so many bytes.
    #[must_use]
    pub fn new(bits_per_second: f64, frames_per_second: f64, packet_bytes: usize) -> Self {
        Self {
            packets_per_frame: bits_per_second / 8.0 / frames_per_second / packet_bytes as f64,
            owed: 0.0,
        }
    }

    /// Packets of the next frame, at least one. What a key frame takes, the frames after it give back.
    pub fn next_packets(&mut self, is_key: bool, gop_frames: u64) -> usize {
        let gop_frames = gop_frames as f64;
        let average = self.packets_per_frame;
        let key = (average * KEY_FRAME_FACTOR).min(average * gop_frames);
        let other = (average * gop_frames - key) / (gop_frames - 1.0).max(1.0);
        self.owed += if is_key { key } else { other };
        let packets = self.owed.floor().max(1.0);
        self.owed -= packets;
        packets as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_keeps_its_bit_rate() {
        let mut pace = Pace::new(2e6, 30.0, PACKET_BYTES);
        let packets: usize = (0..600)
            .map(|frame| pace.next_packets(frame % 60 == 0, 60))
            .sum();
        let bits = packets * PACKET_BYTES * 8;
        assert!((39_000_000..=41_000_000).contains(&bits), "{bits}");
    }

    #[test]
    fn a_key_frame_has_packets_of_one_size_and_ends_with_the_marker() {
        let (mut source, mut out) = (Source::new(30, PACKET_BYTES), Vec::new());
        source.write_frame(10, &mut out);
        assert_eq!(out.len(), 10 * PACKET_BYTES);
        let markers = out
            .chunks(PACKET_BYTES)
            .filter(|packet| packet[5] & MARKER != 0);
        assert_eq!(markers.count(), 1);
        assert!(!source.is_key_next());
    }
}
