//! Which driver's event loop runs on this thread.
//!
//! A backend enters before it builds its loop. Sockets, tasks and the choice between two backends
//! look here for where they are.

use std::cell::Cell;

use super::tasks;
use crate::driver::Driver;

thread_local! {
    static RUNNING: Cell<Option<Driver>> = const { Cell::new(None) };
}

/// Marks the thread for as long as it lives, after a panic too.
pub(super) struct Running;

impl Running {
    /// # Panics
    /// When a loop runs on this thread already.
    pub(super) fn enter(driver: Driver) -> Self {
        assert!(
            RUNNING.get().is_none(),
            "an event loop runs on this thread already"
        );
        RUNNING.set(Some(driver));
        tasks::reset();
        Running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        tasks::reset();
        RUNNING.set(None);
    }
}

/// The driver of this thread's loop.
pub(super) fn driver() -> Option<Driver> {
    RUNNING.get()
}
