//! Opening UDP sockets: one port for all shards, a socket for one peer, a sender to groups.
//!
//! On Linux each shard has a socket of its own, and the kernel spreads peers over them by a hash of
//! their addresses. As with TCP, the first binds alone, so that a second daemon is refused, and
//! only then lets the others in. Elsewhere the kernel would not spread: there is one socket, on
//! which the first shard receives, and duplicates of it to send with.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{BoundUdp, UdpOptions, UdpSeat};
use crate::net::{BindError, ListenAddress, listen};
use crate::os;

/// What the kernel may hold that the network has not taken yet: a key frame to a shard's readers.
/// A system that allows less gives less (Linux: `net.core.wmem_max`).
const SEND_BUFFER_BYTES: usize = 4 << 20;

/// Ports tried until one has a free neighbour: with half of all ports taken, a thousand fail once in
/// 2^1000 times.
const PAIR_TRIALS_MAX: usize = 1000;

/// How far multicast travels: through the routers of a site. MediaMTX's readers expect the same.
pub const MULTICAST_TTL: u8 = 16;

/// Binds one UDP port for `shards` shards (at least one), such that a second daemon on the same
/// address is refused, and a restart is not.
///
/// # Errors
/// When the address is in use, not allowed, not this machine's, or does not resolve.
pub fn bind_udp(
    address: &ListenAddress,
    shards: usize,
    options: UdpOptions,
) -> Result<BoundUdp, BindError> {
    let first = listen::open_first(address, |place, is_dual_stack| {
        let socket = open(place, is_dual_stack)?;
        socket.bind(&SockAddr::from(place))?;
        Ok(socket)
    })?;
    let mut notes: Vec<String> = first.note.into_iter().collect();
    notes.extend(set_receive_buffer(&first.socket, options));
    let bound = with_the_others(first.socket, first.is_dual_stack, shards, options);
    let (seats, local_addr) = bound.map_err(|source| BindError::Failed {
        address: address.clone(),
        source,
    })?;
    Ok(BoundUdp {
        local_addr,
        note: (!notes.is_empty()).then(|| notes.join("; ")),
        seats,
    })
}

/// Two sockets at `ip` for a peer of one session: for RTP at an even port, and for RTCP at the next
/// one (RFC 3550, section 11). `receive_buffer` is how many bytes the first is to hold for a program
/// that looks now and then; a system that allows less gives less (Linux: `net.core.rmem_max`).
///
/// # Errors
/// When descriptors or ports have run out, or the address is not this machine's.
pub fn bind_udp_pair(ip: IpAddr, receive_buffer: usize) -> io::Result<(UdpSeat, UdpSeat)> {
    let mut error = io::ErrorKind::AddrInUse.into();
    for _ in 0..PAIR_TRIALS_MAX {
        let (one, place) = bind_alone(SocketAddr::new(ip, 0))?;
        // The odd port above an even one, or the even one below an odd one.
        let neighbour = SocketAddr::new(ip, place.port() ^ 1);
        match bind_alone(neighbour) {
            Ok(other) => return Ok(as_pair((one, place), other, receive_buffer)),
            Err(taken) if is_taken(&taken) => error = taken,
            Err(other) => return Err(other),
        }
    }
    Err(error)
}

type Placed = (Socket, SocketAddr);

fn as_pair(one: Placed, other: Placed, receive_buffer: usize) -> (UdpSeat, UdpSeat) {
    let is_first_even = one.1.port().is_multiple_of(2);
    let (packets, reports) = if is_first_even {
        (one, other)
    } else {
        (other, one)
    };
    // A smaller one serves as well, as long as the program looks in time.
    let _ = packets.0.set_recv_buffer_size(receive_buffer);
    let seat = |(socket, place)| UdpSeat::new(socket, place, true);
    (seat(packets), seat(reports))
}

fn bind_alone(place: SocketAddr) -> io::Result<Placed> {
    let socket = open(place, false)?;
    socket.bind(&SockAddr::from(place))?;
    let place = address_of(&socket)?;
    Ok((socket, place))
}

/// By another socket, or on Windows by a service that keeps whole ranges to itself.
fn is_taken(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrInUse, PermissionDenied};
    matches!(error.kind(), AddrInUse | PermissionDenied)
}

fn open(address: SocketAddr, is_dual_stack: bool) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!is_dual_stack)?;
    }
    socket.set_nonblocking(true)?;
    os::prepare_datagrams(&socket, address.is_ipv6(), is_dual_stack)?;
    // A smaller one serves as well, only less evenly.
    let _ = socket.set_send_buffer_size(SEND_BUFFER_BYTES);
    Ok(socket)
}

