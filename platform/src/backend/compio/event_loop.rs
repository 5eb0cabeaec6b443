//! The event loop of one Windows thread: compio's executor and completion port, driven by a loop
//! of our own.
//!
//! compio's `block_on` has habits that a shard cannot live with, so the loop sits here and uses
//! compio's public parts. (1) A wake on the same thread marks the driver as notified, and a
//! notified driver skips the completion port: tasks that keep waking each other would starve the
//! sockets. The mark is taken away before every poll. (2) The driver overwrites that mark with a
//! plain store after a poll, so that a wake from another thread can fall between the store and the
//! look at the queues: a full fence stands between the two here. (3) A panic in a detached task is
//! swallowed: here it ends `block_on`, as on the other backends. (4) What is left when `block_on`
//! ends is leaked while the system still uses it: here it is cancelled and awaited.
//!
//! Everything is per thread. Other threads reach the loop through a bell only (`bell.rs`).

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use compio::runtime::Runtime;

use super::turns::{self, Registration, Turns};
use crate::driver::Driver;
use crate::windows::timer::FineTimer;

/// How many task polls one turn may take before the completion port is looked at: the size of a
/// wake slice, so that one slice costs one system call.
const POLLS_PER_TURN: usize = 128;

/// How long the loop's end waits for cancelled operations. The system ends them at once; one that
/// it does not end keeps its memory for good, which is safe.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest single wait for the port, whose count of milliseconds has 32 bits; then the loop
/// just looks again.
const WAIT_MAX: Duration = Duration::from_secs(60 * 60);

/// Wakes the future that `block_on` was given.
struct MainWaker {
    woken: AtomicBool,
    thread: ThreadId,
    driver: Waker,
}

impl Wake for MainWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        if thread::current().id() != self.thread {
            self.driver.wake_by_ref();
        }
    }
}

/// Builds this thread's event loop and runs `future` on it to its end.
///
/// # Errors
/// When the system gives no completion port.
///
/// # Panics
/// When the thread runs a loop already, when `driver` is of another system, and with the panic of
/// a task.
pub(crate) fn block_on<F: Future>(driver: Driver, future: F) -> io::Result<F::Output> {
    assert_eq!(driver, Driver::Iocp, "{driver} is not a driver of Windows");
    let turns = Rc::new(Turns::default());
    let _registration = Registration::new(&turns);
    let _fine_timer = FineTimer::request();
    let runtime = Runtime::builder().event_interval(POLLS_PER_TURN).build()?;
    let output = catch_unwind(AssertUnwindSafe(|| {
        runtime.enter(|| run(&runtime, &turns, future))
    }));
    runtime.enter(|| close(&runtime, &turns));
    Ok(output.unwrap_or_else(|panic| resume_unwind(panic)))
}

fn run<F: Future>(runtime: &Runtime, turns: &Turns, future: F) -> F::Output {
    let main = Arc::new(MainWaker {
        woken: AtomicBool::new(true),
        thread: thread::current().id(),
        driver: runtime.waker(),
    });
    let waker = Waker::from(Arc::clone(&main));
    let mut future = std::pin::pin!(future);
    loop {
        if main.woken.swap(false, Ordering::SeqCst)
            && let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker))
        {
            return output;
        }
        let busy = runtime.run();
        if let Some(panic) = turns.take_panic() {
            resume_unwind(panic);
        }
        let busy = busy || turns.has_yielded() || main.woken.load(Ordering::SeqCst);
        look_at_port(runtime, busy);
        turns.hear_bells();
        turns.wake_yielded();
    }
}

/// Takes completions and due timers; waits for them when nothing is ready to run.
fn look_at_port(runtime: &Runtime, busy: bool) {
    let notified = runtime.flush();
    let timeout = if busy || notified {
        Some(Duration::ZERO)
    } else {
        runtime.current_timeout().map(whole_milliseconds)
    };
    runtime.poll_with(timeout);
    // The driver has marked itself awake by a plain store. Whoever rings from now on sees that
    // mark, and whoever rang before is seen by the looks at bells and queues that follow.
    fence(Ordering::SeqCst);
}

/// The port counts whole milliseconds and rounds down; rounded down, the last fraction before a
/// deadline would be spent spinning.
fn whole_milliseconds(timeout: Duration) -> Duration {
    let milliseconds = timeout.min(WAIT_MAX).as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
}

/// Drops the tasks that are left, which cancels their operations, and awaits those.
fn close(runtime: &Runtime, turns: &Turns) {
    turns.drop_tasks();
    let deadline = Instant::now() + CLOSE_TIMEOUT;
    while turns.in_flight() > 0 && Instant::now() < deadline {
        runtime.flush();
        runtime.poll_with(Some(whole_milliseconds(
            deadline.saturating_duration_since(Instant::now()),
        )));
    }
}

/// Runs `future` as a detached task of this thread's loop.
pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
    compio::runtime::spawn(turns::task(future)).detach();
}

/// Lets every other ready task and the completion port have a turn.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        Turns::current().add_yielded(context.waker().clone());
        Poll::Pending
    })
    .await;
}

/// Waits until `deadline`.
pub(crate) async fn sleep_until(deadline: Instant) {
    compio::time::sleep_until(deadline).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_for_the_port_never_ends_before_its_deadline() {
        assert_eq!(whole_milliseconds(Duration::ZERO), Duration::ZERO);
        assert_eq!(
            whole_milliseconds(Duration::from_nanos(1)),
            Duration::from_millis(1)
        );
        assert_eq!(
            whole_milliseconds(Duration::from_millis(7)),
            Duration::from_millis(7)
        );
        assert_eq!(whole_milliseconds(Duration::MAX), WAIT_MAX);
    }

    #[test]
    fn tasks_that_keep_waking_each_other_do_not_starve_timers() {
        block_on(Driver::Iocp, async {
            spawn(async {
                loop {
                    yield_now().await;
                }
            });
            sleep_until(Instant::now() + Duration::from_millis(5)).await;
        })
        .expect("a completion port");
    }

    #[test]
    #[should_panic(expected = "of a task")]
    fn a_panic_of_a_task_ends_the_loop() {
        drop(block_on(Driver::Iocp, async {
            spawn(async { panic!("of a task") });
            std::future::pending::<()>().await;
        }));
    }

    #[test]
    fn tasks_that_are_left_are_dropped_with_the_loop() {
        let kept = Rc::new(());
        let inside = Rc::clone(&kept);
        block_on(Driver::Iocp, async {
            spawn(async move {
                std::future::pending::<()>().await;
                drop(inside);
            });
            yield_now().await;
        })
        .expect("a completion port");
        assert_eq!(Rc::strong_count(&kept), 1);
    }
}
