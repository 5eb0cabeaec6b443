//! The wall clock of a run: what probes and the kernel's stamps say, tied to the monotonic one that schedules follow.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    instant: Instant,
    unix_nanos: u64,
}

impl Clock {
    /// This moment.
    pub(crate) fn now() -> Self {
        // The wall clock is asked between two looks at the other, so that a pause in between shifts them by half of it.
        let before = Instant::now();
        let wall = SystemTime::now();
        let instant = before + before.elapsed() / 2;
        Self {
            instant,
            unix_nanos: unix_nanos(wall),
        }
    }

    /// What the wall clock says at that moment, if nobody sets it: nanoseconds since the Unix epoch.
    pub(crate) fn unix_nanos(&self, moment: Instant) -> u64 {
        let since = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        match moment.checked_duration_since(self.instant) {
            Some(after) => self.unix_nanos.saturating_add(since(after)),
            None => self.unix_nanos.saturating_sub(since(self.instant - moment)),
        }
    }

    /// By how much the wall clock has been set since.
    pub(crate) fn stepped(&self) -> Duration {
        let now = Self::now();
        Duration::from_nanos(now.unix_nanos.abs_diff(self.unix_nanos(now.instant)))
    }
}

/// Nanoseconds since the Unix epoch; 0 before it.
pub(crate) fn unix_nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_their_place_on_the_wall_clock() {
        let clock = Clock::now();
        let second = Duration::from_secs(1);
        let (before, after) = (clock.instant - second, clock.instant + second);
        assert_eq!(
            clock.unix_nanos(after) - clock.unix_nanos(before),
            2_000_000_000
        );
        assert!(clock.stepped() < Duration::from_secs(1));
    }
}
