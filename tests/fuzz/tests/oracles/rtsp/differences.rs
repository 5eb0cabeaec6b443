//! Where our reader and `rtsp-types` are meant to differ, and why.

use rtsp_types::Url;
use shardcast_protocol::rtsp::{MessageErrorKind as Kind, StatusCode};

use super::reading::{Case, Message, Rtsp, Start, Verdict};
use crate::difference::Difference;

/// All of them: first what we are stricter about, then what we are more lenient about, then the rest.
pub(crate) const DIFFERENCES: &[Difference<Rtsp>] = &[
    Difference {
        reason: "only RTSP 1.0 is spoken here; 2.0 is answered with 505",
        examples: &[b"OPTIONS rtsp://h/a RTSP/2.0\r\nCSeq: 1\r\n\r\n"],
        explains: |case| case.is_refused_by_us(&[Kind::Version]),
    },
    Difference {
        reason: "a request needs a number of 32 bits, and one only: its answer must name it",
        examples: &[
            b"OPTIONS rtsp://h/a RTSP/1.0\r\n\r\n",
            b"OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: x\r\n\r\n",
            b"OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 4294967296\r\n\r\n",
            b"OPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\nCSeq: 2\r\n\r\n",
        ],
        explains: |case| case.is_refused_by_us(&[Kind::CSeqMissing, Kind::CSeq]),
    },
    Difference {
        reason: "two lengths that differ, or a sign: whoever reads the other one sees other messages",
        examples: &[
            b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: +1\r\n\r\na",
        ],
        explains: |case| case.is_refused_by_us(&[Kind::ContentLength]),
    },
    Difference {
        reason: "a length beyond the limit is refused as soon as it is declared, not waited for",
        examples: &[b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 131073\r\n\r\n"],
        explains: |case| case.is_refused_by_us(&[Kind::BodyTooLong]),
    },
    Difference {
        reason: "control characters are refused wherever they stand: logs and answers repeat what was sent",
        examples: &[
            b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nA: b\0c\r\n\r\n",
            b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nA: b\rc\r\n\r\n",
            b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nA: b\xc2\x85c\r\n\r\n",
        ],
        explains: |case| {
            let above_ascii = String::from_utf8_lossy(case.head())
                .contains(|c: char| ('\u{80}'..'\u{a0}').contains(&c))
                || std::str::from_utf8(case.head()).is_err();
            case.is_refused_by_us(&[Kind::ControlCharacter])
                || (above_ascii && case.is_refused_by_us(&[Kind::Field]))
        },
    },
    Difference {
        reason: "a status has a meaning: 100 to 599",
        examples: &[
            b"RTSP/1.0 999 Odd\r\nCSeq: 1\r\n\r\n",
            b"RTSP/1.0 099 Odd\r\nCSeq: 1\r\n\r\n",
        ],
        explains: |case| {
            let line = case.first_line();
            let digits = line
                .strip_prefix("RTSP/1.0 ")
                .and_then(|rest| rest.get(..3));
            let code = digits.and_then(|digits| digits.parse().ok());
            code.is_some_and(|code| StatusCode::from_code(code).is_none())
        },
    },
    Difference {
        reason: "a method and a header have names",
        examples: &[
            b" rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n",
            b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n: x\r\n\r\n",
        ],
        explains: |case| {
            let unnamed = case
                .head()
                .split(|byte| *byte == b'\n')
                .any(|line| line.starts_with(b":"));
            let nothing = case.first_line().starts_with(' ');
            (nothing && case.is_refused_by_us(&[Kind::StartLine]))
                || (unnamed && case.is_refused_by_us(&[Kind::Field]))
        },
    },
    Difference {
        reason: "what cannot become a message is refused at its first wrong byte, not once more has come",
        examples: &[b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nA: \0"],
        explains: |case| case.ours == Verdict::Refused && case.oracle == Verdict::Incomplete,
    },
    Difference {
        reason: "a line feed alone ends a line, and any mixture of both separates messages: old cameras write them",
        examples: &[
            b"OPTIONS * RTSP/1.0\nCSeq: 1\n\n",
            b"\nOPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
            b"\rOPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        ],
        explains: |case| has_lone_line_end(case.bytes),
    },
    Difference {
        reason: "the target is passed on as it was sent: whether it is a URL, and of what, is the session's to answer",
        examples: &[
            b"OPTIONS cam RTSP/1.0\r\nCSeq: 1\r\n\r\n",
            b"OPTIONS *cam RTSP/1.0\r\nCSeq: 1\r\n\r\n",
            b"OPTIONS rtsp://h:99999/a RTSP/1.0\r\nCSeq: 1\r\n\r\n",
            "OPTIONS rtsp://h/\u{e9} RTSP/1.0\r\nCSeq: 1\r\n\r\n".as_bytes(),
        ],
        explains: |case| {
            let refused = case.oracle == Verdict::Refused;
            let plain = case.first_line().is_ascii();
            refused
                && target_of(&case.ours)
                    .is_some_and(|target| !(plain && Url::parse(target).is_ok()))
        },
    },
    Difference {
        reason: "dot segments stay in the target, encoded or not: the session refuses them, the oracle resolves them",
        examples: &[
            b"OPTIONS rtsp://h/a/../b RTSP/1.0\r\nCSeq: 1\r\n\r\n",
            b"OPTIONS rtsp://h/a/%2e%2e/b RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        ],
        explains: |case| {
            let ours = target_of(&case.ours).unwrap_or_default();
            let oracle = target_of(&case.oracle).unwrap_or_default();
            ours.to_ascii_lowercase().replace("%2e", ".").contains("/.")
                && Url::parse(ours).is_ok_and(|url| url.as_str() == oracle)
        },
    },
    Difference {
        reason: "spaces may stand around a request's target and before a field's colon; some encoders write them",
        examples: &[
            b"OPTIONS  *  RTSP/1.0 \r\nCSeq: 1\r\n\r\n",
            b"OPTIONS * RTSP/1.0\r\nCSeq : 1\r\n\r\n",
        ],
        explains: |case| {
            let line = case.first_line();
            let before_colon = case
                .head()
                .split(|byte| *byte == b'\n')
                .skip(1)
                .any(|line| {
                    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
                    !line.starts_with(b" ")
                        && !line.starts_with(b"\t")
                        && name != name.trim_ascii_end()
                });
            is_taken_by_us_alone(case)
                && (line.contains("  ") || line.ends_with(' ') || before_colon)
        },
    },
    Difference {
        reason: "a response may lack its reason, and the space before it",
        examples: &[b"RTSP/1.0 200\r\nCSeq: 1\r\n\r\n"],
        explains: |case| {
            let words = case.first_line().split(' ').count();
            is_taken_by_us_alone(case)
                && matches!(message(&case.ours), Some(message) if matches!(message.start, Start::Response(_)))
                && words == 2
        },
    },
    Difference {
        reason: "what is not UTF-8 is read as Latin-1: names of cameras are written so",
        examples: &[b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: Cam\xe9ra\r\n\r\n"],
        explains: |case| is_taken_by_us_alone(case) && std::str::from_utf8(case.head()).is_err(),
    },
    Difference {
        reason: "a continued line adds a blank and what it says, and a blank one nothing",
        examples: &[b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nA: b\r\n \r\n c\r\n\r\n"],
        explains: |case| {
            let blanks_dropped = |message: &Message| {
                let values = message.fields.values();
                let values =
                    values.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "));
                values.collect::<Vec<_>>()
            };
            let head = case.head();
            let continued = head
                .windows(2)
                .any(|pair| pair[0] == b'\n' && b" \t".contains(&pair[1]));
            let both = message(&case.ours).zip(message(&case.oracle));
            continued
                && both.is_some_and(|(ours, oracle)| blanks_dropped(ours) == blanks_dropped(oracle))
        },
    },
    Difference {
        reason: "fields are told apart by their whole names; the oracle takes one that begins with another's for the same",
        examples: &[b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nAccept: a\r\nAccept-Language: b\r\n\r\n"],
        explains: |case| {
            let ours = message(&case.ours).zip(message(&case.oracle));
            ours.is_some_and(|(ours, _)| {
                let mut pairs = ours.fields.keys().zip(ours.fields.keys().skip(1));
                pairs.any(|(name, next)| next.starts_with(name.as_str()))
            })
        },
    },
    Difference {
        reason: "a head is judged once it is whole, so that its refusal can carry its number",
        examples: &[b"OPTIONS * HTTP/1.1\r\nCSeq: 1\r\n"],
        explains: |case| case.ours == Verdict::Incomplete && case.oracle != Verdict::Incomplete,
    },
];

fn message(verdict: &Verdict) -> Option<&Message> {
    match verdict {
        Verdict::Message(message) => Some(message),
        Verdict::Incomplete | Verdict::Refused => None,
    }
}

fn target_of(verdict: &Verdict) -> Option<&str> {
    match &message(verdict)?.start {
        Start::Request(_, target) => target.as_deref(),
        Start::Response(_) | Start::Frame(_) => None,
    }
}

fn is_taken_by_us_alone(case: &Case<'_>) -> bool {
    message(&case.ours).is_some() && message(&case.oracle).is_none()
}

fn has_lone_line_end(bytes: &[u8]) -> bool {
    let is_lone = |at: usize| match bytes[at] {
        b'\n' => at.checked_sub(1).and_then(|before| bytes.get(before)) != Some(&b'\r'),
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    };
    (0..bytes.len()).any(is_lone)
}
