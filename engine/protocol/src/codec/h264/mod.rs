//! H.264 in RTP (RFC 6184): what a payload holds.
//!
//! Input is one RTP payload in place; output is a [`PacketKind`], or the whole NAL units in it. Single
//! NAL units, STAP-A, STAP-B, FU-A and FU-B are understood. Interleaved MTAPs, which no known client
//! sends, pass as opaque picture data.

mod sps;

pub use sps::{SequenceParameters, pps_id};

use super::nal::{Aggregated, NalUnits};
use super::{PacketKind, sei};

/// Length of the NAL header.
pub(crate) const HEADER_BYTES: usize = 1;

/// Bit of the NAL header that a damaged unit may have set (`forbidden_zero_bit`).
pub(crate) const FORBIDDEN_BIT: u8 = 0x80;
/// Bits of the NAL header that say whether others refer to it (`nal_ref_idc`).
pub(crate) const REF_IDC_MASK: u8 = 0x60;
/// Bits of the NAL header that hold its type.
pub(crate) const TYPE_MASK: u8 = 0x1f;

/// Type of an IDR slice (H.264 table 7-1).
const IDR_SLICE: u8 = 5;
/// Type of supplemental enhancement information.
const SEI: u8 = 6;
/// Type of a sequence parameter set.
pub const SPS: u8 = 7;
/// Type of a picture parameter set.
pub const PPS: u8 = 8;
/// Type of an aggregation packet (RFC 6184 §5.7.1).
pub(crate) const STAP_A: u8 = 24;
/// Type of an aggregation packet with a decoding order number.
const STAP_B: u8 = 25;
/// Types of the multi-time aggregation packets (RFC 6184 §5.7.2).
const MTAP16: u8 = 26;
const MTAP24: u8 = 27;
/// Type of a fragment (RFC 6184 §5.8).
pub(crate) const FU_A: u8 = 28;
/// Type of a fragment with a decoding order number.
const FU_B: u8 = 29;

/// Bytes of a decoding order number.
const DON_BYTES: usize = 2;
/// Bit of a fragment's header that marks the first fragment.
const FU_START_BIT: u8 = 0x80;

/// The type of a NAL unit, or nothing of an empty one.
#[must_use]
pub fn nal_type(unit: &[u8]) -> Option<u8> {
    unit.first().map(|header| header & TYPE_MASK)
}

/// What `payload` holds. A payload that is empty or ends in the middle of a unit holds what is there.
#[must_use]
pub fn inspect(payload: &[u8]) -> PacketKind {
    let Some((header, body)) = payload.split_first() else {
        return PacketKind::default();
    };
    match header & TYPE_MASK {
        STAP_A => inspect_units(Aggregated::new(body)),
        STAP_B => inspect_units(Aggregated::new(body.get(DON_BYTES..).unwrap_or_default())),
        MTAP16 | MTAP24 => PacketKind::OPAQUE,
        FU_A => inspect_fragment(*header, body, 0),
        FU_B => inspect_fragment(*header, body, DON_BYTES),
        _ => inspect_unit(*header, body),
    }
}

/// The whole NAL units in `payload`, headers included. Of fragments there are none.
#[must_use]
pub fn nal_units(payload: &[u8]) -> NalUnits<'_> {
    match payload.split_first() {
        None => NalUnits::none(),
        Some((header, body)) => match header & TYPE_MASK {
            STAP_A => NalUnits::aggregated(body),
            STAP_B => NalUnits::aggregated(body.get(DON_BYTES..).unwrap_or_default()),
            MTAP16..=FU_B => NalUnits::none(),
            _ => NalUnits::single(payload),
        },
    }
}

fn inspect_units(units: Aggregated<'_>) -> PacketKind {
    let mut kind = PacketKind::default();
    for unit in units {
        if let Some((header, body)) = unit.split_first() {
            kind.merge(inspect_unit(*header, body));
        }
    }
    kind
}

/// A fragment has its unit's type in a header of its own, and the rest of the unit's header in the
/// packet's (RFC 6184 §5.8).
fn inspect_fragment(indicator: u8, body: &[u8], don_bytes: usize) -> PacketKind {
    let Some((fu_header, fragment)) = body.split_first() else {
        return PacketKind::default();
    };
    let header = (indicator & REF_IDC_MASK) | (fu_header & TYPE_MASK);
    let first = fu_header & FU_START_BIT != 0;
    let readable = if first {
        fragment.get(don_bytes..)
    } else {
        None
    };
    inspect_unit(header, readable.unwrap_or_default())
}

