//! Options of sockets that Windows has in place of Linux's.

use std::io;
use std::os::windows::io::AsRawSocket;

use socket2::Socket;
use windows_sys::Win32::Networking::WinSock::{
    SO_EXCLUSIVEADDRUSE, SOCKET, SOCKET_ERROR, SOL_SOCKET, WSAGetLastError, setsockopt,
};

/// The send buffer that stands in for a bound on bytes not sent: room for one system write, so
/// that the next is taken while the first is on its way.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Keeps every other listener off the port, also one that insists by `SO_REUSEADDR`. A restart
/// binds all the same: connections in TIME_WAIT do not hinder it here.
pub(crate) fn prepare_listener(socket: &Socket) -> io::Result<()> {
    let on: i32 = 1;
    let bytes = size_of_val(&on) as i32;
    // SAFETY: the socket is open, and the value is an i32 that outlives the call.
    let result = unsafe {
        setsockopt(
            socket.as_raw_socket() as SOCKET,
            SOL_SOCKET,
            SO_EXCLUSIVEADDRUSE,
            (&raw const on).cast(),
            bytes,
        )
    };
    if result == SOCKET_ERROR {
        // SAFETY: it reads this thread's last error, no more.
        return Err(io::Error::from_raw_os_error(unsafe { WSAGetLastError() }));
    }
    Ok(())
}

/// Windows has no such bound. What it has grows the send buffer by itself until somebody sets it,
/// so it is set: small enough that a slow peer is noticed.
pub(crate) fn set_not_sent_lowat(socket: &Socket, bytes: u32) -> io::Result<()> {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    socket.set_send_buffer_size(bytes.max(SEND_BUFFER_BYTES))
}

/// Windows does not say what a connection's peer has not acknowledged: its send buffer's size, which it is asked for only
/// when that is full.
///
/// # Errors
/// When the connection is gone.
pub(crate) fn unacknowledged_bytes(socket: &Socket) -> io::Result<usize> {
    socket.send_buffer_size()
}
