//! The reader and the writer of session descriptions. Input: the body of an ANNOUNCE.

use shardcast_protocol::sdp::{
    LINE_BYTES_MAX, LINES_MAX, MediaDescription, Origin, SDP_BYTES_MAX, SessionDescription,
    TrackDescription, describe, parse, same_tracks, tracks,
};

const ORIGIN: Origin<'_> = Origin {
    session_id: 1,
    session_version: 2,
    name: "fuzz",
};

/// - What was read is written and read again the same, but for what the writer fills in.
/// - What is kept follows the bytes that came.
/// - Readers are told the tracks that were announced.
pub fn check(text: &[u8]) {
    let Ok(session) = parse(text) else {
        return;
    };
    let written = session.to_string();
    // Latin-1 becomes UTF-8 and required lines are filled in; near a limit that may pass it.
    assert!(
        written.len() <= 2 * text.len() + 64,
        "more was kept than came"
    );
    if !has_room_to_grow(text) {
        return;
    }
    let again = parse(written.as_bytes()).expect("what is written can be read");
    assert_eq!(without_lines(again), filled_in(&session), "{written}");
    if let Ok(announced) = tracks(&session) {
        assert_described(&announced);
    }
}

fn has_room_to_grow(text: &[u8]) -> bool {
    let lines = text.split(|byte| matches!(byte, b'\r' | b'\n'));
    text.len() < SDP_BYTES_MAX / 4
        && lines.clone().count() < LINES_MAX / 2
        && lines
            .into_iter()
            .all(|line| line.len() < LINE_BYTES_MAX / 2)
}

/// The description with what RFC 8866 requires, as the writer fills it in.
fn filled_in(session: &SessionDescription) -> SessionDescription {
    let mut session = without_lines(session.clone());
    let fill = |place: &mut Option<String>, text: &str| {
        place.get_or_insert_with(|| text.to_owned());
    };
    fill(&mut session.origin, "- 0 0 IN IP4 127.0.0.1");
    fill(&mut session.name, "-");
    fill(&mut session.timing, "0 0");
    session
}

fn without_lines(mut session: SessionDescription) -> SessionDescription {
    let forget = |media: &mut MediaDescription| media.line = 0;
    session.media.iter_mut().for_each(forget);
    session
}

fn assert_described(announced: &[TrackDescription]) {
    let text = describe(announced, &ORIGIN);
    let described = parse(text.as_bytes()).expect("readers can read it");
    assert_eq!(described.control(), Some("*"));
    let described = tracks(&described).expect("the same tracks");
    assert!(same_tracks(announced, &described), "{text}");
    for (index, (track, announced)) in described.iter().zip(announced).enumerate() {
        assert_eq!(track.codec, announced.codec, "{text}");
        assert_eq!(track.control, Some(format!("trackID={index}")), "{text}");
    }
}
