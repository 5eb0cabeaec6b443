//! Cutting payloads anew: one that is too large for a datagram becomes pieces that fit.
//!
//! Input is one RTP payload of H.264 or H.265 in place, and how many bytes of payload a datagram takes.
//! Output are [`Pieces`], each a few header bytes and a slice of the input; the datagram image puts an
//! RTP header in front of each. Aggregations are cut between their NAL units, as many per piece as fit;
//! a NAL unit or a fragment that is too large by itself is cut evenly, so that all pieces but the last
//! have one size and leave in one send.
//!
//! Deliberately absent: what a stream with decoding order numbers has (STAP-B, FU-B, MTAPs,
//! `sprop-max-don-diff` above zero), and payloads with content information in front (PACI). No known
//! client sends them.

use std::mem;

use crate::codec::nal::{Aggregated, END_BIT, Fragment, HEAD_BYTES_MAX, Head, NalCodec, START_BIT};
use crate::sdp::Codec;

/// How a codec's payloads are cut: into NAL units, aggregations and fragments of H.264 (RFC 6184
/// §5.6–5.8) or H.265 (RFC 7798 §4.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut(NalCodec);

/// Why a payload cannot be cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CutError {
    /// The datagram takes no more than a fragment's header. The operator is at fault.
    #[error("{max} bytes of payload leave no room for a piece")]
    NoRoom {
        /// How many bytes of payload were allowed.
        max: usize,
    },
    /// The payload, or a unit within it, is of a kind that has no pieces. The publisher is at fault.
    #[error("a payload of type {nal_type} cannot be cut")]
    Kind {
        /// The type that the payload's or the unit's header has.
        nal_type: u8,
    },
    /// The payload ends within its own header, or aggregates nothing. The publisher is at fault.
    #[error("a payload with nothing in it")]
    Empty,
}

/// One piece of a payload: [`Piece::head`], then [`Piece::body`].
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    head: Head,
    /// The piece's part of the original payload.
    pub body: &'a [u8],
    /// No piece follows: this one takes over the original packet's marker.
    pub is_last: bool,
}

impl Piece<'_> {
    /// The header bytes that precede the body: none to three.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        self.head.bytes()
    }

    /// Bytes of payload in all.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.head.bytes().len() + self.body.len()
    }
}

impl Cut {
    /// How payloads of `codec` are cut; nothing of those that are not.
    #[must_use]
    pub const fn of(codec: &Codec) -> Option<Self> {
        match NalCodec::of(codec) {
            Some(codec) => Some(Self(codec)),
            None => None,
        }
    }

    /// The pieces of `payload`, each of at most `max` bytes; itself, where it is no larger.
    ///
    /// # Errors
    /// [`CutError`], before the first piece.
    pub fn pieces(self, payload: &[u8], max: usize) -> Result<Pieces<'_>, CutError> {
        if max <= HEAD_BYTES_MAX {
            return Err(CutError::NoRoom { max });
        }
        let mut pieces = Pieces {
            codec: self.0,
            max,
            whole: None,
            fragments: Fragments::default(),
            units: Aggregated::none(),
        };
        if payload.len() <= max {
            pieces.whole = Some(payload);
            return Ok(pieces);
        }
        let nal_type = self.0.nal_type(payload).ok_or(CutError::Empty)?;
        if self.0.is_unit(nal_type) {
            pieces.fragments = Fragments::of_unit(self.0, payload, max);
        } else if nal_type == self.0.fragment() {
            let fragment = self.0.fragment_of(payload).ok_or(CutError::Empty)?;
            pieces.fragments = Fragments::of_fragment(self.0, payload, &fragment, max);
        } else if nal_type == self.0.aggregation() {
            pieces.units = self.checked_units(payload)?;
        } else {
            return Err(CutError::Kind { nal_type });
        }
        Ok(pieces)
    }

    /// What follows an aggregation's header, if all that it holds can be sent by itself.
    fn checked_units(self, payload: &[u8]) -> Result<Aggregated<'_>, CutError> {
        let header_bytes = self.0.header_bytes();
        let units = Aggregated::new(payload.get(header_bytes..).unwrap_or_default());
        let mut is_empty = true;
        for unit in units.clone().filter(|unit| !unit.is_empty()) {
            let nal_type = self.0.nal_type(unit).unwrap_or_default();
            if !self.0.is_unit(nal_type) || unit.len() < header_bytes {
                return Err(CutError::Kind { nal_type });
            }
            is_empty = false;
        }
        if is_empty {
            Err(CutError::Empty)
        } else {
            Ok(units)
        }
    }
}

