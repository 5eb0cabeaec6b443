//! The ringing part of a doorbell on Linux: an eventfd, which counts rings in the kernel.
//!
//! Its hearing part is each backend's own: it waits until the counter is readable, and reads it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::Arc;

/// Any thread's end.
#[derive(Clone)]
pub(crate) struct Ringer(Arc<File>);

/// The end that hears, not on a loop yet.
pub(crate) struct BellSeat(File);

pub(crate) fn bell() -> io::Result<(Ringer, BellSeat)> {
    // SAFETY: it takes no pointers.
    let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open and nobody else's.
    let counter = File::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
    Ok((Ringer(Arc::new(counter.try_clone()?)), BellSeat(counter)))
}

impl Ringer {
    pub(crate) fn ring(&self) {
        // It fails only when the counter is full, and then the bell has been rung.
        let _ = (&*self.0).write(&1_u64.to_ne_bytes());
    }
}

impl BellSeat {
    /// What becomes readable with a ring, in non-blocking mode. Reading it clears it.
    pub(super) fn into_counter(self) -> File {
        self.0
    }
}
