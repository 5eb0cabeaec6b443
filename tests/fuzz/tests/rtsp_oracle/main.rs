//! Our RTSP reader beside another one, `rtsp-types`: over recorded conversations, over messages made at random, and over
//! both with damage, the two come to the same verdict and the same content, but where `differences` says otherwise.
//!
//! Not caught here: what both read wrongly.

mod differences;
mod reading;

use proptest::prelude::*;

use differences::{DIFFERENCES, explaining};
use reading::{Case, Verdict};
use shardcast_fuzz::TARGETS;

/// A case costs microseconds. What fails is added to the table or to the seeds, not kept in a file of the tool's own.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 2048,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Compares message by message, as far as both go on.
fn assert_alike(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let case = Case::read(bytes);
        if case.ours == case.oracle {
            let Verdict::Message(message) = &case.ours else {
                return;
            };
            bytes = &bytes[message.consumed..];
            continue;
        }
        let text = String::from_utf8_lossy(bytes);
        assert!(
            explaining(&case).is_some(),
            "nothing explains this difference:\n{text:?}\nours: {:?}\noracle: {:?}",
            case.ours,
            case.oracle
        );
        return;
    }
}

#[test]
fn recorded_conversations_are_read_alike() {
    for target in TARGETS
        .iter()
        .filter(|target| ["rtsp", "session"].contains(&target.name))
    {
        for (_, bytes) in target.seeds().expect("its folder is there") {
            assert_alike(&bytes);
        }
    }
}

#[test]
fn every_difference_still_exists_and_is_explained_by_itself() {
    for difference in DIFFERENCES {
        for example in difference.examples {
            let case = Case::read(example);
            let text = String::from_utf8_lossy(example);
            assert_ne!(case.ours, case.oracle, "{}: {text}", difference.reason);
            assert!(
                (difference.explains)(&case),
                "{}: {text}",
                difference.reason
            );
        }
        assert!(!difference.examples.is_empty(), "{}", difference.reason);
    }
}

#[test]
fn no_difference_explains_what_is_read_alike() {
    let plain: [&[u8]; 3] = [
        b"OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 1\r\n\r\nv",
        b"$\x00\x00\x01v",
    ];
    for bytes in plain {
        let case = Case::read(bytes);
        assert_eq!(case.ours, case.oracle);
        assert!(explaining(&case).is_none());
    }
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
fn any_damage() -> impl Strategy<Value = Vec<u8>> {
    let parts: [&[u8]; 22] = [
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
    prop::sample::select(parts.to_vec()).prop_map(<[u8]>::to_vec)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn messages_made_at_random_are_read_alike(messages in prop::collection::vec(any_message(), 1..3)) {
        assert_alike(&messages.concat());
    }

    #[test]
    fn damaged_messages_are_read_alike(
        message in any_message(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), 0usize..4, any_damage()), 1..4),
    ) {
        let mut bytes = message;
        for (at, gone, put) in damages {
            let at = at.index(bytes.len() + 1);
            let end = bytes.len().min(at + gone);
            bytes.splice(at..end, put);
        }
        assert_alike(&bytes);
    }
}
