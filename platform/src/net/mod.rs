//! TCP: from a listen address to streams.
//!
//! [`bind`] gives one [`Acceptor`] per shard, on any thread; a shard starts its own on its loop and
//! accepts [`TcpStream`]s. Bytes go in and out of those through owned buffers.

mod address;
mod listener;
mod stream;

/// Opening listening sockets; backends build their acceptors from it.
pub(crate) mod listen;

pub use address::{ListenAddress, ListenAddressError};
pub use listen::BindError;
pub use listener::{AcceptOutcome, Acceptor, Bound, TcpListener, bind};
pub use stream::{IdleSocket, ReadHalf, SendBuffer, TcpStream, WriteHalf};
