//! What crosses shards. The engine defines the three kinds of message, the mailbox carries them;
//! this file says what each kind may lose and how big it may be.

use std::fmt;

/// Most bytes of one message of any kind: a cache line. Bigger content travels behind an `Arc` or a
/// `Box`, so that a ring's slot is written with one line's worth of traffic between two cores.
pub const MESSAGE_BYTES_MAX: usize = 64;

/// The three kinds of message between two shards. Each ordered pair of shards has one ring per
/// kind; order holds within a kind and pair. Between kinds it holds one way: a control message is
/// handled after every media message that its sender had sent before it, so a stream's end never
/// overtakes the stream. There is none between different senders.
///
/// None of the types may be larger than [`MESSAGE_BYTES_MAX`]; a larger one does not compile.
pub trait Messages: 'static {
    /// Batches of a stream, owner to shards with readers. *Lossy*: a full ring gives the message
    /// back at once and counts it. A drop costs that stream's packets on that shard until its next
    /// start point; the sender recovers it, by cutting the stream for that shard there and then.
    type Media: Send + 'static;

    /// Subscriptions, answers, hand-over of sockets. *Lossless*: beyond the ring it waits in a
    /// spill list at the sender, which goes first and in order. Nothing is dropped while both
    /// shards live, so nobody recovers anything; what bounds it is that a session has few such
    /// messages outstanding.
    type Control: Send + 'static;

    /// Empty chunks on their way home. *Dropped where it is* when the ring is full: the message's
    /// own `Drop` frees the chunk there. It costs one allocation later, at the chunk's home, which
    /// recovers it by allocating anew.
    type Return: Send + 'static;
}

/// The ring to that shard was full; the message comes back.
pub struct Full<T>(pub T);

impl<T> fmt::Debug for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Full(..)")
    }
}

impl<T> fmt::Display for Full<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the ring to that shard is full")
    }
}

impl<T> std::error::Error for Full<T> {}

/// Refuses at compile time messages that do not fit a ring's slot.
pub(crate) const fn assert_sizes<M: Messages>() {
    const {
        assert!(
            size_of::<M::Media>() <= MESSAGE_BYTES_MAX,
            "a media message is over MESSAGE_BYTES_MAX"
        );
        assert!(
            size_of::<M::Control>() <= MESSAGE_BYTES_MAX,
            "a control message is over MESSAGE_BYTES_MAX"
        );
        assert!(
            size_of::<M::Return>() <= MESSAGE_BYTES_MAX,
            "a return message is over MESSAGE_BYTES_MAX"
        );
    }
}
