//! A connection by plain calls that do not wait: its socket is in non-blocking mode.

use std::io;
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
    let place: *mut MaybeUninit<u8> = buffer.as_mut_ptr().cast();
    // SAFETY: it is the buffer, and the call writes nothing but bytes to it.
    let buffer = unsafe { slice::from_raw_parts_mut(place, buffer.len()) };
    let bytes = socket.recv(buffer)?;
    Ok(Arrived { bytes, at: None })
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
