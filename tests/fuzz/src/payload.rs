//! Payloads, codec by codec: what they say of pictures and sound, the parameter sets in them, and the pieces that they are
//! cut into. Input: an image of interleaved frames that hold payloads without their RTP headers; the channel is the codec.

use std::sync::LazyLock;

use shardcast_protocol::codec::ParameterSets;
use shardcast_protocol::codec::parameter_sets::{
    PARAMETER_SET_BYTES_MAX, PARAMETER_SETS_BYTES_MAX, PARAMETER_SETS_MAX,
};
use shardcast_protocol::container::rtp::Cut;
use shardcast_protocol::container::rtp::framing::Frames;
use shardcast_protocol::sdp::{TrackDescription, parse, tracks};

use crate::nal_units::{Nal, Part, parts};
use crate::parameters::assert_plausible;

/// What a channel carries.
const RTPMAPS: [&str; 12] = [
    "H264/90000",
    "H265/90000",
    "AV1/90000",
    "VP8/90000",
    "VP9/90000",
    "MP4V-ES/90000",
    "MPV/90000",
    "JPEG/90000",
    "MP4A-LATM/90000",
    "AC3/48000",
    "MPA/90000",
    "mpeg4-generic/48000",
];

/// What a datagram may take: hardly anything, little, and what is usual.
const ROOMS: [usize; 3] = [4, 61, 1452];

static TRACKS: LazyLock<Vec<TrackDescription>> = LazyLock::new(|| {
    let media = RTPMAPS.map(|rtpmap| format!("m=video 0 RTP/AVP 96\na=rtpmap:96 {rtpmap}\n"));
    let session = parse(media.concat().as_bytes()).expect("a description");
    tracks(&session).expect("tracks")
});

/// The track that a channel carries.
#[must_use]
pub fn track(channel: u8) -> &'static TrackDescription {
    &TRACKS[place(channel)]
}

fn place(channel: u8) -> usize {
    usize::from(channel) % RTPMAPS.len()
}

/// - What a payload says is plausible.
/// - Parameter sets are kept within their limits, and what is inserted holds all of them and nothing else.
/// - Pieces fit, and hold the same NAL units as the payload; all but the last of what is cut evenly have one size.
pub fn check(image: &[u8]) {
    let mut sets: Vec<_> = TRACKS
        .iter()
        .map(|track| ParameterSets::of(&track.codec))
        .collect();
    for frame in Frames::new(image) {
        let payload = &image[frame.payload()];
        let place = place(frame.channel);
        let track = &TRACKS[place];
        if let Some(parameters) = track.parameters_in(payload) {
            assert_plausible(parameters);
        }
        if let Some(sets) = &mut sets[place] {
            check_sets(sets, track, payload);
        }
        if let Some(cut) = Cut::of(&track.codec) {
            let nal = if place == 0 { Nal::H264 } else { Nal::H265 };
            ROOMS
                .into_iter()
                .for_each(|room| check_cut(nal, cut, payload, room));
        }
    }
}

fn check_sets(sets: &mut ParameterSets, track: &TrackDescription, payload: &[u8]) {
    let before = track.codec.with_parameter_sets(sets);
    let has_changed = sets.handle_payload(payload);
    let after = track.codec.with_parameter_sets(sets);
    // A set may change and change back within one payload.
    assert!(has_changed || before == after);
    let kept = |sets: &ParameterSets| -> Vec<Vec<u8>> {
        let all = sets.vps().chain(sets.sps()).chain(sets.pps());
        all.map(|set| set.to_vec()).collect()
    };
    let all = kept(sets);
    assert!(all.iter().all(|set| set.len() <= PARAMETER_SET_BYTES_MAX));
    assert!(all.iter().map(Vec::len).sum::<usize>() <= PARAMETER_SETS_BYTES_MAX);
    assert!(all.len() <= 3 * PARAMETER_SETS_MAX);
    if sets.are_complete() {
        let nal = Nal::of(track);
        let inserted = sets
            .insertion()
            .iter()
            .flat_map(|payload| parts(nal, payload));
        assert!(inserted.map(Part::into_unit).eq(all));
    } else {
        assert!(sets.insertion().is_empty() && !sets.are_in_unit());
    }
}

fn check_cut(nal: Nal, cut: Cut, payload: &[u8], room: usize) {
    let Ok(pieces) = cut.pieces(payload, room) else {
        return;
    };
    let pieces: Vec<_> = pieces.collect();
    let last = pieces.iter().position(|piece| piece.is_last);
    assert_eq!(last, Some(pieces.len() - 1));
    assert!(pieces.iter().all(|piece| piece.payload_bytes() <= room));
    if payload.len() <= room {
        assert_eq!((pieces.len(), pieces[0].body), (1, payload));
        return;
    }
    let mut joined: Vec<Part> = Vec::new();
    let mut even = None;
    for piece in &pieces {
        for part in parts(nal, &[piece.head(), piece.body].concat()) {
            let open = joined
                .last_mut()
                .filter(|before| before.goes_on_with(&part));
            if let Some(before) = open {
                assert!(even.is_none_or(|even| piece.payload_bytes() <= even));
                before.join(part);
            } else {
                joined.push(part);
            }
            even = Some(piece.payload_bytes());
        }
    }
    assert_eq!(joined, parts(nal, payload));
}
