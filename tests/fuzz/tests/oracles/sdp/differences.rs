//! Where our reader and `sdp-types` are meant to differ, and why.

use sdp_types::ParserError as Fault;
use shardcast_protocol::sdp::SdpErrorKind as Kind;

use super::reading::{Case, Sdp};
use crate::difference::Difference;

/// All of them: first what we are more lenient about, then what we are stricter about, then the rest.
pub(crate) const DIFFERENCES: &[Difference<Sdp>] = &[
    Difference {
        reason: "no version is asked for: there is only one, and cameras leave it out",
        examples: &[b"s=x\r\n", b"v=1\r\n"],
        explains: |case| {
            let fault = |fault: &Fault| {
                matches!(fault, Fault::NoVersion | Fault::InvalidVersion(..) | Fault::MultipleVersions(_))
            };
            is_taken_by_us(case, fault)
        },
    },
    Difference {
        reason: "the first of several lines counts where there should be one",
        examples: &[
            b"v=0\r\ns=a\r\ns=b\r\n",
            b"v=0\r\no=- 1 1 IN IP4 h\r\no=- 2 2 IN IP4 h\r\n",
            b"v=0\r\nm=audio 0 RTP/AVP 0\r\ni=a\r\ni=b\r\n",
        ],
        explains: |case| {
            let fault = |fault: &Fault| {
                matches!(
                    fault,
                    Fault::MultipleOrigins(_)
                        | Fault::MultipleSessionNames(_)
                        | Fault::MultipleSessionDescription(_)
                        | Fault::MultipleConnections(_)
                        | Fault::MultipleMediaTitles(_)
                )
            };
            is_taken_by_us(case, fault)
        },
    },
    Difference {
        reason: "lines that no stream needs are not read: repeats, zones, keys, addresses of people",
        examples: &[
            b"v=0\r\nz=x\r\n",
            b"v=0\r\nr=1 1\r\n",
            b"v=0\r\nu=a\r\nu=b\r\n",
            b"v=0\r\nk=a\r\nk=b\r\n",
        ],
        explains: |case| {
            is_taken_by_us(case, |fault| {
                matches!(
                    fault,
                    Fault::MultipleUris(_)
                        | Fault::MultipleTimeZones(_)
                        | Fault::MultipleKeys(_)
                        | Fault::RepeatWithoutTime(_)
                ) || field_of(fault).is_some_and(|field| {
                    let unread = ["Repeat", "TimeZone", "Key", "Uri", "E-Mail", "Phone"];
                    unread.iter().any(|line| field.starts_with(line))
                })
            })
        },
    },
    Difference {
        reason: "origin, connection, bandwidth and time pass as text: session ids have more than 64 bits, or signs",
        examples: &[
            b"v=0\r\no=- 1 340282366920938463463374607431768211456 IN IP4 h\r\n",
            b"v=0\r\no=- 1 -1 IN IP4\r\n",
            b"v=0\r\nc=IN IP4\r\n",
            b"v=0\r\nb=AS\r\n",
            b"v=0\r\nt=\r\n",
        ],
        explains: |case| {
            is_taken_by_us(case, |fault| {
                field_of(fault).is_some_and(|field| {
                    let text = ["Origin", "Connection", "Bandwidth", "Time"];
                    text.iter().any(|line| field.starts_with(line))
                })
            })
        },
    },
    Difference {
        reason: "what is not UTF-8 is read as Latin-1: names of cameras are written so",
        examples: &[b"v=0\r\ns=K\xfcche\r\n"],
        explains: |case| is_taken_by_us(case, |fault| matches!(fault, Fault::InvalidFieldEncoding(..))),
    },
    Difference {
        reason: "a carriage return alone ends a line, null bytes at the end are cut off, lines may be indented or blank, \
                 and begin with a byte order mark",
        examples: &[
            b"v=0\rs=x\r",
            b"v=0\r\ns=x\r\n\0\0",
            b"v=0\r\n  a=x\r\n",
            b"v=0\r\n \t\r\ns=x\r\n",
        ],
        explains: |case| is_taken_by_us(case, |fault| matches!(fault, Fault::InvalidLineFormat(..))),
    },
    Difference {
        reason: "how many ports a medium has is not asked: RTSP says them elsewhere",
        examples: &[b"v=0\r\nm=video 0/x RTP/AVP 96\r\n"],
        explains: |case| is_taken_by_us(case, |fault| field_of(fault) == Some("Media num-ports")),
    },
    Difference {
        reason: "the words of a medium may stand apart by any blanks",
        examples: &[b"v=0\r\nm=video  0 RTP/AVP 96\r\n", b"v=0\r\nm=video 0  RTP/AVP 96\r\n"],
        explains: |case| {
            has_odd_media_line(case.text)
                && (is_taken_by_us(case, |fault| field_of(fault).is_some_and(|field| field.starts_with("Media")))
                    || case.is_alike_but_for(one_blank))
        },
    },
    Difference {
        reason: "a medium has a name and a format",
        examples: &[b"v=0\r\nm= 0 RTP/AVP 0\r\n", b"v=0\r\nm=video 0 RTP/AVP \r\n", b"v=0\r\nm=video 0  96\r\n"],
        explains: |case| {
            let refused = matches!(case.ours, Err(Kind::MediaIncomplete | Kind::Port));
            refused && has_odd_media_line(case.text)
        },
    },
    Difference {
        reason: "a line begins with a letter",
        examples: &[b"v=0\r\n1=x\r\n", b"v=0\r\n\xff=x\r\n"],
        explains: |case| matches!(case.ours, Err(Kind::NotALine)),
    },
    Difference {
        reason: "every length and number has a limit",
        examples: &[b"v=0\r\nm=video 0 RTP/AVP 0\nm=a 0 b 0\nm=a 0 b 0\nm=a 0 b 0\nm=a 0 b 0\nm=a 0 b 0\nm=a 0 b 0\n\
            m=a 0 b 0\nm=a 0 b 0\nm=a 0 b 0\nm=a 0 b 0\nm=a 0 b 0\nm=a 0 b 0\nm=a 0 b 0\nm=a 0 b 0\nm=a 0 b 0\nm=a 0 b 0\n"],
        explains: |case| {
            matches!(
                case.ours,
                Err(Kind::TooLong
                    | Kind::TooManyLines
                    | Kind::LineTooLong
                    | Kind::TooManyMedia
                    | Kind::TooManyFormats)
            )
        },
    },
    Difference {
        reason: "blanks around a value, an attribute's name and between words are nobody's",
        examples: &[b"v=0\r\ns= x \r\n", b"v=0\r\na=x : y\r\n", b"v=0\r\nc=IN  IP4 h\r\n"],
        explains: |case| case.is_alike_but_for(one_blank),
    },
    Difference {
        reason: "numbers pass as they were written",
        examples: &[b"v=0\r\nt=007 +7\r\n", b"v=0\r\nb=AS:+7\r\n"],
        explains: |case| case.is_alike_but_for(plain_numbers),
    },
];

fn is_taken_by_us(case: &Case<'_>, is_such: impl Fn(&Fault) -> bool) -> bool {
    case.ours.is_ok() && case.oracle.as_ref().is_err_and(is_such)
}

fn field_of(fault: &Fault) -> Option<&'static str> {
    match fault {
        Fault::InvalidFieldEncoding(_, field)
        | Fault::InvalidFieldFormat(_, field)
        | Fault::MissingField(_, field)
        | Fault::FieldTrailingData(_, field) => Some(field),
        _ => None,
    }
}

/// Whether some medium's words are not apart by one space each.
fn has_odd_media_line(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let media = text
        .split(['\r', '\n'])
        .filter_map(|line| line.strip_prefix("m="));
    media.into_iter().any(|line| one_blank(line) != line)
}

/// The words with one space between them.
fn one_blank(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same with every number as it is usually written.
fn plain_numbers(text: &str) -> String {
    let words = text.split([' ', ':', '\t']).filter(|word| !word.is_empty());
    let plain = words.map(|word| {
        word.parse::<u128>()
            .map_or(word.to_owned(), |number| number.to_string())
    });
    plain.collect::<Vec<_>>().join(" ")
}
