//! Pages of other origins: what their browsers are told, and what such a page may not change.
//!
//! Answers follow the Fetch standard (sections 3.2 and 4.8) in MediaMTX's form. Asked by the session before and after a
//! request is served, with the listener's `AllowOrigins`.
//!
//! A browser sends some requests of a foreign page without asking first: a POST of a form or of plain text. Whoever is known
//! by an address alone would be made use of so. Therefore a request that could change something, and that a page has sent
//! which is not ours, is served only when its origin is listed by name, or when `*` is listed and its body is of a type for
//! which browsers ask first. A program is no page: it sends no `Origin`, and may call its body whatever it likes.
//!
//! A name may be made to point here by anybody (DNS rebinding), so a page is ours only if it came from an address or from
//! `localhost`; names have to be listed.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Uri, Version};

/// Every origin.
const ANY: &str = "*";

/// Request headers of pages that handlers understand.
const HEADERS: HeaderValue =
    HeaderValue::from_static("Authorization, Content-Type, If-Match, Last-Event-ID");

/// Response headers that pages may read.
const EXPOSED: HeaderValue = HeaderValue::from_static("ETag");

/// Whose page has sent a request, as its browser says.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a form can send, which browsers do without asking (Fetch standard, section 2.2.2).
const SIMPLE_TYPES: [&str; 3] = [
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "text/plain",
];

/// Says in `response`, to a browser that has asked, what its page may do where there are these
/// methods.
pub fn allow_methods(methods: HeaderValue, response: &mut HeaderMap) {
    response.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    response.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
}

/// Says in `response` whether the page that has sent `request` may read it.
pub fn allow(allowed: &[String], request: &HeaderMap, response: &mut HeaderMap) {
    let is_any_allowed = allowed.iter().any(|entry| entry == ANY);
    if allowed.iter().any(|entry| entry != ANY) {
        response.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    let listed = request.get(header::ORIGIN);
    let listed = listed.filter(|origin| Origin::of(origin).is_some_and(|it| it.is_listed(allowed)));
    let told = match listed {
        Some(origin) => origin.clone(),
        None if is_any_allowed => HeaderValue::from_static(ANY),
        None => return,
    };
    response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, told);
    response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

/// A request without its body, as far as it matters who has sent it.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its target.
    pub uri: &'a Uri,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Whether it came encrypted.
    pub is_secure: bool,
    /// Whether a body follows.
    pub has_body: bool,
}

/// Why a request of another origin's page is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// No page of its origin may.
    #[error("pages of this origin are not allowed")]
    Page,
    /// It has sent a body in a form for which its browser has not asked.
    #[error("pages of other origins have to send 'Content-Type: application/json'")]
    Form,
}

/// Refuses what a page that is not ours may not ask for.
///
/// # Errors
/// Why not.
pub fn refuse_foreign(sent: Sent<'_>, allowed: &[String]) -> Result<(), Foreign> {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(sent.method) || !sent.is_foreign() {
        return Ok(());
    }
    if sent
        .origin()
        .is_some_and(|origin| origin.is_listed(allowed))
    {
        return Ok(());
    }
    if !allowed.iter().any(|entry| entry == ANY) {
        return Err(Foreign::Page);
    }
    if sent.has_body && sent.is_simple() {
        return Err(Foreign::Form);
    }
    Ok(())
}

impl<'a> Sent<'a> {
    /// A request that has come with this head, encrypted or not where it set out.
    #[must_use]
    pub fn of(head: &'a Parts, is_secure: bool) -> Self {
        Self {
            method: &head.method,
            uri: &head.uri,
            headers: &head.headers,
            is_secure,
            has_body: has_body(head),
        }
    }

