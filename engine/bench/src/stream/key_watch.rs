//! Where a reader's first whole key frame ends. Packets come from a reader whose start is waited for; whoever has its answer
//! asks no more.
//!
//! A key frame is whole when its packets follow on each other from its first to that with the marker. That slices are missing
//! in front of the first packet of all cannot be told from here: servers begin at the begin of a frame.

use shardcast_protocol::codec::{h264, h265};
use shardcast_protocol::container::rtp::{HeaderView, RtpTimestamp, SequenceNumber};

use super::probe::Carrier;

/// NAL unit types: an IDR picture of H.264 (table 7-1), and the range of those at which decoding of H.265 can begin
/// (table 7-1, `IRAP`); fragments of both (RFC 6184, section 5.8; RFC 7798, section 4.4.3).
const H264_IDR: u8 = 5;
const H265_IRAP: std::ops::RangeInclusive<u8> = 16..=23;
const H264_FRAGMENT: u8 = 28;
const H265_FRAGMENT: u8 = 49;
/// Bit of a fragment's header that marks the first one.
const FRAGMENT_START: u8 = 0x80;

/// Waits for the end of a key frame.
#[derive(Debug)]
pub struct KeyWatch {
    /// The first track with pictures, and of which kind.
    pictures: Option<(usize, Carrier)>,
    frame: Option<Frame>,
}

/// A frame of which packets have come.
#[derive(Clone, Copy, Debug)]
struct Frame {
    timestamp: RtpTimestamp,
    next: SequenceNumber,
    is_key: bool,
    is_whole: bool,
}

impl KeyWatch {
    /// Of tracks that carry pictures in these ways.
    #[must_use]
    pub fn new(carriers: &[Carrier]) -> Self {
        let mut tracks = carriers.iter().copied().enumerate();
        Self {
            pictures: tracks.find(|(_, it)| matches!(it, Carrier::H264 | Carrier::H265)),
            frame: None,
        }
    }

    /// Whether there are pictures at all.
    #[must_use]
    pub fn has_pictures(&self) -> bool {
        self.pictures.is_some()
    }

    /// Whether a whole key frame ends with this packet.
    pub fn is_end(&mut self, track: usize, rtp: &[u8]) -> bool {
        let carrier = self.pictures.filter(|(pictures, _)| *pictures == track);
        let (Some((_, carrier)), Ok(view)) = (carrier, HeaderView::parse(rtp)) else {
            return false;
        };
        let (sequence, timestamp) = (view.sequence_number(), view.timestamp());
        let begun = self.frame.filter(|frame| frame.timestamp == timestamp);
        let mut frame = begun.unwrap_or(Frame {
            timestamp,
            next: sequence,
            is_key: false,
            is_whole: true,
        });
        frame.is_whole &= sequence == frame.next;
        frame.is_key |= begins_key_slice(carrier, view.payload());
        frame.next = SequenceNumber(sequence.0.wrapping_add(1));
        self.frame = Some(frame).filter(|_| !view.marker());
        view.marker() && frame.is_key && frame.is_whole
    }
}

/// Whether a payload has the begin of a slice at which decoding can begin.
fn begins_key_slice(carrier: Carrier, payload: &[u8]) -> bool {
    match (carrier, payload) {
        (Carrier::H264, [first, head, ..]) if first & 0x1f == H264_FRAGMENT => {
            head & FRAGMENT_START != 0 && head & 0x1f == H264_IDR
        }
        (Carrier::H264, _) => h264::nal_units(payload)
            .any(|unit| unit.first().is_some_and(|first| first & 0x1f == H264_IDR)),
        (Carrier::H265, [first, _, head, ..]) if first >> 1 & 0x3f == H265_FRAGMENT => {
            head & FRAGMENT_START != 0 && H265_IRAP.contains(&(head & 0x3f))
        }
        (Carrier::H265, _) => h265::nal_units(payload).any(|unit| {
            let first = unit.first();
            first.is_some_and(|first| H265_IRAP.contains(&(first >> 1 & 0x3f)))
        }),
        (Carrier::Aac | Carrier::Other, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet with this number and timestamp, marked or not.
    fn packet(sequence: u16, timestamp: u32, is_marked: bool, payload: &[u8]) -> Vec<u8> {
        let second = if is_marked { 0xe0 } else { 0x60 };
        let mut packet = vec![0x80, second];
        packet.extend(sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend([0, 0, 0, 1]);
        packet.extend(payload);
        packet
    }

    fn watch() -> KeyWatch {
        KeyWatch::new(&[Carrier::Aac, Carrier::H264])
    }

    const KEY_BEGIN: [u8; 3] = [0x7c, 0x85, 1];
    const KEY_REST: [u8; 3] = [0x7c, 0x05, 1];
    const OTHER: [u8; 2] = [0x61, 1];

    #[test]
    fn a_key_frame_ends_with_its_marked_packet() {
        let mut watch = watch();
        assert!(!watch.is_end(1, &packet(7, 0, true, &OTHER)));
        assert!(!watch.is_end(1, &packet(8, 9, false, &KEY_BEGIN)));
        assert!(!watch.is_end(0, &packet(9, 9, true, &KEY_BEGIN)), "audio");
        assert!(watch.is_end(1, &packet(9, 9, true, &KEY_REST)));
        assert!(!watch.is_end(1, &packet(10, 12, true, &OTHER)));
        assert!(
            watch.is_end(1, &packet(11, 15, true, &[0x65, 1])),
            "a slice in one packet"
        );
    }

    #[test]
    fn a_key_frame_that_lacks_a_packet_is_not_whole() {
        let mut watch = watch();
        assert!(!watch.is_end(1, &packet(u16::MAX, 9, false, &KEY_BEGIN)));
        assert!(!watch.is_end(1, &packet(1, 9, true, &KEY_REST)));
        assert!(
            !watch.is_end(1, &packet(2, 12, false, &KEY_REST)),
            "the begin is missing"
        );
        assert!(!watch.is_end(1, &packet(3, 12, true, &KEY_REST)));
        assert!(!watch.is_end(1, &packet(u16::MAX, 15, false, &KEY_BEGIN)));
        assert!(
            watch.is_end(1, &packet(0, 15, true, &KEY_REST)),
            "numbers wrap"
        );
    }

    #[test]
    fn sound_alone_has_no_pictures_to_wait_for() {
        assert!(!KeyWatch::new(&[Carrier::Aac, Carrier::Other]).has_pictures());
    }

    #[test]
    fn pictures_of_h265_are_known_too() {
        let mut watch = KeyWatch::new(&[Carrier::H265]);
        assert!(!watch.is_end(0, &packet(1, 0, true, &[1 << 1, 1, 9])));
        assert!(!watch.is_end(0, &packet(2, 3, false, &[49 << 1, 1, 0x80 | 19])));
        assert!(watch.is_end(0, &packet(3, 3, true, &[49 << 1, 1, 0x40 | 19])));
        assert!(watch.is_end(0, &packet(4, 6, true, &[20 << 1, 1, 9])));
    }
}
