//! The beginning of what one receive brings, for who only counts: on Linux a whole run of datagrams
//! is taken by one call, and next to nothing of it copied.

use std::io;
#[cfg(not(target_os = "linux"))]
use std::mem::MaybeUninit;
use std::time::SystemTime;

use socket2::Socket;

#[cfg(target_os = "linux")]
use crate::os;

/// Bytes of the beginning of a run that are kept: an RTP header, and what a load writes behind it.
const HEAD_BYTES: usize = 32;

/// Larger than any datagram, which has to be taken whole where the system does not tell the size of
/// one that is cut.
#[cfg(not(target_os = "linux"))]
const DATAGRAM_BYTES_MAX: usize = 64 * 1024;

/// The beginning of one arrival, and its size: a datagram, or a run of them that the kernel has put
/// together (GRO, on Linux alone).
#[derive(Clone, Copy, Debug)]
pub struct RunHead {
    bytes: [u8; HEAD_BYTES],
    /// Of the whole run.
    pub run_bytes: usize,
    /// Of each of its datagrams but the last, which may be shorter.
    pub datagram_bytes: usize,
    /// When the kernel received it: see [`crate::UdpSocket::stamp_arrivals`].
    pub at: Option<SystemTime>,
}

impl RunHead {
    /// How its first datagram begins.
    #[must_use]
    pub fn first(&self) -> &[u8] {
        let filled = self.run_bytes.min(self.datagram_bytes).min(HEAD_BYTES);
        &self.bytes[..filled]
    }

    /// Datagrams of the run.
    #[must_use]
    pub fn datagrams(&self) -> usize {
        self.run_bytes.div_ceil(self.datagram_bytes.max(1))
    }

    /// Takes the next arrival from a socket, without waiting.
    ///
    /// # Errors
    /// `WouldBlock` when nothing has arrived; else what the system says of an earlier datagram.
    #[cfg(target_os = "linux")]
    pub(crate) fn receive(socket: &Socket) -> io::Result<Self> {
        let mut bytes = [0; HEAD_BYTES];
        let (run_bytes, datagram_bytes, at) = os::receive_head(socket, &mut bytes)?;
        Ok(Self {
            bytes,
            run_bytes,
            datagram_bytes,
            at,
        })
    }

    /// As above; the socket is in non-blocking mode.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn receive(socket: &Socket) -> io::Result<Self> {
        let mut datagram = [MaybeUninit::<u8>::uninit(); DATAGRAM_BYTES_MAX];
        let count = socket.recv(&mut datagram)?;
        let mut bytes = [0; HEAD_BYTES];
        for (kept, byte) in bytes.iter_mut().zip(&datagram[..count]) {
            // SAFETY: the system has written so many bytes.
            *kept = unsafe { byte.assume_init() };
        }
        Ok(Self {
            bytes,
            run_bytes: count,
            datagram_bytes: count,
            at: None,
        })
    }
}
