//! One send: a datagram, or on Linux a run of equal ones in one buffer.

use std::io;
use std::mem::zeroed;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use socket2::{SockAddr, Socket};

use crate::unix::control::{Control, Writer};

/// Sends `bytes` as datagrams of `segment` bytes, the last of which may be shorter: all or none.
/// `to` is of the socket's family; `from` is one of our addresses.
///
/// # Errors
/// What the kernel says. `WouldBlock` when the send buffer is full.
pub(crate) fn send_datagrams(
    socket: &Socket,
    bytes: &[u8],
    segment: usize,
    to: SocketAddr,
    from: Option<IpAddr>,
) -> io::Result<()> {
    let to_whom = SockAddr::from(to);
    let mut vector = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let mut control = Control::new();
    let mut writer = Writer::new(&mut control);
    push_segment(&mut writer, bytes.len(), segment)?;
    if let Some(from) = from {
        writer.push_source(from, interface_for(from, to));
    }
    // SAFETY: of a message's fields all may be zero.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = to_whom.as_ptr().cast_mut().cast();
    message.msg_namelen = to_whom.len();
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    writer.lend_to(&mut message);
    // SAFETY: the message describes memory that outlives the call, which only reads it.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_DONTWAIT) };
    if sent >= 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // The device's queue is full: the datagram is lost there, as on Linux, which does not say.
        error if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(()),
        error => Err(error),
    }
}

#[cfg(target_os = "linux")]
fn push_segment(writer: &mut Writer<'_>, bytes: usize, segment: usize) -> io::Result<()> {
    if bytes > segment {
        let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
        writer.push_segment(u16::try_from(segment).map_err(too_long)?);
    }
    Ok(())
}

/// `SEGMENTS_MAX` is 1.
#[cfg(not(target_os = "linux"))]
fn push_segment(_: &mut Writer<'_>, bytes: usize, segment: usize) -> io::Result<()> {
    debug_assert!(bytes <= segment, "a run, where none can be sent");
    Ok(())
}

/// An address of one link needs its interface, which is that of the peer's.
fn interface_for(from: IpAddr, to: SocketAddr) -> u32 {
    match (from, to) {
        (IpAddr::V6(from), SocketAddr::V6(to)) if from.is_unicast_link_local() => to.scope_id(),
        _ => 0,
    }
}

/// Whether the kernel may refuse a run for this reason and yet send its datagrams one by one: they
/// are larger than the path takes, the device computes no checksums, or a transform lies between.
pub(crate) fn is_refusal_of_runs(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMSGSIZE | libc::EINVAL | libc::EIO)
    )
}
