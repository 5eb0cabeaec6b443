//! A connection by plain calls that do not wait: its socket is in non-blocking mode.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::slice;

use socket2::Socket;

use crate::net::{Arrived, discard_by_reading};

/// Throws away what has arrived, at most so many bytes; how many they were.
///
/// # Errors
/// `WouldBlock` when nothing has arrived; else what the system says.
pub(crate) fn discard_now(socket: &Socket, bytes_max: usize) -> io::Result<usize> {
    discard_by_reading(bytes_max, |scratch| socket.recv(scratch))
}

/// Takes what has arrived. When it did is not known.
///
/// # Errors
/// `WouldBlock` when nothing has arrived; else what the system says.
pub(crate) fn receive_now(socket: &Socket, buffer: &mut [u8]) -> io::Result<Arrived> {
    let bytes = take_now(socket, buffer)?;
    Ok(Arrived { bytes, at: None })
}

/// Takes what has arrived.
///
/// # Errors
/// `WouldBlock` when nothing has arrived; else what the system says.
pub(crate) fn take_now(socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
    let place: *mut MaybeUninit<u8> = buffer.as_mut_ptr().cast();
    // SAFETY: it is the buffer, and the call writes nothing but bytes to it.
    let buffer = unsafe { slice::from_raw_parts_mut(place, buffer.len()) };
    socket.recv(buffer)
}

/// Sends as much of these, one behind the other, as the socket has room for.
///
/// # Errors
/// `WouldBlock` when it has none; else what the system says.
pub(crate) fn send_slices_now(socket: &Socket, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    socket.send_vectored(slices)
}

/// Sends as much as the socket has room for.
///
/// # Errors
/// `WouldBlock` when it has none; else what the system says.
pub(crate) fn send_now(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    socket.send(bytes)
}

/// There are no stamps.
///
/// # Errors
/// Never.
pub(crate) fn stamp_arrivals(_: &Socket) -> io::Result<bool> {
    Ok(false)
}
