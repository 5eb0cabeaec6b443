//! One value from one task of a shard to another task of the same shard: answers to control
//! messages come back to the session that asked this way. Dropping either end is seen by the other.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A channel for one value. Neither end is `Send`.
pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let slot = Rc::new(RefCell::new(Slot {
        state: State::Empty,
        waker: None,
    }));
    (
        Sender {
            slot: Some(Rc::clone(&slot)),
        },
        Receiver { slot },
    )
}

/// The sender was dropped without sending.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the sender was dropped without sending")]
pub struct SenderDropped;

struct Slot<T> {
    state: State<T>,
    waker: Option<Waker>,
}

enum State<T> {
    Empty,
    Value(T),
    SenderDropped,
    ReceiverDropped,
}

/// The end that sends.
pub struct Sender<T> {
    /// `None` once the value has gone.
    slot: Option<Rc<RefCell<Slot<T>>>>,
}

impl<T> Sender<T> {
    /// Sends the value.
    ///
    /// # Errors
    /// The value comes back if the receiver is gone.
    pub fn send(mut self, value: T) -> Result<(), T> {
        let Some(slot) = self.slot.take() else {
            return Err(value);
        };
        settle(&slot, State::Value(value))
    }

    /// Whether nobody waits for the value any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.slot
            .as_ref()
            .is_none_or(|slot| matches!(slot.borrow().state, State::ReceiverDropped))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            // A receiver that is gone as well needs no news.
            let _ = settle(&slot, State::SenderDropped);
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender(..)")
    }
}

/// Ends the sender's part with `state` and wakes the receiver. The value comes back if nobody is
/// there to take it.
fn settle<T>(slot: &RefCell<Slot<T>>, state: State<T>) -> Result<(), T> {
    let mut borrowed = slot.borrow_mut();
    if matches!(borrowed.state, State::ReceiverDropped) {
        return match state {
            State::Value(value) => Err(value),
            _ => Ok(()),
        };
    }
    borrowed.state = state;
    let waker = borrowed.waker.take();
    drop(borrowed);
    if let Some(waker) = waker {
        waker.wake();
    }
    Ok(())
}

/// The end that waits: a future of the value. Dropping it, polled or not, is safe; the sender gets
/// its value back.
#[must_use = "a wait does nothing unless it is awaited"]
pub struct Receiver<T> {
    slot: Rc<RefCell<Slot<T>>>,
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, SenderDropped>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.slot.borrow_mut();
        match std::mem::replace(&mut slot.state, State::Empty) {
            State::Value(value) => {
                slot.state = State::SenderDropped;
                Poll::Ready(Ok(value))
            }
            State::Empty => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
            ended => {
                slot.state = ended;
                Poll::Ready(Err(SenderDropped))
            }
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let unread = std::mem::replace(&mut self.slot.borrow_mut().state, State::ReceiverDropped);
        // Outside the borrow: the value's own `Drop` may reach the sender's task.
        drop(unread);
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::testing::{poll_once, wakes};
    use std::pin::pin;

    #[test]
    fn a_value_sent_before_the_wait_arrives() {
        let (sender, receiver) = oneshot();
        assert_eq!(sender.send(7), Ok(()));
        assert_eq!(poll_once(pin!(receiver)), Poll::Ready(Ok(7)));
    }

    #[test]
    fn a_waiting_receiver_is_woken_by_the_value_and_by_a_lost_sender() {
        for send in [true, false] {
            let (sender, receiver) = oneshot();
            let (count, waker) = wakes();
            let mut receiver = pin!(receiver);
            let mut context = Context::from_waker(&waker);
            assert!(receiver.as_mut().poll(&mut context).is_pending());
            let expected = if send {
                assert_eq!(sender.send("answer"), Ok(()));
                Ok("answer")
            } else {
                drop(sender);
                Err(SenderDropped)
            };
            assert_eq!(count.count(), 1);
            assert_eq!(receiver.as_mut().poll(&mut context), Poll::Ready(expected));
        }
    }

    #[test]
    fn a_dropped_receiver_gives_the_value_back() {
        let (sender, receiver) = oneshot();
        drop(receiver);
        assert!(sender.is_closed());
        assert_eq!(sender.send(7), Err(7));
    }

    #[test]
    fn a_second_poll_after_the_value_does_not_hang() {
        let (sender, receiver) = oneshot();
        assert_eq!(sender.send(1), Ok(()));
        let mut receiver = pin!(receiver);
        assert_eq!(poll_once(receiver.as_mut()), Poll::Ready(Ok(1)));
        assert_eq!(
            poll_once(receiver.as_mut()),
            Poll::Ready(Err(SenderDropped))
        );
    }
}
