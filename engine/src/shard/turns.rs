//! Turns of work of which hundreds of pieces may be ready at once: what is no media (connections that are accepted, requests,
//! handshakes, sessions that end), when a player reloads everywhere or a stream begins; and the many writes of readers that
//! catch up. Only so many have their turn in one round of the loop; then fan-out has its slice and the sockets theirs, and
//! the next ones follow, first come first served.
//!
//! What waits is bounded by the sessions and the listeners: each waits for one turn at a time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use shardcast_runtime::local::Notify;

/// Pieces of work in a round that are no media. A request takes 20 to 60 µs with its answer, PLAY and the end of a session
/// being the dearest, so that a round of them keeps media waiting for less than a millisecond.
pub(super) const SESSION_TURNS: usize = 16;

/// Writes of readers that catch up in a round. Four of the largest are a mebibyte, half a millisecond's work.
pub(super) const CATCH_UP_TURNS: usize = 4;

/// The turns of one kind of work on a shard.
#[derive(Debug)]
pub struct Turns {
    /// In a round.
    most: usize,
    /// Turns that this round has had.
    used: Cell<usize>,
    /// How many turns each wants, and what calls it.
    waiting: RefCell<VecDeque<(usize, Rc<Notify>)>>,
    news: Notify,
}

impl Turns {
    /// So many in each round.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            most,
            used: Cell::new(0),
            waiting: RefCell::default(),
            news: Notify::new(),
        }
    }

    /// Resolves when it is the caller's turn, which is at once unless much is going on. Dropping it gives a turn away that
    /// nobody has then.
    pub async fn wait(&self) {
        self.wait_for(1).await;
    }

    /// The same for work that is alone in its round, such as a TLS handshake: a signature takes up to a millisecond.
    pub async fn wait_alone(&self) {
        self.wait_for(self.most).await;
    }

    async fn wait_for(&self, turns: usize) {
        if self.waiting.borrow().is_empty() && self.take(turns) {
            return;
        }
        let called = Rc::new(Notify::new());
        self.waiting.borrow_mut().push_back((turns, called.clone()));
        called.notified().await;
    }

    /// Begins one round after the other while there is something to do, for as long as the shard lives.
    pub async fn run(&self) {
        loop {
            self.news.notified().await;
            while self.used.get() > 0 {
                shardcast_platform::yield_now().await;
                self.begin_round();
            }
        }
    }

    /// Calls those whose turn it is.
    fn begin_round(&self) {
        self.used.set(0);
        let mut waiting = self.waiting.borrow_mut();
        while waiting.front().is_some_and(|(turns, _)| self.take(*turns)) {
            if let Some((_, called)) = waiting.pop_front() {
                called.notify();
            }
        }
    }

    /// Takes so many turns of this round, if they are left.
    fn take(&self, turns: usize) -> bool {
        let used = self.used.get() + turns;
        let are_left = used <= self.most;
        if are_left {
            self.used.set(used);
            self.news.notify();
        }
        are_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn has_turn<F: Future>(future: Pin<&mut F>) -> bool {
        poll(future).is_ready()
    }

    /// Takes every turn of the round.
    fn use_up(turns: &Turns) {
        for _ in 0..SESSION_TURNS {
            assert!(has_turn(pin!(turns.wait())));
        }
    }

    #[test]
    fn what_comes_beyond_a_round_has_its_turn_in_the_next_one() {
        let turns = Turns::new(SESSION_TURNS);
        use_up(&turns);
        let mut late = pin!(turns.wait());
        assert!(!has_turn(late.as_mut()));
        turns.begin_round();
        assert!(has_turn(late));
    }

    #[test]
    fn a_round_has_no_more_than_its_turns_and_who_came_first_is_first() {
        let turns = Turns::new(SESSION_TURNS);
        use_up(&turns);
        let mut late: Vec<_> = (0..=SESSION_TURNS)
            .map(|_| Box::pin(turns.wait()))
            .collect();
        assert!(!late.iter_mut().any(|work| has_turn(work.as_mut())));
        turns.begin_round();
        let had = late
            .iter_mut()
            .filter_map(|work| poll(work.as_mut()).is_ready().then_some(()));
        assert_eq!(had.count(), SESSION_TURNS);
        turns.begin_round();
        assert!(late.pop().is_some_and(|mut last| has_turn(last.as_mut())));
    }

    #[test]
    fn nobody_passes_those_who_wait() {
        let turns = Turns::new(SESSION_TURNS);
        assert!(has_turn(pin!(turns.wait())));
        let mut handshake = pin!(turns.wait_alone());
        assert!(!has_turn(handshake.as_mut()), "it does not fit any more");
        let mut short = pin!(turns.wait());
        assert!(!has_turn(short.as_mut()));
        turns.begin_round();
        assert!(has_turn(handshake) && !has_turn(short.as_mut()));
        turns.begin_round();
        assert!(has_turn(short));
    }

    #[test]
    fn who_has_left_while_it_waited_keeps_nobody_waiting() {
        let turns = Turns::new(SESSION_TURNS);
        use_up(&turns);
        {
            let gone = pin!(turns.wait_alone());
            assert!(!has_turn(gone));
        }
        let mut next = pin!(turns.wait());
        assert!(!has_turn(next.as_mut()));
        turns.begin_round();
        turns.begin_round();
        assert!(has_turn(next));
    }
}
