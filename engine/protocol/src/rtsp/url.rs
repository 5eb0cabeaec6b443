//! RTSP URLs as clients send them, and the path and track that they mean. `server` reads targets
//! of requests with it, `client` and `control` build URLs.
//!
//! A path leaves this file percent-decoded once, as UTF-8, without control characters and without
//! dot segments; whether it is a good *name* is for the engine to say.

use std::fmt;

/// What precedes a track's number in the `control` attributes that we give out. Some cameras'
/// clients (Grandstream GXV3500) take no other word.
const TRACK_MARK: &str = "/trackID=";

/// An absolute `rtsp:` or `rtsps:` URL, its credentials dropped (RFC 2326, section 3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtspUrl {
    scheme: &'static str,
    host: String,
    port: Option<u16>,
    /// As it was sent: empty, or from its first slash.
    path: String,
    /// As it was sent, without the question mark.
    query: Option<String>,
}

/// What a request is about: the name of a path, and the query behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The path without its leading slash, one trailing slash and the track, percent-decoded.
    pub path: String,
    /// The query without track and trailing slash, as it was sent. Empty when there is none.
    pub query: String,
}

/// A URL that names nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither `rtsp://` nor `rtsps://`.
    #[error("not an rtsp URL")]
    Scheme,
    /// No host, or a port that is none.
    #[error("an invalid host or port")]
    Authority,
    /// A percent sign without two hexadecimal digits, or what they encode is not UTF-8.
    #[error("an invalid percent encoding")]
    Encoding,
    /// A control character, NUL among them.
    #[error("a control character")]
    ControlCharacter,
    /// A segment `.` or `..`, encoded or not.
    #[error("a dot segment")]
    DotSegment,
    /// `trackID=` without a number.
    #[error("an invalid track number")]
    Track,
}

impl RtspUrl {
    /// Reads an absolute URL.
    ///
    /// # Errors
    /// [`UrlError::Scheme`], [`UrlError::Authority`] or [`UrlError::ControlCharacter`].
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(UrlError::ControlCharacter);
        }
        let (scheme, rest) = split_scheme(text).ok_or(UrlError::Scheme)?;
        let (authority, rest) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at_checked(at).ok_or(UrlError::Authority)?,
            None => (rest, ""),
        };
        // Everything up to the last `@` is credentials; a password may hold another one.
        let host_port = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = split_port(host_port).ok_or(UrlError::Authority)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (rest, None),
        };
        let (host, path) = (host.to_owned(), path.to_owned());
        Ok(Self {
            scheme,
            host,
            port,
            path,
            query,
        })
    }

    /// The host; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        self.host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(&self.host)
    }

    /// The port: 554 or, over TLS, 322 when the URL gives none (RFC 2326, 3.2; RFC 7826, 4.2).
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.is_tls() { 322 } else { 554 })
    }

    /// Whether it is an `rtsps:` URL.
    pub fn is_tls(&self) -> bool {
        self.scheme == "rtsps"
    }

    /// The path and query that the whole URL names, as requests about a whole stream send it. One
    /// slash at the end of either is dropped: clients append it, or copy it from `Content-Base`.
    ///
    /// # Errors
    /// A path that cannot be decoded or holds dot segments.
    pub fn target(&self) -> Result<Target, UrlError> {
        target(&self.path, self.query.as_deref().unwrap_or_default())
    }

    /// The target and the track that a `SETUP` names, `None` when it names the whole stream. FFmpeg
    /// and live555 append the track behind the query, GStreamer puts it before.
    ///
    /// # Errors
    /// As [`Self::target`], and [`UrlError::Track`].
    pub fn target_and_track(&self) -> Result<(Target, Option<usize>), UrlError> {
        let query = self.query.as_deref().unwrap_or_default();
        if let Some((query, track)) = query.rsplit_once(TRACK_MARK) {
            return Ok((target(&self.path, query)?, Some(track_number(track)?)));
        }
        if let Some((path, track)) = self.path.rsplit_once(TRACK_MARK) {
            return Ok((target(path, query)?, Some(track_number(track)?)));
        }
        Ok((target(&self.path, query)?, None))
    }

    /// This URL with exactly one slash at its end, behind the query when it has one: what
    /// `Content-Base` says, so that appending a control attribute gives a track's URL.
    pub fn to_base(&self) -> String {
        let mut base = self.to_string();
        if !base.ends_with('/') {
            base.push('/');
        }
        base
    }

    /// Path and query as they were sent.
    pub(super) fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// The same URL with a relative reference behind its path, before its query.
    pub(super) fn with_control_before_query(&self, control: &str) -> Self {
        let path = self.path.strip_suffix('/').unwrap_or(&self.path);
        let path = format!("{path}/{}", control.trim_start_matches('/'));
        Self {
            path,
            ..self.clone()
        }
    }

    /// The same server with another path and query, which begin with a slash.
    pub(super) fn with_path_and_query(&self, path_and_query: &str) -> Self {
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (path_and_query, None),
        };
        let path = path.to_owned();
        Self {
            path,
            query,
            ..self.clone()
        }
    }
}

