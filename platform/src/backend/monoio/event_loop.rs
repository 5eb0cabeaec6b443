//! A thread's event loop: monoio's runtime with timers, our turns, and an orderly end.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::time::Instant;

#[cfg(target_os = "linux")]
use monoio::IoUringDriver;
use monoio::{LegacyDriver, Runtime, RuntimeBuilder};

#[cfg(target_os = "linux")]
use super::choice::uring;
use super::{lent, tasks, turn};
use crate::driver::Driver;

thread_local! {
    /// Which driver's event loop runs on this thread.
    static RUNNING: Cell<Option<Driver>> = const { Cell::new(None) };
}

pub(crate) fn block_on<F: Future>(driver: Driver, future: F) -> io::Result<F::Output> {
    let running = Running::enter(driver);
    match driver {
        #[cfg(target_os = "linux")]
        Driver::IoUring => {
            let builder = RuntimeBuilder::<IoUringDriver>::new()
                .with_entries(uring::SUBMISSIONS)
                .uring_builder(uring::builder());
            run(builder.enable_timer().build()?, &running, future)
        }
        _ => {
            let builder = RuntimeBuilder::<LegacyDriver>::new();
            run(builder.enable_timer().build()?, &running, future)
        }
    }
}

pub(crate) fn sleep_until(deadline: Instant) -> impl Future<Output = ()> {
    monoio::time::sleep_until(monoio::time::Instant::from_std(deadline))
}

/// Whether sockets are to block: io_uring waits for them itself, and ends an operation on a
/// non-blocking one with `EAGAIN`; the others need them not to block.
pub(super) fn wants_blocking_sockets() -> bool {
    RUNNING.get() == Some(Driver::IoUring)
}

fn run<D, F>(mut runtime: Runtime<D>, _running: &Running, future: F) -> io::Result<F::Output>
where
    D: monoio::Driver,
    F: Future,
{
    let result = runtime.block_on(turn::with_turns(async {
        let output = future.await;
        tasks::end_all().await;
        output
    }));
    if lent::any() {
        // The kernel still owns buffers, and the runtime would free them under it.
        std::mem::forget(runtime);
    }
    result
}

/// Marks the thread, and clears what the loop left in its thread-locals, after a panic too.
struct Running;

impl Running {
    fn enter(driver: Driver) -> Self {
        assert!(
            RUNNING.get().is_none(),
            "an event loop runs on this thread already"
        );
        assert!(is_ours(driver), "{driver} is not a driver of this system");
        RUNNING.set(Some(driver));
        tasks::reset();
        turn::reset();
        Running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        tasks::reset();
        turn::reset();
        RUNNING.set(None);
    }
}

fn is_ours(driver: Driver) -> bool {
    match driver {
        Driver::IoUring | Driver::Epoll => cfg!(target_os = "linux"),
        Driver::Kqueue => cfg!(target_os = "macos"),
        Driver::Iocp => cfg!(windows),
    }
}
