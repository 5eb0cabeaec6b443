//! Tasks of a shard that wait for news from a thread that is none: an errand wakes them, all at once.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::task::Waker;

/// The tasks that wait. Bounded by those who may wait: each has one place.
#[derive(Debug, Default)]
pub struct News {
    waiting: RefCell<HashMap<u64, Waker>>,
    last: Cell<u64>,
}

impl News {
    /// A place for a task that will wait.
    pub fn place(&self) -> u64 {
        let place = self.last.get() + 1;
        self.last.set(place);
        place
    }

    /// Wakes the task at the next news.
    pub fn wake_at_next(&self, place: u64, waker: &Waker) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.insert(place, waker.clone());
    }

    /// Nobody waits in this place any more.
    pub fn leave(&self, place: u64) {
        self.waiting.borrow_mut().remove(&place);
    }

    /// There are news.
    pub fn tell(&self) {
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        waiting.into_values().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl std::task::Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn whoever_waits_is_woken_once_and_whoever_left_is_not() {
        let (stays, leaves) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
        let news = News::default();
        let (first, second) = (news.place(), news.place());
        news.wake_at_next(first, &stays.clone().into());
        news.wake_at_next(second, &leaves.clone().into());
        news.leave(second);
        news.tell();
        news.tell();
        assert_eq!(stays.0.load(Ordering::Relaxed), 1);
        assert_eq!(leaves.0.load(Ordering::Relaxed), 0);
    }
}
