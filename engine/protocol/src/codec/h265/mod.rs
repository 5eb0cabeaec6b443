//! H.265 in RTP (RFC 7798): what a payload holds.
//!
//! Input is one RTP payload in place; output is a [`PacketKind`], or the whole NAL units in it. Single
//! NAL units, aggregation packets and fragments are understood; PACI packets pass as opaque picture
//! data. Decoding order numbers (`sprop-max-don-diff` above zero), which no known client uses, are
//! not.

mod reference_pictures;
mod sps;

pub use sps::{SequenceParameters, pps_id, vps_id};

use super::nal::{Aggregated, NalUnits};
use super::{PacketKind, sei};

/// Length of the NAL header, and of the payload header that has its form.
pub(crate) const HEADER_BYTES: usize = 2;

/// First type that is no coded picture data (H.265 table 7-1).
const VCL_END: u8 = 32;
/// First type of the pictures at which decoding can start: BLA, IDR, CRA, and two reserved ones.
const IRAP_BEGIN: u8 = 16;
/// Last of these.
const IRAP_LAST: u8 = 23;
/// Type of a video parameter set.
pub const VPS: u8 = 32;
/// Type of a sequence parameter set.
pub const SPS: u8 = 33;
/// Type of a picture parameter set.
pub const PPS: u8 = 34;
/// Type of supplemental enhancement information in front of a picture.
const PREFIX_SEI: u8 = 39;
/// Type of an aggregation packet (RFC 7798 §4.4.2).
pub(crate) const AGGREGATION: u8 = 48;
/// Type of a fragment (RFC 7798 §4.4.3).
pub(crate) const FRAGMENT: u8 = 49;
/// Type of a packet with content information in front (RFC 7798 §4.4.4).
const PACI: u8 = 50;

/// Bit of a fragment's header that marks the first fragment.
const FU_START_BIT: u8 = 0x80;
/// Bits of a fragment's header that hold its unit's type; one bit higher up, those of a NAL header.
pub(crate) const TYPE_MASK: u8 = 0x3f;
/// Bits of the NAL header's first byte that are not its type.
pub(crate) const NOT_TYPE_MASK: u8 = 0x81;
/// Bits of the whole header that hold layer and temporal layer.
pub(crate) const LAYERS_MASK: u16 = 0x01ff;
/// How far up in the whole header its type lies.
pub(crate) const TYPE_SHIFT: u32 = 9;
/// Bits of the header's second byte that hold the temporal layer plus one.
const LAYER_MASK: u8 = 0x07;

/// The type of a NAL unit, or nothing of an empty one.
#[must_use]
pub fn nal_type(unit: &[u8]) -> Option<u8> {
    unit.first().map(|first| (first >> 1) & TYPE_MASK)
}

/// The layer of a NAL unit (`nuh_layer_id`), or nothing of one without header.
pub(super) fn layer(unit: &[u8]) -> Option<u8> {
    let [first, second] = *unit.first_chunk::<HEADER_BYTES>()?;
    Some((first & 1) << 5 | second >> 3)
}

/// What `payload` holds. A payload that is empty or ends in the middle of a unit holds what is there.
#[must_use]
pub fn inspect(payload: &[u8]) -> PacketKind {
    let Some((header, body)) = payload.split_first_chunk::<HEADER_BYTES>() else {
        return PacketKind::default();
    };
    match (header[0] >> 1) & TYPE_MASK {
        AGGREGATION => inspect_units(Aggregated::new(body)),
        FRAGMENT => inspect_fragment(header[1], body),
        PACI => PacketKind::OPAQUE,
        kind => inspect_unit(kind, header[1], body),
    }
}

/// The whole NAL units in `payload`, headers included. Of fragments there are none.
#[must_use]
pub fn nal_units(payload: &[u8]) -> NalUnits<'_> {
    match nal_type(payload) {
        None | Some(FRAGMENT | PACI) => NalUnits::none(),
        Some(AGGREGATION) => NalUnits::aggregated(payload.get(HEADER_BYTES..).unwrap_or_default()),
        Some(_) => NalUnits::single(payload),
    }
}

fn inspect_units(units: Aggregated<'_>) -> PacketKind {
    let mut kind = PacketKind::default();
    for unit in units {
        if let Some((header, body)) = unit.split_first_chunk::<HEADER_BYTES>() {
            kind.merge(inspect_unit((header[0] >> 1) & TYPE_MASK, header[1], body));
        }
    }
    kind
}

