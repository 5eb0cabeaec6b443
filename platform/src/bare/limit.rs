//! The limit of fan-out over TCP: the same batch to many sockets, by the best bare system calls.
//!
//! Nothing is read, woken, queued or looked up between the batch and the sockets, so no server can send the same bytes to
//! the same sockets for less. Three ways are kept, because which is best depends on the kernel and on the batch.

use std::io::{self, IoSlice, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};

use super::ring::{SendRing, Target};

/// Bytes of a packet that a vectored write names by a slice of their own: RTP's interleaved header.
const HEADER_BYTES: usize = 4;

/// How a batch leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitMode {
    /// One `send` of the whole batch per socket.
    Send,
    /// One `writev` per socket, with two slices per packet.
    Writev,
    /// One io_uring submission for all sockets, which are registered.
    Uring,
}

impl LimitMode {
    /// Every way there is.
    pub const ALL: [Self; 3] = [Self::Send, Self::Writev, Self::Uring];

    /// The name in tables and on command lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Writev => "writev",
            Self::Uring => "uring",
        }
    }
}

/// A batch and the sockets that it goes to.
pub struct Limit {
    sockets: Vec<TcpStream>,
    batch: Vec<u8>,
    way: Way,
}

enum Way {
    Send,
    Writev {
        packet_bytes: usize,
    },
    Uring {
        ring: Box<SendRing>,
        targets: Vec<Target>,
    },
}

impl Limit {
    /// Sockets that get `packets` of `packet_bytes` each in every round, and the way that they leave. `TCP_NODELAY` is set
    /// as servers do.
    ///
    /// # Errors
    /// When the system refuses: a socket's options, or io_uring.
    pub fn new(
        sockets: Vec<TcpStream>,
        packets: usize,
        packet_bytes: usize,
        mode: LimitMode,
    ) -> io::Result<Self> {
        for socket in &sockets {
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
        }
        let way = match mode {
            LimitMode::Send => Way::Send,
            LimitMode::Writev => Way::Writev { packet_bytes },
            LimitMode::Uring => uring(&sockets)?,
        };
        Ok(Self {
            batch: vec![7; packets * packet_bytes],
            sockets,
            way,
        })
    }

    /// Sends the batch once to every socket, and returns when the kernel has taken all of it.
    ///
    /// # Errors
    /// When a peer has closed, or the system refuses.
    pub fn round(&mut self) -> io::Result<()> {
        match &mut self.way {
            Way::Send => {
                let mut sockets = self.sockets.iter();
                sockets.try_for_each(|socket| finish(socket, &self.batch))
            }
            Way::Writev { packet_bytes } => {
                let slices = slices(&self.batch, *packet_bytes);
                let mut sockets = self.sockets.iter();
                sockets.try_for_each(|socket| write_vectored(socket, &slices, &self.batch))
            }
            Way::Uring { ring, targets } => send_by_ring(ring, targets, &self.batch),
        }
    }
}

fn uring(sockets: &[TcpStream]) -> io::Result<Way> {
    let mut ring = Box::new(SendRing::new()?);
    let descriptors: Vec<RawFd> = sockets.iter().map(AsRawFd::as_raw_fd).collect();
    ring.register(&descriptors)?;
    let targets = (0..).take(sockets.len()).map(Target::Registered).collect();
    Ok(Way::Uring { ring, targets })
}

/// Header and payload of each packet.
fn slices(batch: &[u8], packet_bytes: usize) -> Vec<IoSlice<'_>> {
    let packets = batch.chunks(packet_bytes);
    let halves = packets.flat_map(|packet| {
        let (header, payload) = packet.split_at(HEADER_BYTES.min(packet.len()));
        [header, payload]
    });
    halves.map(IoSlice::new).collect()
}

fn write_vectored(mut socket: &TcpStream, slices: &[IoSlice<'_>], batch: &[u8]) -> io::Result<()> {
    let written = match socket.write_vectored(slices) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        other => other?,
    };
    finish(socket, batch.get(written..).unwrap_or_default())
}

/// Sends all of it, waiting for room where there is none.
fn finish(mut socket: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match socket.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_writable(socket)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn wait_writable(socket: &TcpStream) -> io::Result<()> {
    let mut poll = libc::pollfd {
        fd: socket.as_raw_fd(),
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: it is one structure, as the count says, and outlives the call.
    let result = unsafe { libc::poll(&raw mut poll, 1, -1) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn send_by_ring(ring: &mut SendRing, targets: &[Target], batch: &[u8]) -> io::Result<()> {
    let mut failed = None;
    ring.send_to_all(targets, batch, true, |_, result| match result {
        Ok(count) if count == batch.len() => {}
        Ok(_) => failed = Some(io::ErrorKind::WriteZero.into()),
        Err(error) => failed = Some(error),
    })?;
    failed.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::*;

    /// What each of three sockets gets in two rounds of two packets of 5 bytes.
    #[test]
    fn every_socket_is_sent_every_round_whatever_the_way() {
        for mode in LimitMode::ALL {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let peers: Vec<_> = (0..3)
                .map(|_| TcpStream::connect(address).unwrap())
                .collect();
            let sockets = peers.iter().map(|_| listener.accept().unwrap().0).collect();
            let mut limit = Limit::new(sockets, 2, 5, mode).unwrap();
            limit.round().unwrap();
            limit.round().unwrap();
            drop(limit);
            for mut peer in peers {
                let mut received = Vec::new();
                peer.read_to_end(&mut received).unwrap();
                assert_eq!(received, [7; 20], "{mode:?}");
            }
        }
    }

    /// A batch larger than any send buffer.
    #[test]
    fn a_batch_is_finished_though_sockets_are_full() {
        for mode in LimitMode::ALL {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let sockets = vec![listener.accept().unwrap().0];
            let reading = std::thread::spawn(move || {
                let mut received = Vec::new();
                peer.read_to_end(&mut received).map(|_| received.len())
            });
            let mut limit = Limit::new(sockets, 8000, 2000, mode).unwrap();
            limit.round().unwrap();
            drop(limit);
            assert_eq!(reading.join().unwrap().unwrap(), 16_000_000, "{mode:?}");
        }
    }
}