/// Without credentials, always.
impl fmt::Display for RtspUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", self.scheme, self.host)?;
        if let Some(port) = self.port {
            write!(formatter, ":{port}")?;
        }
        formatter.write_str(&self.path_and_query())
    }
}

/// The credentials of a URL, as they were sent. A password may hold an `@`.
pub(super) fn split_credentials(text: &str) -> Option<&str> {
    let (_, rest) = split_scheme(text)?;
    let authority = rest.split(['/', '?']).next()?;
    authority
        .rsplit_once('@')
        .map(|(credentials, _)| credentials)
}

/// The scheme of a URL, and what follows its slashes.
pub(super) fn split_scheme(text: &str) -> Option<(&'static str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    ["rtsp", "rtsps"]
        .into_iter()
        .find(|known| scheme.eq_ignore_ascii_case(known))
        .map(|known| (known, rest))
}

/// Host and port of an authority without credentials. An IPv6 address stands in brackets.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let port_at = match authority.rfind(']') {
        Some(bracket) => authority.get(bracket..)?.find(':').map(|at| bracket + at),
        None => authority.find(':'),
    };
    let (host, port) = match port_at {
        Some(at) => (authority.get(..at)?, authority.get(at + 1..)?),
        None => (authority, ""),
    };
    let bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
    if host.is_empty() || (host.contains(['[', ']', ':']) && !bracketed) {
        return None;
    }
    match port {
        "" => Some((host, None)),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some((host, Some(digits.parse().ok()?)))
        }
        _ => None,
    }
}

fn target(path: &str, query: &str) -> Result<Target, UrlError> {
    let path = path.strip_prefix('/').unwrap_or(path);
    // With a query, the slash that a client appended stands behind the query.
    let path = percent_decode(path.strip_suffix('/').unwrap_or(path))?;
    if path.contains(char::is_control) {
        return Err(UrlError::ControlCharacter);
    }
    if path
        .split(['/', '\\'])
        .any(|segment| matches!(segment, "." | ".."))
    {
        return Err(UrlError::DotSegment);
    }
    let query = query.strip_suffix('/').unwrap_or(query).to_owned();
    Ok(Target { path, query })
}

fn track_number(text: &str) -> Result<usize, UrlError> {
    let digits = text.strip_suffix('/').unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UrlError::Track);
    }
    digits.parse().map_err(|_| UrlError::Track)
}

