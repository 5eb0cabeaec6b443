//! A load generator for media servers, and the instrument that measures them: publishers and thousands of readers from one
//! process, at so little CPU time that the server is what limits a run, and figures that say when that was not so.
//!
//! [`Options`] say what is wanted; [`run`] makes the load, against a server that it starts itself or any other, and
//! measures it. The shape of a load is a [`shape::Load`]; what it has shown is a [`measured::Measured`]; `report` prints it.
//!
//! Latency is from the moment at which a packet was *due* at the publisher to that at which the kernel had it for the
//! reader, so that a server that holds a publisher up gains nothing by it. Packets carry that moment themselves
//! (`stream::probe`).
//!
//! Deliberately absent: the engine. What is measured runs in a process of its own, so nothing here may share a fault with
//! it.
#![forbid(unsafe_code)]

pub mod against;
mod baseline;
mod bench;
pub mod bounds;
mod clock;
mod cpus;
mod dialogue;
mod error;
pub mod limit;
pub mod limits;
pub mod measured;
mod options;
mod plan;
mod publishers;
mod readers;
pub mod report;
mod run;
pub mod shape;
mod soak;
mod sockets;
mod stage;
pub mod stream;
mod subject;
pub mod target;
pub mod validity;

pub use bench::{measure, run};
pub use error::BenchError;
pub use options::Options;
pub use run::Interrupt;
pub use soak::{SoakOptions, soak};
pub use subject::{ROLE_COMMAND, Role, RoleError, play};

use shardcast_platform::{Driver, DriverRequest, choose_driver};

/// The driver of our own event loops: the best that works here. io_uring has nothing to say to a connection that nobody
/// waits for, so that a server which sends to one wakes nobody; epoll hears of every packet of every connection.
fn driver() -> Result<Driver, BenchError> {
    let choice = choose_driver(DriverRequest::Auto).map_err(std::io::Error::other);
    Ok(choice.map_err(BenchError::io("no event loop"))?.driver)
}