/// `body` is what follows the NAL header, or nothing where only the header is known.
fn inspect_unit(header: u8, body: &[u8]) -> PacketKind {
    let mut kind = PacketKind::default();
    match header & TYPE_MASK {
        // Slices and their partitions; 19 to 21 are slices of auxiliary pictures and extensions.
        slice @ (1..=IDR_SLICE | 19..=21) => {
            kind.picture = true;
            kind.picture_start = is_first_slice(slice, body);
            kind.key = slice == IDR_SLICE;
            kind.droppable = header & REF_IDC_MASK == 0;
        }
        SEI => kind.recovery_point = sei::has_recovery_point(body),
        SPS | PPS => kind.parameter_sets = true,
        _ => {}
    }
    kind
}

/// Whether `first_mb_in_slice` is 0, which Exp-Golomb writes as a single one bit (H.264 §7.3.3).
fn is_first_slice(slice: u8, body: &[u8]) -> bool {
    matches!(slice, 1 | 2 | IDR_SLICE) && body.first().is_some_and(|byte| byte & 0x80 != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stap_a(units: &[&[u8]]) -> Vec<u8> {
        let mut payload = vec![0x78];
        for unit in units {
            payload.extend(u16::try_from(unit.len()).unwrap().to_be_bytes());
            payload.extend(*unit);
        }
        payload
    }

    const KEY: PacketKind = PacketKind {
        picture: true,
        picture_start: false,
        key: true,
        parameter_sets: false,
        recovery_point: false,
        droppable: false,
        temporal_layer: 0,
    };

    #[test]
    fn single_units_are_told_apart() {
        assert_eq!(inspect(&[0x65, 0x48]), KEY);
        assert!(inspect(&[0x65, 0x88]).picture_start);
        assert!(inspect(&[0x67, 0x42]).parameter_sets);
        assert!(inspect(&[0x68, 0xce]).parameter_sets);
        let p = inspect(&[0x41, 0x9a]);
        assert!(p.picture && !p.key && !p.droppable);
        let b = inspect(&[0x01, 0x9e]);
        assert!(b.picture && b.droppable);
        assert_eq!(inspect(&[0x09, 0xf0]), PacketKind::default());
        assert_eq!(inspect(&[]), PacketKind::default());
    }

    #[test]
    fn a_recovery_point_is_seen() {
        assert!(inspect(&[0x06, 0x06, 0x01, 0xc4, 0x80]).recovery_point);
        assert!(!inspect(&[0x06, 0x05, 0x01, 0xc4, 0x80]).recovery_point);
    }

    #[test]
    fn every_fragment_of_a_key_picture_is_key() {
        assert_eq!(inspect(&[0x7c, 0x85, 1, 2]), KEY);
        assert_eq!(inspect(&[0x7c, 0x05, 1, 2]), KEY);
        assert_eq!(inspect(&[0x7c, 0x45, 1, 2]), KEY);
        assert_eq!(inspect(&[0x7d, 0x85, 0, 1, 2]), KEY);
        assert!(inspect(&[0x1c, 0x81, 1]).droppable);
        assert_eq!(inspect(&[0x7c]), PacketKind::default());
    }

    #[test]
    fn an_aggregation_is_all_that_its_units_are() {
        let payload = stap_a(&[
            &[0x67, 1],
            &[0x68, 2],
            &[0x06, 6, 1, 0x80, 0x80],
            &[0x65, 3],
        ]);
        let kind = inspect(&payload);
        assert!(kind.parameter_sets && kind.key && kind.recovery_point && kind.picture);
        let mixed = inspect(&stap_a(&[&[0x01, 1], &[0x41, 2]]));
        assert!(mixed.picture && !mixed.droppable);
        let droppable = inspect(&stap_a(&[&[0x06, 5, 0], &[0x01, 1], &[0x01, 2]]));
        assert!(droppable.droppable);
    }

    #[test]
    fn an_aggregation_that_overruns_the_packet_holds_what_is_there() {
        let payload = stap_a(&[&[0x67, 1], &[0x65, 3, 4, 5]]);
        for cut in 0..payload.len() {
            let kind = inspect(&payload[..cut]);
            assert!(!kind.key, "cut {cut}");
            assert_eq!(kind.parameter_sets, cut >= 5, "cut {cut}");
        }
    }

    #[test]
    fn whole_units_are_handed_out_and_fragments_are_not() {
        let payload = stap_a(&[&[0x67, 1], &[0x68, 2]]);
        let units: Vec<_> = nal_units(&payload).collect();
        assert_eq!(units, [&[0x67, 1], &[0x68, 2]]);
        assert_eq!(nal_type(units[0]), Some(SPS));
        assert_eq!(nal_units(&[0x65, 9]).count(), 1);
        assert_eq!(nal_units(&[0x7c, 0x85, 1]).count(), 0);
        assert_eq!(nal_units(&[]).count(), 0);
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
