//! Codecs, as far as passing them on needs to know them.
//!
//! Input are RTP payloads in place. Output is what one holds ([`PacketKind`]), where access units
//! begin and end, and which of them a reader can start at ([`AccessUnitTracker`]). Pictures are not
//! decoded, and nothing is copied.
//!
//! Deliberately absent: depacketising to whole NAL units across packets. Only crossing to another
//! container needs that.

pub mod access_unit;
pub mod h264;
pub mod h265;
mod sei;

pub use access_unit::{AccessUnitTooLarge, AccessUnitTracker, PacketFlags, Unit};

/// What one RTP payload holds. Several may be true at once: an aggregation packet carries parameter
/// sets and a picture together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PacketKind {
    /// It holds coded picture data, whole or a fragment.
    pub picture: bool,
    /// Some of that is the first slice of its picture, from its begin.
    pub picture_start: bool,
    /// Some of that belongs to a picture that a decoder can start at: H.264 IDR, H.265 IRAP (IDR,
    /// CRA, BLA).
    pub key: bool,
    /// It holds VPS, SPS or PPS.
    pub parameter_sets: bool,
    /// It holds the SEI message that marks a recovery point (H.264 §D.2.8, H.265 §D.3.8): a decoder
    /// can start here, even though the picture may not be a key picture.
    pub recovery_point: bool,
    /// It holds picture data, and all of that is of pictures that no other picture of their temporal
    /// layer refers to.
    pub droppable: bool,
    /// The highest temporal layer of the picture data (H.265 `TemporalId`); 0 for H.264.
    pub temporal_layer: u8,
}

impl PacketKind {
    /// What a packet holds of which the payload says nothing that is understood: it might be any
    /// picture, so it is never dropped.
    pub(crate) const OPAQUE: Self = Self {
        picture: true,
        picture_start: false,
        key: false,
        parameter_sets: false,
        recovery_point: false,
        droppable: false,
        temporal_layer: 0,
    };

    /// Takes another NAL unit of the same packet in.
    pub(crate) fn merge(&mut self, other: Self) {
        self.droppable = match (self.picture, other.picture) {
            (true, true) => self.droppable && other.droppable,
            (true, false) => self.droppable,
            (false, _) => other.droppable,
        };
        self.picture |= other.picture;
        self.picture_start |= other.picture_start;
        self.key |= other.key;
        self.parameter_sets |= other.parameter_sets;
        self.recovery_point |= other.recovery_point;
        self.temporal_layer = self.temporal_layer.max(other.temporal_layer);
    }
}

/// The NAL units of an aggregation packet: each with its length in front, two bytes (RFC 6184 §5.7.1,
/// RFC 7798 §4.4.2). A unit that ends after the packet ends the walk.
#[derive(Clone, Debug)]
pub(crate) struct Aggregated<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Aggregated<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (size, rest) = self.rest.split_first_chunk::<2>()?;
        let (unit, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
        self.rest = rest;
        Some(unit)
    }
}

impl<'a> Aggregated<'a> {
    /// Walks the units that follow an aggregation packet's own header.
    pub(crate) const fn new(units: &'a [u8]) -> Self {
        Self { rest: units }
    }

    /// What has not been walked yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// No units at all.
    pub(crate) const fn none() -> Self {
        Self { rest: &[] }
    }
}

/// The whole NAL units that one payload holds: one, those of an aggregation packet, or none of a
/// fragment.
#[derive(Clone, Debug)]
pub struct NalUnits<'a> {
    single: Option<&'a [u8]>,
    aggregated: Aggregated<'a>,
}

impl<'a> NalUnits<'a> {
    pub(crate) const fn single(unit: &'a [u8]) -> Self {
        Self {
            single: Some(unit),
            aggregated: Aggregated::none(),
        }
    }

    pub(crate) const fn aggregated(units: &'a [u8]) -> Self {
        Self {
            single: None,
            aggregated: Aggregated::new(units),
        }
    }

    pub(crate) const fn none() -> Self {
        Self {
            single: None,
            aggregated: Aggregated::none(),
        }
    }
}

impl<'a> Iterator for NalUnits<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.single.take().or_else(|| self.aggregated.next())
    }
}
