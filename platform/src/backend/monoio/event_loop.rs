//! A thread's event loop: monoio's runtime with timers, our turns, and an orderly end.

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use monoio::IoUringDriver;
use monoio::{LegacyDriver, Runtime, RuntimeBuilder};

#[cfg(target_os = "linux")]
use super::choice::uring;
use super::{lent, turn};
use crate::backend::running::{self, Running};
use crate::backend::tasks;
use crate::driver::Driver;

/// Turns in which the operations of ended tasks normally complete; after them it waits by timer.
const END_TURNS: usize = 16;

/// How long the end of a loop waits for operations that do not complete. What is left then is
/// leaked, with its buffers.
const END_WAIT: Duration = Duration::from_secs(1);

pub(crate) fn block_on<F: Future>(driver: Driver, future: F) -> io::Result<F::Output> {
    assert!(is_ours(driver), "{driver} is not a driver of monoio here");
    let here = Here::enter(driver);
    match driver {
        #[cfg(target_os = "linux")]
        Driver::IoUring => {
            let builder = RuntimeBuilder::<IoUringDriver>::new()
                .with_entries(uring::SUBMISSIONS)
                .uring_builder(uring::builder());
            run(builder.enable_timer().build()?, &here, future)
        }
        _ => {
            let builder = RuntimeBuilder::<LegacyDriver>::new();
            run(builder.enable_timer().build()?, &here, future)
        }
    }
}

/// Runs `future` as a task of this thread's loop.
pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
    // Dropping the handle detaches the task.
    drop(monoio::spawn(tasks::task(future)));
}

pub(crate) fn sleep_until(deadline: Instant) -> impl Future<Output = ()> {
    monoio::time::sleep_until(monoio::time::Instant::from_std(deadline))
}

/// Whether sockets are to block: io_uring waits for them itself, and ends an operation on a
/// non-blocking one with `EAGAIN`; the others need them not to block.
pub(super) fn wants_blocking_sockets() -> bool {
    running::driver() == Some(Driver::IoUring)
}

fn run<D, F>(mut runtime: Runtime<D>, _here: &Here, future: F) -> io::Result<F::Output>
where
    D: monoio::Driver,
    F: Future,
{
    let result = runtime.block_on(turn::with_turns(async {
        let output = future.await;
        end_tasks().await;
        output
    }));
    if lent::any() {
        // The kernel still owns buffers, and the runtime would free them under it.
        std::mem::forget(runtime);
    }
    result
}

/// Ends every task, and runs the loop until the kernel has given every buffer back.
async fn end_tasks() {
    tasks::begin_end();
    let deadline = Instant::now() + END_WAIT;
    for turns in 0.. {
        let is_quiet = tasks::all_ended() && !lent::any();
        if is_quiet || Instant::now() >= deadline {
            return;
        }
        if turns < END_TURNS {
            turn::yield_now().await;
        } else {
            sleep_until(Instant::now() + Duration::from_millis(1)).await;
        }
    }
}

/// Marks the thread, and clears what the loop left in its thread-locals, after a panic too.
struct Here(Running);

impl Here {
    fn enter(driver: Driver) -> Self {
        let running = Running::enter(driver);
        turn::reset();
        Here(running)
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        turn::reset();
    }
}

fn is_ours(driver: Driver) -> bool {
    match driver {
        Driver::IoUring | Driver::Epoll => cfg!(target_os = "linux"),
        Driver::Kqueue => cfg!(target_os = "macos"),
        Driver::Iocp => cfg!(windows),
        Driver::Glommio => false,
    }
}
