//! RTP and RTCP packets, and the access units in them. Input: an image of interleaved frames, as a publisher sends it;
//! the channel says what a frame is: even ones carry RTP of the codec at that place in [`UNITS`], odd ones RTCP, as in the
//! target `rtcp`.
//!
//! The oracle is `rtp-types`.

use rtp_types::RtpPacket;
use shardcast_protocol::codec::{
    AccessUnitTracker, PacketFlags, Unit, access_unit::ACCESS_UNIT_BYTES_MAX, h264, h265,
};
use shardcast_protocol::container::rtp::framing::Frames;
use shardcast_protocol::container::rtp::{
    HeaderView, HeaderViewMut, PayloadType, RtpTimestamp, SequenceNumber, Ssrc,
};

use crate::rtcp;

/// What the even channels carry, by half their number.
const UNITS: [Unit; 11] = [
    Unit::H264,
    Unit::H265,
    Unit::Marked,
    Unit::Packet,
    Unit::Av1,
    Unit::Vp8,
    Unit::Vp9,
    Unit::Mpeg4Video,
    Unit::MpegVideo,
    Unit::Mjpeg,
    Unit::MpegTs,
];

/// - The header view says the same as its oracle.
/// - A rewrite changes the rewritten fields alone.
/// - Every access unit has one first packet and at most one start point, and its packets are counted.
pub fn check(image: &[u8]) {
    let mut tracks = UNITS.map(Track::new);
    for frame in Frames::new(image) {
        let packet = &image[frame.payload()];
        if frame.channel % 2 == 1 {
            rtcp::check(packet);
        } else if let Some(header) = check_header(packet) {
            check_rewrite(packet);
            let place = usize::from(frame.channel / 2) % tracks.len();
            tracks[place].check_packet(&header);
        }
    }
}

/// The view, when the packet is one. The oracle must say the same.
fn check_header(packet: &[u8]) -> Option<HeaderView<'_>> {
    let view = HeaderView::parse(packet).ok();
    let oracle = RtpPacket::parse(packet).ok();
    assert_eq!(view.is_some(), oracle.is_some());
    let (view, oracle) = view.zip(oracle)?;
    assert_eq!(view.marker(), oracle.marker_bit());
    assert_eq!(view.payload_type().value(), oracle.payload_type());
    assert_eq!(view.sequence_number().0, oracle.sequence_number());
    assert_eq!(view.timestamp().0, oracle.timestamp());
    assert_eq!(view.ssrc().0, oracle.ssrc());
    assert_eq!(view.payload(), oracle.payload());
    assert_eq!(&packet[view.payload_range()], view.payload());
    Some(view)
}

fn check_rewrite(packet: &[u8]) {
    let mut changed = packet.to_vec();
    let mut header = HeaderViewMut::parse(&mut changed).expect("the view has taken it");
    header.set_payload_type(PayloadType::new(0x2a).expect("seven bits"));
    header.set_sequence_number(SequenceNumber(0x0102));
    header.set_timestamp(RtpTimestamp(0x0304_0506));
    header.set_ssrc(Ssrc(0x0708_090a));
    let marker = packet[1] & 0x80;
    assert_eq!(changed[0], packet[0]);
    assert_eq!(
        changed[1..12],
        [marker | 0x2a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    );
    assert_eq!(changed[12..], packet[12..]);
}

/// One track's packets.
struct Track {
    unit: Unit,
    tracker: AccessUnitTracker,
    /// Of the unit under way.
    packets: u32,
    bytes: usize,
    start_points: u32,
    begun: bool,
}

impl Track {
    fn new(unit: Unit) -> Self {
        Self {
            unit,
            tracker: AccessUnitTracker::new(unit),
            packets: 0,
            bytes: 0,
            start_points: 0,
            begun: false,
        }
    }

    fn check_packet(&mut self, header: &HeaderView<'_>) {
        check_payload(self.unit, header.payload());
        let flags =
            self.tracker
                .handle_packet(header.timestamp(), header.marker(), header.payload());
        match flags {
            Ok(flags) => self.check_flags(flags, header.payload().len()),
            Err(refused) => {
                assert!(refused.bytes > ACCESS_UNIT_BYTES_MAX);
                *self = Self::new(self.unit);
            }
        }
    }

    fn check_flags(&mut self, flags: PacketFlags, payload_bytes: usize) {
        assert!(
            flags.au_start || self.begun,
            "the first packet begins a unit"
        );
        if flags.au_start {
            (self.packets, self.bytes, self.start_points) = (0, 0, 0);
        }
        assert!(flags.au_start || !flags.after_unmarked_end);
        assert_eq!(flags.packets_before, self.packets);
        self.begun = true;
        self.packets += 1;
        self.bytes += payload_bytes;
        self.start_points += u32::from(flags.start_point);
        assert!(self.start_points <= 1 && self.bytes <= ACCESS_UNIT_BYTES_MAX);
        assert_eq!(flags.key, self.start_points == 1);
        assert!(flags.au_end || self.unit != Unit::Packet);
    }
}

fn check_payload(unit: Unit, payload: &[u8]) {
    let (kind, bytes) = match unit {
        Unit::H264 => (h264::inspect(payload), unit_bytes(h264::nal_units(payload))),
        Unit::H265 => (h265::inspect(payload), unit_bytes(h265::nal_units(payload))),
        _ => return,
    };
    assert!(bytes <= payload.len(), "units overlap");
    assert!(kind.picture || !(kind.key || kind.droppable || kind.picture_start));
}

fn unit_bytes<'a>(units: impl Iterator<Item = &'a [u8]>) -> usize {
    units.map(<[u8]>::len).sum()
}
