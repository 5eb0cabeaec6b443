//! Two futures of one task, the first to end wins. The loser is dropped, so neither may be an I/O
//! operation in flight (dropping one loses bytes): this is for notifications, answers and timers.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Which of two futures ended first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Either<A, B> {
    /// The first, or both at once.
    First(A),
    /// The second.
    Second(B),
}

/// Waits for the first of two to end and drops the other. `first` is asked first.
pub async fn race<A: Future, B: Future>(first: A, second: B) -> Either<A::Output, B::Output> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|context| {
        if let Poll::Ready(output) = first.as_mut().poll(context) {
            return Poll::Ready(Either::First(output));
        }
        second.as_mut().poll(context).map(Either::Second)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::testing::poll_once;
    use std::future::{pending, ready};

    #[test]
    fn the_first_to_end_wins_and_the_first_named_wins_a_tie() {
        assert_eq!(
            poll_once(pin!(race(pending::<()>(), ready(2)))),
            Poll::Ready(Either::Second(2))
        );
        assert_eq!(
            poll_once(pin!(race(ready(1), ready(2)))),
            Poll::Ready(Either::First(1))
        );
    }
}
