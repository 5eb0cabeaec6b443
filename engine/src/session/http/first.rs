//! What the first bytes of a connection say: TLS, HTTP/2 by prior knowledge, or HTTP/1.

use std::future::poll_fn;
use std::io;

use shardcast_platform::PolledStream;

use crate::session::sniff::{Sniffed, sniff};
use crate::shard::SessionHandle;

/// What HTTP/2 begins with (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// The peer's end.
    Nothing,
    /// A TLS handshake.
    Tls,
    /// HTTP/1, or nothing that is known here: its reader has the answer for that.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Reads as far as it has to, and gives the bytes back.
pub(super) async fn first_of(
    stream: &mut PolledStream,
    session: &SessionHandle,
) -> io::Result<First> {
    let mut bytes = [0; PREFACE.len()];
    let mut filled = 0;
    loop {
        let count = match bytes.get_mut(filled..) {
            Some(room) if !room.is_empty() => {
                poll_fn(|context| stream.poll_read(context, room)).await?
            }
            _ => 0,
        };
        filled += count;
        let so_far = bytes.get(..filled).unwrap_or_default();
        if let Some(first) = tell(so_far, count == 0) {
            stream.unread(so_far);
            return Ok(first);
        }
        session.note_message(true, shardcast_platform::now());
    }
}

/// What these bytes say; `None` while they are too few.
fn tell(bytes: &[u8], is_all: bool) -> Option<First> {
    match sniff(bytes) {
        Some(Sniffed::Tls) => return Some(First::Tls),
        None if bytes.is_empty() && is_all => return Some(First::Nothing),
        None if !is_all => return None,
        _ => {}
    }
    if bytes.starts_with(PREFACE) {
        return Some(First::Http2);
    }
    let may_become_http2 = PREFACE.starts_with(bytes) && !is_all;
    (!may_become_http2).then_some(First::Http1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_says_what_it_is_with_its_first_bytes() {
        assert_eq!(tell(b"", false), None);
        assert_eq!(tell(b"", true), Some(First::Nothing));
        assert_eq!(tell(&[0x16], false), None);
        assert_eq!(tell(&[0x16], true), Some(First::Http1));
        assert_eq!(tell(&[0x16, 3], false), Some(First::Tls));
        assert_eq!(tell(b"G", false), Some(First::Http1));
        for length in 1..PREFACE.len() {
            assert_eq!(tell(&PREFACE[..length], false), None, "{length}");
            assert_eq!(tell(&PREFACE[..length], true), Some(First::Http1));
        }
        assert_eq!(tell(PREFACE, false), Some(First::Http2));
        assert_eq!(tell(b"PRO", false), Some(First::Http1));
    }
}
