//! Oddities of real programs and devices, each with the place where somebody met it: what players and encoders say to our
//! server (`peers`), and what cameras and other servers say to our client (`servers`).
//!
//! Everything goes over the wire here: text as it was sent, through the message reader into the state machines, and their
//! answers back. Not caught here: what the programs make of our answers. That is what `tests/tests/interop.rs` is for.

mod peers;
mod servers;

use shardcast_protocol::rtsp::{Limits, MessageReader, Parsed};

/// The messages that stand in `text`, whose lines may end as they like.
fn messages(text: &str) -> Vec<Parsed> {
    let mut reader = MessageReader::new(Limits::default());
    let mut rest = text.as_bytes();
    let mut found = Vec::new();
    loop {
        let parsed = reader.poll(rest).expect("what real programs send is read");
        let consumed = match &parsed {
            Parsed::Incomplete { begun, .. } => {
                assert!(!begun, "all of it is there: {text}");
                return found;
            }
            Parsed::Frame { consumed, .. }
            | Parsed::Request { consumed, .. }
            | Parsed::Response { consumed, .. } => *consumed,
        };
        rest = &rest[consumed..];
        found.push(parsed);
    }
}

/// Lines as the protocol wants them.
fn crlf(text: &str) -> String {
    text.replace('\n', "\r\n")
}
