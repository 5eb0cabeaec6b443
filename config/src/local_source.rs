//! Sources that somebody from outside must not make the server open: files, programs, and
//! addresses that only the machine's own link has, cloud metadata among them.
//!
//! Asked by `document` about what the Control API sets; what the operator writes into the file is
//! his own affair. Deliberately absent: names, which are resolved only when a source is opened.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::tree::{Content, Entry, Node};

/// Keys of a path that name where a stream comes from or goes to.
const KEYS: [&str; 4] = ["source", "sourceRedirect", "fallback", "forward"];

/// A key whose value is a file that becomes a stream.
const FILE_KEY: &str = "alwaysAvailableFile";

/// Schemes of what is on this machine: files, programs, local sockets.
const LOCAL_SCHEMES: [&str; 4] = ["file", "exec", "unix+mpegts", "unix+rtp"];

/// Addresses at which clouds tell a machine its secrets, beside the link-local ones.
const METADATA: [IpAddr; 3] = [
    // Azure's "wire server".
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    // Alibaba Cloud.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    // Amazon's, over IPv6.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// The first of `entries`, keys of a path, that names such a source, and what it says.
pub(crate) fn find(entries: &[Entry]) -> Option<(&'static str, String)> {
    let mut keys = KEYS.into_iter();
    let named = keys.find_map(|key| {
        let given = entries.iter().find(|entry| entry.key == key)?;
        let local = texts(&given.value).into_iter().find(|text| is_local(text));
        local.map(|text| (key, text))
    });
    named.or_else(|| {
        let file = entries.iter().find(|entry| entry.key == FILE_KEY)?;
        let file = texts(&file.value).into_iter().find(|text| !text.is_empty());
        file.map(|text| (FILE_KEY, text))
    })
}

/// All texts of a value.
fn texts(node: &Node) -> Vec<String> {
    match &node.content {
        Content::Null => Vec::new(),
        Content::Text(text) => vec![text.clone()],
        Content::List(items) => items.iter().flat_map(|item| texts(item)).collect(),
        Content::Map(entries) => entries
            .iter()
            .flat_map(|entry| texts(&entry.value))
            .collect(),
    }
}

fn is_local(text: &str) -> bool {
    let text = text.trim();
    let scheme = text
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    if LOCAL_SCHEMES.contains(&scheme.as_str()) {
        return true;
    }
    let address = host(text).and_then(address);
    address.is_some_and(is_link_local)
}

/// RFC 3927, and RFC 4291, section 2.5.6.
fn is_link_local(address: IpAddr) -> bool {
    let address = address.to_canonical();
    METADATA.contains(&address)
        || match address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        }
}

/// The host of a URL (RFC 3986, section 3.2), without brackets and zone.
fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    if let Some(inner) = host.strip_prefix('[') {
        return inner.split([']', '%']).next();
    }
    host.split(':').next()
}

/// An address, also in the spellings that resolvers take for one: fewer than four parts, and
/// parts in hexadecimal or octal.
fn address(host: &str) -> Option<IpAddr> {
    if let Ok(address) = host.parse() {
        return Some(address);
    }
    let parts = host.trim_end_matches('.').split('.').map(number);
    let parts: Vec<u32> = parts.collect::<Option<_>>()?;
    let (last, first) = parts.split_last()?;
    if first.len() > 3 || first.iter().any(|part| *part > 0xff) {
        return None;
    }
    let rest_bits = 32 - 8 * u32::try_from(first.len()).ok()?;
    if rest_bits < 32 && *last >> rest_bits != 0 {
        return None;
    }
    let places = [24, 16, 8];
    let upper = first
        .iter()
        .zip(places)
        .fold(0, |sum, (part, at)| sum | part << at);
    Some(IpAddr::V4(Ipv4Addr::from(upper | last)))
}

fn number(text: &str) -> Option<u32> {
    let lower = text.to_ascii_lowercase();
    if let Some(digits) = lower.strip_prefix("0x") {
        return u32::from_str_radix(digits, 16).ok();
    }
    match lower.strip_prefix('0').filter(|digits| !digits.is_empty()) {
        Some(digits) => u32::from_str_radix(digits, 8).ok(),
        None => lower.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_this_machine_or_its_link_is_local() {
        for text in [
            "file:///etc/passwd",
            "FILE:/etc/passwd",
            "exec:cat /etc/passwd",
            "unix+mpegts:///run/x.sock",
            "rtsp://169.254.169.254/stream",
            "http://user:pass@169.254.0.1:80/x",
            "http://169.254.169.254\\@example.com/",
            "http://[fe80::1%25eth0]:80/x",
            "http://[febf::1]/x",
            "http://[::ffff:169.254.169.254]/x",
            "http://2852039166/latest/meta-data",
            "http://0xa9fea9fe/",
            "http://0xA9.254.0251.0376/",
            "http://169.16689662/",
            "http://169.254.169.254./",
            "http://168.63.129.16/machine",
            "http://[fd00:ec2::254]/latest",
        ] {
            assert!(is_local(text), "{text}");
        }
    }

    #[test]
    fn what_is_elsewhere_is_not() {
        for text in [
            "publisher",
            "redirect",
            "/other/path",
            "rtsp://127.0.0.1:8554/cam",
            "rtsp://169.253.1.1/x",
            "rtsp://10.0.0.1/x?to=169.254.169.254",
            "rtsp://[fec0::1]/x",
            "rtsp://camera.example/169.254.169.254",
            "rtsp://1.2.3.4.5/x",
            "rtsp://169.256.1.1/x",
            "rtsp://$G1:8554/x",
            "srt://host:1234?streamid=file:",
        ] {
            assert!(!is_local(text), "{text}");
        }
    }
}
