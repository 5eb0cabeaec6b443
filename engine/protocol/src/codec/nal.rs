//! NAL units in RTP payloads: what H.264 (RFC 6184) and H.265 (RFC 7798) have in common, and where they
//! differ in it.
//!
//! Input are payloads in place; output are the whole units in them, a fragment's part of a unit, and
//! the header bytes of aggregations and fragments that are made anew.

use super::{h264, h265};
use crate::sdp::Codec;

/// Header bytes in front of a payload's body: at most those of an H.265 fragment (RFC 7798 §4.4.3).
pub(crate) const HEAD_BYTES_MAX: usize = 3;

/// Bits of a fragment's header: it is the unit's first, its last. Both codecs have the same.
pub(crate) const START_BIT: u8 = 0x80;
pub(crate) const END_BIT: u8 = 0x40;

/// A codec whose pictures come as NAL units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NalCodec {
    H264,
    H265,
}

/// A fragment's part of its unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment<'a> {
    /// The unit's type.
    pub(crate) nal_type: u8,
    /// It is the unit's first.
    pub(crate) starts: bool,
    /// It is the unit's last.
    pub(crate) ends: bool,
    pub(crate) body: &'a [u8],
}

impl NalCodec {
    pub(crate) const fn of(codec: &Codec) -> Option<Self> {
        match codec {
            Codec::H264 { .. } => Some(Self::H264),
            Codec::H265 { .. } => Some(Self::H265),
            _ => None,
        }
    }

    /// Length of a NAL unit's header.
    pub(crate) const fn header_bytes(self) -> usize {
        match self {
            Self::H264 => h264::HEADER_BYTES,
            Self::H265 => h265::HEADER_BYTES,
        }
    }

    /// The type of aggregations.
    pub(crate) const fn aggregation(self) -> u8 {
        match self {
            Self::H264 => h264::STAP_A,
            Self::H265 => h265::AGGREGATION,
        }
    }

    /// The type of fragments.
    pub(crate) const fn fragment(self) -> u8 {
        match self {
            Self::H264 => h264::FU_A,
            Self::H265 => h265::FRAGMENT,
        }
    }

    /// The type in the header of a unit or payload.
    pub(crate) fn nal_type(self, unit: &[u8]) -> Option<u8> {
        match self {
            Self::H264 => h264::nal_type(unit),
            Self::H265 => h265::nal_type(unit),
        }
    }

    /// Whether a type is that of a NAL unit, and not of a packet (RFC 6184 table 1, RFC 7798 §4.4).
    pub(crate) const fn is_unit(self, nal_type: u8) -> bool {
        match self {
            Self::H264 => nal_type > 0 && nal_type < h264::STAP_A,
            Self::H265 => nal_type < h265::AGGREGATION,
        }
    }

    /// The whole units of a payload.
    pub(crate) fn nal_units(self, payload: &[u8]) -> NalUnits<'_> {
        match self {
            Self::H264 => h264::nal_units(payload),
            Self::H265 => h265::nal_units(payload),
        }
    }

    /// What a payload holds as a fragment; nothing if it is none, or ends within its headers.
    pub(crate) fn fragment_of(self, payload: &[u8]) -> Option<Fragment<'_>> {
        if self.nal_type(payload) != Some(self.fragment()) {
            return None;
        }
        let (header, body) = payload.get(self.header_bytes()..)?.split_first()?;
        let type_mask = match self {
            Self::H264 => h264::TYPE_MASK,
            Self::H265 => h265::TYPE_MASK,
        };
        Some(Fragment {
            nal_type: header & type_mask,
            starts: header & START_BIT != 0,
            ends: header & END_BIT != 0,
            body,
        })
    }

    /// The header of a unit with this type, whose other fields are those of a fragment's payload.
    pub(crate) fn unit_head(self, payload: &[u8], nal_type: u8) -> Head {
        match (self, payload) {
            (Self::H264, [first, ..]) => Head::new(&[(first & !h264::TYPE_MASK) | nal_type]),
            (Self::H265, [first, second, ..]) => {
                Head::new(&[(first & h265::NOT_TYPE_MASK) | (nal_type << 1), *second])
            }
            _ => Head::default(),
        }
    }

    /// The head of a fragment of a unit with this type, whose other header fields are those of a unit
    /// or of another fragment's payload.
    pub(crate) fn fragment_head(self, unit: &[u8], nal_type: u8) -> Head {
        let mut head = self.unit_head(unit, self.fragment());
        head.push(nal_type);
        head
    }

    /// The head of an aggregation of `units`, their sizes included: the strictest of their header
    /// fields (RFC 6184 §5.7, RFC 7798 §4.4.2).
    pub(crate) fn aggregation_head(self, units: &[u8]) -> Head {
        let units = Aggregated::new(units);
        match self {
            Self::H264 => {
                let fold = |(forbidden, ref_idc): (u8, u8), unit: &[u8]| {
                    let first = unit.first().copied().unwrap_or_default();
                    let forbidden = forbidden | (first & h264::FORBIDDEN_BIT);
                    (forbidden, ref_idc.max(first & h264::REF_IDC_MASK))
                };
                let (forbidden, ref_idc) = units.fold((0, 0), fold);
                Head::new(&[forbidden | ref_idc | h264::STAP_A])
            }
            Self::H265 => {
                let lowest = units
                    .filter_map(|unit| unit.first_chunk::<2>())
                    .map(|header| u16::from_be_bytes(*header) & h265::LAYERS_MASK)
                    .min();
                let kind = u16::from(h265::AGGREGATION) << h265::TYPE_SHIFT;
                Head::new(&(kind | lowest.unwrap_or_default()).to_be_bytes())
            }
        }
    }
}

/// Header bytes in front of a payload's body.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Head {
    bytes: [u8; HEAD_BYTES_MAX],
    len: usize,
}

impl Head {
    fn new(bytes: &[u8]) -> Self {
        let mut head = Self::default();
        bytes.iter().for_each(|byte| head.push(*byte));
        head
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Sets a bit of a fragment's own header, which is its head's last byte.
    pub(crate) fn mark(&mut self, bit: u8) {
        if let Some(last) = self.bytes.get_mut(self.len.wrapping_sub(1)) {
            *last |= bit;
        }
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
