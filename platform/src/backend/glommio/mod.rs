//! The backend over glommio: io_uring on Linux, beside monoio and chosen by name alone.
//!
//! glommio keeps what it does with io_uring to itself, and reads and writes by plain calls on the
//! descriptor before it asks the ring when to try again. So does this backend: a buffer never is
//! in the kernel's hands, and an operation that is cancelled or dropped has moved no byte. What is
//! worked around is said where it happens: its task queue in `event_loop`, descriptors that are no
//! streams in `readiness`, its missing vectored write and release in `stream`, what it demands of
//! the machine in `choice`.

mod bell;
mod choice;
mod datagrams;
mod event_loop;
mod listener;
mod readiness;
mod stream;
mod transfer;

pub(crate) use bell::{Bell, attach};
pub(crate) use choice::choose;
pub(crate) use datagrams::Datagrams;
pub(crate) use event_loop::{block_on, sleep_until, spawn, yield_now};
pub(crate) use listener::Listener;
pub(crate) use stream::{ReadHalf, WriteHalf, adopt, connect, release};
