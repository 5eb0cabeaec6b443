//! Waiting for what announces itself to nobody: a port that begins to answer, a child process that ends, the time at
//! which a frame is due.
//!
//! The only place in the tests that sleeps, and never as synchronisation: a condition is asked again until it
//! holds, so a slow machine makes a test slower, not wrong.

use std::thread;
use std::time::{Duration, Instant};

/// How long one sleep between two questions lasts: short against everything that is waited for.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Asks `ready` until it answers, or until `limit` has passed. It is asked at least once.
pub fn poll_until<T>(limit: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ready() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Lets `due` come, as a sender does that sends each frame when it is due.
pub fn wait_until(due: Instant) {
    thread::sleep(due.saturating_duration_since(Instant::now()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_the_wait() {
        let mut asked = 0;
        let answer = poll_until(Duration::from_secs(60), || {
            asked += 1;
            (asked == 3).then_some(asked)
        });
        assert_eq!(answer, Some(3));
    }

    #[test]
    fn a_wait_without_an_answer_ends_at_its_limit() {
        assert_eq!(poll_until(Duration::ZERO, || None::<()>), None);
    }
}
