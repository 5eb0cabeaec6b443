//! A connection by plain calls that do not wait, whatever mode its socket is in.

use std::io::{self, IoSlice};
use std::mem::{MaybeUninit, zeroed};
use std::os::fd::AsRawFd;

use socket2::Socket;

use super::control::{Control, Said};
use crate::net::Arrived;

/// Without a signal when the peer is gone; macOS's sockets are opened so.
#[cfg(target_os = "linux")]
const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
#[cfg(not(target_os = "linux"))]
const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT;

/// Throws away what has arrived, at most so many bytes; how many they were. With `MSG_TRUNC` the
/// kernel copies nothing (tcp(7)).
///
/// # Errors
/// `WouldBlock` when nothing has arrived; else what the kernel says.
#[cfg(target_os = "linux")]
pub(crate) fn discard_now(socket: &Socket, bytes_max: usize) -> io::Result<usize> {
    let flags = libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    // SAFETY: with this flag nothing is written, so there need not be a place for it.
    let count = unsafe { libc::recv(socket.as_raw_fd(), std::ptr::null_mut(), bytes_max, flags) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// macOS has to be given a place.
///
/// # Errors
/// As above.
#[cfg(not(target_os = "linux"))]
pub(crate) fn discard_now(socket: &Socket, bytes_max: usize) -> io::Result<usize> {
    crate::net::discard_by_reading(bytes_max, |scratch| {
        socket.recv_with_flags(scratch, libc::MSG_DONTWAIT)
    })
}

/// Takes what has arrived, and when the last of it did.
///
/// # Errors
/// `WouldBlock` when nothing has arrived; else what the kernel says.
pub(crate) fn receive_now(socket: &Socket, buffer: &mut [u8]) -> io::Result<Arrived> {
    let mut vector = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let mut control = Control::new();
    // SAFETY: it is plain numbers and null pointers.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    control.lend_to(&mut header);
    // SAFETY: the header describes memory that outlives the call, and nobody else touches it.
    let count = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
    let bytes = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has filled in the header.
    let said = unsafe { Said::of(&header) };
    Ok(Arrived { bytes, at: said.at })
}

/// Sends as much as the socket has room for.
///
/// # Errors
/// `WouldBlock` when it has none; else what the kernel says.
pub(crate) fn send_now(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    socket.send_with_flags(bytes, SEND_FLAGS)
}

/// Takes what has arrived, and asks for nothing beside it.
///
/// # Errors
/// `WouldBlock` when nothing has arrived; else what the kernel says.
pub(crate) fn take_now(socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
    let place: *mut MaybeUninit<u8> = buffer.as_mut_ptr().cast();
    // SAFETY: it is the buffer, and the call writes nothing but bytes to it.
    let buffer = unsafe { std::slice::from_raw_parts_mut(place, buffer.len()) };
    socket.recv_with_flags(buffer, libc::MSG_DONTWAIT)
}

/// Sends as much of these, one behind the other, as the socket has room for.
///
/// # Errors
/// `WouldBlock` when it has none; else what the kernel says.
pub(crate) fn send_slices_now(socket: &Socket, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    socket.send_vectored_with_flags(slices, SEND_FLAGS)
}

/// Has the kernel stamp what arrives (`SO_TIMESTAMPNS`, socket(7)): with each receive it then says
/// when the last of the bytes, or the datagram, came from the network. Whether it can.
///
/// # Errors
/// When the kernel refuses.
#[cfg(target_os = "linux")]
pub(crate) fn stamp_arrivals(socket: &Socket) -> io::Result<bool> {
    super::option::set_option(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    Ok(true)
}

/// macOS stamps datagrams alone, and to the microsecond.
///
/// # Errors
/// Never.
#[cfg(not(target_os = "linux"))]
pub(crate) fn stamp_arrivals(_: &Socket) -> io::Result<bool> {
    Ok(false)
}
