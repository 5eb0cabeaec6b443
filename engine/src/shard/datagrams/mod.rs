//! RTP and RTCP in datagrams on one shard: its two sockets, whose datagrams are whose, and the waits of those who send.
//!
//! All shards share the two ports. The kernel hands a datagram to any of them, so whoever expects datagrams of a peer is
//! registered twice: here under the peer's address ([`DatagramTaker`]), and in the server's [`DatagramDirectory`] with its
//! shard. A datagram that arrives elsewhere goes there by ring; one of a peer that nobody expects is counted and forgotten.

mod directory;
mod feed;
mod forward;
mod in_step;
mod inbox;
mod pacer;
mod ports;

pub use directory::{DatagramDirectory, DatagramPeer};
pub use feed::{DatagramFeed, DatagramFeeds, DatagramWay, FedEnd, FedReader, FedSeat};
pub use forward::ForwardedDatagram;
pub use inbox::DatagramInbox;
pub use pacer::Pacer;
pub use ports::{DatagramPorts, DatagramSeed, DatagramTaker, PeerSeat};
