//! Egress: what a reader's connection writes. It takes packets from a log at the reader's cursor and hands the session one
//! vectored write; the session owns the socket.

mod begin;
mod cargo;
#[cfg(test)]
mod model;
mod own_headers;
mod reports;
mod taken;
mod tcp;
mod udp;

pub use begin::Begin;
pub use cargo::Cargo;
pub use taken::Taken;
pub use tcp::{Fill, TcpQueue, WRITE_BYTES_MAX};
pub use udp::{DatagramQueue, GOODBYE_AFTER, control_run, first_sequence, goodbye_runs};