/// The pieces of one payload, in order.
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    codec: NalCodec,
    max: usize,
    /// The payload, where it needs no cut.
    whole: Option<&'a [u8]>,
    /// Of the unit that is being cut.
    fragments: Fragments<'a>,
    /// The rest of an aggregation.
    units: Aggregated<'a>,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let whole = self.whole.take().map(|whole| (Head::default(), whole));
        let (head, body) = whole
            .or_else(|| self.fragments.next())
            .or_else(|| self.next_units())?;
        let is_last = self.fragments.rest.is_empty() && !self.has_units();
        Some(Piece {
            head,
            body,
            is_last,
        })
    }
}

impl<'a> Pieces<'a> {
    /// Whether the aggregation has a unit that no piece has taken.
    fn has_units(&self) -> bool {
        self.units.clone().any(|unit| !unit.is_empty())
    }

    /// As many of the aggregation's units as fit, or the first fragment of one that does not. The units
    /// lie behind one another with their sizes, just as a smaller aggregation needs them.
    fn next_units(&mut self) -> Option<(Head, &'a [u8])> {
        let (begin, first) = self.next_unit()?;
        if first.len() > self.max {
            self.fragments = Fragments::of_unit(self.codec, first, self.max);
            return self.fragments.next();
        }
        let room = self.max.saturating_sub(self.codec.header_bytes());
        let mut aggregated = None;
        let mut after = self.units.clone();
        while after.next().is_some_and(|unit| !unit.is_empty()) {
            let units = begin.len().saturating_sub(after.rest().len());
            if units > room {
                break;
            }
            aggregated = begin.get(..units);
            self.units = after.clone();
        }
        Some(aggregated.map_or((Head::default(), first), |units| {
            (self.codec.aggregation_head(units), units)
        }))
    }

    /// The next unit that is not empty, and the aggregation from its size on.
    fn next_unit(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        loop {
            let begin = self.units.rest();
            let unit = self.units.next()?;
            if !unit.is_empty() {
                return Some((begin, unit));
            }
        }
    }
}

/// The fragments of one unit, or of one fragment.
#[derive(Clone, Debug, Default)]
struct Fragments<'a> {
    /// With neither start nor end marked.
    head: Head,
    rest: &'a [u8],
    size: usize,
    starts: bool,
    ends: bool,
}

impl<'a> Fragments<'a> {
    fn of_unit(codec: NalCodec, unit: &'a [u8], max: usize) -> Self {
        let nal_type = codec.nal_type(unit).unwrap_or_default();
        let body = unit.get(codec.header_bytes()..).unwrap_or_default();
        Self::new(codec.fragment_head(unit, nal_type), body, max, true, true)
    }

    fn of_fragment(codec: NalCodec, payload: &[u8], fragment: &Fragment<'a>, max: usize) -> Self {
        let head = codec.fragment_head(payload, fragment.nal_type);
        Self::new(head, fragment.body, max, fragment.starts, fragment.ends)
    }

    /// Cuts `body` into as few fragments as fit into `max` bytes, and these evenly.
    fn new(head: Head, body: &'a [u8], max: usize, starts: bool, ends: bool) -> Self {
        let room = max.saturating_sub(head.bytes().len()).max(1);
        let count = body.len().div_ceil(room).max(1);
        Self {
            head,
            rest: body,
            size: body.len().div_ceil(count),
            starts,
            ends,
        }
    }
}

