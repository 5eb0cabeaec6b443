//! Descriptions of tracks, codec by codec. Input: what an rtpmap says of a payload type on the first line, its format
//! parameters on the second; the kind of medium follows from the input's length, so that each has its turn.

use shardcast_protocol::codec::ParameterSets;
use shardcast_protocol::sdp::{
    LINE_BYTES_MAX, Origin, TrackDescription, describe, parse, same_tracks, tracks,
};

use crate::parameters::assert_plausible;

const KINDS: [&str; 3] = ["video", "audio", "application"];

const ORIGIN: Origin<'_> = Origin {
    session_id: 1,
    session_version: 2,
    name: "fuzz",
};

/// - A track is refused or its parameters are plausible.
/// - Readers are told the same codec with the same parameters, and H.264 in a mode in which packets may be cut.
/// - Parameter sets that can be read are described as they are kept.
pub fn check(input: &[u8]) {
    // Latin-1 takes two bytes in UTF-8, and the parameter sets of a line may be written anew.
    if input.len() > LINE_BYTES_MAX / 4 {
        return;
    }
    let Some(announced) = announced(input) else {
        return;
    };
    assert_plausible(announced.parameters());
    let again = described(&announced);
    assert_eq!(again.codec, announced.codec);
    assert_eq!(again.parameters(), announced.parameters());
    let text = again.fmtp.unwrap_or_default().to_ascii_lowercase();
    let is_h264 = announced.codec.to_string() == "H264";
    assert!(!is_h264 || text.contains("packetization-mode="), "{text}");
    if let Some(sets) = ParameterSets::of(&announced.codec) {
        check_sets(&announced, &sets);
    }
}

fn announced(input: &[u8]) -> Option<TrackDescription> {
    let mut lines = input.splitn(2, |byte| *byte == b'\n');
    let rtpmap = lines.next().unwrap_or_default();
    let fmtp = lines.next().unwrap_or_default();
    let kind = KINDS[input.len() % KINDS.len()];
    let begin = format!("v=0\nm={kind} 0 RTP/AVP 96\na=rtpmap:96 ");
    let text = [begin.as_bytes(), rtpmap, b"\na=fmtp:96 ", fmtp, b"\n"];
    tracks(&parse(&text.concat()).ok()?)
        .ok()?
        .into_iter()
        .next()
}

fn described(track: &TrackDescription) -> TrackDescription {
    let text = describe(std::slice::from_ref(track), &ORIGIN);
    let described = parse(text.as_bytes()).and_then(|session| tracks(&session));
    let described = described.expect("readers can read it").remove(0);
    assert!(
        same_tracks(
            std::slice::from_ref(track),
            std::slice::from_ref(&described)
        ),
        "{text}"
    );
    described
}

fn check_sets(announced: &TrackDescription, sets: &ParameterSets) {
    assert!(!sets.are_in_unit());
    let kept = TrackDescription {
        codec: announced.codec.with_parameter_sets(sets),
        ..announced.clone()
    };
    if kept.codec.parameter_sets().count() > 0 {
        let known = ParameterSets::of(&described(&kept).codec).expect("it has sets");
        assert!(known.vps().eq(sets.vps()));
        assert!(known.sps().eq(sets.sps()));
        assert!(known.pps().eq(sets.pps()));
    }
}
