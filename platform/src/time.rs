//! The monotonic clock and sleeping, in the event loop's resolution of about a millisecond.

use std::time::{Duration, Instant};

use crate::backend;

/// The longest single sleep that is asked of a backend; longer ones are slept in parts. The timer
/// wheel underneath ends at about 2.2 years.
const SLEEP_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Now, by the monotonic clock.
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Waits for `duration`, never less. Dropping the future is safe.
///
/// # Panics
/// Outside [`crate::block_on`].
pub async fn sleep(duration: Duration) {
    match now().checked_add(duration) {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Waits until `deadline`, never less. Dropping the future is safe.
///
/// # Panics
/// Outside [`crate::block_on`].
pub async fn sleep_until(deadline: Instant) {
    loop {
        let next = now() + SLEEP_MAX;
        if deadline <= next {
            return backend::sleep_until(deadline).await;
        }
        backend::sleep_until(next).await;
    }
}
