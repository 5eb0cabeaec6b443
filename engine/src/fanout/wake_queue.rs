//! The logs of a shard that have news, served round-robin: some readers of one log are woken, then the next log has its
//! turn, and between turns the sockets have theirs. So a path of ten readers does not wait behind one of thousands.
//!
//! Bounded by the number of logs: each stands in the queue at most once.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use shardcast_runtime::local::Notify;

use super::shared_log::SharedLog;

/// How much is woken before the shard yields.
#[derive(Clone, Copy, Debug)]
pub struct WakeLimits {
    /// Most readers.
    pub readers: usize,
    /// Most bytes that they will write, as far as the newest batch tells.
    pub bytes: usize,
}

/// The logs that have news.
#[derive(Debug)]
pub struct WakeQueue {
    queue: RefCell<VecDeque<Rc<SharedLog>>>,
    news: Notify,
    limits: Cell<WakeLimits>,
}

impl WakeQueue {
    /// An empty queue.
    #[must_use]
    pub fn new(limits: WakeLimits) -> Self {
        Self {
            queue: RefCell::default(),
            news: Notify::new(),
            limits: Cell::new(limits),
        }
    }

    /// Slices are so large from now on.
    pub fn set_limits(&self, limits: WakeLimits) {
        self.limits.set(limits);
    }

    /// The log has news for all its readers.
    pub fn push(&self, log: &Rc<SharedLog>) {
        if log.readers() == 0 {
            return;
        }
        log.begin_round();
        if !log.queued.replace(true) {
            self.queue.borrow_mut().push_back(log.clone());
            self.news.notify();
        }
    }

    /// Wakes readers slice by slice for as long as the shard lives.
    pub async fn run(&self) {
        loop {
            while self.wake_slice() {
                shardcast_platform::yield_now().await;
            }
            self.news.notified().await;
        }
    }

    /// One turn of one log; whether another turn is due.
    fn wake_slice(&self) -> bool {
        let Some(log) = self.queue.borrow_mut().pop_front() else {
            return false;
        };
        let batch_bytes = log.log.borrow().newest().map_or(0, |batch| batch.bytes());
        let by_bytes = self.limits.get().bytes / batch_bytes.max(1);
        let more = log.wake_some(by_bytes.clamp(1, self.limits.get().readers));
        log.queued.set(more);
        let mut queue = self.queue.borrow_mut();
        if more {
            queue.push_back(log);
        }
        !queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fanout::log::tests::{ROOMY, batch_of, log_with};
    use std::sync::Arc;

    fn log_with_readers(readers: usize) -> (Rc<SharedLog>, Vec<Rc<super::super::ReaderSeat>>) {
        let log = SharedLog::new(log_with(ROOMY), &shardcast_runtime::Poison::new());
        log.log
            .borrow_mut()
            .append(Arc::new(batch_of(0, &[(0, true)])), drop);
        let seats = (0..readers).map(|_| log.seat()).collect();
        (log, seats)
    }

    fn woken(seats: &[Rc<super::super::ReaderSeat>]) -> usize {
        seats.iter().filter(|seat| seat.wake.is_pending()).count()
    }

    #[test]
    fn a_small_path_does_not_wait_behind_a_large_one() {
        let queue = WakeQueue::new(WakeLimits {
            readers: 100,
            bytes: usize::MAX,
        });
        let (large, large_seats) = log_with_readers(2000);
        let (small, small_seats) = log_with_readers(10);
        queue.push(&large);
        queue.push(&small);
        assert!(queue.wake_slice());
        assert!(queue.wake_slice());
        assert_eq!((woken(&large_seats), woken(&small_seats)), (100, 10));
    }

    #[test]
    fn every_reader_is_woken_once_a_round() {
        let queue = WakeQueue::new(WakeLimits {
            readers: 7,
            bytes: usize::MAX,
        });
        let (log, seats) = log_with_readers(50);
        queue.push(&log);
        let slices = 1 + std::iter::from_fn(|| queue.wake_slice().then_some(())).count();
        assert_eq!((woken(&seats), slices), (50, 8));
        assert_eq!(log.readers(), 50);
    }

    #[test]
    fn a_slice_is_bounded_in_bytes() {
        let queue = WakeQueue::new(WakeLimits {
            readers: 100,
            bytes: 60,
        });
        let (log, seats) = log_with_readers(10);
        queue.push(&log);
        queue.wake_slice();
        assert_eq!(woken(&seats), 3);
    }

    #[test]
    fn no_reader_is_passed_over_when_others_leave_during_a_round() {
        let queue = WakeQueue::new(WakeLimits {
            readers: 10,
            bytes: usize::MAX,
        });
        let (log, seats) = log_with_readers(100);
        queue.push(&log);
        queue.wake_slice();
        let served: Vec<_> = seats.iter().filter(|seat| seat.wake.is_pending()).collect();
        served.iter().step_by(3).for_each(|seat| log.leave(seat));
        while queue.wake_slice() {}
        assert_eq!((log.readers(), woken(&seats)), (96, 100));
    }

    #[test]
    fn readers_leave_in_any_order() {
        let (log, seats) = log_with_readers(5);
        for index in [0, 4, 2, 1, 3, 3] {
            log.leave(&seats[index]);
        }
        assert_eq!(log.readers(), 0);
    }
}
