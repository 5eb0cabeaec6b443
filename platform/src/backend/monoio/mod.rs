//! The backend over monoio: io_uring and epoll on Linux, kqueue on macOS.
//!
//! What is worked around here is said where it happens: its loop and its timers in `turn`, its
//! dropped operations in `lent` and `stream`, its loop's end in `event_loop`.

mod bell;
mod choice;
mod datagrams;
mod event_loop;
mod lent;
mod listener;
mod stream;
mod turn;

pub(crate) use bell::{Bell, BellSeat, Ringer, attach, bell};
pub(crate) use choice::choose;
pub(crate) use datagrams::Datagrams;
pub(crate) use event_loop::{block_on, sleep_until, spawn};
pub(crate) use listener::{Acceptor, Listener, bind};
pub(crate) use stream::{ReadHalf, WriteHalf, adopt, connect, release};
pub(crate) use turn::yield_now;
