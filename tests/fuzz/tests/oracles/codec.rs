//! Our parsers and cutters beside others': sequence parameter sets of H.264 beside `h264-reader`, and pieces of payloads as
//! the depacketisers of `rtc-rtp` put them together.
//!
//! Not caught here: parameter sets that one of the two refuses. Ours stops where people have seen what they want, and
//! refuses what is absurd; the oracle reads more.

use std::sync::LazyLock;

use bytes::Bytes;
use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::rbsp::{BitReader, ByteReader};
use proptest::prelude::*;
use rtc_rtp::codec::h264::H264Packet;
use rtc_rtp::packetizer::Depacketizer;
use shardcast_fuzz::payload;
use shardcast_protocol::codec::{FrameRate, h264};
use shardcast_protocol::container::rtp::Cut;

use crate::{config, seeds};

/// The seeds that are parameter sets of H.264.
static PARAMETER_SETS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let sets = seeds("parameters").into_iter().filter_map(|(name, bytes)| {
        let (_, set) = bytes.split_first()?;
        name.starts_with("h264").then(|| set.to_vec())
    });
    sets.collect()
});

/// Width, height and frame rate, where both take the set.
fn assert_alike(set: &[u8]) -> bool {
    let ours = h264::SequenceParameters::parse(set);
    let bits = BitReader::new(ByteReader::skipping_h264_header(set));
    let oracle = SeqParameterSet::from_bits(bits);
    let (Ok(ours), Ok(oracle)) = (ours, oracle) else {
        return false;
    };
    let Ok(size) = oracle.pixel_dimensions() else {
        return false;
    };
    let ours_size = ours.video.size.map(|size| (size.width, size.height));
    assert_eq!(ours_size, Some(size), "{set:x?}");
    let rate = ours.video.frame_rate.map(FrameRate::per_second);
    let oracle_rate = oracle.fps().filter(|rate| rate.is_finite() && *rate > 0.0);
    let is_same = match (rate, oracle_rate) {
        (Some(ours), Some(oracle)) => (ours - oracle).abs() <= oracle * 1e-6,
        (ours, oracle) => ours.is_none() && oracle.is_none(),
    };
    // Ticks that would not fit are cut off at the largest number; no stream has them.
    assert!(
        is_same || oracle_rate.is_some_and(|rate| rate < 1e-3),
        "{set:x?}"
    );
    true
}

#[test]
fn parameter_sets_of_encoders_and_cameras_are_read_alike() {
    assert!(PARAMETER_SETS.len() >= 4);
    for set in PARAMETER_SETS.iter() {
        assert!(assert_alike(set), "{set:x?}");
    }
}

/// Units of any of the types that are no packets, each with its length.
fn any_units() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let unit = (1u8..24, 0u8..4, prop::collection::vec(any::<u8>(), 2..400));
    let unit = unit.prop_map(|(kind, priority, body)| [vec![priority << 5 | kind], body].concat());
    prop::collection::vec(unit, 1..6)
}

fn aggregation(units: &[Vec<u8>]) -> Vec<u8> {
    let sized = units.iter().map(|unit| {
        let size = u16::try_from(unit.len()).expect("a short unit");
        [&size.to_be_bytes(), unit.as_slice()].concat()
    });
    [vec![0x78], sized.collect::<Vec<_>>().concat()].concat()
}

/// The byte stream that the oracle makes of payloads.
fn depacketised(payloads: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut depacketiser = H264Packet::default();
    let mut stream = Vec::new();
    for payload in payloads {
        let part = depacketiser.depacketize(&Bytes::from(payload));
        stream.extend(part.expect("the oracle takes it"));
    }
    stream
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn damaged_parameter_sets_are_read_alike(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let mut set = PARAMETER_SETS[which.index(PARAMETER_SETS.len())].clone();
        let at = 1 + at.index(set.len() - 1);
        set[at] ^= 1 << bit;
        assert_alike(&set);
    }

    #[test]
    fn readers_put_pieces_together_as_the_payload(units in any_units(), room in 4usize..500) {
        let cut = Cut::of(&payload::track(0).codec).expect("H.264 is cut");
        let payload = if units.len() == 1 { units[0].clone() } else { aggregation(&units) };
        let pieces = cut.pieces(&payload, room).expect("such payloads are cut");
        let pieces = pieces.map(|piece| [piece.head(), piece.body].concat());
        prop_assert_eq!(depacketised(pieces), depacketised([payload.clone()].into_iter()));
    }
}