/// Says so when the system gave less than was asked for.
fn set_receive_buffer(socket: &Socket, options: UdpOptions) -> Option<String> {
    let wanted = options.receive_buffer?;
    let refused = socket.set_recv_buffer_size(wanted).err();
    let given = receive_buffer_of(socket);
    (refused.is_some() || given < wanted).then(|| {
        let limit = if cfg!(target_os = "linux") {
            " (net.core.rmem_max limits it)"
        } else {
            ""
        };
        format!("the UDP receive buffer has {given} bytes, {wanted} were asked for{limit}")
    })
}

/// Linux gives twice what was asked for, for its own bookkeeping, and says so.
fn receive_buffer_of(socket: &Socket) -> usize {
    let doubled = if cfg!(target_os = "linux") { 2 } else { 1 };
    socket.recv_buffer_size().unwrap_or(0) / doubled
}

fn with_the_others(
    first: Socket,
    is_dual_stack: bool,
    shards: usize,
    options: UdpOptions,
) -> io::Result<(Vec<UdpSeat>, SocketAddr)> {
    let local_addr = address_of(&first)?;
    let mut seats = Vec::with_capacity(shards);
    let others = open_others(&first, local_addr, is_dual_stack, shards.saturating_sub(1))?;
    seats.push(UdpSeat::new(first, local_addr, true));
    for socket in others {
        let _ = set_receive_buffer(&socket, options);
        seats.push(UdpSeat::new(socket, local_addr, cfg!(target_os = "linux")));
    }
    Ok((seats, local_addr))
}

/// Also without others the port is opened to our own: sockets for single peers join later.
#[cfg(target_os = "linux")]
fn open_others(
    first: &Socket,
    address: SocketAddr,
    is_dual_stack: bool,
    count: usize,
) -> io::Result<Vec<Socket>> {
    first.set_reuse_port(true)?;
    let join = |_| {
        let socket = open(address, is_dual_stack)?;
        socket.set_reuse_port(true)?;
        socket.bind(&SockAddr::from(address))?;
        Ok(socket)
    };
    (0..count).map(join).collect()
}

#[cfg(not(target_os = "linux"))]
fn open_others(
    first: &Socket,
    _address: SocketAddr,
    _is_dual_stack: bool,
    count: usize,
) -> io::Result<Vec<Socket>> {
    (0..count).map(|_| first.try_clone()).collect()
}

/// A socket on the port of `of`, for `peer` alone.
#[cfg(target_os = "linux")]
pub(super) fn open_for_peer(
    of: &Socket,
    peer: SocketAddr,
    local: Option<IpAddr>,
) -> io::Result<UdpSeat> {
    let shared = address_of(of)?;
    let is_dual_stack = shared.is_ipv6() && !of.only_v6()?;
    let ip = local.unwrap_or(shared.ip());
    let place = of_family(SocketAddr::new(ip, shared.port()), shared.is_ipv6());
    let socket = open(place, is_dual_stack)?;
    let _ = socket.set_recv_buffer_size(receive_buffer_of(of));
    socket.set_reuse_port(true)?;
    socket.bind(&SockAddr::from(place))?;
    socket.connect(&SockAddr::from(of_family(peer, shared.is_ipv6())))?;
    Ok(UdpSeat::new(socket, place, true))
}

/// Elsewhere the kernel does not prefer such a socket.
#[cfg(not(target_os = "linux"))]
pub(super) fn open_for_peer(
    _of: &Socket,
    _peer: SocketAddr,
    _local: Option<IpAddr>,
) -> io::Result<UdpSeat> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A socket that sends to groups by the interface with this address.
pub(super) fn open_for_groups(interface: IpAddr) -> io::Result<UdpSeat> {
    let place = SocketAddr::new(interface, 0);
    let socket = open(place, false)?;
    match interface {
        IpAddr::V4(ip) => {
            socket.set_multicast_if_v4(&ip)?;
            socket.set_multicast_ttl_v4(u32::from(MULTICAST_TTL))?;
            socket.set_multicast_loop_v4(true)?;
        }
        IpAddr::V6(_) => {
            socket.set_multicast_if_v6(os::interface_of(interface)?)?;
            socket.set_multicast_hops_v6(u32::from(MULTICAST_TTL))?;
            socket.set_multicast_loop_v6(true)?;
        }
    }
    socket.bind(&SockAddr::from(place))?;
    let local_addr = address_of(&socket)?;
    Ok(UdpSeat::new(socket, local_addr, true))
}

fn address_of(socket: &Socket) -> io::Result<SocketAddr> {
    let not_ip = || io::Error::other("the socket has no IP address");
    socket.local_addr()?.as_socket().ok_or_else(not_ip)
}

/// The address as a socket of that family wants it: IPv4-mapped on one of IPv6.
pub(super) fn of_family(address: SocketAddr, is_ipv6: bool) -> SocketAddr {
    match address {
        SocketAddr::V4(ipv4) if is_ipv6 => (ipv4.ip().to_ipv6_mapped(), ipv4.port()).into(),
        other => other,
    }
}