impl<'a> Iterator for Fragments<'a> {
    type Item = (Head, &'a [u8]);

    fn next(&mut self) -> Option<(Head, &'a [u8])> {
        if self.rest.is_empty() {
            return None;
        }
        let (body, rest) = self
            .rest
            .split_at_checked(self.size)
            .unwrap_or((self.rest, &[]));
        self.rest = rest;
        let mut head = self.head;
        if mem::take(&mut self.starts) {
            head.mark(START_BIT);
        }
        if self.ends && rest.is_empty() {
            head.mark(END_BIT);
        }
        Some((head, body))
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use proptest::prelude::*;

    use super::NalCodec::{H264, H265};
    use super::*;

    fn unit(cut: NalCodec, nal_type: u8, len: usize) -> Vec<u8> {
        let header = match cut {
            H264 => vec![0x60 | nal_type],
            H265 => vec![nal_type << 1, 1],
        };
        let body = (0..len).map(|at| u8::try_from(at % 251).unwrap());
        header.into_iter().chain(body).collect()
    }

    fn aggregation(cut: NalCodec, units: &[Vec<u8>]) -> Vec<u8> {
        let mut payload = match cut {
            H264 => vec![0x78],
            H265 => vec![48 << 1, 1],
        };
        for unit in units {
            payload.extend(u16::try_from(unit.len()).unwrap().to_be_bytes());
            payload.extend(unit);
        }
        payload
    }

    fn cut_up(cut: NalCodec, payload: &[u8], max: usize) -> Vec<Vec<u8>> {
        let pieces: Vec<_> = Cut(cut).pieces(payload, max).unwrap().collect();
        let last = pieces.iter().rposition(|piece| piece.is_last);
        assert_eq!(last, Some(pieces.len() - 1));
        assert_eq!(pieces.iter().filter(|piece| piece.is_last).count(), 1);
        let bytes = |piece: &Piece<'_>| [piece.head(), piece.body].concat();
        let payloads: Vec<_> = pieces.iter().map(bytes).collect();
        assert!(payloads.iter().all(|payload| payload.len() <= max));
        payloads
    }

    /// The NAL units of payloads, put together as a reader does it. A fragment whose begin is not
    /// there, or whose end, is kept with a mark.
    fn depacketised(cut: NalCodec, payloads: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let header_bytes = cut.header_bytes();
        let mut units: Vec<Vec<u8>> = Vec::new();
        let mut open: Option<Vec<u8>> = None;
        for payload in payloads {
            let nal_type = cut.nal_type(payload).unwrap();
            if nal_type == cut.aggregation() {
                let inner = Aggregated::new(&payload[header_bytes..]);
                units.extend(inner.map(<[u8]>::to_vec));
            } else if nal_type == cut.fragment() {
                let fu_header = payload[header_bytes];
                let mut header = payload[..header_bytes].to_vec();
                header[0] = match cut {
                    H264 => (header[0] & 0xe0) | (fu_header & 0x1f),
                    H265 => (header[0] & 0x81) | ((fu_header & 0x3f) << 1),
                };
                if fu_header & START_BIT != 0 {
                    assert!(open.is_none(), "a fragment begins within another");
                    open = Some(header.clone());
                }
                let unit = open.get_or_insert_with(|| [b"no begin".to_vec(), header].concat());
                unit.extend(&payload[header_bytes + 1..]);
                if fu_header & END_BIT != 0 {
                    units.extend(open.take());
                }
            } else {
                units.push(payload.clone());
            }
        }
        units.extend(open.map(|unit| [b"no end".to_vec(), unit].concat()));
        units
    }

    #[test]
    fn a_payload_that_fits_is_its_own_only_piece() {
        for cut in [H264, H265] {
            let payload = unit(cut, 1, 98);
            let pieces = cut_up(cut, &payload, payload.len());
            assert_eq!(pieces, slice::from_ref(&payload));
            assert_eq!(cut_up(cut, &payload, payload.len() - 1).len(), 2);
        }
    }

    #[test]
    fn a_single_unit_becomes_even_fragments() {
        let payloads = cut_up(H264, &unit(H264, 5, 2899), 1452);
        assert_eq!(
            payloads.iter().map(Vec::len).collect::<Vec<_>>(),
            [1452, 1451]
        );
        assert_eq!(payloads[0][..2], [0x7c, 0x85]);
        assert_eq!(payloads[1][..2], [0x7c, 0x45]);
        // One byte more than two take.
        let payloads = cut_up(H265, &unit(H265, 19, 2899), 1452);
        assert_eq!(
            payloads.iter().map(Vec::len).collect::<Vec<_>>(),
            [970, 970, 968]
        );
        assert_eq!(payloads[0][..3], [49 << 1, 1, 0x80 | 19]);
        assert_eq!(payloads[1][..3], [49 << 1, 1, 19]);
        assert_eq!(payloads[2][..3], [49 << 1, 1, 0x40 | 19]);
    }

    #[test]
    fn a_fragment_keeps_its_place_within_its_unit() {
        for (fu_header, expected) in [
            (0x85, [0x85, 0x05, 0x05]),
            (0x05, [0x05, 0x05, 0x05]),
            (0x45, [0x05, 0x05, 0x45]),
        ] {
            let payload = [&[0x7c, fu_header], &[7; 30][..]].concat();
            let payloads = cut_up(H264, &payload, 12);
            let heads: Vec<_> = payloads.iter().map(|payload| payload[1]).collect();
            assert_eq!(heads, expected);
            assert!(payloads.iter().all(|payload| payload.len() == 12));
        }
    }

    #[test]
    fn an_aggregation_is_cut_between_its_units() {
        let units = [unit(H264, 7, 20), unit(H264, 8, 4), unit(H264, 5, 90)];
        let payloads = cut_up(H264, &aggregation(H264, &units), 40);
        assert_eq!(payloads[0], aggregation(H264, &units[..2]));
        assert_eq!(depacketised(H264, &payloads), units);
        // A unit that is left alone goes by itself.
        let payloads = cut_up(H264, &aggregation(H264, &units[..2]), 25);
        assert_eq!(payloads, units[..2]);
    }

    #[test]
    fn a_smaller_aggregation_has_the_strictest_header_of_its_units() {
        let (b, p) = (vec![0x01; 9], vec![0x41; 9]);
        let units = [b.clone(), b, p.clone(), p];
        let payloads = cut_up(H264, &aggregation(H264, &units), 23);
        assert_eq!([payloads[0][0], payloads[1][0]], [24, 0x40 | 24]);
        let layer = |layer: u8| [&[2, layer][..], &[9; 8]].concat();
        let units = [layer(3), layer(2), layer(1), layer(3)];
        let payloads = cut_up(H265, &aggregation(H265, &units), 26);
        assert_eq!([payloads[0][1], payloads[1][1]], [2, 1]);
    }

    #[test]
    fn what_has_no_pieces_is_refused() {
        let long = |head: &[u8]| [head, &[1; 50]].concat();
        for (cut, nal_type) in [(H264, 0), (H264, 25), (H264, 29), (H264, 31)] {
            let refused = Cut(cut).pieces(&long(&[nal_type]), 20).err();
            assert_eq!(refused, Some(CutError::Kind { nal_type }));
        }
        let refused = Cut(H265).pieces(&long(&[50 << 1, 1]), 20).err();
        assert_eq!(refused, Some(CutError::Kind { nal_type: 50 }));
        let nested = aggregation(H264, &[unit(H264, 28, 30)]);
        let refused = Cut(H264).pieces(&nested, 20).err();
        assert_eq!(refused, Some(CutError::Kind { nal_type: 28 }));
        let overrun = [&[0x78, 0xff, 0xff][..], &[0; 30]].concat();
        assert_eq!(Cut(H264).pieces(&overrun, 20).err(), Some(CutError::Empty));
        let empty = [&[0x78][..], &[0; 30]].concat();
        assert_eq!(Cut(H264).pieces(&empty, 20).err(), Some(CutError::Empty));
        let refused = Cut(H264).pieces(&long(&[0x65]), 3).err();
        assert_eq!(refused, Some(CutError::NoRoom { max: 3 }));
        assert!(Cut(H264).pieces(&long(&[0x65]), 4).is_ok());
    }

    fn any_payload() -> impl Strategy<Value = (NalCodec, Vec<u8>)> {
        let cut = prop_oneof![Just(H264), Just(H265)];
        let units = proptest::collection::vec((1u8..24, 1usize..300), 1..8);
        (cut, units, 0u8..6).prop_map(|(cut, units, kind)| {
            let units: Vec<_> = units
                .into_iter()
                .map(|(nal_type, len)| unit(cut, nal_type, len))
                .collect();
            let payload = match kind {
                0 => units[0].clone(),
                1 | 2 => aggregation(cut, &units),
                _ => {
                    let flags = [START_BIT, 0, END_BIT][usize::from(kind) - 3];
                    let header_bytes = cut.header_bytes();
                    let nal_type = cut.nal_type(&units[0]).unwrap();
                    let mut head = cut.fragment_head(&units[0], nal_type);
                    head.mark(flags);
                    [head.bytes(), &units[0][header_bytes..]].concat()
                }
            };
            (cut, payload)
        })
    }

    proptest! {
        #[test]
        fn pieces_hold_the_same_units((cut, payload) in any_payload(), max in 4usize..400) {
            let payloads = cut_up(cut, &payload, max);
            prop_assert_eq!(depacketised(cut, &payloads), depacketised(cut, &[payload]));
            // All but the last of what was cut evenly have one size.
            let fragments: Vec<_> = payloads
                .iter()
                .filter(|payload| cut.nal_type(payload) == Some(cut.fragment()))
                .collect();
            for pair in fragments.windows(2) {
                let ends = pair[0][cut.header_bytes()] & END_BIT != 0;
                prop_assert!(ends || pair[1].len() <= pair[0].len());
            }
        }

        #[test]
        fn any_bytes_are_cut_or_refused(
            h265: bool, payload in proptest::collection::vec(any::<u8>(), 0..300), max in 0usize..200,
        ) {
            let cut = if h265 { H265 } else { H264 };
            if let Ok(pieces) = Cut(cut).pieces(&payload, max) {
                let pieces: Vec<_> = pieces.collect();
                prop_assert!(pieces.iter().all(|piece| piece.payload_bytes() <= max));
                prop_assert_eq!(pieces.iter().filter(|piece| piece.is_last).count(), 1);
            }
        }
    }
}
