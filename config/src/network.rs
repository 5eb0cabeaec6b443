//! Addresses and networks, as in `ips` of a user.
//!
//! Read by `kind` from text, kept by users, asked for every request that a user could make.

use std::fmt;
use std::net::IpAddr;

/// A range of addresses that begin with the same bits. An address is the network that has only
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u32,
}

/// The first bits of an IPv6 address that stands for one of IPv4 (RFC 4291, section 2.5.5.2).
const MAPPED_BITS: u32 = 96;

impl Network {
    /// `10.0.0.0/8`, `fd00::/8`, `127.0.0.1`; bits after the prefix are cut off.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().ok()?;
        let address = written.to_canonical();
        let cut = if written == address { 0 } else { MAPPED_BITS };
        let bits = match bits {
            Some(bits) => bits.checked_sub(cut)?,
            None => width(address),
        };
        let first = masked(address, bits)?;
        Some(Self { first, bits })
    }

    /// Whether `address` belongs to it. An IPv4 address that a socket of IPv6 has accepted counts
    /// as what it is.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && masked(address, self.bits) == Some(self.first)
    }

    /// Whether all of its addresses are IPv4 ones for multicast (RFC 1112, section 4).
    pub(crate) fn is_multicast(&self) -> bool {
        self.first.is_ipv4() && self.first.is_multicast() && self.bits >= 4
    }
}

/// In one spelling, so that two networks that are the same look so.
impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.first, self.bits)
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The first `bits` of `address`; `None` when it has fewer.
fn masked(address: IpAddr, bits: u32) -> Option<IpAddr> {
    let host_bits = width(address).checked_sub(bits)?;
    Some(match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
            IpAddr::V6((u128::from(address) & mask).into())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        let network = Network::parse(network).unwrap();
        network.contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_has_the_addresses_that_begin_as_it_does() {
        assert!(contains("10.1.0.0/16", "10.1.255.255"));
        assert!(!contains("10.1.0.0/16", "10.2.0.0"));
        assert!(contains("0.0.0.0/0", "255.255.255.255"));
        assert!(contains("127.0.0.1", "127.0.0.1"));
        assert!(!contains("127.0.0.1", "127.0.0.2"));
        assert!(contains("fd00::/8", "fdff::1"));
        assert!(!contains("fd00::/8", "fe00::1"));
    }

    #[test]
    fn networks_of_one_family_have_no_address_of_the_other() {
        assert!(!contains("0.0.0.0/0", "::1"));
        assert!(!contains("::/0", "127.0.0.1"));
    }

    #[test]
    fn an_ipv4_address_within_ipv6_is_an_ipv4_address() {
        assert!(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(contains("::ffff:10.0.0.0/104", "10.1.2.3"));
        assert_eq!(Network::parse("::ffff:10.0.0.0/95"), None);
    }

    #[test]
    fn one_network_has_one_spelling() {
        let spelled = |text| Network::parse(text).unwrap().to_string();
        assert_eq!(spelled("10.1.2.3/8"), "10.0.0.0/8");
        assert_eq!(spelled("::1"), "::1/128");
        for wrong in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "a/8", "10.0.0.0/"] {
            assert_eq!(Network::parse(wrong), None, "{wrong}");
        }
    }
}