    fn origin(&self) -> Option<Origin<'a>> {
        self.headers.get(header::ORIGIN).and_then(Origin::of)
    }

    /// Whether a page of another origin than ours has sent it. Programs do not say where they come from.
    fn is_foreign(&self) -> bool {
        if self.headers.contains_key(header::ORIGIN) {
            // `null` is nobody's, and not ours when we have none.
            return self
                .origin()
                .is_none_or(|origin| self.own_origin() != Some(origin));
        }
        let site = self.headers.get(FETCH_SITE).map(HeaderValue::as_bytes);
        matches!(site, Some(b"cross-site" | b"same-site"))
    }

    /// The origin of pages that this listener could have sent, if nobody but us can have its name.
    fn own_origin(&self) -> Option<Origin<'a>> {
        let host = self.headers.get(header::HOST);
        let host = host.and_then(|host| host.to_str().ok());
        let host = host.or_else(|| self.uri.authority().map(http::uri::Authority::as_str))?;
        let scheme = if self.is_secure { "https" } else { "http" };
        Origin::at(scheme, host).filter(Origin::is_of_this_machine)
    }

    /// Whether browsers send its body without asking first. Of several types nobody knows which is meant.
    fn is_simple(&self) -> bool {
        let mut types = self.headers.get_all(header::CONTENT_TYPE).iter();
        let (Some(first), None) = (types.next(), types.next()) else {
            return true;
        };
        let essence = first.to_str().unwrap_or_default();
        let essence = essence.split([';', ',']).next().unwrap_or_default().trim();
        let is_same = |simple: &&str| simple.eq_ignore_ascii_case(essence);
        essence.is_empty() || SIMPLE_TYPES.iter().any(is_same)
    }
}

/// HTTP/1.1 says so in the head (RFC 9112, section 6.3); HTTP/2 need not, but browsers do.
fn has_body(head: &Parts) -> bool {
    let is_framed = head.version >= Version::HTTP_2;
    match head.headers.get(header::CONTENT_LENGTH) {
        Some(length) => length.as_bytes() != b"0",
        None => is_framed || head.headers.contains_key(header::TRANSFER_ENCODING),
    }
}

/// An origin, or an entry of `AllowOrigins`, where the host may have wildcards (RFC 6454, section 6.2).
#[derive(Clone, Copy, Debug)]
struct Origin<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<u16>,
}

impl PartialEq for Origin<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.host.eq_ignore_ascii_case(other.host)
            && self.port == other.port
    }
}

impl<'a> Origin<'a> {
    fn of(value: &'a HeaderValue) -> Option<Self> {
        Self::parse(value.to_str().ok()?)
    }

    /// `scheme://host[:port]`; `null` is none.
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        Self::at(scheme, rest)
    }

    fn at(scheme: &'a str, host: &'a str) -> Option<Self> {
        let (host, port) = match host.rsplit_once(':') {
            // Of an IPv6 address alone, the last colon is within its brackets.
            Some((host, port)) if !port.contains(']') => (host, Some(port.parse().ok()?)),
            _ => (host, None),
        };
        let usual = match scheme {
            scheme if scheme.eq_ignore_ascii_case("http") => Some(80),
            scheme if scheme.eq_ignore_ascii_case("https") => Some(443),
            _ => None,
        };
        let is_host = !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ', ',']);
        is_host.then_some(Self {
            scheme,
            host,
            port: port.or(usual),
        })
    }

    /// Whether an entry names it, as `*` does not.
    fn is_listed(&self, allowed: &[String]) -> bool {
        let mut entries = allowed.iter().filter_map(|entry| Origin::parse(entry));
        entries.any(|entry| {
            let is_scheme = self.scheme.eq_ignore_ascii_case(entry.scheme);
            is_scheme && self.port == entry.port && matches_host(entry.host, self.host)
        })
    }

    /// An address, or a name that browsers look up nowhere else.
    fn is_of_this_machine(&self) -> bool {
        let inner = self
            .host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let is_v6 = inner.is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
        let is_v4 = self.host.parse::<std::net::Ipv4Addr>().is_ok();
        is_v6 || is_v4 || self.host.eq_ignore_ascii_case("localhost")
    }
}

