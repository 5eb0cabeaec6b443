//! Our reader of session descriptions beside `sdp-types`, over recorded descriptions and over some made at random.

mod differences;
mod reading;

use proptest::prelude::*;

use crate::difference::{Readers, assert_differences_exist, assert_unexplained};
use crate::{any_damages, config, damaged, seeds};
use reading::Sdp;

fn assert_alike(text: &[u8]) {
    crate::difference::assert_alike::<Sdp>(text, &Sdp::read(text));
}

#[test]
fn recorded_descriptions_are_read_alike() {
    for (_, text) in seeds("sdp") {
        assert_alike(&text);
    }
}

#[test]
fn every_difference_still_exists_and_is_explained_by_itself() {
    assert_differences_exist::<Sdp>();
}

#[test]
fn no_difference_explains_what_is_read_alike() {
    let plain = "v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
    assert_unexplained::<Sdp>(plain.as_bytes());
}

/// A word of visible characters, and words with single blanks between them.
const WORDS: &str = "[!-~]{1,10}( [!-~]{1,10}){0,3}";

fn any_session_line() -> impl Strategy<Value = String> {
    prop_oneof![
        "o=[a-z-]{1,4} [1-9][0-9]{0,9} [1-9][0-9]{0,9} IN IP[46] [0-9a-f.:]{1,20}",
        WORDS.prop_map(|words| format!("s={words}")),
        WORDS.prop_map(|words| format!("i={words}")),
        "c=IN IP[46] [0-9a-f.:]{1,20}(/127)?",
        "t=[1-9][0-9]{0,9} 0",
        "[uep]=[!-~]{1,20}",
    ]
}

fn any_common_line() -> impl Strategy<Value = String> {
    prop_oneof![
        "b=(AS|TIAS|RR):[1-9][0-9]{0,5}",
        "a=[a-z-]{1,10}",
        "a=(rtpmap|fmtp|control|x-[a-z]{1,5}):[!-~]{1,10}( [!-~]{1,10}){0,3}",
    ]
}

fn any_media_line() -> impl Strategy<Value = String> {
    "m=(video|audio|application|metadata) [1-9]?[0-9]{1,3} (RTP/AVP|RTP/SAVPF|udp)( [0-9]{1,3}){1,4}"
}

fn any_description() -> impl Strategy<Value = Vec<u8>> {
    let session = prop::collection::vec(prop_oneof![any_session_line(), any_common_line()], 0..8);
    let common = prop::collection::vec(any_common_line(), 0..5);
    let media = prop::collection::vec((any_media_line(), common), 0..4);
    (session, media).prop_map(|(session, media)| {
        let mut lines = vec!["v=0".to_owned()];
        lines.extend(session);
        for (line, common) in media {
            lines.push(line);
            lines.extend(common);
        }
        (lines.join("\r\n") + "\r\n").into_bytes()
    })
}

/// Damage that changes what a description says, not only whether it is one.
const DAMAGES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b":",
    b"=",
    b"\0",
    b"\xfc",
    b"/",
    b"\r\n ",
    b"\r\nm=",
    b"\r\na=x\r\n",
    b"\r\ns=again\r\n",
    b"\r\nz=x\r\n",
    b"-1",
    b"+7",
    b"007",
    b"99999",
    b"",
];

proptest! {
    #![proptest_config(config())]

    #[test]
    fn descriptions_made_at_random_are_read_alike(text in any_description()) {
        assert_alike(&text);
    }

    #[test]
    fn damaged_descriptions_are_read_alike(text in any_description(), damages in any_damages(DAMAGES)) {
        assert_alike(&damaged(text, damages));
    }
}
