//! The operating system, as Shardcast sees it: sockets, timers, wake-ups, buffers, CPU placement
//! and signals, over whichever driver serves them here.
//!
//! One API with one backend behind it, chosen at compile time: monoio on Linux (io_uring or epoll,
//! chosen when the program starts) and macOS (kqueue), compio on Windows (IOCP). With the feature
//! `glommio`, on Linux, it is chosen between monoio and glommio when the program starts. Bytes come
//! from peers through [`TcpStream::read`] into a [`Slab`], and leave as a [`Gather`] of [`Slice`]s
//! through [`TcpStream::write`]; datagrams through [`UdpSocket::recv_or`] into a [`RecvSlab`], and by
//! [`UdpSocket::send_run`]. Nothing here knows media, protocols or configuration.
//!
//! # The rule about operations in flight
//! **A future of a read or a write is never dropped before it has completed.** The kernel may own
//! its buffer; on io_uring and IOCP a dropped read loses the bytes that it had already taken. No
//! `select` and no timeout goes round a read or a write: give it a [`Cancel`] and await the end
//! ([`TcpStream::read_or`], [`TcpStream::write_or`]). Dropping one anyway is safe as to memory, and
//! it ends the use of that direction: every later operation on it fails, on every driver alike.
//! Sleeps, [`TcpListener::accept`], [`DoorbellWaiter::wait`], [`yield_now`] and what a
//! [`UdpSocket`] does may be dropped.
//!
//! # Threads
//! An event loop belongs to one thread ([`block_on`]), and so does everything that was started on
//! it. What may change threads is `Send`: [`Acceptor`], [`UdpSeat`], [`IdleSocket`],
//! [`DoorbellSeat`], [`Doorbell`]. A waker of a task must not be woken from another thread (that
//! panics): shards wake each other by [`Doorbell`] alone.
//!
//! # Deliberately absent
//! Generic buffer traits, cross-thread wakers, catching of panics, retries of accept, and timeouts.

mod backend;
#[cfg(feature = "bare")]
pub mod bare;
mod buffer;
mod burst;
mod cancel;
mod cpu;
mod doorbell;
mod driver;
mod net;
mod process;
mod profile;
mod task;
mod time;
#[cfg(unix)]
mod unix;
mod usage;
#[cfg(windows)]
mod windows;

/// What [`cpu`], [`net`], [`process`] and [`usage`] ask the operating system for.
///
/// Each system's module has the same functions: `prepare_listener`, `affinity`, `cpu_quota`,
/// `pin_current_thread`, `run_on`, `lower_current_thread`, `precise_timers`, `thread_cpu_time`,
/// `thread_busy_time`, `memory_bytes`, `resident_bytes`, `open_descriptors`, `usage_of`, `watch_signals`, `raise_descriptor_limit`;
/// for datagrams `prepare_datagrams`, `send_datagrams`, `receive_datagrams`, `is_refusal_of_runs`,
/// `interface_of` and `SEGMENTS_MAX`; for streams by calls that do not wait `discard_now`, `receive_now`, `take_now`,
/// `send_now`, `send_slices_now` and `stamp_arrivals`; `unacknowledged_bytes`; beside Linux also `set_not_sent_lowat(&socket2::Socket, u32)`.
#[cfg(unix)]
use unix as os;
#[cfg(windows)]
use windows as os;

pub use buffer::{GATHER_SLICES_MAX, Gather, Slab, Slice};
pub use cancel::{Cancel, Cancelled, Outcome};
pub use cpu::{
    CpuBudget, cpu_budget, lower_current_thread, pin_current_thread, precise_timers, run_on,
};
pub use doorbell::{Doorbell, DoorbellSeat, DoorbellWaiter};
pub use driver::{
    Capabilities, Driver, DriverChoice, DriverError, DriverRequest, capabilities, choose_driver,
};
pub use net::{
    AcceptOutcome, Acceptor, Arrived, BindError, Bound, BoundUdp, BoundUnix, Datagram, IdleSocket,
    ListenAddress, ListenAddressError, MULTICAST_TTL, PolledStream, ReadHalf, Readiness, Received,
    RecvSlab, RunHead, SendBuffer, SocketFile, TcpListener, TcpStream, UdpOptions, UdpSeat,
    UdpSocket, UnixBindError, WriteHalf, bind, bind_udp, bind_udp_pair, bind_unix,
    multicast_sender, source_towards,
};
pub use process::{Signal, are_descriptors_scarce, raise_descriptor_limit, watch_signals};
pub use profile::{CodePlace, CpuSampler, CpuSamples, SamplerError, code_places};
pub use task::{block_on, spawn, yield_now};
pub use time::{now, sleep, sleep_until};
pub use usage::{
    ProcessUsage, memory_bytes, open_descriptors, resident_bytes, thread_busy_time,
    thread_cpu_time, usage_of,
};
