//! The parameter sets of an H.264 or H.265 track: those that were described, and those that the stream
//! has brought since.
//!
//! Input are the sets of a [`Codec`] and the payloads that hold some; output are the sets as they are
//! now, whether the access unit under way has brought its own, and the payloads to insert in front of a
//! key picture that lacks them.
//!
//! Only sets that can be read are kept, each kind by id: a broken one changes nothing. What a unit says
//! of extensions' layers (`nuh_layer_id` above 0) is left to the stream.
//!
//! Deliberately absent: which set a picture refers to. All that are known precede it.

use std::mem;

use bytes::Bytes;

use super::nal::NalCodec;
use super::{ParameterError, h264, h265};
use crate::sdp::Codec;

/// Sets of one kind that are kept. H.264 allows 256 PPS; encoders write one or two, and each is
/// inserted in front of key pictures that lack it.
pub const PARAMETER_SETS_MAX: usize = 16;

/// The longest set that is kept. Those with all scaling lists written out stay under 1 KiB.
pub const PARAMETER_SET_BYTES_MAX: usize = 2 << 10;

/// The most bytes that all sets of a track have together: in base64 they still fit a line of a
/// description ([`LINE_BYTES_MAX`](crate::sdp::LINE_BYTES_MAX)).
pub const PARAMETER_SETS_BYTES_MAX: usize = 8 << 10;

/// The largest payload that is made here, so that it fits any datagram; a set that is larger goes by
/// itself.
const INSERTION_BYTES_MAX: usize = 1200;

/// The kinds of sets, in the order in which decoders need them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Video,
    Sequence,
    Picture,
}

/// One set.
#[derive(Clone, Debug)]
struct Set {
    kind: Kind,
    id: u8,
    unit: Bytes,
    /// The access unit under way has brought it.
    is_in_unit: bool,
}

/// The parameter sets of one track.
#[derive(Clone, Debug)]
pub struct ParameterSets {
    codec: NalCodec,
    /// By kind and id.
    sets: Vec<Set>,
    /// The part of a fragmented set that has come.
    fragments: Vec<u8>,
    /// Payloads of all sets.
    insertion: Vec<Bytes>,
}

impl ParameterSets {
    /// The sets that a codec was described with; nothing of a codec that has none.
    #[must_use]
    pub fn of(codec: &Codec) -> Option<Self> {
        let mut sets = Self {
            codec: NalCodec::of(codec)?,
            sets: Vec::new(),
            fragments: Vec::new(),
            insertion: Vec::new(),
        };
        for unit in codec.parameter_sets() {
            sets.keep(unit);
        }
        sets.begin_unit();
        sets.make_insertion();
        Some(sets)
    }

    /// Takes note that an access unit begins: none of its sets has come.
    pub fn begin_unit(&mut self) {
        self.fragments = Vec::new();
        for set in &mut self.sets {
            set.is_in_unit = false;
        }
    }

    /// Takes a payload that holds parameter sets, whole or fragments of one
    /// ([`PacketFlags::parameter_sets`](super::PacketFlags::parameter_sets)), and says whether the sets
    /// have changed with it.
    pub fn handle_payload(&mut self, payload: &[u8]) -> bool {
        let mut has_changed = false;
        for unit in self.codec.nal_units(payload) {
            has_changed |= self.keep(unit);
        }
        if let Some(unit) = self.reassembled(payload) {
            has_changed |= self.keep(&unit);
        }
        if has_changed {
            self.make_insertion();
        }
        has_changed
    }

    /// Whether a set of each kind is known, so that decoding can begin.
    #[must_use]
    pub fn are_complete(&self) -> bool {
        self.kinds()
            .iter()
            .all(|kind| self.of_kind(*kind).count() > 0)
    }

    /// Whether the access unit under way has brought a set of each kind: a key picture in it needs no
    /// more.
    #[must_use]
    pub fn are_in_unit(&self) -> bool {
        let has = |kind: &Kind| {
            let mut sets = self.sets.iter().filter(|set| set.kind == *kind);
            sets.any(|set| set.is_in_unit)
        };
        self.kinds().iter().all(has)
    }

    /// The payloads that hold all sets, to be sent in front of a key picture that lacks them: aggregated
    /// as far as they fit. Empty unless the sets are complete.
    #[must_use]
    pub fn insertion(&self) -> &[Bytes] {
        &self.insertion
    }

    /// Video parameter sets, by id; none of H.264.
    pub fn vps(&self) -> impl Iterator<Item = &Bytes> {
        self.of_kind(Kind::Video)
    }

