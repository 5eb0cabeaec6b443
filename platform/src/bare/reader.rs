//! A reader's socket over UDP, without an event loop and as cheap as it can be: runs of datagrams are taken whole (GRO),
//! and who only counts has nothing copied but their beginnings.
//!
//! Over loopback that is part of what a sender costs: for a socket without GRO, the kernel cuts runs in the sender's time.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, Socket, Type};

use crate::net::RecvSlab;
use crate::os;

/// Bytes of the beginning of a run that are kept: an RTP header, and what benchmarks write behind it.
const HEAD_BYTES: usize = 32;

/// A bound socket, in non-blocking mode.
#[derive(Debug)]
pub struct DatagramReader(Socket);

/// The beginning of one arrival, and its size.
#[derive(Clone, Copy, Debug)]
pub struct RunHead {
    bytes: [u8; HEAD_BYTES],
    /// Of the whole run.
    pub run_bytes: usize,
    /// Of each of its datagrams but the last, which may be shorter.
    pub datagram_bytes: usize,
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
}

impl DatagramReader {
    /// Binds it, with so large a receive buffer as the system allows up to this.
    ///
    /// # Errors
    /// When the address is in use, or descriptors have run out.
    pub fn bind(address: SocketAddr, receive_buffer: usize) -> io::Result<Self> {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(receive_buffer)?;
        os::prepare_datagrams(&socket, address.is_ipv6(), false)?;
        socket.bind(&address.into())?;
        Ok(Self(socket))
    }

    /// Where it is bound.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let not_ip = || io::Error::other("the socket has no IP address");
        self.0.local_addr()?.as_socket().ok_or_else(not_ip)
    }

    /// The size of its receive buffer, as it was asked for: Linux takes twice as much.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn receive_buffer(&self) -> io::Result<usize> {
        Ok(self.0.recv_buffer_size()? / 2)
    }

    /// Takes what has arrived, with every byte. False when nothing has.
    ///
    /// # Errors
    /// What the system says.
    pub fn receive(&self, slab: &mut RecvSlab) -> io::Result<bool> {
        or_nothing(os::receive_datagrams(&self.0, slab)).map(|received| received.is_some())
    }

    /// Takes the next run that has arrived, and keeps its beginning. None when nothing has.
    ///
    /// # Errors
    /// What the system says.
    pub fn receive_head(&self) -> io::Result<Option<RunHead>> {
        let mut bytes = [0; HEAD_BYTES];
        let received = or_nothing(os::receive_head(&self.0, &mut bytes))?;
        Ok(received.map(|(run_bytes, datagram_bytes)| RunHead {
            bytes,
            run_bytes,
            datagram_bytes,
        }))
    }
}

impl AsFd for DatagramReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn or_nothing<T>(received: io::Result<T>) -> io::Result<Option<T>> {
    match received {
        Ok(received) => Ok(Some(received)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_run_is_counted_by_its_beginning_and_read_as_its_datagrams() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let reader = DatagramReader::bind(any, 1 << 16).unwrap();
        assert_eq!(reader.receive_buffer().unwrap(), 1 << 16);
        let sender = UdpSocket::bind(any).unwrap();
        let to = reader.local_addr().unwrap();
        assert!(reader.receive_head().unwrap().is_none());
        let run: Vec<u8> = (0..100).collect();
        let send_run = || {
            os::send_datagrams(
                &Socket::from(sender.try_clone().unwrap()),
                &run,
                40,
                to,
                None,
            )
        };
        send_run().unwrap();
        let head = reader.receive_head().unwrap().unwrap();
        assert_eq!(
            (head.run_bytes, head.datagram_bytes, head.datagrams()),
            (100, 40, 3)
        );
        assert_eq!(head.first(), &run[..HEAD_BYTES]);
        send_run().unwrap();
        let mut slab = RecvSlab::new();
        assert!(reader.receive(&mut slab).unwrap());
        let lengths: Vec<usize> = slab.datagrams().map(|it| it.bytes.len()).collect();
        assert_eq!(lengths, [40, 40, 20]);
        assert!(!reader.receive(&mut slab).unwrap());
    }
}
