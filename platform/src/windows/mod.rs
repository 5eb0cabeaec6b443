//! What Windows is asked for beyond the event loop: CPUs and their quota, console events, the
//! timer's resolution, and the options of sockets.

mod cpu;
mod datagrams;
mod signals;
mod socket;
mod stream;
/// Only compio's loop asks for it.
#[cfg(not(feature = "windows-monoio"))]
pub(crate) mod timer;
mod usage;

use std::io;

pub(crate) use cpu::{
    affinity, cpu_quota, lower_current_thread, pin_current_thread, precise_timers, run_on,
};
pub(crate) use datagrams::{
    SEGMENTS_MAX, interface_of, is_refusal_of_runs, prepare_datagrams, receive_datagrams,
    send_datagrams,
};
pub(crate) use signals::watch_signals;
pub(crate) use socket::{prepare_listener, set_not_sent_lowat, unacknowledged_bytes};
pub(crate) use stream::{
    discard_now, receive_now, send_now, send_slices_now, stamp_arrivals, take_now,
};
pub(crate) use usage::{
    memory_bytes, open_descriptors, resident_bytes, thread_busy_time, thread_cpu_time, usage_of,
};

/// Handles that a process can have: Windows has no other limit, and none to raise.
const HANDLES_MAX: u64 = 1 << 24;

/// The fixed limit.
pub(crate) fn raise_descriptor_limit() -> io::Result<u64> {
    Ok(HANDLES_MAX)
}

/// Memory runs out before handles do.
pub(crate) fn are_descriptors_scarce(_reserve: u64) -> bool {
    false
}
