//! The system calls that make network namespaces and TUN devices and that `std` does not have.
#![allow(
    unsafe_code,
    reason = "three calls of libc, none of which keeps what it is given"
)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Moves this thread into a new network namespace, and with it all threads and processes that it will start.
///
/// # Errors
/// `EPERM` without the right to do so.
pub(super) fn enter_new_network() -> io::Result<()> {
    // SAFETY: the call takes flags alone, and changes nothing but what later calls of this thread see.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNET) })
}

/// Moves this thread into a network namespace, and with it all threads and processes that it will start.
///
/// # Errors
/// `EPERM` without the right to do so.
pub(super) fn enter_network(namespace: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is open while it is borrowed; a wrong kind of descriptor is refused with an error.
    checked(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })
}

/// Makes `file`, which is `/dev/net/tun` opened anew, a TUN device of this name: each read gives and each write takes
/// one IP packet, without any header in front of it.
///
/// # Errors
/// When the name is too long or taken, or without the right to do so.
pub(super) fn make_tun(file: &File, name: &str) -> io::Result<()> {
    // SAFETY: `ifreq` is plain data, for which all zeroes are a value: no name and no flags.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero and ends the name.
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    let flags = libc::IFF_TUN | libc::IFF_NO_PI;
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(flags).unwrap_or_default();
    // SAFETY: the request is a whole `ifreq` that outlives the call, as `TUNSETIFF` wants; the file is open.
    checked(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
