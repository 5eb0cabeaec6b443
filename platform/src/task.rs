//! A thread's event loop and the tasks on it.
//!
//! One thread calls [`block_on`]; what that future spawns runs on the same thread, interleaved at
//! its awaits, and ends with it.

use std::future::Future;
use std::io;

use crate::backend;
use crate::driver::Driver;

/// Builds an event loop with timers on this thread and runs `future` on it to its end.
///
/// Tasks that are still alive then are dropped, and their operations are cancelled and awaited, so
/// that no socket and no buffer outlives the loop. A panic of the future or of a task passes
/// through.
///
/// # Errors
/// When the driver cannot be set up on this thread.
///
/// # Panics
/// When this thread runs an event loop already, or when `driver` is not one of this system's.
pub fn block_on<F: Future>(driver: Driver, future: F) -> io::Result<F::Output> {
    backend::block_on(driver, future)
}

/// Starts a task on this thread's event loop; nobody waits for it.
///
/// # Panics
/// Outside [`block_on`].
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    backend::spawn(future);
}

/// Lets every other task that is ready, the sockets and the timers have a turn before the caller
/// goes on. Work that comes in slices yields between them. Dropping the future is safe.
///
/// # Panics
/// Outside [`block_on`].
pub async fn yield_now() {
    backend::yield_now().await;
}
