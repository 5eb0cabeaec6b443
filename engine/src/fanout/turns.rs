//! Turns of readers that catch up over TCP. A group of pictures is many writes, and hundreds of readers may come at once: so
//! many of them write one of these, then all others on the shard have their turn, and the sockets theirs.
//!
//! Bounded by the readers that catch up: each stands in the queue at most once.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use shardcast_runtime::local::Notify;

/// Writes in a turn. Four of the largest are a mebibyte, half a millisecond's work.
const WRITES_PER_TURN: usize = 4;

/// Those who wait for their turn.
#[derive(Debug, Default)]
pub struct Turns {
    waiting: RefCell<VecDeque<Rc<Notify>>>,
    news: Notify,
}

impl Turns {
    /// Waits until the others have had their turn, and those who came before.
    pub async fn wait(&self) {
        let turn = Rc::new(Notify::new());
        self.waiting.borrow_mut().push_back(turn.clone());
        self.news.notify();
        turn.notified().await;
    }

    /// Gives turns for as long as the shard lives.
    pub async fn run(&self) {
        loop {
            self.news.notified().await;
            loop {
                shardcast_platform::yield_now().await;
                if !self.give_some() {
                    break;
                }
            }
        }
    }

    /// Lets those go on who are next; whether some are left.
    fn give_some(&self) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        let next = waiting.len().min(WRITES_PER_TURN);
        waiting.drain(..next).for_each(|turn| turn.notify());
        !waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_go_on_in_a_turn_in_the_order_in_which_they_came() {
        let turns = Turns::default();
        let came: Vec<Rc<Notify>> = (0..6).map(|_| Rc::new(Notify::new())).collect();
        turns.waiting.borrow_mut().extend(came.iter().cloned());
        let woken = || came.iter().filter(|turn| turn.is_pending()).count();
        assert!(turns.give_some());
        assert_eq!(woken(), WRITES_PER_TURN);
        assert!(came[0].is_pending() && !came[5].is_pending());
        assert!(!turns.give_some());
        assert_eq!(woken(), 6);
    }
}
