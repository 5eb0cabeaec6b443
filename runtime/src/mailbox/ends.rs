//! The rings' ends: whatever end goes first, and whatever is inside then, every message is dropped exactly once, by
//! somebody. Plain tests see a message that is lost or dropped twice; miri also sees memory that is used afterwards.
//! Run with `cargo miri test -p shardcast-runtime --lib mailbox::`.
//!
//! What they cannot catch: lost wakes (the models do).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use super::*;

/// A message is one share of a count, on the heap as a batch is.
type Share = Box<Arc<()>>;

struct Shares;

impl Messages for Shares {
    type Media = Share;
    type Control = Share;
    type Return = Share;
}

/// Enough for the control ring to overflow into its spill list.
const OVERFLOW: usize = CONTROL_RING + 5;
const MEDIA_RING_SMALL: usize = 8;

/// The sender's end of one pair of shards, the receiver's, and the count that all messages share.
struct Pair {
    outbox: Outbox<Shares, Rtrb>,
    inbox: Inbox<Shares, Rtrb>,
    count: Arc<()>,
}

impl Pair {
    fn new() -> Self {
        let mut mesh = mesh::<Shares, Rtrb>(2, MEDIA_RING_SMALL).into_iter();
        let (outbox, _) = mesh.next().expect("two shards");
        let (_, inbox) = mesh.next().expect("two shards");
        Self {
            outbox,
            inbox,
            count: Arc::new(()),
        }
    }

    fn alive(&self) -> usize {
        Arc::strong_count(&self.count) - 1
    }

    /// Fills all three rings, the spill list too; returns how many messages are inside.
    fn fill(&self) -> usize {
        for _ in 0..OVERFLOW {
            send_control(&self.outbox, &self.count);
        }
        while self
            .outbox
            .send_media(receiver(), share(&self.count))
            .is_ok()
        {}
        while self
            .outbox
            .send_return(receiver(), share(&self.count))
            .is_ok()
        {}
        let inside = OVERFLOW + MEDIA_RING_SMALL + RETURN_RING;
        assert_eq!(
            self.alive(),
            inside,
            "what did not fit came back and is gone"
        );
        inside
    }
}

fn receiver() -> ShardId {
    ShardId::from_index(1).expect("within the maximum")
}

fn share(count: &Arc<()>) -> Share {
    Box::new(Arc::clone(count))
}

fn send_control(outbox: &Outbox<Shares, Rtrb>, count: &Arc<()>) {
    outbox.send_control(receiver(), share(count));
}

#[test]
fn messages_inside_are_dropped_with_the_later_end_whichever_that_is() {
    for sender_first in [true, false] {
        let Pair {
            outbox,
            inbox,
            count,
        } = {
            let pair = Pair::new();
            pair.fill();
            pair
        };
        if sender_first {
            drop(outbox);
            assert!(
                inbox.has_something(),
                "what is in the rings outlives the sender"
            );
            drop(inbox);
        } else {
            drop(inbox);
            assert!(
                Arc::strong_count(&count) > 1,
                "what is in the rings outlives the receiver"
            );
            drop(outbox);
        }
        assert_eq!(Arc::strong_count(&count), 1);
    }
}

#[test]
fn a_receiver_that_goes_midway_leaves_the_rest_to_the_sender() {
    let mut pair = Pair::new();
    let inside = pair.fill();
    let mut kept = Vec::new();
    pair.inbox.drain(|_, delivery| kept.push(delivery));
    assert_eq!(pair.alive(), inside, "taken and not dropped yet");
    drop(pair.inbox);
    // The sender does not know, and goes on until the rings are full again.
    for _ in 0..OVERFLOW {
        send_control(&pair.outbox, &pair.count);
    }
    while pair
        .outbox
        .send_media(receiver(), share(&pair.count))
        .is_ok()
    {}
    pair.outbox.flush(|_| ());
    drop(pair.outbox);
    assert_eq!(Arc::strong_count(&pair.count), 1 + kept.len());
    drop(kept);
    assert_eq!(Arc::strong_count(&pair.count), 1);
}

#[test]
fn a_sender_that_goes_midway_loses_only_its_spill_list() {
    let mut pair = Pair::new();
    let inside = pair.fill();
    let spilled = OVERFLOW - CONTROL_RING;
    drop(pair.outbox);
    assert_eq!(Arc::strong_count(&pair.count) - 1, inside - spilled);
    let mut received = 0;
    while pair.inbox.has_something() {
        pair.inbox.drain(|_, delivery| {
            received += 1;
            drop(delivery);
        });
    }
    assert_eq!(received, inside - spilled);
    assert_eq!(Arc::strong_count(&pair.count), 1);
}

#[test]
fn a_handler_that_panics_costs_what_is_in_hand_and_no_other() {
    let mut pair = Pair::new();
    let inside = pair.fill();
    let mut handled = 0;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        pair.inbox.drain(|_, delivery| {
            handled += 1;
            assert!(handled < 3, "the third one is too much");
            drop(delivery);
        });
    }));
    assert!(panicked.is_err());
    // Three media messages, and the control message that they go before.
    assert_eq!(pair.alive(), inside - 4);
    while pair.inbox.has_something() {
        pair.inbox.drain(|_, delivery| drop(delivery));
        pair.outbox.flush(|_| ());
    }
    assert_eq!(pair.alive(), 0);
}

#[test]
fn slots_are_used_again_and_again() {
    let mut pair = Pair::new();
    for round in 1..5 * MEDIA_RING_SMALL {
        for _ in 0..round % MEDIA_RING_SMALL {
            let sent = pair.outbox.send_media(receiver(), share(&pair.count));
            assert!(sent.is_ok(), "the receiver keeps up");
        }
        pair.inbox.drain(|_, delivery| drop(delivery));
        assert_eq!(pair.alive(), 0);
    }
}

#[test]
fn ends_on_two_threads_may_go_while_the_other_is_at_work() {
    for receiver_leaves_after in [0, 1, 5, usize::MAX] {
        let Pair {
            outbox,
            mut inbox,
            count,
        } = Pair::new();
        let sending = thread::spawn({
            let count = Arc::clone(&count);
            move || {
                for _ in 0..20 {
                    send_control(&outbox, &count);
                    let _ = outbox.send_media(receiver(), share(&count));
                }
            }
        });
        for _ in 0..receiver_leaves_after {
            inbox.drain(|_, delivery| drop(delivery));
            if sending.is_finished() && !inbox.has_something() {
                break;
            }
            thread::yield_now();
        }
        drop(inbox);
        sending.join().expect("sending never waits");
        assert_eq!(Arc::strong_count(&count), 1);
    }
}