pub(super) fn percent_decode(text: &str) -> Result<String, UrlError> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let high = bytes.next().and_then(hex_digit);
        let low = bytes.next().and_then(hex_digit);
        let (Some(high), Some(low)) = (high, low) else {
            return Err(UrlError::Encoding);
        };
        decoded.push(high << 4 | low);
    }
    String::from_utf8(decoded).map_err(|_| UrlError::Encoding)
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> (String, String, Option<usize>) {
        let (target, track) = RtspUrl::parse(url).unwrap().target_and_track().unwrap();
        (target.path, target.query, track)
    }

    #[test]
    fn a_track_is_found_where_each_client_puts_it() {
        let cases = [
            ("rtsp://h/a/b/trackID=1", ("a/b", "", Some(1))),
            ("rtsp://h:8554/a?q=1/trackID=1", ("a", "q=1", Some(1))),
            ("rtsp://h/a/trackID=1?q=1", ("a", "q=1", Some(1))),
            ("rtsp://h/a/trackID=1?q=1/", ("a", "q=1", Some(1))),
            ("rtsp://h/a/?q=1/trackID=1", ("a", "q=1", Some(1))),
            ("rtsp://h/a/trackID=12/", ("a", "", Some(12))),
            ("rtsp://h/a//trackID=0", ("a", "", Some(0))),
            ("rtsp://h/trackID=0", ("", "", Some(0))),
            ("rtsp://h/a/", ("a", "", None)),
            ("rtsp://h/a?q=1/", ("a", "q=1", None)),
            ("rtsp://h", ("", "", None)),
            ("RTSPS://h/", ("", "", None)),
        ];
        for (url, (path, query, track)) in cases {
            assert_eq!(parts(url), (path.into(), query.into(), track), "{url}");
        }
    }

    #[test]
    fn hosts_may_be_names_and_addresses_of_both_families() {
        for (url, host, port) in [
            ("rtsp://example.org/a", "example.org", 554),
            ("rtsp://127.0.0.1:8554/a", "127.0.0.1", 8554),
            ("rtsp://[::1]:8554/a", "::1", 8554),
            ("rtsps://[fe80::1]?q", "fe80::1", 322),
        ] {
            let parsed = RtspUrl::parse(url).unwrap();
            assert_eq!((parsed.host(), parsed.port()), (host, port));
            assert_eq!(parsed.to_string(), url);
        }
    }

    #[test]
    fn credentials_are_dropped_and_never_shown() {
        let url = RtspUrl::parse("rtsp://user:p@ss@h:1/a").unwrap();
        assert_eq!(url.to_string(), "rtsp://h:1/a");
        assert!(!format!("{url:?}").contains("ss"));
    }

    #[test]
    fn what_names_no_path_is_refused() {
        use UrlError::*;
        for (url, error) in [
            ("", Scheme),
            ("*", Scheme),
            ("/a", Scheme),
            ("http://h/a", Scheme),
            ("rtsp:///a", Authority),
            ("rtsp://h:99999/a", Authority),
            ("rtsp://h:+1/a", Authority),
            ("rtsp://::1/a", Authority),
            ("rtsp://[::1/a", Authority),
            ("rtsp://h/\0", ControlCharacter),
            ("rtsp://h/%00", ControlCharacter),
            ("rtsp://h/a%0d%0ab", ControlCharacter),
            ("rtsp://h/../a", DotSegment),
            ("rtsp://h/a/%2e%2E/b", DotSegment),
            ("rtsp://h/a/%2e", DotSegment),
            ("rtsp://h/..%5cb", DotSegment),
            ("rtsp://h/..%2fb", DotSegment),
            ("rtsp://h/%", Encoding),
            ("rtsp://h/%4", Encoding),
            ("rtsp://h/%+1", Encoding),
            ("rtsp://h/%ff", Encoding),
            ("rtsp://h/a/trackID=", Track),
            ("rtsp://h/a/trackID=-1", Track),
            ("rtsp://h/a/trackID=99999999999999999999", Track),
        ] {
            let outcome = RtspUrl::parse(url).and_then(|url| url.target_and_track());
            assert_eq!(outcome, Err(error), "{url:?}");
        }
    }

    #[test]
    fn a_path_is_decoded_once() {
        assert_eq!(parts("rtsp://h/a%20b%2525").0, "a b%25");
    }

    #[test]
    fn a_base_ends_with_one_slash() {
        for (url, base) in [
            ("rtsp://h/a", "rtsp://h/a/"),
            ("rtsp://h/a/", "rtsp://h/a/"),
            ("rtsp://h/a?q=1", "rtsp://h/a?q=1/"),
        ] {
            assert_eq!(RtspUrl::parse(url).unwrap().to_base(), base);
        }
    }
}
