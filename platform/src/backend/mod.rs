//! The seam between the public API and the runtime crate that serves it.
//!
//! Each backend has the same items, used by the public types by name; a difference is a compile
//! error, so there is no trait:
//!
//! - `choose(DriverRequest) -> Result<DriverChoice, DriverError>`
//! - `block_on`, `spawn`, `yield_now`, `sleep_until(Instant)`: as in the public API
//! - `bind(&ListenAddress, shards) -> Result<(Vec<Acceptor>, SocketAddr, Option<String>), BindError>`
//!   with `Acceptor: Send + Debug`, over [`crate::net::listen`]
//! - `Listener`: `start(Acceptor) -> io::Result<Self>`,
//!   `accept(&self, &Cancel) -> Option<io::Result<(ReadHalf, WriteHalf, SocketAddr)>>` (`None` is
//!   cancelled; safe to drop), `local_addr() -> io::Result<SocketAddr>`
//! - `connect(SocketAddr) -> io::Result<(ReadHalf, WriteHalf)>`; both of these set `TCP_NODELAY`
//! - `ReadHalf`: `read(&mut self, Slab) -> (io::Result<usize>, Slab)`,
//!   `read_or(&mut self, Slab, &Cancel) -> (Outcome, Slab)`,
//!   `readable(&self, &Cancel) -> Option<io::Result<()>>` (`None` is cancelled; safe to drop),
//!   `is_of(&self, &WriteHalf) -> bool`, `with_socket(&self, impl FnOnce(&socket2::Socket) -> R) -> R`
//! - `WriteHalf`: `write(&mut self, Gather) -> (io::Result<usize>, Gather)` which does *not* advance
//!   the gather, `write_or(&mut self, Gather, &Cancel) -> (Outcome, Gather)`,
//!   `writable(&self, &Cancel) -> Option<io::Result<()>>` as `readable`, `with_socket`
//! - `release(ReadHalf, WriteHalf) -> Result<std::net::TcpStream, (ReadHalf, WriteHalf)>`,
//!   `adopt(std::net::TcpStream) -> io::Result<(ReadHalf, WriteHalf)>`
//! - `Datagrams`: a socket in non-blocking mode, of which the loop says when a call is worth a try:
//!   `start(socket2::Socket) -> io::Result<Self>`, `readable(&self, &Cancel) -> Option<io::Result<()>>`
//!   and `writable` (`None` is cancelled; safe to drop), `with_socket`
//! - `bell() -> io::Result<(Ringer, BellSeat)>`; `Ringer: Clone + Send + Sync` with `ring(&self)`,
//!   `BellSeat: Send`, `attach(BellSeat) -> io::Result<Bell>`, `Bell` with `wait(&mut self)`, which
//!   returns after at least one ring since its last return, and is safe to drop
//!
//! Buffers are lent non-empty: slabs with spare room, gathers with at least one slice, and a
//! `Cancel` that was not raised when the operation began.

// What several backends share.
#[cfg(any(unix, feature = "windows-monoio"))]
mod accepting;
#[cfg(target_os = "linux")]
mod eventfd;
#[cfg(any(unix, feature = "windows-monoio"))]
mod instants;
#[cfg(any(unix, feature = "windows-monoio"))]
mod running;
#[cfg(any(unix, feature = "windows-monoio"))]
mod tasks;
#[cfg(target_os = "linux")]
mod uring;

#[cfg(any(unix, feature = "windows-monoio"))]
mod monoio;
#[cfg(all(
    any(unix, feature = "windows-monoio"),
    not(all(target_os = "linux", feature = "glommio"))
))]
pub(crate) use self::monoio::*;

#[cfg(all(target_os = "linux", feature = "glommio"))]
mod glommio;
// Both are built in, and each thread's loop says which of them serves it.
#[cfg(all(target_os = "linux", feature = "glommio"))]
mod either;
#[cfg(all(target_os = "linux", feature = "glommio"))]
pub(crate) use self::either::*;

#[cfg(all(windows, not(feature = "windows-monoio")))]
mod compio;
#[cfg(all(windows, not(feature = "windows-monoio")))]
pub(crate) use self::compio::*;
