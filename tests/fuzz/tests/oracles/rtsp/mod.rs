//! Our RTSP reader beside `rtsp-types`, over recorded conversations and over messages made at random.

mod differences;
mod reading;

use proptest::prelude::*;

use crate::difference::{Readers, assert_alike, assert_differences_exist, assert_unexplained};
use crate::{any_damages, config, damaged, seeds};
use reading::{Case, Rtsp, Verdict};

/// Compares message by message, as far as both go on.
fn assert_conversation_alike(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let case = Case::read(bytes);
        assert_alike::<Rtsp>(bytes, &case);
        let Verdict::Message(message) = &case.ours else {
            return;
        };
        if !Rtsp::is_alike(&case) {
            return;
        }
        bytes = &bytes[message.consumed..];
    }
}

#[test]
fn recorded_conversations_are_read_alike() {
    for (_, bytes) in seeds("rtsp").into_iter().chain(seeds("session")) {
        assert_conversation_alike(&bytes);
    }
}

#[test]
fn every_difference_still_exists_and_is_explained_by_itself() {
    assert_differences_exist::<Rtsp>();
}

#[test]
fn no_difference_explains_what_is_read_alike() {
    assert_unexplained::<Rtsp>(b"OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n");
    assert_unexplained::<Rtsp>(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 1\r\n\r\nv");
    assert_unexplained::<Rtsp>(b"$\x00\x00\x01v");
}

fn any_message() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        "(OPTIONS|DESCRIBE|SETUP|PLAY_NOTIFY|X) rtsps?://[a-z]{1,9}(:[1-9][0-9]{0,3})?/[a-z0-9/=._-]{0,12}(\\?[a-z=&]{1,8})? RTSP/1.0",
        "OPTIONS \\* RTSP/1.0",
        "RTSP/1.0 [1-5][0-9]{2} [ -~]{0,12}",
    ];
    let field = "[A-Za-z-]{1,12}: ?[!-~]([ -~]{0,20}[!-~])?";
    let fields = prop::collection::vec(field, 0..6);
    (
        line,
        any::<u32>(),
        fields,
        prop::collection::vec(any::<u8>(), 0..40),
    )
        .prop_map(|(line, cseq, fields, body)| {
            let mut lines = vec![line, format!("CSeq: {cseq}")];
            lines.extend(fields);
            lines.push(format!("Content-Length: {}", body.len()));
            [lines.join("\r\n").as_bytes(), b"\r\n\r\n", &body].concat()
        })
}

/// Damage that changes what a message says, not only whether it is one.
const DAMAGES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b":",
    b"\0",
    b"\x7f",
    b"\xe9",
    b"\xc2\x85",
    b"$",
    b"*",
    b"/",
    b"RTSP/2.0",
    b"\r\n ",
    b"\r\n\r\n",
    b"CSeq: 7\r\n",
    b"Content-Length: 3\r\n",
    b"+",
    b"-1",
    b"99999999999999999999",
    b"",
];

proptest! {
    #![proptest_config(config())]

    #[test]
    fn messages_made_at_random_are_read_alike(messages in prop::collection::vec(any_message(), 1..3)) {
        assert_conversation_alike(&messages.concat());
    }

    #[test]
    fn damaged_messages_are_read_alike(message in any_message(), damages in any_damages(DAMAGES)) {
        assert_conversation_alike(&damaged(message, damages));
    }
}
