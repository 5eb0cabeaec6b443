//! Listen addresses as operators write them: `:8554`, `127.0.0.1:8554`, `[::1]:8554`,
//! `localhost:8554`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use thiserror::Error;

/// Longest host name taken, the limit of the domain name system (RFC 1035, 2.3.4).
const HOST_NAME_BYTES_MAX: usize = 255;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// No host: every address of both families.
    Any,
    Ip(IpAddr),
    Name(String),
}

/// Why a listen address cannot be understood. The operator's to solve.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ListenAddressError {
    /// There is no `:` before a port.
    #[error("{0:?} has no port, expected something like \":8554\" or \"127.0.0.1:8554\"")]
    NoPort(String),
    /// The port is not a number from 0 to 65535.
    #[error("{0:?} has a bad port, expected a number from 0 to 65535")]
    BadPort(String),
    /// The host is neither an address nor a name.
    #[error("{0:?} has a bad host, expected an address, a name, or nothing before the port")]
    BadHost(String),
}

impl ListenAddress {
    /// Every address of both families, at `port`.
    #[must_use]
    pub fn any(port: u16) -> Self {
        Self {
            host: Host::Any,
            port,
        }
    }

    /// The port; 0 lets the system choose.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same host at another port.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        let host = self.host.clone();
        Self { host, port }
    }

    /// Whether both families are meant: no host, or `[::]`.
    pub(crate) fn is_dual_stack(&self) -> bool {
        match &self.host {
            Host::Any => true,
            Host::Ip(ip) => *ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            Host::Name(_) => false,
        }
    }

    /// Whether a kernel without IPv6 may listen on `0.0.0.0` instead.
    pub(crate) fn allows_ipv4_only(&self) -> bool {
        self.host == Host::Any
    }

    /// The one socket address to bind. A name gives its first IPv4 address, else its first.
    pub(crate) fn resolve(&self) -> std::io::Result<SocketAddr> {
        match &self.host {
            Host::Any => Ok(SocketAddr::from((Ipv6Addr::UNSPECIFIED, self.port))),
            Host::Ip(ip) => Ok(SocketAddr::from((*ip, self.port))),
            Host::Name(name) => {
                let all: Vec<_> = (name.as_str(), self.port).to_socket_addrs()?.collect();
                let chosen = all.iter().find(|address| address.is_ipv4()).or(all.first());
                chosen
                    .copied()
                    .ok_or_else(|| std::io::ErrorKind::NotFound.into())
            }
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: Host::Ip(address.ip()),
            port: address.port(),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, ListenAddressError> {
        let no_port = || ListenAddressError::NoPort(text.to_owned());
        let bad_host = || ListenAddressError::BadHost(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(no_port)?;
        let port = parse_port(port).ok_or_else(|| ListenAddressError::BadPort(text.to_owned()))?;
        let host = parse_host(host).ok_or_else(bad_host)?;
        Ok(Self { host, port })
    }
}

fn parse_port(port: &str) -> Option<u16> {
    // `parse` alone would take a sign.
    port.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| port.parse().ok())?
}

fn parse_host(host: &str) -> Option<Host> {
    if host.is_empty() {
        return Some(Host::Any);
    }
    if let Some(inner) = host.strip_prefix('[') {
        let ip: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(Host::Ip(ip.into()));
    }
    if let Ok(ip) = host.parse::<std::net::Ipv4Addr>() {
        return Some(Host::Ip(ip.into()));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let fits = host.len() <= HOST_NAME_BYTES_MAX && host.bytes().all(allowed);
    fits.then(|| Host::Name(host.to_owned()))
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Any => write!(f, ":{}", self.port),
            Host::Ip(ip) => SocketAddr::from((*ip, self.port)).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip_as_operators_write_them() {
        for text in [
            ":8554",
            "127.0.0.1:8554",
            "[::1]:8554",
            "[::]:0",
            "localhost:8554",
        ] {
            let address: ListenAddress = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn a_port_alone_and_the_ipv6_wildcard_are_dual_stack() {
        let dual = |text: &str| text.parse::<ListenAddress>().expect(text).is_dual_stack();
        assert!(dual(":1") && dual("[::]:1"));
        assert!(!dual("0.0.0.0:1") && !dual("[::1]:1") && !dual("localhost:1"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let refused = |text: &str| text.parse::<ListenAddress>().expect_err(text);
        assert!(matches!(refused("8554"), ListenAddressError::NoPort(_)));
        for text in [":", ":65536", ":+1", ":-1", "localhost:", "localhost:rtsp"] {
            assert!(
                matches!(refused(text), ListenAddressError::BadPort(_)),
                "{text}"
            );
        }
        for text in [
            "::1:8554",
            "[::1:8554",
            "a b:1",
            "[127.0.0.1]:1",
            "http://a:1",
        ] {
            assert!(
                matches!(refused(text), ListenAddressError::BadHost(_)),
                "{text}"
            );
        }
    }

    #[test]
    fn the_longest_name_is_taken_and_one_more_byte_is_not() {
        let name = |bytes: usize| format!("{}:1", "a".repeat(bytes)).parse::<ListenAddress>();
        assert!(name(HOST_NAME_BYTES_MAX).is_ok());
        assert!(name(HOST_NAME_BYTES_MAX + 1).is_err());
    }
}
