//! One receive: as many arrivals as there are slots, each a datagram or a run of them.

use std::io;
use std::mem::zeroed;
use std::os::fd::AsRawFd;
#[cfg(target_os = "linux")]
use std::time::SystemTime;

use socket2::Socket;

use crate::net::{Arrival, RecvSlab};
use crate::unix::control::{Control, Said, peer_at};

/// What the kernel fills in beside the bytes of one slot.
struct Envelope {
    name: libc::sockaddr_storage,
    control: Control,
}

impl Envelope {
    fn new() -> Self {
        Self {
            // SAFETY: it is plain numbers, which all may be zero.
            name: unsafe { zeroed() },
            control: Control::new(),
        }
    }

    fn lend_to(&mut self, header: &mut libc::msghdr, vector: &mut libc::iovec) {
        header.msg_name = (&raw mut self.name).cast();
        header.msg_namelen = size_of_val(&self.name) as libc::socklen_t;
        header.msg_iov = vector;
        header.msg_iovlen = 1;
        self.control.lend_to(header);
    }

    /// # Safety
    /// The kernel has filled in the header that this was lent to.
    unsafe fn arrival(&self, header: &libc::msghdr, bytes: usize) -> Option<Arrival> {
        // SAFETY: as the caller says.
        let (source, said) = unsafe { (peer_at(&self.name)?, Said::of(header)) };
        Some(Arrival {
            bytes,
            segment: said.segment.unwrap_or(bytes),
            source,
            local: said.local,
            at: said.at,
        })
    }
}

/// Fills the slab with what has arrived, without waiting.
///
/// # Errors
/// `WouldBlock` when nothing has; else what the kernel says of an earlier datagram.
#[cfg(target_os = "linux")]
pub(crate) fn receive_datagrams(socket: &Socket, slab: &mut RecvSlab) -> io::Result<()> {
    let mut envelopes: [Envelope; RecvSlab::SLOTS] = std::array::from_fn(|_| Envelope::new());
    let mut vectors = slab.lend().map(vector_of);
    // SAFETY: it is plain numbers and null pointers.
    let mut messages: [libc::mmsghdr; RecvSlab::SLOTS] = unsafe { zeroed() };
    for ((message, envelope), vector) in messages.iter_mut().zip(&mut envelopes).zip(&mut vectors) {
        envelope.lend_to(&mut message.msg_hdr, vector);
    }
    // SAFETY: the headers describe memory that outlives the call, and nobody else touches it.
    let count = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            RecvSlab::SLOTS as libc::c_uint,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    for (message, envelope) in messages.iter().zip(&envelopes).take(count) {
        // SAFETY: the kernel has filled in so many headers.
        let arrival = unsafe { envelope.arrival(&message.msg_hdr, message.msg_len as usize) };
        slab.push(arrival);
    }
    Ok(())
}

/// As above, by a call per datagram.
#[cfg(not(target_os = "linux"))]
pub(crate) fn receive_datagrams(socket: &Socket, slab: &mut RecvSlab) -> io::Result<()> {
    let slots = slab.lend();
    for (slot, buffer) in slots.into_iter().enumerate() {
        let mut envelope = Envelope::new();
        let mut vector = vector_of(buffer);
        // SAFETY: it is plain numbers and null pointers.
        let mut header: libc::msghdr = unsafe { zeroed() };
        envelope.lend_to(&mut header, &mut vector);
        // SAFETY: the header describes memory that outlives the call, and nobody else touches it.
        let count =
            unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
        match usize::try_from(count) {
            // SAFETY: the kernel has filled in the header.
            Ok(bytes) => slab.push(unsafe { envelope.arrival(&header, bytes) }),
            Err(_) if slot == 0 => return Err(io::Error::last_os_error()),
            // An error after the first datagram comes again, or concerned one datagram alone.
            Err(_) => break,
        }
    }
    Ok(())
}

/// Takes the next arrival, and keeps only as much of its beginning as `head` holds: how many bytes it
/// has, how many each of its datagrams, and when it arrived. So the kernel copies next to nothing.
///
/// # Errors
/// As [`receive_datagrams`].
#[cfg(target_os = "linux")]
pub(crate) fn receive_head(
    socket: &Socket,
    head: &mut [u8],
) -> io::Result<(usize, usize, Option<SystemTime>)> {
    let mut envelope = Envelope::new();
    let mut vector = vector_of((head.as_mut_ptr(), head.len()));
    // SAFETY: it is plain numbers and null pointers.
    let mut header: libc::msghdr = unsafe { zeroed() };
    envelope.lend_to(&mut header, &mut vector);
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    // SAFETY: the header describes memory that outlives the call, and nobody else touches it.
    let count = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
    let bytes = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has filled in the header.
    let said = unsafe { Said::of(&header) };
    Ok((bytes, said.segment.unwrap_or(bytes), said.at))
}

fn vector_of((start, length): (*mut u8, usize)) -> libc::iovec {
    libc::iovec {
        iov_base: start.cast(),
        iov_len: length,
    }
}
