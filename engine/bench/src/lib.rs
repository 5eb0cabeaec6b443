//! A load generator for media servers, and the instrument that measures them: publishers and thousands of readers from one
//! process, at so little CPU time that the server is what limits a run, and figures that say when that was not so.
//!
//! [`Options`] say what is wanted; [`Bench::run`] makes the load, against a server that it starts itself or any other, and
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
mod dialogue;
mod error;
pub mod limit;
pub mod measured;
mod options;
mod readers;
pub mod report;
pub mod shape;
mod stage;
pub mod stream;
pub mod target;
pub mod validity;

pub use error::BenchError;
pub use options::Options;
