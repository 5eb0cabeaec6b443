//! Yardsticks: the least that any server must do, by bare system calls, to measure ours against.
//!
//! [`Limit`] sends a batch to many sockets and does nothing else; [`Floor`] is a whole relay that does the least possible;
//! [`read_run_head`] reads what a server sends over UDP as cheaply as the kernel lets it.
//! They are for measurements: no configuration, no limits against hostile peers, no logging. [`thread_cpu_time`] is what
//! their work is measured in.
//!
//! All but the latter exist on Linux alone, whose system calls they are made of: who uses them says `cfg(target_os =
//! "linux")`, and tells its operator that elsewhere there is no yardstick.
//!
//! Deliberately absent: anything that makes them kinder to a peer than the shipped server is. A yardstick that does more
//! than it must would flatter what is measured.

#[cfg(target_os = "linux")]
mod epoll;
#[cfg(target_os = "linux")]
mod floor;
#[cfg(target_os = "linux")]
mod limit;
#[cfg(target_os = "linux")]
mod reader;
#[cfg(target_os = "linux")]
mod ring;

pub use crate::usage::thread_cpu_time;
#[cfg(target_os = "linux")]
pub use floor::{Floor, FloorDriver};
#[cfg(target_os = "linux")]
pub use limit::{Limit, LimitMode};
#[cfg(target_os = "linux")]
pub use reader::{bind_reader, read_datagrams, read_run_head};
