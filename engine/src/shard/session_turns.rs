//! Turns of what is no media: connections that are accepted, requests, handshakes, and sessions that end. Hundreds of
//! these may be ready at once, when a player reloads everywhere or a stream begins. Only so many have their turn in one
//! round of the loop; then fan-out has its slice and the sockets theirs, and the next ones follow, first come first served.
//!
//! What waits is bounded by the sessions and the listeners: each waits for one turn at a time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use shardcast_runtime::local::Notify;

/// Units of work in one round. A request takes 20 to 60 µs with its answer, PLAY and the end of a session being the
/// dearest, so that a round of them keeps media waiting for less than a millisecond.
const UNITS_MAX: u32 = 16;

/// Work that waits for a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A request, a connection that is accepted, the end of a session.
    Short,
    /// A TLS handshake: a signature takes up to a millisecond, so it is alone in its round.
    Handshake,
}

impl Work {
    fn units(self) -> u32 {
        match self {
            Self::Short => 1,
            Self::Handshake => UNITS_MAX,
        }
    }
}

/// The turns of one shard.
#[derive(Debug, Default)]
pub struct SessionTurns {
    /// Units that this round has had.
    used: Cell<u32>,
    waiting: RefCell<VecDeque<(Work, Rc<Notify>)>>,
    news: Notify,
}

impl SessionTurns {
    /// Resolves when it is this work's turn, which is at once unless much is going on. Dropping it gives a turn away that
    /// nobody has then.
    pub async fn wait_for(&self, work: Work) {
        if self.waiting.borrow().is_empty() && self.take(work) {
            return;
        }
        let called = Rc::new(Notify::new());
        self.waiting.borrow_mut().push_back((work, called.clone()));
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
        while waiting.front().is_some_and(|(work, _)| self.take(*work)) {
            if let Some((_, called)) = waiting.pop_front() {
                called.notify();
            }
        }
    }

    /// Takes a turn in this round, if there is one left.
    fn take(&self, work: Work) -> bool {
        let used = self.used.get() + work.units();
        let is_left = used <= UNITS_MAX;
        if is_left {
            self.used.set(used);
            self.news.notify();
        }
        is_left
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
    fn use_up(turns: &SessionTurns) {
        for _ in 0..UNITS_MAX {
            assert!(has_turn(pin!(turns.wait_for(Work::Short))));
        }
    }

    #[test]
    fn what_comes_beyond_a_round_has_its_turn_in_the_next_one() {
        let turns = SessionTurns::default();
        use_up(&turns);
        let mut late = pin!(turns.wait_for(Work::Short));
        assert!(!has_turn(late.as_mut()));
        turns.begin_round();
        assert!(has_turn(late));
    }

    #[test]
    fn a_round_has_no_more_than_its_units_and_who_came_first_is_first() {
        let turns = SessionTurns::default();
        use_up(&turns);
        let mut late: Vec<_> = (0..=UNITS_MAX)
            .map(|_| Box::pin(turns.wait_for(Work::Short)))
            .collect();
        assert!(!late.iter_mut().any(|work| has_turn(work.as_mut())));
        turns.begin_round();
        let had = late
            .iter_mut()
            .filter_map(|work| poll(work.as_mut()).is_ready().then_some(()));
        assert_eq!(had.count(), UNITS_MAX as usize);
        turns.begin_round();
        assert!(late.pop().is_some_and(|mut last| has_turn(last.as_mut())));
    }

    #[test]
    fn nobody_passes_those_who_wait() {
        let turns = SessionTurns::default();
        assert!(has_turn(pin!(turns.wait_for(Work::Short))));
        let mut handshake = pin!(turns.wait_for(Work::Handshake));
        assert!(!has_turn(handshake.as_mut()), "it does not fit any more");
        let mut short = pin!(turns.wait_for(Work::Short));
        assert!(!has_turn(short.as_mut()));
        turns.begin_round();
        assert!(has_turn(handshake) && !has_turn(short.as_mut()));
        turns.begin_round();
        assert!(has_turn(short));
    }

    #[test]
    fn who_has_left_while_it_waited_keeps_nobody_waiting() {
        let turns = SessionTurns::default();
        use_up(&turns);
        {
            let gone = pin!(turns.wait_for(Work::Handshake));
            assert!(!has_turn(gone));
        }
        let mut next = pin!(turns.wait_for(Work::Short));
        assert!(!has_turn(next.as_mut()));
        turns.begin_round();
        turns.begin_round();
        assert!(has_turn(next));
    }
}
