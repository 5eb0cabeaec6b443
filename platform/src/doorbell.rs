//! Waking another shard, once per burst.
//!
//! A shard that has drained its rings declares itself asleep, looks again, and waits on its bell.
//! Whoever pushes into a ring afterwards finds it asleep and rings. The two fences make one of the
//! two see the other: either the sleeper sees the message, or the pusher sees the sleeper. Without
//! them a wake is lost; loom finds that (the model is in this file's tests).
//!
//! What is in the rings is the caller's: this code asks `has_something` only.

use std::io;
#[cfg(not(loom))]
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering, fence},
};

#[cfg(loom)]
use loom::sync::{
    Arc,
    atomic::{AtomicBool, Ordering, fence},
};

use crate::backend;

/// The pusher's side: any thread's.
#[derive(Clone)]
pub struct Doorbell {
    sleeping: Arc<Sleeping>,
    ringer: backend::Ringer,
}

/// The waiter's side on its way to its shard.
pub struct DoorbellSeat {
    sleeping: Arc<Sleeping>,
    seat: backend::BellSeat,
}

/// The waiter's side, on its shard's event loop.
pub struct DoorbellWaiter {
    sleeping: Arc<Sleeping>,
    bell: backend::Bell,
}

impl Doorbell {
    /// A doorbell and its seat.
    ///
    /// # Errors
    /// When descriptors have run out.
    pub fn pair() -> io::Result<(Doorbell, DoorbellSeat)> {
        let (ringer, seat) = backend::bell()?;
        let sleeping = Arc::new(Sleeping::new());
        Ok((
            Doorbell {
                sleeping: Arc::clone(&sleeping),
                ringer,
            },
            DoorbellSeat { sleeping, seat },
        ))
    }

    /// Wakes the waiter if it sleeps; call it after pushing, once per burst. Says whether it rang:
    /// a ring costs a system call, and its absence a fence and a load.
    pub fn ring(&self) -> bool {
        let rings = self.sleeping.must_ring();
        if rings {
            self.ringer.ring();
        }
        rings
    }
}

impl DoorbellSeat {
    /// Takes the seat on this thread's event loop.
    ///
    /// # Errors
    /// When the driver cannot register it.
    ///
    /// # Panics
    /// Outside [`crate::block_on`].
    pub fn attach(self) -> io::Result<DoorbellWaiter> {
        Ok(DoorbellWaiter {
            sleeping: self.sleeping,
            bell: backend::attach(self.seat)?,
        })
    }
}

impl DoorbellWaiter {
    /// Returns once `has_something` is true or somebody rang. It may return without cause: the
    /// caller drains its rings and waits again. Dropping the future is safe.
    pub async fn wait(&mut self, has_something: impl FnMut() -> bool) {
        if self.sleeping.fall_asleep(has_something) {
            self.bell.wait().await;
            self.sleeping.rise();
        }
    }
}

/// The flag and its fences; it ships as loom has seen it.
///
/// Every change is a swap: each then follows the one before it, and a ring for an earlier sleep
/// cannot be taken for one of the present sleep.
struct Sleeping(AtomicBool);

impl Sleeping {
    fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Declares the caller asleep unless there is something to do.
    fn fall_asleep(&self, mut has_something: impl FnMut() -> bool) -> bool {
        if has_something() {
            return false;
        }
        self.0.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        if has_something() {
            self.rise();
            return false;
        }
        true
    }

    /// After a ring the flag is down already; after a wake-up without one it is not.
    fn rise(&self) {
        self.0.swap(false, Ordering::AcqRel);
    }

    /// Whether the waiter sleeps; only one of those who ask is told so.
    fn must_ring(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::AcqRel)
    }
}

impl std::fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Doorbell")
    }
}

impl std::fmt::Debug for DoorbellSeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DoorbellSeat")
    }
}

impl std::fmt::Debug for DoorbellWaiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DoorbellWaiter")
    }
}

/// What loom sees: `RUSTFLAGS="--cfg loom" cargo test -p shardcast-platform --lib doorbell`.
#[cfg(all(test, loom))]
mod model {
    use loom::sync::atomic::AtomicUsize;
    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread;

    use super::*;

    /// A ring's stand-in counts its messages, and a flag that can be waited for stands in for the
    /// system's bell.
    #[derive(Clone)]
    struct Ends {
        sleeping: Arc<Sleeping>,
        bell: Arc<(Mutex<bool>, Condvar)>,
        pushed: Arc<AtomicUsize>,
    }

    impl Ends {
        fn new() -> Self {
            Self {
                sleeping: Arc::new(Sleeping::new()),
                bell: Arc::new((Mutex::new(false), Condvar::new())),
                pushed: Arc::new(AtomicUsize::new(0)),
            }
        }

        fn push(&self) {
            self.pushed.fetch_add(1, Ordering::Release);
            if self.sleeping.must_ring() {
                *self.bell.0.lock().expect("no panic") = true;
                self.bell.1.notify_one();
            }
        }

        fn wait(&self) {
            let mut rung = self.bell.0.lock().expect("no panic");
            while !*rung {
                rung = self.bell.1.wait(rung).expect("no panic");
            }
            *rung = false;
        }

        /// Loom reports a deadlock when a wake is lost.
        fn receive(&self, messages: usize) {
            let mut received = 0;
            while received < messages {
                let has_something = || self.pushed.load(Ordering::Acquire) > received;
                if self.sleeping.fall_asleep(has_something) {
                    self.wait();
                    self.sleeping.rise();
                }
                received = self.pushed.load(Ordering::Acquire);
            }
        }
    }

    /// All interleavings are too many, and a lost wake needs few switches.
    fn model() -> loom::model::Builder {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model
    }

    #[test]
    fn no_wake_is_lost_between_two_threads() {
        model().check(|| {
            let ends = Ends::new();
            let pusher = ends.clone();
            let pushing = thread::spawn(move || {
                pusher.push();
                pusher.push();
            });
            ends.receive(2);
            pushing.join().expect("it pushed");
        });
    }

    #[test]
    fn no_wake_is_lost_among_two_pushers() {
        model().check(|| {
            let ends = Ends::new();
            let pushing = [ends.clone(), ends.clone()].map(|end| thread::spawn(move || end.push()));
            ends.receive(2);
            for thread in pushing {
                thread.join().expect("it pushed");
            }
        });
    }
}
