//! TCP, from a listen address to streams, and UDP.
//!
//! [`bind`] gives one [`Acceptor`] per shard, on any thread; a shard starts its own on its loop and
//! accepts [`TcpStream`]s. Bytes go in and out of those through owned buffers. [`bind_udp`] gives one
//! [`UdpSeat`] per shard in the same way, and [`bind_unix`] acceptors of a Unix socket.

mod address;
mod listener;
mod stream;
mod udp;
mod unix;

/// Opening listening sockets; backends build their acceptors from it.
pub(crate) mod listen;

pub use address::{ListenAddress, ListenAddressError};
pub use listen::BindError;
pub use listener::{AcceptOutcome, Acceptor, Bound, TcpListener, bind};
#[cfg(not(target_os = "linux"))]
pub(crate) use stream::discard_by_reading;
pub use stream::{Arrived, IdleSocket, PolledStream, ReadHalf, SendBuffer, TcpStream, WriteHalf};
pub(crate) use udp::Arrival;
pub use udp::{
    BoundUdp, Datagram, MULTICAST_TTL, Readiness, Received, RecvSlab, RunHead, UdpOptions, UdpSeat,
    UdpSocket, bind_udp, bind_udp_pair, multicast_sender, source_towards,
};
pub use unix::{BoundUnix, SocketFile, UnixBindError, bind_unix};
