//! What Linux and macOS are asked for beyond sockets and timers.

mod cgroup;
mod control;
mod cpu;
mod datagrams;
mod limit;
mod option;
mod signal;
mod stream;
mod usage;

use std::io;

pub(crate) use cpu::{
    affinity, cpu_quota, lower_current_thread, pin_current_thread, precise_timers, run_on,
};
#[cfg(target_os = "linux")]
pub(crate) use datagrams::receive_head;
pub(crate) use datagrams::{
    SEGMENTS_MAX, interface_of, is_refusal_of_runs, prepare_datagrams, receive_datagrams,
    send_datagrams,
};
#[cfg(all(target_os = "linux", feature = "glommio"))]
pub(crate) use limit::raise_lockable_memory_limit;
pub(crate) use limit::{are_descriptors_scarce, raise_descriptor_limit};
pub(crate) use option::unacknowledged_bytes;
pub(crate) use signal::watch_signals;
pub(crate) use stream::{
    discard_now, receive_now, send_now, send_slices_now, stamp_arrivals, take_now,
};
pub(crate) use usage::{
    memory_bytes, open_descriptors, resident_bytes, thread_busy_time, thread_cpu_time, usage_of,
};

/// Lets a restart bind while connections of the last run linger in TIME_WAIT. Here it does not let
/// a second listener in.
pub(crate) fn prepare_listener(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_reuse_address(true)
}

/// `TCP_NOTSENT_LOWAT`, which `socket2` has for Linux only.
#[cfg(not(target_os = "linux"))]
pub(crate) fn set_not_sent_lowat(socket: &socket2::Socket, bytes: u32) -> io::Result<()> {
    // <netinet/tcp.h> of macOS.
    const TCP_NOTSENT_LOWAT: libc::c_int = 0x201;
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    option::set_option(socket, libc::IPPROTO_TCP, TCP_NOTSENT_LOWAT, bytes)
}
