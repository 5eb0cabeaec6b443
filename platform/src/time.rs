//! The monotonic clock and sleeping, in the event loop's resolution of about a millisecond.

use std::future::Future;
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

/// Waits for `duration` from this call, never less. Dropping the future is safe.
///
/// # Panics
/// Outside [`crate::block_on`], when polled.
pub fn sleep(duration: Duration) -> impl Future<Output = ()> {
    sleep_in_parts(now().checked_add(duration))
}

/// Waits until `deadline`, never less. Dropping the future is safe.
///
/// # Panics
/// Outside [`crate::block_on`], when polled.
pub fn sleep_until(deadline: Instant) -> impl Future<Output = ()> {
    sleep_in_parts(Some(deadline))
}

/// A deadline that no clock can show never comes.
async fn sleep_in_parts(deadline: Option<Instant>) {
    loop {
        let farthest = now() + SLEEP_MAX;
        let next = deadline.map_or(farthest, |deadline| deadline.min(farthest));
        backend::sleep_until(next).await;
        if deadline.is_some_and(|deadline| deadline <= next) {
            return;
        }
    }
}