    /// Sequence parameter sets, by id.
    pub fn sps(&self) -> impl Iterator<Item = &Bytes> {
        self.of_kind(Kind::Sequence)
    }

    /// Picture parameter sets, by id.
    pub fn pps(&self) -> impl Iterator<Item = &Bytes> {
        self.of_kind(Kind::Picture)
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Bytes> {
        let sets = self.sets.iter().filter(move |set| set.kind == kind);
        sets.map(|set| &set.unit)
    }

    const fn kinds(&self) -> &'static [Kind] {
        match self.codec {
            NalCodec::H264 => &[Kind::Sequence, Kind::Picture],
            NalCodec::H265 => &[Kind::Video, Kind::Sequence, Kind::Picture],
        }
    }

    /// Keeps a unit that is a set and can be read, in the place of the one with its id, and says whether
    /// that was another.
    fn keep(&mut self, unit: &[u8]) -> bool {
        if let Some(known) = self.sets.iter_mut().find(|known| known.unit == unit) {
            known.is_in_unit = true;
            return false;
        }
        let Ok((kind, id)) = identify(self.codec, unit) else {
            return false;
        };
        let place = self
            .sets
            .binary_search_by_key(&(kind, id), |set| (set.kind, set.id));
        if !self.has_room(kind, place.ok(), unit.len()) {
            return false;
        }
        let set = Set {
            kind,
            id,
            unit: Bytes::copy_from_slice(unit),
            is_in_unit: true,
        };
        match place {
            Ok(at) => drop(self.sets.get_mut(at).map(|known| mem::replace(known, set))),
            Err(at) => self.sets.insert(at, set),
        }
        true
    }

    /// Whether a set of `bytes` can be kept, in the place of the one at `replaced` if there is one.
    fn has_room(&self, kind: Kind, replaced: Option<usize>, bytes: usize) -> bool {
        let gone = replaced.and_then(|at| self.sets.get(at));
        let gone = gone.map_or(0, |set| set.unit.len());
        let kept: usize = self.sets.iter().map(|set| set.unit.len()).sum();
        bytes <= PARAMETER_SET_BYTES_MAX
            && kept + bytes <= PARAMETER_SETS_BYTES_MAX + gone
            && (replaced.is_some() || self.of_kind(kind).count() < PARAMETER_SETS_MAX)
    }

    /// Takes a fragment, and returns its unit if it is the last one. A unit whose begin has not come, or
    /// that grows too long, is left out.
    fn reassembled(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        let fragment = self.codec.fragment_of(payload)?;
        if fragment.starts {
            let head = self.codec.unit_head(payload, fragment.nal_type);
            self.fragments = head.bytes().to_vec();
        }
        let grown = self.fragments.len() + fragment.body.len();
        if self.fragments.is_empty() || grown > PARAMETER_SET_BYTES_MAX {
            self.fragments = Vec::new();
            return None;
        }
        self.fragments.extend_from_slice(fragment.body);
        fragment.ends.then(|| mem::take(&mut self.fragments))
    }

    fn make_insertion(&mut self) {
        self.insertion.clear();
        if !self.are_complete() {
            return;
        }
        let mut rest = self.sets.as_slice();
        while let Some((first, others)) = rest.split_first() {
            let room = INSERTION_BYTES_MAX - self.codec.header_bytes();
            let mut units = sized(&first.unit);
            let mut taken = 0;
            for set in others {
                if units.len() + sized(&set.unit).len() > room {
                    break;
                }
                units.extend(sized(&set.unit));
                taken += 1;
            }
            self.insertion.push(if taken == 0 {
                first.unit.clone()
            } else {
                let head = self.codec.aggregation_head(&units);
                [head.bytes(), &units].concat().into()
            });
            rest = others.get(taken..).unwrap_or_default();
        }
    }
}

/// A unit as an aggregation holds it.
fn sized(unit: &[u8]) -> Vec<u8> {
    // What is kept is shorter than PARAMETER_SET_BYTES_MAX.
    let size = u16::try_from(unit.len()).unwrap_or(u16::MAX);
    [&size.to_be_bytes(), unit].concat()
}

