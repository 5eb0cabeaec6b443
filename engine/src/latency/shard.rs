//! Where the tasks of one shard record how late packets have left. Nothing here is seen by another thread: what others see
//! is copied out once a second.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::board::LatencyBoard;
use super::histogram::new_histogram;
use super::shared::{SharedLatency, WINDOW};
use crate::path::PathName;

/// The shard publishes so often.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

/// One path's latency on this shard, or that of all paths which have no histogram of their own.
#[derive(Debug)]
pub struct PathLatency {
    running: RefCell<Histogram<u32>>,
    /// Recorded since the last time that was published.
    news_us: Cell<u64>,
    has_news: Cell<bool>,
    window_began: Cell<Instant>,
    /// Windows that have passed since something was recorded.
    quiet_windows: Cell<u32>,
    shared: Arc<SharedLatency>,
}

impl PathLatency {
    /// Recorded here, published there.
    #[must_use]
    pub fn new(shared: Arc<SharedLatency>, now: Instant) -> Self {
        Self {
            running: RefCell::new(new_histogram()),
            news_us: Cell::new(0),
            has_news: Cell::new(false),
            window_began: Cell::new(now),
            quiet_windows: Cell::new(0),
            shared,
        }
    }

    /// So many packets have left so late.
    pub fn record(&self, latency_us: u64, packets: u32) {
        let mut running = self.running.borrow_mut();
        running.saturating_record_n(latency_us, packets);
        let sum_us = latency_us.saturating_mul(u64::from(packets));
        self.news_us.set(self.news_us.get().saturating_add(sum_us));
        self.has_news.set(true);
    }

    /// Copies out what is new; next time, if somebody else looks at it now.
    fn publish(&self, now: Instant) {
        let is_over = now.saturating_duration_since(self.window_began.get()) >= WINDOW;
        if !self.has_news.get() && !is_over {
            return;
        }
        let Some(mut published) = self.shared.try_lock() else {
            return;
        };
        let mut running = self.running.borrow_mut();
        published.publish(&running, self.news_us.replace(0));
        self.has_news.set(false);
        if is_over {
            published.begin_window(now);
            self.window_began.set(now);
            self.quiet_windows.set(match running.is_empty() {
                true => self.quiet_windows.get() + 1,
                false => 0,
            });
            running.reset();
        }
    }

    /// Nobody records here, and nothing is left to be seen.
    fn is_over(self: &Rc<Self>) -> bool {
        Rc::strong_count(self) == 1 && self.quiet_windows.get() > 1 && !self.has_news.get()
    }
}

/// All of a shard. Bounded by the paths that the board gives histograms to, and one more.
#[derive(Debug)]
pub struct ShardLatencies {
    shard: usize,
    board: Arc<LatencyBoard>,
    paths: RefCell<HashMap<PathName, Rc<PathLatency>>>,
    others: RefCell<Option<Rc<PathLatency>>>,
    last_published: Cell<Instant>,
}

impl ShardLatencies {
    /// Nothing yet.
    #[must_use]
    pub fn new(shard: usize, board: Arc<LatencyBoard>, now: Instant) -> Self {
        Self {
            shard,
            board,
            paths: RefCell::default(),
            others: RefCell::default(),
            last_published: Cell::new(now),
        }
    }

    /// Where a reader of this path has its writes recorded.
    #[must_use]
    pub fn of(&self, path: &PathName, now: Instant) -> Rc<PathLatency> {
        let mut paths = self.paths.borrow_mut();
        if let Some(known) = paths.get(path) {
            return known.clone();
        }
        if let Some(shared) = self.board.take_seat(path, self.shard, now) {
            let latency = Rc::new(PathLatency::new(shared, now));
            paths.insert(path.clone(), latency.clone());
            return latency;
        }
        let others = || Rc::new(PathLatency::new(self.board.others(self.shard, now), now));
        let mut known = self.others.borrow_mut();
        known.get_or_insert_with(others).clone()
    }

    /// Copies out what is new, if that is due.
    pub fn publish(&self, now: Instant) {
        if now.saturating_duration_since(self.last_published.get()) < PUBLISH_INTERVAL {
            return;
        }
        self.last_published.set(now);
        if let Some(others) = &*self.others.borrow() {
            others.publish(now);
        }
        self.paths.borrow_mut().retain(|path, latency| {
            latency.publish(now);
            let is_over = latency.is_over();
            if is_over {
                self.board.leave_seat(path);
            }
            !is_over
        });
    }
}
