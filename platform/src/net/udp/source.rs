//! Which of our addresses the system sends datagrams from, when it is left to it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Our address that a datagram to `peer` has unless another one is asked for, as the routes are now. Nothing is sent.
///
/// # Errors
/// When no route leads there, or descriptors have run out.
pub fn source_towards(peer: SocketAddr) -> io::Result<IpAddr> {
    let any = match peer {
        SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(peer)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_sends_to_itself_from_the_same_address() {
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
        assert_eq!(source_towards(peer).unwrap(), peer.ip());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn another_address_of_the_peer_does_not_change_ours() {
        let peer = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 9));
        assert_eq!(source_towards(peer).unwrap(), Ipv4Addr::LOCALHOST);
    }
}