/// Kind and id of a set, if `unit` is one that can be read.
fn identify(codec: NalCodec, unit: &[u8]) -> Result<(Kind, u8), ParameterError> {
    match (codec, codec.nal_type(unit)) {
        (NalCodec::H264, Some(h264::SPS)) => {
            let parsed = h264::SequenceParameters::parse(unit)?;
            Ok((Kind::Sequence, parsed.id))
        }
        (NalCodec::H264, Some(h264::PPS)) => Ok((Kind::Picture, h264::pps_id(unit)?)),
        (NalCodec::H265, Some(h265::VPS | h265::SPS | h265::PPS))
            if h265::layer(unit) != Some(0) =>
        {
            Err(ParameterError::Kind)
        }
        (NalCodec::H265, Some(h265::VPS)) => Ok((Kind::Video, h265::vps_id(unit)?)),
        (NalCodec::H265, Some(h265::SPS)) => {
            let parsed = h265::SequenceParameters::parse(unit)?;
            Ok((Kind::Sequence, parsed.id))
        }
        (NalCodec::H265, Some(h265::PPS)) => Ok((Kind::Picture, h265::pps_id(unit)?)),
        _ => Err(ParameterError::Kind),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::bits::Written;
    use crate::codec::test_bytes::hex;

    /// 1920 x 1080 and 640 x 362, both with id 0.
    const LARGE: &str = "67640028acd940780227e5c044000003000400000300c83c60c658";
    const SMALL: &str = "6742c01ed900a02ff9301100000303e90000ea600f162e48";
    const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];

    const H265_VPS: &str = "40010c01ffff016000000300900000030000030078959809";
    const H265_SPS: &str =
        "420101016000000300900000030000030078a003c08010e596566924caf0168080000003008000000c84";
    const H265_PPS: &str = "4401c172b46240";

    fn h264(sps: &[&str], pps: &[&[u8]]) -> ParameterSets {
        let codec = Codec::H264 {
            sps: sps.iter().map(|set| hex(set).into()).collect(),
            pps: pps.iter().map(|set| Bytes::copy_from_slice(set)).collect(),
            packetization_mode: 1,
        };
        ParameterSets::of(&codec).unwrap()
    }

    fn h265() -> ParameterSets {
        let codec = Codec::H265 {
            vps: vec![],
            sps: vec![],
            pps: vec![],
        };
        ParameterSets::of(&codec).unwrap()
    }

    fn pps(id: u64, more: usize) -> Vec<u8> {
        let head = Written::default().golombs(&[id, 0]).after(&[0x68]);
        [&head, &[0xff; 2 << 10][..more]].concat()
    }

    /// The units that an insertion holds.
    fn inserted(sets: &ParameterSets) -> Vec<Vec<u8>> {
        let payloads = sets.insertion().iter();
        let units = payloads.flat_map(|payload| sets.codec.nal_units(payload));
        units.map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn described_sets_are_inserted_until_the_stream_brings_its_own() {
        let mut sets = h264(&[LARGE], &[PPS]);
        assert!(sets.are_complete() && !sets.are_in_unit());
        assert_eq!(inserted(&sets), [hex(LARGE), PPS.to_vec()]);
        assert_eq!(sets.insertion().len(), 1);
        assert!(!sets.handle_payload(&hex(LARGE)));
        assert!(!sets.are_in_unit());
        assert!(!sets.handle_payload(PPS));
        assert!(sets.are_in_unit());
        sets.begin_unit();
        assert!(!sets.are_in_unit());
        assert!(sets.handle_payload(&hex(SMALL)));
        assert_eq!(inserted(&sets), [hex(SMALL), PPS.to_vec()]);
        assert!(sets.sps().eq([&hex(SMALL)]));
    }

    #[test]
    fn sets_are_taken_from_aggregations_and_fragments() {
        let mut sets = h265();
        assert!(!sets.are_complete() && sets.insertion().is_empty());
        let (vps, sps, pps) = (hex(H265_VPS), hex(H265_SPS), hex(H265_PPS));
        let aggregation = [&[48 << 1, 1][..], &sized(&vps), &sized(&pps)].concat();
        assert!(sets.handle_payload(&aggregation));
        assert!(!sets.are_complete());
        let fragment = |flags: u8, body: &[u8]| [&[49 << 1, 1, flags | 33], body].concat();
        assert!(!sets.handle_payload(&fragment(0x80, &sps[2..20])));
        assert!(!sets.handle_payload(&fragment(0, &sps[20..30])));
        assert!(sets.handle_payload(&fragment(0x40, &sps[30..])));
        assert!(sets.are_complete() && sets.are_in_unit());
        assert_eq!(inserted(&sets), [vps, sps, pps]);
        // A fragment without its begin is nothing.
        assert!(!sets.handle_payload(&fragment(0x40, &[1, 2, 3])));
    }

    #[test]
    fn a_begun_set_does_not_go_on_in_another_unit() {
        let mut sets = h264(&[LARGE], &[PPS]);
        let small = hex(SMALL);
        sets.handle_payload(&[&[0x7c, 0x87], &small[1..9]].concat());
        sets.begin_unit();
        assert!(!sets.handle_payload(&[&[0x7c, 0x47], &small[9..]].concat()));
        assert!(sets.sps().eq([&hex(LARGE)]));
    }

    #[test]
    fn broken_sets_change_nothing_and_do_not_count() {
        let mut sets = h264(&[LARGE], &[PPS]);
        let broken = hex(LARGE);
        assert!(!sets.handle_payload(&broken[..10]));
        assert!(!sets.handle_payload(&[0x68]));
        assert!(!sets.are_in_unit());
        assert_eq!(inserted(&sets), [hex(LARGE), PPS.to_vec()]);
        assert!(!h264(&["6742001f96"], &[PPS]).are_complete());
        // Another layer's set stays out of the way.
        let mut sets = h265();
        let mut other_layer = hex(H265_PPS);
        other_layer[1] |= 1 << 3;
        assert!(!sets.handle_payload(&other_layer));
    }

    #[test]
    fn sets_are_told_apart_by_their_ids() {
        let mut sets = h264(&[LARGE], &[PPS]);
        assert!(sets.handle_payload(&pps(3, 4)));
        assert!(sets.handle_payload(&pps(1, 4)));
        assert!(sets.handle_payload(&pps(3, 5)));
        let expected = [PPS.to_vec(), pps(1, 4), pps(3, 5)];
        assert!(sets.pps().eq(&expected));
    }

    #[test]
    fn only_so_many_sets_of_so_many_bytes_are_kept() {
        let mut sets = h264(&[LARGE], &[]);
        for id in 0..=PARAMETER_SETS_MAX as u64 {
            let is_kept = sets.handle_payload(&pps(id, 1));
            assert_eq!(is_kept, id < PARAMETER_SETS_MAX as u64);
        }
        let head = pps(0, 0).len();
        assert!(!sets.handle_payload(&pps(0, PARAMETER_SET_BYTES_MAX - head + 1)));
        for id in 0..8 {
            sets.handle_payload(&pps(id, PARAMETER_SET_BYTES_MAX - pps(id, 0).len()));
        }
        let kept: usize = sets.sets.iter().map(|set| set.unit.len()).sum();
        assert!(kept <= PARAMETER_SETS_BYTES_MAX);
        assert_eq!(
            sets.pps()
                .filter(|set| set.len() == PARAMETER_SET_BYTES_MAX)
                .count(),
            3
        );
        // Each of these goes by itself.
        assert_eq!(inserted(&sets).len(), 1 + PARAMETER_SETS_MAX);
        let mut fragment = vec![0x7c, 0x88];
        fragment.extend([0xff; PARAMETER_SET_BYTES_MAX]);
        assert!(!sets.handle_payload(&fragment));
        assert!(sets.fragments.is_empty());
    }

    #[test]
    fn a_codec_is_given_the_sets_that_have_come() {
        let sets = h264(&[SMALL], &[PPS]);
        let codec = Codec::H264 {
            sps: vec![],
            pps: vec![],
            packetization_mode: 1,
        };
        let codec = codec.with_parameter_sets(&sets);
        assert!(codec.parameter_sets().eq(&[hex(SMALL), PPS.to_vec()]));
        assert_eq!(Codec::Opus.with_parameter_sets(&sets), Codec::Opus);
        assert!(ParameterSets::of(&Codec::Opus).is_none());
    }

    proptest! {
        #[test]
        fn any_payloads_leave_sets_that_can_be_read(
            h265_track: bool,
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..20),
        ) {
            let mut sets = if h265_track { h265() } else { h264(&[LARGE], &[PPS]) };
            for payload in payloads {
                let before: Vec<_> = sets.sets.iter().map(|set| set.unit.clone()).collect();
                let has_changed = sets.handle_payload(&payload);
                let after: Vec<_> = sets.sets.iter().map(|set| set.unit.clone()).collect();
                prop_assert!(has_changed || before == after);
            }
            prop_assert!(sets.sets.iter().all(|set| identify(sets.codec, &set.unit).is_ok()));
            prop_assert_eq!(sets.insertion().is_empty(), !sets.are_complete());
        }
    }
}
