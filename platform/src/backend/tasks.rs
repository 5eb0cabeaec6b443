//! Tasks that end with their event loop.
//!
//! monoio and glommio leave tasks that wait when the loop ends to themselves: a task holds its
//! operation, the operation the driver, and the driver the task's waker. That ring of references
//! would keep their sockets open for ever. So each task is known here by its waker; at the end all
//! are woken, and end instead of going on.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

thread_local! {
    static TASKS: RefCell<Tasks> = const { RefCell::new(Tasks::new(0)) };
}

/// The tasks of this thread's loop, by key. How many there are is the caller's to bound.
struct Tasks {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
    alive: usize,
    ending: bool,
    /// Counts the thread's loops: what a loop that panicked left behind is none of the next one's.
    epoch: u64,
}

impl Tasks {
    const fn new(epoch: u64) -> Self {
        Self {
            wakers: Vec::new(),
            free: Vec::new(),
            alive: 0,
            ending: false,
            epoch,
        }
    }

    fn join(&mut self, waker: &Waker) -> usize {
        let key = self.free.pop().unwrap_or(self.wakers.len());
        if key == self.wakers.len() {
            self.wakers.push(None);
        }
        self.wakers[key] = Some(waker.clone());
        key
    }

    fn leave(&mut self, epoch: u64, key: Option<usize>) -> Option<Waker> {
        if epoch != self.epoch {
            return None;
        }
        self.alive -= 1;
        let key = key?;
        self.free.push(key);
        self.wakers[key].take()
    }
}

/// Makes a task of `future`; what is returned is to be run by the backend's own spawn.
pub(super) fn task<F: Future<Output = ()>>(future: F) -> Task<F> {
    let epoch = TASKS.with_borrow_mut(|tasks| {
        tasks.alive += 1;
        tasks.epoch
    });
    Task {
        epoch,
        key: None,
        future,
    }
}

/// Forgets every task, before a loop begins and after it has ended.
pub(super) fn reset() {
    let next = Tasks::new(TASKS.with_borrow(|tasks| tasks.epoch + 1));
    let left = TASKS.replace(next);
    drop(left);
}

/// Makes every task end with its next turn, and wakes it for that.
pub(super) fn begin_end() {
    let wakers: Vec<_> = TASKS.with_borrow_mut(|tasks| {
        tasks.ending = true;
        tasks.wakers.iter().flatten().cloned().collect()
    });
    wakers.into_iter().for_each(Waker::wake);
}

/// Whether every task has ended.
pub(super) fn all_ended() -> bool {
    TASKS.with_borrow(|tasks| tasks.alive == 0)
}

pin_project! {
    pub(super) struct Task<F> {
        epoch: u64,
        key: Option<usize>,
        #[pin]
        future: F,
    }

    impl<F> PinnedDrop for Task<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let (epoch, key) = (*this.epoch, *this.key);
            // The thread may be ending, and its locals with it.
            let _ = TASKS.try_with(|tasks| {
                let mut tasks = tasks.borrow_mut();
                let waker = tasks.leave(epoch, key);
                drop(tasks);
                drop(waker);
            });
        }
    }
}

impl<F: Future<Output = ()>> Future for Task<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if TASKS.with_borrow(|tasks| tasks.ending) {
            return Poll::Ready(());
        }
        if this.key.is_none() {
            *this.key = Some(TASKS.with_borrow_mut(|tasks| tasks.join(context.waker())));
        }
        this.future.poll(context)
    }
}
