//! Datagrams by plain calls that do not wait: a socket's options, one send, and one receive.
//!
//! On Linux one call sends a run of equal datagrams (GSO, `UDP_SEGMENT`), and one call receives
//! several, each of which may be a run that the kernel has put together (GRO, `UDP_GRO`). macOS has
//! neither. Addresses on a socket of both families are IPv4-mapped towards the kernel alone: the
//! caller maps destinations, and sources are given in their canonical form.

mod receive;
mod send;

use std::io;
use std::net::IpAddr;
use std::ptr;

use socket2::Socket;

use super::control;
use super::option::set_option;

pub(crate) use receive::receive_datagrams;
#[cfg(target_os = "linux")]
pub(crate) use receive::receive_head;
pub(crate) use send::{is_refusal_of_runs, send_datagrams};

/// Datagrams of one send at most: as many as every kernel with GSO takes (64 up to Linux 6.8, 128
/// since).
#[cfg(target_os = "linux")]
pub(crate) const SEGMENTS_MAX: usize = 64;
#[cfg(not(target_os = "linux"))]
pub(crate) const SEGMENTS_MAX: usize = 1;

/// Has the kernel say which of our addresses a datagram was sent to, put runs together, and cut
/// what is larger than the path takes into fragments: a packet of media must arrive all the same.
///
/// # Errors
/// When the kernel refuses an option that it should know.
pub(crate) fn prepare_datagrams(
    socket: &Socket,
    is_ipv6: bool,
    is_dual_stack: bool,
) -> io::Result<()> {
    if is_ipv6 {
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
    } else {
        set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
    }
    prepare_for_linux(socket, is_ipv6, is_dual_stack)
}

#[cfg(target_os = "linux")]
fn prepare_for_linux(socket: &Socket, is_ipv6: bool, is_dual_stack: bool) -> io::Result<()> {
    if is_ipv6 {
        let never = libc::IPV6_PMTUDISC_DONT;
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, never)?;
    }
    if !is_ipv6 || is_dual_stack {
        let never = libc::IP_PMTUDISC_DONT;
        set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, never)?;
    }
    // Kernels before 5.0 do not have it, and give datagrams one by one.
    let _ = set_option(socket, libc::SOL_UDP, control::UDP_GRO, 1);
    Ok(())
}

/// macOS cuts datagrams by itself.
#[cfg(not(target_os = "linux"))]
fn prepare_for_linux(_: &Socket, _: bool, _: bool) -> io::Result<()> {
    Ok(())
}

/// The number of the interface that has this address.
///
/// # Errors
/// When no interface has it.
pub(crate) fn interface_of(address: IpAddr) -> io::Result<u32> {
    let mut first: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: it is a valid place for the list.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut entry = first;
    let mut found = 0;
    while !entry.is_null() && found == 0 {
        // SAFETY: the system made this list, whose entries live until it is given back below; names
        // end with a zero, and addresses are as long as their family says.
        unsafe {
            let this = &*entry;
            if control::ip_at(this.ifa_addr) == Some(address) {
                found = libc::if_nametoindex(this.ifa_name);
            }
            entry = this.ifa_next;
        }
    }
    // SAFETY: the list came from `getifaddrs`, and nothing of it is kept.
    unsafe { libc::freeifaddrs(first) };
    if found == 0 {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    }
    Ok(found)
}
