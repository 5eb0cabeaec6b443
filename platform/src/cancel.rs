//! Ending an operation in flight: ask, then await its end.
//!
//! A [`Cancel`] is raised by whoever decides (a session that ends, a shard that drains) and
//! observed by the reads, writes and accepts that were given it. The kernel's buffer comes back
//! in either case, with every byte that it had taken.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
#[cfg(any(unix, feature = "windows-monoio"))]
use std::task::RawWakerVTable;
use std::task::{Context, Poll, Waker};

/// How an operation with a [`Cancel`] ended. The operation *has* ended: its buffer is back.
#[derive(Debug)]
pub enum Outcome {
    /// It was carried out, with this result. It may have been cancelled too late.
    Done(io::Result<usize>),
    /// It was cancelled and has moved no byte.
    Cancelled,
}

/// A request to stop, shared by operations of one thread. Once raised it stays raised.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    shared: Rc<Shared>,
}

/// The wakers of the operations that wait, by key. There is one per operation in flight that was
/// given this `Cancel`, so their number is bounded by the tasks that hold one.
#[derive(Debug, Default)]
struct Shared {
    cancelled: Cell<bool>,
    waiting: RefCell<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Cancel {
    /// One that is not raised.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises it, and wakes every operation that waits with it.
    pub fn cancel(&self) {
        if self.shared.cancelled.replace(true) {
            return;
        }
        let wakers = std::mem::take(&mut *self.shared.waiting.borrow_mut()).wakers;
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Whether it has been raised.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.shared.cancelled.get()
    }

    /// Resolves when it is raised. Dropping the future is safe.
    #[must_use]
    pub fn cancelled(&self) -> Cancelled<'_> {
        Cancelled {
            shared: &self.shared,
            key: None,
        }
    }

    /// Waits for what may be dropped, until this is raised: then `None`.
    pub(crate) async fn or<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        let mut wait = pin!(wait);
        let mut cancelled = self.cancelled();
        poll_fn(|context| {
            if Pin::new(&mut cancelled).poll(context).is_ready() {
                return Poll::Ready(None);
            }
            wait.as_mut().poll(context).map(Some)
        })
        .await
    }
}

/// The future of [`Cancel::cancelled`].
#[derive(Debug)]
pub struct Cancelled<'a> {
    shared: &'a Shared,
    key: Option<usize>,
}

impl Future for Cancelled<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.shared.cancelled.get() {
            self.key = None;
            return Poll::Ready(());
        }
        let key = self
            .shared
            .waiting
            .borrow_mut()
            .park(self.key, context.waker());
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        // Raising it emptied the list, and no key is handed out after that.
        if let Some(key) = self.key.filter(|_| !self.shared.cancelled.get()) {
            self.shared.waiting.borrow_mut().leave(key);
        }
    }
}

/// The place of a task that does one operation after the other, each with the same `Cancel`: it is
/// kept from one to the next.
#[cfg(any(unix, feature = "windows-monoio"))]
#[derive(Default)]
pub(crate) struct Parking(Option<Parked>);

#[cfg(any(unix, feature = "windows-monoio"))]
struct Parked {
    shared: Rc<Shared>,
    key: usize,
    /// The waker that was parked, as it came. A clone of it is not told by its parts: the same
    /// table of functions may stand in a program more than once.
    data: *const (),
    vtable: *const RawWakerVTable,
}

#[cfg(any(unix, feature = "windows-monoio"))]
impl Parking {
    /// Whether `cancel` has been raised. Otherwise `waker` is woken when it is.
    pub(crate) fn is_raised(&mut self, cancel: &Cancel, waker: &Waker) -> bool {
        if cancel.is_cancelled() {
            return true;
        }
        let is_kept = self.0.as_ref();
        if !is_kept.is_some_and(|parked| parked.is_of(cancel, waker)) {
            // The old place is given up first.
            self.0 = None;
            self.0 = Some(Parked::park(cancel, waker));
        }
        false
    }
}

