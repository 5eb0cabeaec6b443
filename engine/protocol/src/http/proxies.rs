//! Who asks, where proxies stand between: the connection's peer, or whom a trusted proxy names.
//!
//! Asked by the session for every request, with the listener's trusted networks. A header is believed only of a peer that is
//! trusted, hop by hop from the nearest on; anybody else may write into it what it likes.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::HeaderMap;

/// Each proxy appends the address that it has the request from.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// What some proxies send instead: the first address alone.
const REAL_IP: &str = "x-real-ip";

/// How the proxy was asked.
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Who a request comes from when a trusted proxy hides it: nobody's address, which is in none of an operator's networks
/// but those of everybody.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Who a request comes from, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The address that it comes from, with the connection's port.
    pub peer: SocketAddr,
    /// Whether it was encrypted where it set out.
    pub is_secure: bool,
}

impl Asker {
    /// Of a request with these headers on a connection of this peer, which is encrypted or not.
    #[must_use]
    pub fn of(
        (peer, is_secure): (SocketAddr, bool),
        headers: &HeaderMap,
        is_trusted: &dyn Fn(IpAddr) -> bool,
    ) -> Self {
        let ip = peer.ip().to_canonical();
        if !is_trusted(ip) {
            return Self { peer, is_secure };
        }
        let named = [FORWARDED_FOR, REAL_IP];
        let mut named = named.iter().filter(|name| headers.contains_key(**name));
        let ip = named
            .next()
            .map_or(ip, |name| farthest(headers, name, is_trusted));
        Self {
            peer: SocketAddr::new(ip, peer.port()),
            is_secure: forwarded_proto(headers).unwrap_or(is_secure),
        }
    }
}

/// The first from the right that is no trusted proxy, or the leftmost. A proxy that names no address hides who asked, and
/// must not lend its own.
fn farthest(headers: &HeaderMap, name: &str, is_trusted: &dyn Fn(IpAddr) -> bool) -> IpAddr {
    let values = headers.get_all(name).iter();
    let values: Vec<_> = values.map(|value| value.to_str().unwrap_or("?")).collect();
    let hops = values.iter().rev().flat_map(|value| value.rsplit(','));
    let mut last = UNKNOWN;
    for hop in hops {
        let Some(ip) = address(hop.trim()) else {
            return UNKNOWN;
        };
        last = ip;
        if !is_trusted(ip) {
            break;
        }
    }
    last
}

/// An address as proxies write it: alone, in brackets, or with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || Some(text.parse::<SocketAddr>().ok()?.ip());
    let ip: Option<IpAddr> = text.parse().ok();
    let ip = ip
        .or_else(|| bracketed().map(IpAddr::V6))
        .or_else(with_port)?;
    Some(ip.to_canonical())
}

/// Of several the last, which alone the trusted proxy has written; anything but the two schemes says nothing.
fn forwarded_proto(headers: &HeaderMap) -> Option<bool> {
    let last = headers.get_all(FORWARDED_PROTO).iter().next_back()?;
    match last.to_str().ok()?.rsplit(',').next()?.trim() {
        scheme if scheme.eq_ignore_ascii_case("https") => Some(true),
        scheme if scheme.eq_ignore_ascii_case("http") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    /// This machine, and 10.0.0.0/8.
    fn is_trusted(ip: IpAddr) -> bool {
        ip.is_loopback() || matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 10)
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let lines = lines.iter().map(|(name, value)| {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            (HeaderName::from_static(name), value)
        });
        lines.collect()
    }

    fn asker(peer: &str, lines: &[(&'static str, &str)]) -> Asker {
        Asker::of((peer.parse().unwrap(), false), &headers(lines), &is_trusted)
    }

    fn ip(peer: &str, lines: &[(&'static str, &str)]) -> String {
        asker(peer, lines).peer.ip().to_string()
    }

    #[test]
    fn a_stranger_is_believed_nothing() {
        let lines = [
            ("x-forwarded-for", "127.0.0.1"),
            ("x-real-ip", "127.0.0.1"),
            ("x-forwarded-proto", "https"),
        ];
        let asker = asker("192.0.2.1:5000", &lines);
        assert_eq!(asker.peer, "192.0.2.1:5000".parse().unwrap());
        assert!(!asker.is_secure);
    }

    #[test]
    fn the_nearest_address_that_is_no_proxy_is_the_askers() {
        for (lines, due) in [
            (&[][..], "127.0.0.1"),
            (&[("x-forwarded-for", "192.0.2.7")], "192.0.2.7"),
            (&[("x-forwarded-for", "127.0.0.1, 192.0.2.7")], "192.0.2.7"),
            (
                &[("x-forwarded-for", "1.1.1.1,192.0.2.7 , 10.1.2.3")],
                "192.0.2.7",
            ),
            (&[("x-forwarded-for", "10.0.0.9, 10.1.2.3")], "10.0.0.9"),
            (&[("x-forwarded-for", "rubbish, 192.0.2.7")], "192.0.2.7"),
            (&[("x-forwarded-for", "192.0.2.7:4711")], "192.0.2.7"),
            (&[("x-forwarded-for", "2001:db8::1")], "2001:db8::1"),
            (&[("x-forwarded-for", "[2001:db8::1]")], "2001:db8::1"),
            (
                &[("x-forwarded-for", "[2001:db8::1]:443, ::1")],
                "2001:db8::1",
            ),
            (&[("x-forwarded-for", "::ffff:192.0.2.7")], "192.0.2.7"),
            (&[("x-real-ip", "192.0.2.7")], "192.0.2.7"),
            (
                &[("x-real-ip", "1.1.1.1"), ("x-forwarded-for", "192.0.2.7")],
                "192.0.2.7",
            ),
            (
                &[
                    ("x-forwarded-for", "127.0.0.1"),
                    ("x-forwarded-for", "192.0.2.7"),
                ],
                "192.0.2.7",
            ),
        ] {
            assert_eq!(ip("127.0.0.1:5000", lines), due, "{lines:?}");
            assert_eq!(ip("[::ffff:127.0.0.1]:5000", lines), due, "{lines:?}");
        }
    }

    #[test]
    fn a_proxy_that_names_no_address_does_not_lend_its_own() {
        let zone = "fe80::1%eth0";
        for value in [
            "",
            "unknown",
            "rubbish",
            "192.0.2.7, ",
            "192.0.2.7, _hidden",
            "1.2.3",
            zone,
            "\u{e9}",
        ] {
            for name in ["x-forwarded-for", "x-real-ip"] {
                assert_eq!(ip("127.0.0.1:5000", &[(name, value)]), "0.0.0.0", "{value}");
            }
        }
        assert!(!is_trusted(UNKNOWN));
    }

    #[test]
    fn a_trusted_proxy_says_whether_the_request_was_encrypted() {
        for (value, due) in [
            ("https", true),
            ("HTTPS", true),
            ("http", false),
            ("https, http", false),
            ("http, https", true),
            ("ftp", false),
            ("", false),
        ] {
            let asker = asker("10.0.0.1:5000", &[("x-forwarded-proto", value)]);
            assert_eq!(asker.is_secure, due, "{value}");
        }
    }
}