/// Whether a host is of this pattern: `*.` in front stands for subdomains, or for none, and any other `*` for any text.
fn matches_host(pattern: &str, host: &str) -> bool {
    let (pattern, host) = (pattern.to_ascii_lowercase(), host.to_ascii_lowercase());
    if pattern.strip_prefix("*.") == Some(&host) {
        return true;
    }
    let Some((first, pieces)) = pattern.split_once('*') else {
        return pattern == host;
    };
    let (middle, last) = pieces.rsplit_once('*').unwrap_or(("", pieces));
    let inner = host
        .strip_prefix(first)
        .and_then(|rest| rest.strip_suffix(last));
    let Some(mut rest) = inner else {
        return false;
    };
    // The leftmost place of each piece leaves the most room for those after it.
    middle.split('*').all(|piece| {
        let found = rest.split_once(piece);
        found.map(|(_, after)| rest = after).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn listed(entries: &[&str]) -> Vec<String> {
        entries.iter().map(|entry| (*entry).to_owned()).collect()
    }

    /// What a page of this origin is told.
    fn told(entries: &[&str], origin: Option<&str>) -> Option<String> {
        let lines: Vec<_> = origin
            .map(|origin| ("origin", origin))
            .into_iter()
            .collect();
        let mut response = HeaderMap::new();
        allow(&listed(entries), &headers(&lines), &mut response);
        let told = response.get(header::ACCESS_CONTROL_ALLOW_ORIGIN)?;
        Some(told.to_str().unwrap().to_owned())
    }

    fn status(sent: Sent<'_>, allowed: &[&str]) -> u16 {
        let refused = refuse_foreign(sent, &listed(allowed));
        match refused {
            Ok(()) => 200,
            Err(Foreign::Page) => 403,
            Err(Foreign::Form) => 415,
        }
    }

    fn post(allowed: &[&str], lines: &[(&'static str, &str)]) -> u16 {
        let headers = headers(lines);
        let sent = Sent {
            method: &Method::POST,
            uri: &Uri::from_static("/v3/config/paths/add/a"),
            headers: &headers,
            is_secure: false,
            has_body: true,
        };
        status(sent, allowed)
    }

    #[test]
    fn pages_are_told_what_mediamtx_tells_them() {
        for (entries, origin, due) in [
            (&[][..], None, None),
            (&[], Some("http://example.com"), None),
            (&["http://example.com"], Some("http://another.com"), None),
            (&["http://example.com"], None, None),
            (&["*"], None, Some("*")),
            (&["*"], Some("https://example.com"), Some("*")),
            (&["*"], Some("null"), Some("*")),
            (
                &["http://example.com", "https://example.org"],
                Some("https://example.org"),
                Some("https://example.org"),
            ),
            (
                &["https://*.example.org"],
                Some("https://test.example.org"),
                Some("https://test.example.org"),
            ),
            (
                &["*", "https://example.org"],
                Some("https://example.org"),
                Some("https://example.org"),
            ),
        ] {
            assert_eq!(
                told(entries, origin).as_deref(),
                due,
                "{entries:?} {origin:?}"
            );
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for (entry, origin, is_same) in [
            ("http://a.com", "http://a.com:80", true),
            ("https://a.com:443", "https://A.com", true),
            ("http://a.com", "https://a.com", false),
            ("http://a.com", "http://a.com:8080", false),
            ("http://a.com", "http://a.com.evil.com", false),
            ("http://a.com", "http://a.com@evil.com", false),
            ("http://a.com", "http://evil.com/a.com", false),
            ("http://a.com", "null", false),
            ("http://*.a.com", "http://b.a.com", true),
            ("http://*.a.com", "http://c.b.a.com", true),
            ("http://*.a.com", "http://a.com", true),
            ("http://*.a.com", "http://evila.com", false),
            ("http://*.a.com", "https://b.a.com", false),
            ("http://*.a.com", "http://baacom", false),
            ("http://*.a.com", "http://b.a.com:81", false),
            ("http://*:8080", "http://anything:8080", true),
            ("http://cam*.a*.com", "http://cam7.ab.com", true),
            ("http://cam*.a*.com", "http://cam7.b.com", false),
            ("http://aa*a.com", "http://aaa.com", true),
            ("http://aa*aa.com", "http://aaa.com", false),
            ("http://[::1]:80", "http://[::1]", true),
        ] {
            let is_told = told(&[entry], Some(origin)).is_some();
            assert_eq!(is_told, is_same, "{entry} {origin}");
        }
    }

    #[test]
    fn what_depends_on_the_origin_says_so() {
        for (entries, is_varying) in [(&["*"][..], false), (&["*", "http://a.com"], true)] {
            let mut response = HeaderMap::new();
            allow(&listed(entries), &HeaderMap::new(), &mut response);
            assert_eq!(response.contains_key(header::VARY), is_varying);
        }
    }

    #[test]
    fn a_body_shows_in_the_head() {
        for (lines, version, due) in [
            (&[][..], Version::HTTP_11, false),
            (&[("content-length", "0")], Version::HTTP_11, false),
            (&[("content-length", "1")], Version::HTTP_11, true),
            (&[("transfer-encoding", "chunked")], Version::HTTP_11, true),
            (&[], Version::HTTP_2, true),
            (&[("content-length", "0")], Version::HTTP_2, false),
        ] {
            let request = http::Request::post("/").version(version).body(());
            let (mut head, ()) = request.unwrap().into_parts();
            head.headers = headers(lines);
            assert_eq!(has_body(&head), due, "{lines:?} {version:?}");
        }
    }

    #[test]
    fn programs_call_their_bodies_what_they_like() {
        for allowed in [&["*"][..], &[], &["http://a.com"]] {
            assert_eq!(post(allowed, &[]), 200);
            for kind in SIMPLE_TYPES {
                assert_eq!(post(allowed, &[("content-type", kind)]), 200, "{kind}");
            }
        }
    }

    #[test]
    fn a_foreign_page_sends_no_form() {
        let evil = ("origin", "http://evil.com");
        for (kind, due) in [
            ("application/x-www-form-urlencoded", 415),
            ("multipart/form-data; boundary=x", 415),
            ("text/plain", 415),
            ("Text/Plain;charset=utf-8", 415),
            ("text/plain; application/json", 415),
            ("", 415),
            ("application/json", 200),
            ("application/json; charset=utf-8", 200),
            ("application/sdp", 200),
        ] {
            assert_eq!(post(&["*"], &[evil, ("content-type", kind)]), due, "{kind}");
            assert_eq!(
                post(&["http://a.com"], &[evil, ("content-type", kind)]),
                403
            );
            assert_eq!(
                post(&["http://evil.com"], &[evil, ("content-type", kind)]),
                200
            );
        }
        let twice = [
            evil,
            ("content-type", "text/plain"),
            ("content-type", "application/json"),
        ];
        assert_eq!(post(&["*"], &twice), 415);
        for site in ["cross-site", "same-site"] {
            let lines = [("sec-fetch-site", site), ("content-type", "text/plain")];
            assert_eq!(post(&["*"], &lines), 415);
            assert_eq!(post(&[], &lines), 403);
        }
        assert_eq!(post(&["*"], &[("origin", "null")]), 415);
        assert_eq!(post(&["null"], &[("origin", "null")]), 403);
    }

    #[test]
    fn our_own_page_is_known_by_an_address_and_a_name_is_not_believed() {
        for (host, origin, due) in [
            ("localhost:9997", "http://localhost:9997", 200),
            ("127.0.0.1:9997", "http://127.0.0.1:9997", 200),
            ("[::1]:9997", "http://[::1]:9997", 200),
            ("192.0.2.1", "http://192.0.2.1:80", 200),
            ("192.0.2.1", "https://192.0.2.1", 403),
            ("127.0.0.1:9997", "http://127.0.0.1:80", 403),
            // It was made to point here.
            ("evil.com:9997", "http://evil.com:9997", 403),
            ("127.0.0.1.evil.com", "http://127.0.0.1.evil.com", 403),
        ] {
            let lines = [
                ("host", host),
                ("origin", origin),
                ("content-type", "text/plain"),
            ];
            assert_eq!(post(&[], &lines), due, "{host} {origin}");
        }
    }

    #[test]
    fn a_page_may_kick_where_everybody_may_read_and_change_nothing_where_it_is_not_listed() {
        let headers = headers(&[("origin", "http://evil.com")]);
        let uri = Uri::from_static("/v3/rtspsessions/kick/1");
        for (method, allowed, due) in [
            (Method::POST, &["*"][..], 200),
            (Method::POST, &[], 403),
            (Method::PATCH, &[], 403),
            (Method::DELETE, &["http://a.com"], 403),
            (Method::GET, &[], 200),
        ] {
            let sent = Sent {
                method: &method,
                uri: &uri,
                headers: &headers,
                is_secure: false,
                has_body: false,
            };
            assert_eq!(status(sent, allowed), due, "{method}");
        }
    }
}
