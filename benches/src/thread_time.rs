//! Criterion's measurement of what the calling thread has computed: its CPU time, user's and kernel's, not the time that
//! passed. Other work on the machine does not count, unless it takes caches away.
//!
//! The readings come from the system's clock of this thread; criterion adds, compares and prints them in nanoseconds, as it
//! does with time that passed. On Windows the clock moves by ticks of 15 ms, so only long runs say anything there.

use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use shardcast_platform::bare::thread_cpu_time;

/// CPU time of the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadTime;

impl ThreadTime {
    /// What the calling thread has had so far.
    ///
    /// # Panics
    /// When the system does not keep that figure: nothing can be measured then.
    #[must_use]
    pub fn now() -> Duration {
        thread_cpu_time().unwrap_or_else(|error| panic!("the CPU time of this thread: {error}"))
    }
}

impl Measurement for ThreadTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        Self::now()
    }

    fn end(&self, begun: Duration) -> Duration {
        Self::now().saturating_sub(begun)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn work_of_this_thread_counts_and_waiting_does_not() {
        let begun = ThreadTime.start();
        while ThreadTime::now() < begun + Duration::from_millis(20) {}
        let worked = ThreadTime.end(begun);
        assert!(worked >= Duration::from_millis(20));

        let begun = ThreadTime.start();
        let (done, waits) = mpsc::channel();
        let other = thread::spawn(move || {
            let begun = ThreadTime::now();
            while ThreadTime::now() < begun + Duration::from_millis(40) {}
            done.send(()).expect("it is waited for");
        });
        waits.recv().expect("the other thread has worked");
        other.join().expect("it ended");
        assert!(ThreadTime.end(begun) < Duration::from_millis(20));
    }

    #[test]
    fn figures_are_nanoseconds() {
        let one = ThreadTime.to_f64(&Duration::from_micros(1));
        assert!((one - 1000.0).abs() < f64::EPSILON);
        let mut values = [1000.0];
        assert_eq!(ThreadTime.formatter().scale_for_machines(&mut values), "ns");
    }
}
