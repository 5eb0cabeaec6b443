//! UDP: one port for all shards, datagrams received several at a time, runs sent by one call.
//!
//! [`bind_udp`] gives one [`UdpSeat`] per shard, on any thread; a shard starts its own on its loop.
//! A [`UdpSocket`] sends by a plain call that does not wait, whatever the driver. It receives the
//! same way, after the driver has said that something is there: no buffer is ever the kernel's, so
//! every future here may be dropped, and nothing is lost that was not returned.
//!
//! Deliberately absent: the don't-fragment bit. A packet of media that is larger than the path
//! takes must arrive all the same, in fragments.

mod binding;
mod detours;
mod head;
mod slab;
mod source;
#[cfg(all(test, target_os = "linux"))]
mod tests;

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::Socket;

use crate::backend;
use crate::burst::Burst;
use crate::cancel::Cancel;
use crate::os;

pub use binding::{MULTICAST_TTL, bind_udp, bind_udp_pair};
pub use head::RunHead;
pub(crate) use slab::Arrival;
pub use slab::{Datagram, RecvSlab};
pub use source::source_towards;

use detours::Detours;

/// Bytes that one send takes at most, of all its datagrams: what an IPv4 packet of 65535 bytes
/// carries.
const RUN_BYTES_MAX: usize = 65_507;

/// Receives that brought something at once, before everything else on the shard has a turn: about
/// a millisecond's work, when each brings runs.
const RECEIVE_BURST_MAX: u32 = 8;

/// Errors of earlier datagrams that one receive skips. What comes more often than that is not
/// about a datagram.
const ERRORS_MAX: usize = 64;

/// How a port is bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpOptions {
    /// `SO_RCVBUF`, in bytes: what waits for a shard that is busy. The system's own by default.
    pub receive_buffer: Option<usize>,
}

/// What [`bind_udp`] opened.
#[derive(Debug)]
pub struct BoundUdp {
    /// Where it is bound, with the port that the system chose if none was given.
    pub local_addr: SocketAddr,
    /// What it fell back to, in words for the operator.
    pub note: Option<String>,
    /// One per shard.
    pub seats: Vec<UdpSeat>,
}

/// A bound socket that is not on an event loop yet.
#[derive(Debug)]
pub struct UdpSeat {
    socket: Socket,
    is_ipv6: bool,
    receives: bool,
}

/// A bound socket on this thread's event loop. One task receives from it; any may send.
#[derive(Debug)]
pub struct UdpSocket {
    waits: backend::Datagrams,
    is_ipv6: bool,
    receives: bool,
    burst: Burst,
    detours: RefCell<Detours>,
}

/// How a receive ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// The slab has datagrams.
    Datagrams,
    /// It was cancelled; what has arrived waits in the kernel.
    Cancelled,
}

/// How a wait for a socket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The operation is worth a try.
    Ready,
    /// The wait was cancelled.
    Cancelled,
}

/// Opens a socket that sends to multicast groups by the interface that has this address. Packets
/// travel through 16 routers, and this machine hears those of groups that it has joined.
///
/// # Errors
/// When no interface has the address, or, for IPv6 on Windows, always.
///
/// # Panics
/// Outside [`crate::block_on`].
pub fn multicast_sender(interface: IpAddr) -> io::Result<UdpSocket> {
    binding::open_for_groups(interface)?.start()
}

impl UdpSeat {
    fn new(socket: Socket, local_addr: SocketAddr, receives: bool) -> Self {
        Self {
            socket,
            is_ipv6: local_addr.is_ipv6(),
            receives,
        }
    }

    /// Puts it on this thread's event loop.
    ///
    /// # Errors
    /// When the driver cannot register it.
    ///
    /// # Panics
    /// Outside [`crate::block_on`].
    pub fn start(self) -> io::Result<UdpSocket> {
        Ok(UdpSocket {
            waits: backend::Datagrams::start(self.socket)?,
            is_ipv6: self.is_ipv6,
            receives: self.receives,
            burst: Burst::new(RECEIVE_BURST_MAX),
            detours: RefCell::default(),
        })
    }
}

