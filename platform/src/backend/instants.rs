//! Operations that do not have to wait, counted, so that nobody is starved by them.
//!
//! A backend that tries an operation before it waits never comes to its queue while a peer sends
//! faster than it is read, or takes faster than it is written to. After so many of these in a row
//! the half of the stream yields.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

/// How many in a row: a yield costs about as much as one of them, so a thirtieth; and at 64 KiB
/// each they keep the others waiting for about a millisecond.
const INSTANT_MAX: u32 = 32;

/// Operations of one direction since it last had to wait or yielded.
#[derive(Debug, Default)]
pub(super) struct Instants(u32);

impl Instants {
    /// Counts an operation that is about to begin. Says whether its half has to yield first.
    pub(super) fn begin(&mut self) -> bool {
        let must_yield = self.0 >= INSTANT_MAX;
        self.0 = if must_yield { 1 } else { self.0 + 1 };
        must_yield
    }

    /// The operation has to wait.
    pub(super) fn waits(&mut self) {
        self.0 = 0;
    }

    /// Watches an operation for whether it has to wait.
    pub(super) fn watch<F: Future>(&mut self, operation: F) -> Watched<'_, F> {
        Watched {
            operation,
            instants: self,
        }
    }
}

pin_project! {
    /// The future of [`Instants::watch`].
    pub(super) struct Watched<'a, F> {
        #[pin]
        operation: F,
        instants: &'a mut Instants,
    }
}

impl<F: Future> Future for Watched<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let polled = this.operation.poll(context);
        if polled.is_pending() {
            this.instants.waits();
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_than_the_most_in_a_row_yields_and_counts_anew() {
        let mut instants = Instants::default();
        for _ in 0..2 {
            assert!((0..INSTANT_MAX).all(|_| !instants.begin()));
            assert!(instants.begin());
            (1..INSTANT_MAX).for_each(|_| assert!(!instants.begin()));
            instants.waits();
        }
    }
}
