//! The socket of a reader over UDP, without an event loop and as cheap as it can be: runs of datagrams are taken whole (GRO),
//! and who only counts has nothing copied but their beginnings.
//!
//! Over loopback that is part of what a sender costs: for a socket without GRO, the kernel cuts runs in the sender's time.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::net::{RecvSlab, RunHead};
use crate::os;

/// Binds a socket in non-blocking mode, with so large a receive buffer as the system allows up to this.
///
/// # Errors
/// When the address is in use, or descriptors have run out.
pub fn bind_reader(address: SocketAddr, receive_buffer: usize) -> io::Result<UdpSocket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(receive_buffer)?;
    os::prepare_datagrams(&socket, address.is_ipv6(), false)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Takes what has arrived, with every byte. False when nothing has.
///
/// # Errors
/// What the system says.
pub fn read_datagrams(socket: &impl AsFd, slab: &mut RecvSlab) -> io::Result<bool> {
    let received = os::receive_datagrams(&SockRef::from(socket), slab);
    or_nothing(received).map(|received| received.is_some())
}

/// Takes the next run that has arrived, and keeps its beginning. None when nothing has.
///
/// # Errors
/// What the system says.
pub fn read_run_head(socket: &impl AsFd) -> io::Result<Option<RunHead>> {
    or_nothing(RunHead::receive(&SockRef::from(socket)))
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
    use super::*;

    #[test]
    fn a_run_is_counted_by_its_beginning_and_read_as_its_datagrams() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let reader = bind_reader(any, 1 << 16).unwrap();
        let sender = Socket::from(UdpSocket::bind(any).unwrap());
        let to = reader.local_addr().unwrap();
        assert!(read_run_head(&reader).unwrap().is_none());
        let run: Vec<u8> = (0..100).collect();
        os::send_datagrams(&sender, &run, 40, to, None).unwrap();
        let head = read_run_head(&reader).unwrap().unwrap();
        let sizes = (head.run_bytes, head.datagram_bytes, head.datagrams());
        assert_eq!(sizes, (100, 40, 3));
        assert_eq!(head.first(), &run[..32]);
        os::send_datagrams(&sender, &run, 40, to, None).unwrap();
        let mut slab = RecvSlab::new();
        assert!(read_datagrams(&reader, &mut slab).unwrap());
        let lengths: Vec<usize> = slab.datagrams().map(|it| it.bytes.len()).collect();
        assert_eq!(lengths, [40, 40, 20]);
        assert!(!read_datagrams(&reader, &mut slab).unwrap());
    }
}
