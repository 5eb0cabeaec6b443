//! Operations that did not have to wait, counted, so that a task which always finds something to
//! take leaves the others their turn.

use std::cell::Cell;

/// Operations of one kind in a row.
#[derive(Debug)]
pub(crate) struct Burst {
    count: Cell<u32>,
    most: u32,
}

impl Burst {
    /// At most so many without a pause.
    pub(crate) fn new(most: u32) -> Self {
        Self {
            count: Cell::new(0),
            most,
        }
    }

    /// Counts an operation that is about to begin. Says whether a pause has to come first.
    pub(crate) fn is_over(&self) -> bool {
        let is_over = self.count.get() >= self.most;
        self.count
            .set(if is_over { 1 } else { self.count.get() + 1 });
        is_over
    }

    /// There is nothing to take, so the task waits.
    pub(crate) fn end(&self) {
        self.count.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_most_in_a_row_comes_a_pause() {
        let burst = Burst::new(2);
        let pauses: Vec<bool> = (0..5).map(|_| burst.is_over()).collect();
        assert_eq!(pauses, [false, false, true, false, true]);
        burst.end();
        assert!(!burst.is_over() && !burst.is_over() && burst.is_over());
    }
}
