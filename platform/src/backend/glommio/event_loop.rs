//! A thread's event loop: glommio's executor, an orderly end, and turns for those who yield.
//!
//! glommio has habits that a shard cannot live with. (1) It runs a spawned task at once, within
//! the spawn, unless the task is put into a queue by name. (2) A task that yields goes to the end
//! of the queue, and the queue is run until it is empty before the kernel is asked again. Timers
//! are looked at after that; so a task that yields waits for the shortest timer. (3) When its
//! preemption timer fires before the queue has been looked at, it goes to sleep on a queue that is
//! not empty. Since the queue is always run dry, the timer is set beyond all reach. (4) A panic
//! unwinds through it and leaves tasks behind; here it is caught, and ends the loop in order.

use std::any::Any;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use glommio::TaskQueueHandle;
use glommio::timer::Timer;

use super::choice;
use crate::backend::running::Running;
use crate::backend::tasks;
use crate::driver::Driver;

/// When glommio would break off its queue of tasks: never, see above.
pub(super) const PREEMPTION: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The timer of a task that yields: short enough to be due when the queue has run dry, and long
/// enough not to be due before it has been set.
const TURN: Duration = Duration::from_micros(1);

type Panic = Box<dyn Any + Send>;

thread_local! {
    static FIRST_PANIC: RefCell<FirstPanic> = const { RefCell::new(FirstPanic::new()) };
}

/// The first panic of a task, and who waits for it.
struct FirstPanic {
    panic: Option<Panic>,
    waiting: Option<Waker>,
}

impl FirstPanic {
    const fn new() -> Self {
        Self {
            panic: None,
            waiting: None,
        }
    }
}

pub(crate) fn block_on<F: Future>(driver: Driver, future: F) -> io::Result<F::Output> {
    assert_eq!(driver, Driver::Glommio, "{driver} is not glommio's driver");
    let _running = Running::enter(driver);
    FIRST_PANIC.set(FirstPanic::new());
    let executor = choice::executor()?;
    let ended = executor.run(async {
        let ended = main(future).await;
        end_tasks().await;
        ended
    });
    drop(executor);
    Ok(ended.unwrap_or_else(|panic| resume_unwind(panic)))
}

/// Runs `future` to its end, or to the first panic.
async fn main<F: Future>(future: F) -> Result<F::Output, Panic> {
    let mut future = pin!(future);
    poll_fn(|context| {
        if let Some(panic) = take_panic(context) {
            return Poll::Ready(Err(panic));
        }
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}

fn take_panic(context: &Context<'_>) -> Option<Panic> {
    FIRST_PANIC.with_borrow_mut(|first| {
        first.waiting = Some(context.waker().clone());
        first.panic.take()
    })
}

fn keep_panic(panic: Panic) {
    let waiting = FIRST_PANIC.with_borrow_mut(|first| {
        first.panic.get_or_insert(panic);
        first.waiting.take()
    });
    if let Some(waker) = waiting {
        waker.wake();
    }
}

/// No buffer is in the kernel's hands, so a turn suffices for them.
async fn end_tasks() {
    FIRST_PANIC.set(FirstPanic::new());
    tasks::begin_end();
    while !tasks::all_ended() {
        yield_now().await;
    }
    // Polls that the tasks left behind are cancelled when the kernel is asked next.
    yield_now().await;
}

/// Runs `future` as a task of this thread's loop, after the caller.
pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
    let task = tasks::task(async move {
        let mut future = pin!(future);
        poll_fn(|context| poll_or_keep_panic(future.as_mut(), context)).await;
    });
    let spawned = glommio::spawn_local_into(task, TaskQueueHandle::default());
    spawned.expect("the first queue is always there").detach();
}

fn poll_or_keep_panic<F: Future<Output = ()>>(
    future: Pin<&mut F>,
    context: &mut Context<'_>,
) -> Poll<()> {
    catch_unwind(AssertUnwindSafe(|| future.poll(context))).unwrap_or_else(|panic| {
        keep_panic(panic);
        Poll::Ready(())
    })
}

/// Lets every other ready task, the sockets and the timers have a turn.
pub(crate) async fn yield_now() {
    loop {
        let mut timer = Timer::new(TURN);
        let mut waited = false;
        poll_fn(|context| {
            let due = Pin::new(&mut timer).poll(context);
            waited |= due.is_pending();
            due
        })
        .await;
        if waited {
            return;
        }
    }
}

/// Waits until `deadline`.
pub(crate) async fn sleep_until(deadline: Instant) {
    let left = deadline.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        Timer::new(left).await;
    }
}
