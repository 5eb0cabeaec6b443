//! Heads of requests over HTTP: where they go, whom they come from, what their page may ask for. Input: a head.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Uri};
use shardcast_protocol::http::credentials::login;
use shardcast_protocol::http::origins::{Sent, allow, refuse_foreign};
use shardcast_protocol::http::proxies::Asker;
use shardcast_protocol::http::target;

/// Whoever it is that nobody trusts.
const STRANGER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 4711);

/// A proxy, and the network that it is in.
const PROXY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 4711);

fn is_trusted(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 10)
}

/// - A target that passes is a path without NUL.
/// - A stranger is believed nothing; a proxy that hides whom it asks for lends nobody its address.
/// - Whoever only looks is never refused, nor is a program; a page that nobody lists changes nothing.
/// - A page is told of its own origin, of every origin, or of none.
pub fn check(text: &[u8]) {
    let Some(head) = head(text) else {
        return;
    };
    if target::check(&head).is_ok() {
        let path = target::decode(head.uri.path()).expect("it was decoded before");
        assert!(path.starts_with('/') && !path.contains('\0'));
    }
    check_asker(&head);
    check_page(&head);
    check_told(&head.headers);
    let name_has_colon = login(&head.headers).is_some_and(|(user, _)| user.contains(':'));
    assert!(!name_has_colon);
}

fn check_asker(head: &Parts) {
    let stranger = Asker::of((STRANGER, false), &head.headers, &is_trusted);
    assert!(stranger.peer == STRANGER && !stranger.is_secure);
    let asker = Asker::of((PROXY, false), &head.headers, &is_trusted);
    assert_eq!(asker.peer.port(), PROXY.port());
    let named = ["x-forwarded-for", "x-real-ip"];
    let lines = named.iter().flat_map(|name| head.headers.get_all(*name));
    let mut lines = lines.peekable();
    let is_named = lines.peek().is_some();
    // What it says is in plain letters, or it says nothing.
    let own = PROXY.ip().to_string();
    let is_own = |line: &HeaderValue| String::from_utf8_lossy(line.as_bytes()).contains(&own);
    let has_lent = is_named && asker.peer == PROXY && !lines.any(is_own);
    let is_mapped = head
        .headers
        .values()
        .any(|line| line.as_bytes().contains(&b':'));
    assert!(!has_lent || is_mapped, "{asker:?}");
}

fn check_page(head: &Parts) {
    let everybody = ["*".to_owned()];
    let asks = |allowed: &[String]| refuse_foreign(Sent::of(head, false), allowed).is_ok();
    let is_marked = |name: &str| head.headers.contains_key(name);
    if head.method == Method::GET || !(is_marked("origin") || is_marked("sec-fetch-site")) {
        assert!(asks(&[]) && asks(&everybody));
    }
    // Who may where nobody is listed, may where everybody is.
    assert!(!asks(&[]) || asks(&everybody));
    let null = head
        .headers
        .get(header::ORIGIN)
        .is_some_and(|origin| origin == "null");
    assert!(!null || head.method != Method::POST || !asks(&[]));
}

fn check_told(headers: &HeaderMap) {
    let lists = [
        &["*"][..],
        &["http://*.example.org", "https://a.example:8443"],
        &[],
    ];
    for list in lists {
        let list: Vec<String> = list.iter().map(|entry| (*entry).to_owned()).collect();
        let mut response = HeaderMap::new();
        allow(&list, headers, &mut response);
        let told = response.get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        let is_any = told.is_some_and(|told| told == "*");
        assert!(!is_any || list.contains(&"*".to_owned()));
        assert!(is_any || told.is_none() || told == headers.get(header::ORIGIN));
    }
}

/// A head as hyper would hand it over: what is no line of one is left out.
fn head(text: &[u8]) -> Option<Parts> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let first = lines.next()?.trim_ascii_end();
    let mut words = first.split(|byte| *byte == b' ');
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.method = Method::from_bytes(words.next()?).ok()?;
    head.uri = Uri::try_from(words.next()?).ok()?;
    for line in lines {
        let mut halves = line.trim_ascii_end().splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (halves.next(), halves.next()) else {
            continue;
        };
        let name = HeaderName::from_bytes(name);
        let value = HeaderValue::from_bytes(value.trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            head.headers.append(name, value);
        }
    }
    Some(head)
}
