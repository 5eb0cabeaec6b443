//! The target of a request: what must be true of it before a route is looked for (RFC 9112, section 3.2).

use http::request::Parts;
use http::{Version, header};
use percent_encoding::percent_decode_str;

/// The longest target. RFC 9110, section 4.1, wants at least 8000 bytes.
pub const URI_BYTES_MAX: usize = 8 << 10;

/// What is wrong with a target. The peer is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It has more than [`URI_BYTES_MAX`].
    #[error("the target is too long")]
    TooLong,
    /// It makes no sense, for this reason.
    #[error("{0}")]
    Bad(&'static str),
}

/// Refuses what names no place on any site, or what two readers could understand in two ways.
///
/// # Errors
/// What is wrong with it.
pub fn check(head: &Parts) -> Result<(), TargetError> {
    let path = head.uri.path();
    let length = head
        .uri
        .path_and_query()
        .map_or(0, |both| both.as_str().len());
    if length > URI_BYTES_MAX {
        return Err(TargetError::TooLong);
    }
    if !has_one_host(head) {
        return Err(TargetError::Bad("exactly one Host is needed"));
    }
    if !path.starts_with('/') {
        return Err(TargetError::Bad("the target is no path"));
    }
    decode(path).map(|_| ())
}

/// What a path, or a part of one, stands for (RFC 3986, section 2.1).
///
/// # Errors
/// When it is no text, or has a NUL in it, or a `%` without two digits.
pub fn decode(path: &str) -> Result<String, TargetError> {
    const BAD: TargetError = TargetError::Bad("the path cannot be decoded");
    let mut pieces = path.split('%');
    let _before_the_first = pieces.next();
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let is_escape = |piece: &str| (0..2).all(|place| is_digit(piece.as_bytes().get(place)));
    if !pieces.all(is_escape) {
        return Err(BAD);
    }
    let decoded = percent_decode_str(path).decode_utf8().map_err(|_| BAD)?;
    if decoded.contains('\0') {
        return Err(BAD);
    }
    Ok(decoded.into_owned())
}

/// RFC 9112, section 3.2: HTTP/1.1 has exactly one. HTTP/2 has its authority, beside which the same may stand.
fn has_one_host(head: &Parts) -> bool {
    let count = head.headers.get_all(header::HOST).iter().count();
    match head.version {
        Version::HTTP_11 => count == 1,
        _ => count <= 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn checked(uri: &str) -> Result<(), TargetError> {
        let request = Request::get(uri).header(header::HOST, "here").body(());
        check(&request.unwrap().into_parts().0)
    }

    #[test]
    fn a_target_at_the_longest_is_taken_and_one_byte_more_is_not() {
        let uri = |bytes: usize| format!("/{}", "a".repeat(bytes - 1));
        assert_eq!(checked(&uri(URI_BYTES_MAX)), Ok(()));
        assert_eq!(checked(&uri(URI_BYTES_MAX + 1)), Err(TargetError::TooLong));
    }

    #[test]
    fn a_target_that_is_no_path_is_refused() {
        for uri in ["*", "here:80", "/%00", "/%ff", "/%2", "/%zz", "/%"] {
            assert!(matches!(checked(uri), Err(TargetError::Bad(_))), "{uri}");
        }
        for uri in ["/", "/%2e%2e", "http://here/v3", "/a?b=%00"] {
            assert_eq!(checked(uri), Ok(()), "{uri}");
        }
    }

    #[test]
    fn what_is_decoded_once_is_not_decoded_again() {
        assert_eq!(decode("/a%2Fb%2541").as_deref(), Ok("/a/b%41"));
    }

    #[test]
    fn http_1_1_needs_exactly_one_host() {
        let with = |hosts: usize, version| {
            let mut request = Request::get("/").version(version);
            for _ in 0..hosts {
                request = request.header(header::HOST, "here");
            }
            check(&request.body(()).unwrap().into_parts().0).is_ok()
        };
        let taken = |version| [0, 1, 2].map(|hosts| with(hosts, version));
        assert_eq!(taken(Version::HTTP_11), [false, true, false]);
        assert_eq!(taken(Version::HTTP_10), [true, true, false]);
        assert_eq!(taken(Version::HTTP_2), [true, true, false]);
    }
}
