//! Options of sockets, and questions to them, that `socket2` does not have.

use std::io;
use std::os::fd::AsRawFd;

use socket2::Socket;

/// Sets an option whose value is a `c_int`.
///
/// # Errors
/// When the kernel refuses it.
pub(super) fn set_option(
    socket: &Socket,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    let size = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the descriptor is open, and the value is a c_int that outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Bytes written to a connection that its peer has not acknowledged (tcp(7), `SIOCOUTQ`).
///
/// # Errors
/// When the connection is gone.
#[cfg(target_os = "linux")]
pub(crate) fn unacknowledged_bytes(socket: &Socket) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open, and the kernel writes a c_int to where one is.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    number_after(result, bytes)
}

/// The same of macOS, whose send buffer holds them (`SO_NWRITE`).
///
/// # Errors
/// When the connection is gone.
#[cfg(not(target_os = "linux"))]
pub(crate) fn unacknowledged_bytes(socket: &Socket) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    let mut size = size_of_val(&bytes) as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel writes a c_int and its size to where these are.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NWRITE,
            (&raw mut bytes).cast(),
            &raw mut size,
        )
    };
    number_after(result, bytes)
}

fn number_after(result: libc::c_int, number: libc::c_int) -> io::Result<usize> {
    if result == 0 {
        Ok(usize::try_from(number).unwrap_or(0))
    } else {
        Err(io::Error::last_os_error())
    }
}
