//! A cable between two namespaces: a veth pair with the MTU of Ethernet and addresses of both families.
//!
//! Also the plan of addresses, which links of TUN devices share. The near end of subnet *n* is `10.n.0.1` and
//! `fd00:0:0:n::1`, its far end `.2` and `::2`; both devices are called `lab<n>`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::NetlabError;
use super::namespace::Namespace;

/// MTU of Ethernet.
pub const ETHERNET_MTU: usize = 1500;

/// Number of a cable or link: those that end in one namespace have different ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet(pub u8);

/// The two ends of a cable or link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The first namespace's.
    Near,
    /// The second one's.
    Far,
}

impl Subnet {
    /// Name of the device at either end.
    pub fn device(self) -> String {
        format!("lab{}", self.0)
    }

    /// IPv4 address of an end.
    pub fn v4(self, end: End) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, self.0, 0, end.host()))
    }

    /// IPv6 address of an end.
    pub fn v6(self, end: End) -> IpAddr {
        let host = u16::from(end.host());
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, self.0.into(), 0, 0, 0, host))
    }
}

impl End {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Near, Self::Far];

    /// The opposite one.
    pub fn other(self) -> Self {
        match self {
            Self::Near => Self::Far,
            Self::Far => Self::Near,
        }
    }

    fn host(self) -> u8 {
        match self {
            Self::Near => 1,
            Self::Far => 2,
        }
    }
}

/// Lays a cable. It is gone with either namespace.
///
/// # Errors
/// When the system refuses, or the subnet is in use at one of them.
pub fn connect(near: &Namespace, far: &Namespace, subnet: Subnet) -> Result<(), NetlabError> {
    let device = subnet.device();
    near.ip(&format!(
        "link add {device} type veth peer name {device} netns {}",
        far.path()
    ))?;
    set_up(near, subnet, End::Near, ETHERNET_MTU)?;
    set_up(far, subnet, End::Far, ETHERNET_MTU)
}

/// Gives the subnet's device in `namespace` its MTU and the end's addresses, and switches it on. Multicast goes there
/// unless another device takes it already.
pub(super) fn set_up(
    namespace: &Namespace,
    subnet: Subnet,
    end: End,
    mtu: usize,
) -> Result<(), NetlabError> {
    let device = subnet.device();
    namespace.ip(&format!("link set {device} mtu {mtu} multicast on up"))?;
    namespace.ip(&format!("addr add {}/24 dev {device}", subnet.v4(end)))?;
    if mtu >= IPV6_MTU_MIN {
        // Without the search for duplicates, so that the address can be used at once.
        namespace.ip(&format!(
            "addr add {}/64 dev {device} nodad",
            subnet.v6(end)
        ))?;
    }
    let metric = 100 + u32::from(subnet.0);
    namespace.ip(&format!(
        "route add 224.0.0.0/4 dev {device} metric {metric}"
    ))
}

/// Below this MTU a device has no IPv6 (RFC 8200, section 5).
const IPV6_MTU_MIN: usize = 1280;

#[cfg(test)]
mod tests {
    use super::super::lab;
    use super::*;
    use crate::wait::poll_until;
    use std::net::UdpSocket;
    use std::time::Duration;

    #[test]
    fn both_ends_of_a_cable_reach_each_other_over_ipv4_and_ipv6() {
        lab::within(
            "netlab::veth::tests::both_ends_of_a_cable_reach_each_other_over_ipv4_and_ipv6",
            || {
                let (near, far) = (Namespace::new().unwrap(), Namespace::new().unwrap());
                connect(&near, &far, Subnet(0)).unwrap();
                for family in [Subnet::v4, Subnet::v6] {
                    let bind = |end| move || UdpSocket::bind((family(Subnet(0), end), 0)).unwrap();
                    let one = near.run(bind(End::Near));
                    let other = far.run(bind(End::Far));
                    other
                        .set_read_timeout(Some(Duration::from_secs(10)))
                        .unwrap();
                    one.send_to(b"hello", other.local_addr().unwrap()).unwrap();
                    let (length, from) = other.recv_from(&mut [0; 16]).unwrap();
                    assert_eq!((length, from), (5, one.local_addr().unwrap()));
                }
            },
        );
    }

    #[test]
    fn a_cable_is_gone_with_either_namespace() {
        lab::within(
            "netlab::veth::tests::a_cable_is_gone_with_either_namespace",
            || {
                let (near, far) = (Namespace::new().unwrap(), Namespace::new().unwrap());
                connect(&near, &far, Subnet(0)).unwrap();
                drop(near);
                let gone = || far.ip("link show lab0").is_err().then_some(());
                assert!(poll_until(Duration::from_secs(10), gone).is_some());
            },
        );
    }
}