impl UdpSocket {
    /// Where it is bound.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let not_ip = || io::Error::other("the socket has no IP address");
        let address = self.waits.with_socket(Socket::local_addr)?;
        address.as_socket().ok_or_else(not_ip)
    }

    /// Whether datagrams arrive here. Where the shards share one socket, all but the first only
    /// send.
    #[must_use]
    pub fn receives(&self) -> bool {
        self.receives
    }

    /// Waits until something has arrived, and takes as much of it as the slab holds, unless
    /// `cancel` is raised. Dropping the future is safe.
    ///
    /// # Errors
    /// When the socket itself is broken. What the network says of single datagrams ends nothing.
    pub async fn recv_or(&self, slab: &mut RecvSlab, cancel: &Cancel) -> io::Result<Received> {
        if self.burst.is_over() {
            crate::yield_now().await;
        }
        while !cancel.is_cancelled() {
            if self.recv_now(slab)? {
                return Ok(Received::Datagrams);
            }
            self.burst.end();
            self.readable_or(cancel).await?;
        }
        Ok(Received::Cancelled)
    }

    /// Takes what has arrived, without waiting. False when nothing has. With
    /// [`UdpSocket::readable_or`] several tasks share one slab.
    ///
    /// # Errors
    /// When the socket itself is broken.
    pub fn recv_now(&self, slab: &mut RecvSlab) -> io::Result<bool> {
        let receive = |socket: &Socket| os::receive_datagrams(socket, slab);
        self.take_now(receive).map(|taken| taken.is_some())
    }

    /// As [`UdpSocket::recv_now`], for one arrival, of which only the beginning is kept. `None` when
    /// nothing has arrived.
    ///
    /// # Errors
    /// As there.
    pub fn recv_head_now(&self) -> io::Result<Option<RunHead>> {
        self.take_now(RunHead::receive)
    }

    /// Has the kernel note when datagrams arrive, for [`Datagram::at`] and [`RunHead::at`]. False
    /// where the system has no such stamps: all but Linux.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn stamp_arrivals(&self) -> io::Result<bool> {
        self.waits.with_socket(os::stamp_arrivals)
    }

    fn take_now<T>(
        &self,
        mut receive: impl FnMut(&Socket) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        let mut errors = 0;
        loop {
            match self.waits.with_socket(&mut receive) {
                Ok(taken) => return Ok(Some(taken)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if errors == ERRORS_MAX => return Err(error),
                // A datagram of ours found nobody, or met an obstacle: RTCP tells of such peers.
                Err(_) => errors += 1,
            }
        }
    }

    /// Waits until a receive is worth a try, unless `cancel` is raised. Dropping the future is
    /// safe.
    ///
    /// # Errors
    /// When the driver cannot wait.
    pub async fn readable_or(&self, cancel: &Cancel) -> io::Result<Readiness> {
        match self.waits.readable(cancel).await {
            None => Ok(Readiness::Cancelled),
            Some(ready) => ready.map(|()| Readiness::Ready),
        }
    }

    /// Waits until a send is worth a try after one that sent less than it was given, unless
    /// `cancel` is raised. Dropping the future is safe.
    ///
    /// # Errors
    /// When the driver cannot wait.
    pub async fn writable_or(&self, cancel: &Cancel) -> io::Result<Readiness> {
        match self.waits.writable(cancel).await {
            None => Ok(Readiness::Cancelled),
            Some(ready) => ready.map(|()| Readiness::Ready),
        }
    }

    /// Sends `run` as datagrams of `segment` bytes, of which the last may be shorter, by as few
    /// calls as the system allows: on Linux one per 64 datagrams or 65507 bytes, elsewhere one per
    /// datagram. `from` is the address of ours that the peer is to see; without it the system takes
    /// what its routes say.
    ///
    /// Returns the bytes sent, whole datagrams always; less than the run when the send buffer is
    /// full. What leaves is not sure to arrive.
    ///
    /// # Errors
    /// What the system says of the first datagram: no route, an address that is not ours, or a
    /// datagram of more than 65507 bytes. An error further on comes with the next call.
    /// `InvalidInput` when `segment` is 0.
    pub fn send_run(
        &self,
        run: &[u8],
        segment: usize,
        to: SocketAddr,
        from: Option<IpAddr>,
    ) -> io::Result<usize> {
        if segment == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let is_run = os::SEGMENTS_MAX > 1 && run.len() > segment;
        let as_one = is_run && self.detours.borrow_mut().are_none(to.ip(), segment);
        let mut way = Way {
            to: binding::of_family(to, self.is_ipv6),
            from,
            segment,
            as_one,
            was_refused: false,
        };
        let sent = self.waits.with_socket(|socket| way.send(socket, run));
        if way.was_refused && matches!(sent, Ok(1..)) {
            self.detours.borrow_mut().add(to.ip(), segment);
        }
        sent
    }

    /// A socket on this one's port that gets all that `peer` sends, and nothing else but what
    /// arrived before it was connected: the caller looks at sources. `local` is the address of ours
    /// that the peer sends to; without it, a peer is only heard on the address that our routes to
    /// it say.
    ///
    /// # Errors
    /// `Unsupported` beside Linux; else when descriptors have run out or the address is not ours.
    ///
    /// # Panics
    /// Outside [`crate::block_on`].
    pub fn connect_peer(&self, peer: SocketAddr, local: Option<IpAddr>) -> io::Result<UdpSocket> {
        self.waits
            .with_socket(|socket| binding::open_for_peer(socket, peer, local))?
            .start()
    }
}

/// How a run goes to one destination.
struct Way {
    to: SocketAddr,
    from: Option<IpAddr>,
    segment: usize,
    /// As few calls as the system allows, or one per datagram.
    as_one: bool,
    was_refused: bool,
}

impl Way {
    fn send(&mut self, socket: &Socket, run: &[u8]) -> io::Result<usize> {
        let mut rest = run;
        while !rest.is_empty() {
            let (piece, others) = rest.split_at(self.piece(rest.len()));
            match self.send_piece(socket, piece) {
                Ok(()) => rest = others,
                Err(error) if piece.len() > self.segment && os::is_refusal_of_runs(&error) => {
                    self.as_one = false;
                    self.was_refused = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if rest.len() == run.len() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(run.len() - rest.len())
    }

    /// How many of these bytes one call sends.
    fn piece(&self, bytes: usize) -> usize {
        let datagrams = if self.as_one {
            (RUN_BYTES_MAX / self.segment).clamp(1, os::SEGMENTS_MAX)
        } else {
            1
        };
        bytes.min(datagrams.saturating_mul(self.segment))
    }

    /// A connected socket tells of an earlier datagram that found nobody instead of sending this
    /// one; then it is sent again.
    fn send_piece(&self, socket: &Socket, piece: &[u8]) -> io::Result<()> {
        let send = || os::send_datagrams(socket, piece, self.segment, self.to, self.from);
        match send() {
            Err(error) if may_be_of_an_earlier_datagram(&error) => send(),
            sent => sent,
        }
    }
}

fn may_be_of_an_earlier_datagram(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}
