//! What a connection speaks, told from its first bytes, so that several protocols can share a port.

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sniffed {
    /// RTSP, or nothing that is known here: the RTSP reader has the answer for that.
    Rtsp,
    /// A TLS handshake (RFC 8446 section 5.1: record type 22, version 3.x).
    Tls,
}

/// Bytes that decide.
pub(crate) const SNIFF_BYTES: usize = 2;

/// Looks at the first bytes of a connection; `None` while they are too few.
#[must_use]
pub(crate) fn sniff(bytes: &[u8]) -> Option<Sniffed> {
    match bytes {
        [0x16, 0x03, ..] => Some(Sniffed::Tls),
        [] | [0x16] => None,
        _ => Some(Sniffed::Rtsp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tls_handshake_is_told_from_rtsp_by_its_first_two_bytes() {
        assert_eq!(sniff(b""), None);
        assert_eq!(sniff(&[0x16]), None);
        assert_eq!(sniff(&[0x16, 0x03, 0x01]), Some(Sniffed::Tls));
        assert_eq!(sniff(&[0x16, b'X']), Some(Sniffed::Rtsp));
        assert_eq!(sniff(b"O"), Some(Sniffed::Rtsp));
        assert_eq!(sniff(b"$"), Some(Sniffed::Rtsp));
    }
}