#[cfg(any(unix, feature = "windows-monoio"))]
impl Parked {
    fn park(cancel: &Cancel, waker: &Waker) -> Self {
        Self {
            key: cancel.shared.waiting.borrow_mut().park(None, waker),
            shared: Rc::clone(&cancel.shared),
            data: waker.data(),
            vtable: waker.vtable(),
        }
    }

    /// What is parked keeps its task's memory, so another task's waker has other data.
    fn is_of(&self, cancel: &Cancel, waker: &Waker) -> bool {
        Rc::ptr_eq(&self.shared, &cancel.shared)
            && self.data == waker.data()
            && std::ptr::eq(self.vtable, waker.vtable())
    }
}

#[cfg(any(unix, feature = "windows-monoio"))]
impl Drop for Parked {
    fn drop(&mut self) {
        // Raising it emptied the list, and no key is handed out after that.
        if !self.shared.cancelled.get() {
            self.shared.waiting.borrow_mut().leave(self.key);
        }
    }
}

impl Waiting {
    fn park(&mut self, key: Option<usize>, waker: &Waker) -> usize {
        let key = key.or_else(|| self.free.pop()).unwrap_or(self.wakers.len());
        if key == self.wakers.len() {
            self.wakers.push(None);
        }
        let place = &mut self.wakers[key];
        match place {
            Some(parked) if parked.will_wake(waker) => {}
            _ => *place = Some(waker.clone()),
        }
        key
    }

    fn leave(&mut self, key: usize) {
        self.wakers[key] = None;
        self.free.push(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[cfg(any(unix, feature = "windows-monoio"))]
    impl Shared {
        fn parked(&self) -> usize {
            self.waiting.borrow().wakers.iter().flatten().count()
        }
    }
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn raising_wakes_everyone_who_waits_once() {
        let counter = Arc::new(Counter::default());
        let waker = Waker::from(Arc::clone(&counter));
        let mut context = Context::from_waker(&waker);
        let cancel = Cancel::new();
        let mut first = cancel.cancelled();
        let mut second = cancel.cancelled();
        assert!(Pin::new(&mut first).poll(&mut context).is_pending());
        assert!(Pin::new(&mut first).poll(&mut context).is_pending());
        assert!(Pin::new(&mut second).poll(&mut context).is_pending());
        cancel.cancel();
        cancel.cancel();
        assert_eq!(counter.0.load(Ordering::Relaxed), 2);
        assert!(Pin::new(&mut first).poll(&mut context).is_ready());
        assert!(Pin::new(&mut second).poll(&mut context).is_ready());
        assert!(cancel.clone().is_cancelled());
    }

    #[cfg(any(unix, feature = "windows-monoio"))]
    #[test]
    fn a_place_is_kept_until_the_task_or_the_cancel_changes() {
        let wakers: [Waker; 2] = std::array::from_fn(|_| Arc::new(Counter::default()).into());
        let cancels = [Cancel::new(), Cancel::new()];
        let places = || cancels.each_ref().map(|cancel| cancel.shared.parked());
        let mut parking = Parking::default();
        for waker in [&wakers[0], &wakers[0], &wakers[1]] {
            assert!(!parking.is_raised(&cancels[0], waker));
            assert_eq!(places(), [1, 0]);
        }
        assert!(!parking.is_raised(&cancels[1], &wakers[1]));
        assert_eq!(places(), [0, 1]);
        cancels[1].cancel();
        assert!(parking.is_raised(&cancels[1], &wakers[1]));
        drop(parking);
        assert_eq!(places(), [0, 0]);
    }

    #[test]
    fn who_stops_waiting_leaves_a_place_for_the_next() {
        let waker = Waker::from(Arc::new(Counter::default()));
        let mut context = Context::from_waker(&waker);
        let cancel = Cancel::new();
        for _ in 0..1000 {
            let mut waiting = cancel.cancelled();
            assert!(Pin::new(&mut waiting).poll(&mut context).is_pending());
        }
        assert_eq!(cancel.shared.waiting.borrow().wakers.len(), 1);
    }
}