/// A fragment has its unit's type in a header of its own (RFC 7798 §4.4.3).
fn inspect_fragment(layer: u8, body: &[u8]) -> PacketKind {
    let Some((fu_header, fragment)) = body.split_first() else {
        return PacketKind::default();
    };
    let first = fu_header & FU_START_BIT != 0;
    let readable = if first { fragment } else { &[] };
    inspect_unit(fu_header & TYPE_MASK, layer, readable)
}

/// `body` is what follows the NAL header, or nothing where only the header is known.
fn inspect_unit(nal_type: u8, layer: u8, body: &[u8]) -> PacketKind {
    let mut kind = PacketKind::default();
    match nal_type {
        0..VCL_END => {
            kind.picture = true;
            // The slice header begins with `first_slice_segment_in_pic_flag` (H.265 §7.3.6.1).
            kind.picture_start = body.first().is_some_and(|byte| byte & 0x80 != 0);
            kind.key = (IRAP_BEGIN..=IRAP_LAST).contains(&nal_type);
            // Below 16, even types are those to which no picture of their layer refers.
            kind.droppable = nal_type < IRAP_BEGIN && nal_type.is_multiple_of(2);
            kind.temporal_layer = (layer & LAYER_MASK).saturating_sub(1);
        }
        VPS | SPS | PPS => kind.parameter_sets = true,
        PREFIX_SEI => kind.recovery_point = sei::has_recovery_point(body),
        _ => {}
    }
    kind
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn header(nal_type: u8, layer: u8) -> [u8; 2] {
        [nal_type << 1, layer + 1]
    }

    fn unit(nal_type: u8) -> Vec<u8> {
        let mut unit = header(nal_type, 0).to_vec();
        unit.extend([0xaa, 0xbb]);
        unit
    }

    fn aggregation(units: &[Vec<u8>]) -> Vec<u8> {
        let mut payload = header(AGGREGATION, 0).to_vec();
        for unit in units {
            payload.extend(u16::try_from(unit.len()).unwrap().to_be_bytes());
            payload.extend(unit);
        }
        payload
    }

    #[test]
    fn every_irap_picture_is_key_and_no_other() {
        for nal_type in 0..64u8 {
            if [AGGREGATION, FRAGMENT, PACI].contains(&nal_type) {
                continue;
            }
            let kind = inspect(&unit(nal_type));
            assert_eq!(kind.key, (16..=23).contains(&nal_type), "type {nal_type}");
            assert_eq!(kind.picture, nal_type < 32, "type {nal_type}");
            let sets = (32..=34).contains(&nal_type);
            assert_eq!(kind.parameter_sets, sets, "type {nal_type}");
            let droppable = nal_type < 16 && nal_type % 2 == 0;
            assert_eq!(kind.droppable, droppable, "type {nal_type}");
        }
    }

    #[test]
    fn every_fragment_of_a_key_picture_is_key() {
        for fu_header in [0x80 | 19, 19, 0x40 | 19] {
            let [first, second] = header(FRAGMENT, 0);
            let kind = inspect(&[first, second, fu_header, 1, 2]);
            assert!(kind.key && kind.picture && !kind.droppable);
        }
        let [first, second] = header(FRAGMENT, 2);
        assert_eq!(inspect(&[first, second, 0x80, 1]).temporal_layer, 2);
        assert_eq!(inspect(&[first, second]), PacketKind::default());
    }

    #[test]
    fn an_aggregation_is_all_that_its_units_are() {
        let mut sei = header(PREFIX_SEI, 0).to_vec();
        sei.extend([6, 1, 0x80, 0x80]);
        let payload = aggregation(&[unit(VPS), unit(SPS), unit(PPS), sei, unit(21)]);
        let kind = inspect(&payload);
        assert!(kind.parameter_sets && kind.recovery_point && kind.key);
        assert_eq!(nal_units(&payload).count(), 5);
        assert_eq!(nal_type(nal_units(&payload).next().unwrap()), Some(VPS));
    }

    #[test]
    fn an_aggregation_that_overruns_the_packet_holds_what_is_there() {
        let payload = aggregation(&[unit(SPS), unit(19)]);
        for cut in 0..payload.len() {
            let kind = inspect(&payload[..cut]);
            assert!(!kind.key, "cut {cut}");
            assert_eq!(kind.parameter_sets, cut >= 8, "cut {cut}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_inspected(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let kind = inspect(&payload);
            prop_assert!(kind.picture || !(kind.key || kind.droppable));
            prop_assert!(nal_units(&payload).all(|unit| unit.len() <= payload.len()));
        }
    }
}
