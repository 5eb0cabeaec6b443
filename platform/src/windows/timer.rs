//! The resolution of the system's timer, which is 15.6 ms unless a process asks for better.

use windows_sys::Win32::Media::{TIMERR_NOERROR, timeBeginPeriod, timeEndPeriod};

/// The finest that every Windows grants. A batch waits for milliseconds, so 15 would be its whole budget.
const RESOLUTION_MS: u32 = 1;

/// Holds the fine resolution; requests of several threads nest.
pub(crate) struct FineTimer {
    granted: bool,
}

impl FineTimer {
    /// Asks for it. Where it is refused, timers are late and nothing else is wrong.
    pub(crate) fn request() -> Self {
        // SAFETY: takes a number, no memory.
        let granted = unsafe { timeBeginPeriod(RESOLUTION_MS) } == TIMERR_NOERROR;
        Self { granted }
    }
}

impl Drop for FineTimer {
    fn drop(&mut self) {
        if self.granted {
            // SAFETY: ends the request of `request`.
            unsafe { timeEndPeriod(RESOLUTION_MS) };
        }
    }
}
