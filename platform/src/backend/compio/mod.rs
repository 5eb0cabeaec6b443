//! The backend of Windows: compio over I/O completion ports.
//!
//! It gives what every backend gives: the event loop, tasks and timers, listeners and the halves of
//! streams, and the wake-up of one thread by another. What is particular here: a socket belongs to
//! one completion port for life, so that a thread of its own accepts (`door.rs`) and a live
//! connection never moves; and a write that the system keeps pending cannot be taken back without
//! harm to the connection, so that no single one is long (`operation.rs`).

mod bell;
mod datagrams;
mod door;
mod event_loop;
mod listener;
mod operation;
mod stream;
mod turns;

#[cfg(test)]
mod tests;

pub(crate) use bell::{Bell, BellSeat, Ringer, attach, bell};
pub(crate) use datagrams::Datagrams;
pub(crate) use event_loop::{block_on, sleep_until, spawn, yield_now};
pub(crate) use listener::{Acceptor, Listener, bind};
pub(crate) use stream::{ReadHalf, WriteHalf, adopt, connect, release};

use crate::driver::{Driver, DriverChoice, DriverError, DriverRequest};

/// There is one driver here.
pub(crate) fn choose(request: DriverRequest) -> Result<DriverChoice, DriverError> {
    let reason = match request {
        DriverRequest::Auto => "iocp is what Windows has",
        DriverRequest::Iocp => "iocp was asked for",
        DriverRequest::IoUring
        | DriverRequest::Epoll
        | DriverRequest::Kqueue
        | DriverRequest::Glommio => {
            return Err(DriverError::Absent {
                driver: request.name(),
            });
        }
    };
    Ok(DriverChoice {
        driver: Driver::Iocp,
        reason: reason.to_owned(),
    })
}
