//! The waits of those who send datagrams: for the next burst of a large batch, and for a socket that takes no more. One
//! timer and one watched socket per shard serve all of them.
//!
//! Bounded by the tasks that send: each stands in a queue at most once.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use shardcast_runtime::local::Notify;

/// From one burst of a reader's datagrams to the next, at least.
pub(super) const BURST_INTERVAL: Duration = Duration::from_millis(1);

/// Tasks that wait until all of them are let go on together.
#[derive(Debug, Default)]
pub struct Pacer {
    waiting: RefCell<Vec<Rc<Notify>>>,
    news: Notify,
}

impl Pacer {
    /// Waits for the next turn; `turn` is the task's own, for as long as it lives.
    pub async fn wait(&self, turn: &Rc<Notify>) {
        self.waiting.borrow_mut().push(turn.clone());
        self.news.notify();
        turn.notified().await;
    }

    /// Gives a turn every millisecond while somebody waits.
    pub async fn run_by_timer(&self) {
        loop {
            self.news.notified().await;
            shardcast_platform::sleep(BURST_INTERVAL).await;
            self.give_turns();
        }
    }

    /// Gives a turn whenever somebody waits and `ready` has come.
    pub async fn run_by<F: Future<Output = ()>>(&self, ready: impl Fn() -> F) {
        loop {
            self.news.notified().await;
            ready().await;
            self.give_turns();
        }
    }

    fn give_turns(&self) {
        for turn in std::mem::take(&mut *self.waiting.borrow_mut()) {
            turn.notify();
        }
    }
}
