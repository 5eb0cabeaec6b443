//! The binding sequence: one listening socket per shard on one port, such that a second daemon is
//! refused and a restart is not.
//!
//! On Linux the first socket binds and listens with `SO_REUSEADDR` alone: connections of the last
//! run in TIME_WAIT do not hinder it, another listener does. Only then it gets `SO_REUSEPORT`, and
//! the others join it. (A probe bind that is closed again races, and fails on TIME_WAIT.)
//! Elsewhere the kernel does not spread connections over such sockets, so that the shards share
//! the first one.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use thiserror::Error;

use super::ListenAddress;
use crate::os;

/// Connections that wait to be accepted, per socket. A burst of readers after a restart fits; the
/// kernel caps it at `net.core.somaxconn` (4096 since Linux 5.4).
pub(super) const BACKLOG: i32 = 4096;

/// Why nothing listens. The operator's to solve.
#[derive(Debug, Error)]
pub enum BindError {
    /// Somebody listens there already.
    #[error("cannot listen on {address}: address already in use")]
    InUse {
        /// As configured.
        address: ListenAddress,
    },
    /// The system does not allow it, as for ports below 1024.
    #[error("cannot listen on {address}: permission denied")]
    Denied {
        /// As configured.
        address: ListenAddress,
    },
    /// The host name has no address.
    #[error("cannot listen on {address}: the name does not resolve ({source})")]
    Unresolved {
        /// As configured.
        address: ListenAddress,
        /// What the resolver said.
        source: io::Error,
    },
    /// Anything else, such as an address that this machine does not have.
    #[error("cannot listen on {address}: {source}")]
    Failed {
        /// As configured.
        address: ListenAddress,
        /// What the system said.
        source: io::Error,
    },
}

/// Sockets that listen on one port.
pub(crate) struct Listening {
    /// One per shard, in non-blocking mode.
    pub(crate) sockets: Vec<TcpListener>,
    pub(crate) local_addr: SocketAddr,
    /// What it fell back to.
    pub(crate) note: Option<String>,
}

/// The first socket of a port, and what it fell back to.
pub(super) struct First {
    pub(super) socket: Socket,
    pub(super) is_dual_stack: bool,
    pub(super) note: Option<String>,
}

/// Opens `shards` sockets (at least one) on `address`.
pub(crate) fn listen(address: &ListenAddress, shards: usize) -> Result<Listening, BindError> {
    let first = open_first(address, |place, is_dual_stack| {
        let socket = open(place, is_dual_stack)?;
        os::prepare_listener(&socket)?;
        start(socket, place)
    })?;
    with_the_others(first.socket, first.is_dual_stack, shards)
        .map(|(sockets, local_addr)| Listening {
            sockets,
            local_addr,
            note: first.note,
        })
        .map_err(|source| bind_error(address, source))
}

/// Has `open` bind a socket to the address, which is told whether both families are meant. A port
/// alone is IPv4's where the kernel has no IPv6.
pub(super) fn open_first(
    address: &ListenAddress,
    open: impl Fn(SocketAddr, bool) -> io::Result<Socket>,
) -> Result<First, BindError> {
    let wanted = address.resolve().map_err(|source| BindError::Unresolved {
        address: address.clone(),
        source,
    })?;
    let is_dual_stack = address.is_dual_stack();
    let opened = match open(wanted, is_dual_stack) {
        Err(error) if address.allows_ipv4_only() && is_without_ipv6(&error) => {
            let ipv4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, wanted.port()));
            open(ipv4, false).map(|socket| First {
                socket,
                is_dual_stack: false,
                note: Some("no IPv6 here, listening on 0.0.0.0".to_owned()),
            })
        }
        opened => opened.map(|socket| First {
            socket,
            is_dual_stack,
            note: None,
        }),
    };
    opened.map_err(|source| bind_error(address, source))
}

/// Whether the kernel has no IPv6 at all, or has it switched off.
fn is_without_ipv6(error: &io::Error) -> bool {
    #[cfg(unix)]
    let unsupported = error.raw_os_error() == Some(libc::EAFNOSUPPORT);
    // WSAEAFNOSUPPORT
    #[cfg(windows)]
    let unsupported = error.raw_os_error() == Some(10047);
    unsupported || error.kind() == io::ErrorKind::AddrNotAvailable
}

fn bind_error(address: &ListenAddress, source: io::Error) -> BindError {
    let address = address.clone();
    match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { address },
        io::ErrorKind::PermissionDenied => BindError::Denied { address },
        _ => BindError::Failed { address, source },
    }
}

fn open(address: SocketAddr, dual_stack: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(!dual_stack)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn start(socket: Socket, address: SocketAddr) -> io::Result<Socket> {
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn with_the_others(
    first: Socket,
    dual_stack: bool,
    shards: usize,
) -> io::Result<(Vec<TcpListener>, SocketAddr)> {
    let not_ip = || io::Error::other("the socket has no IP address");
    let local_addr = first.local_addr()?.as_socket().ok_or_else(not_ip)?;
    let mut sockets = vec![first];
    while sockets.len() < shards {
        let next = join(&sockets[0], local_addr, dual_stack)?;
        sockets.push(next);
    }
    Ok((
        sockets.into_iter().map(TcpListener::from).collect(),
        local_addr,
    ))
}

#[cfg(target_os = "linux")]
fn join(first: &Socket, address: SocketAddr, dual_stack: bool) -> io::Result<Socket> {
    first.set_reuse_port(true)?;
    let socket = open(address, dual_stack)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    start(socket, address)
}

#[cfg(not(target_os = "linux"))]
fn join(first: &Socket, _address: SocketAddr, _dual_stack: bool) -> io::Result<Socket> {
    first.try_clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_address_and_the_reason() {
        let address = ListenAddress::any(8554);
        let error = bind_error(&address, io::ErrorKind::AddrInUse.into());
        assert_eq!(
            error.to_string(),
            "cannot listen on :8554: address already in use"
        );
        let error = bind_error(&address, io::ErrorKind::PermissionDenied.into());
        assert_eq!(
            error.to_string(),
            "cannot listen on :8554: permission denied"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_kernel_without_ipv6_is_told_from_a_port_in_use() {
        assert!(is_without_ipv6(&io::Error::from_raw_os_error(
            libc::EAFNOSUPPORT
        )));
        assert!(is_without_ipv6(&io::Error::from_raw_os_error(
            libc::EADDRNOTAVAIL
        )));
        assert!(!is_without_ipv6(&io::Error::from_raw_os_error(
            libc::EADDRINUSE
        )));
        assert!(!is_without_ipv6(&io::Error::from_raw_os_error(
            libc::EACCES
        )));
    }
}
