//! The gate through which joins go: so many at a time, the others wait in the order in which they came.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use shardcast_platform::Cancel;

/// Joins of a thread that are under way at a time. Each is a few small messages; more would only wait in the server's
/// queue instead of here, and a listener's queue is often 128 to 4096 connections long.
const JOINS_MAX: usize = 256;

/// The gate of a thread.
#[derive(Debug)]
pub(super) struct Gate {
    free: Cell<usize>,
    /// Raised when it is that one's turn. No longer than the list of readers.
    waiting: RefCell<VecDeque<Cancel>>,
}

/// A place among those who join; dropping it lets the next one in.
#[derive(Debug)]
pub(super) struct Place<'a>(&'a Gate);

impl Default for Gate {
    fn default() -> Self {
        Self {
            free: Cell::new(JOINS_MAX),
            waiting: RefCell::default(),
        }
    }
}

impl Gate {
    /// Waits for a place.
    pub(super) async fn enter(&self) -> Place<'_> {
        match self.free.get().checked_sub(1) {
            Some(free) => self.free.set(free),
            None => {
                let turn = Cancel::new();
                self.waiting.borrow_mut().push_back(turn.clone());
                turn.cancelled().await;
            }
        }
        Place(self)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let next = self.0.waiting.borrow_mut().pop_front();
        match next {
            Some(turn) => turn.cancel(),
            None => self.0.free.set(self.0.free.get() + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use shardcast_platform::{spawn, yield_now};

    use super::*;
    use crate::readers::tests::run;

    #[test]
    fn no_more_are_let_in_than_there_are_places_and_nobody_is_forgotten() {
        run(async {
            let gate = Rc::new(Gate::default());
            let (inside, most, passed) = (Cell::new(0), Cell::new(0), Cell::new(0));
            let counts = Rc::new((inside, most, passed));
            for _ in 0..JOINS_MAX * 3 {
                let (gate, counts) = (Rc::clone(&gate), Rc::clone(&counts));
                spawn(async move {
                    let (inside, most, passed) = &*counts;
                    let _place = gate.enter().await;
                    inside.set(inside.get() + 1);
                    most.set(most.get().max(inside.get()));
                    yield_now().await;
                    inside.set(inside.get() - 1);
                    passed.set(passed.get() + 1);
                });
            }
            while counts.2.get() < JOINS_MAX * 3 {
                yield_now().await;
            }
            assert_eq!(counts.1.get(), JOINS_MAX);
            assert_eq!(gate.free.get(), JOINS_MAX);
        });
    }
}
