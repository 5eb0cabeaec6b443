//! Moving bytes by plain calls that do not wait, from and to our own buffers.
//!
//! glommio's streams read into initialised memory and write one slice. These calls read into a
//! slab's spare capacity, and write all slices of a gather at once.

use std::io;
use std::os::fd::RawFd;

use crate::buffer::{Gather, Slab};

/// Receives what has arrived. The slab has room.
pub(super) fn receive(descriptor: RawFd, slab: &mut Slab) -> io::Result<usize> {
    // SAFETY: the spare capacity is valid for so many bytes.
    let received = unsafe {
        libc::recv(
            descriptor,
            slab.spare_ptr().cast(),
            slab.spare(),
            libc::MSG_DONTWAIT,
        )
    };
    let count = counted(received)?;
    // SAFETY: the kernel has written so many bytes there.
    unsafe { slab.advance_filled(count) };
    Ok(count)
}

/// Sends as much of the gather as the socket takes. One slice goes as a plain send, which costs the
/// kernel less than an array of one.
pub(super) fn send(descriptor: RawFd, gather: &mut Gather) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let sent = match gather.front() {
        Some(only) if gather.len() == 1 => {
            // SAFETY: the slice outlives the call.
            unsafe { libc::send(descriptor, only.as_ptr().cast(), only.len(), flags) }
        }
        _ => {
            let vectors = gather.vectors();
            // SAFETY: of a message's fields, which all may be zero, only the array is used.
            let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
            message.msg_iov = vectors.as_ptr().cast_mut();
            message.msg_iovlen = vectors.len() as _;
            // SAFETY: the gather keeps the array, and the chunks that it describes.
            unsafe { libc::sendmsg(descriptor, &raw const message, flags) }
        }
    };
    counted(sent)
}

fn counted(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
