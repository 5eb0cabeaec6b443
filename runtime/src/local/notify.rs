//! A wake-up between two tasks of one shard. One task waits, any task of the same shard notifies;
//! one notification is remembered, so none is lost between two waits. Nothing is allocated, no
//! atomic is touched.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Wakes the one task that waits for it. Not `Send`: both sides live on one shard.
#[derive(Default)]
pub struct Notify {
    pending: Cell<bool>,
    waiting: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Notify {
    /// Nothing is pending, nobody waits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the waiting task go on, or the next one that waits. Several notifications before a wait
    /// are one.
    pub fn notify(&self) {
        if self.pending.replace(true) {
            return;
        }
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether a notification waits to be taken.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.pending.get()
    }

    /// Resolves at the next notification, or at once if one is pending. Dropping it loses nothing.
    ///
    /// # Panics
    /// If another wait on this `Notify` is alive: there is one waiter, and a second would steal its
    /// wake-ups.
    pub fn notified(&self) -> Notified<'_> {
        let already = self.waiting.replace(true);
        assert!(!already, "a Notify has one waiter");
        Notified { notify: self }
    }
}

impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify")
            .field("pending", &self.pending.get())
            .finish()
    }
}

/// The wait for a [`Notify`].
#[derive(Debug)]
#[must_use = "a wait does nothing unless it is awaited"]
pub struct Notified<'a> {
    notify: &'a Notify,
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.notify.pending.replace(false) {
            return Poll::Ready(());
        }
        let mut waker = self.notify.waker.borrow_mut();
        match waker.as_mut() {
            Some(waker) => waker.clone_from(context.waker()),
            None => *waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        self.notify.waiting.set(false);
        self.notify.waker.borrow_mut().take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::testing::{poll_once, wakes};
    use std::pin::pin;

    #[test]
    fn a_notification_before_the_wait_is_remembered_once() {
        let notify = Notify::new();
        notify.notify();
        notify.notify();
        assert!(poll_once(pin!(notify.notified())).is_ready());
        assert!(poll_once(pin!(notify.notified())).is_pending());
    }

    #[test]
    fn a_waiting_task_is_woken_once_per_burst() {
        let notify = Notify::new();
        let (count, waker) = wakes();
        let mut wait = pin!(notify.notified());
        let mut context = Context::from_waker(&waker);
        assert!(wait.as_mut().poll(&mut context).is_pending());
        notify.notify();
        notify.notify();
        assert_eq!(count.count(), 1);
        assert!(wait.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn a_dropped_wait_loses_no_notification() {
        let notify = Notify::new();
        {
            let wait = pin!(notify.notified());
            assert!(poll_once(wait).is_pending());
        }
        notify.notify();
        assert!(poll_once(pin!(notify.notified())).is_ready());
    }

    #[test]
    fn a_wait_that_was_notified_but_dropped_unpolled_leaves_it_to_the_next() {
        let notify = Notify::new();
        {
            let mut wait = pin!(notify.notified());
            assert!(poll_once(wait.as_mut()).is_pending());
            notify.notify();
        }
        assert!(poll_once(pin!(notify.notified())).is_ready());
    }

    #[test]
    #[should_panic(expected = "a Notify has one waiter")]
    fn a_second_waiter_is_a_programming_error() {
        let notify = Notify::new();
        let _first = notify.notified();
        let _second = notify.notified();
    }
}
