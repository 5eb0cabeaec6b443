//! The receiving half of a shard's mailbox: one inlet per other shard. Messages come out of the
//! rings and go to the node's handlers, a bounded number per turn.

use super::lossless::LosslessReader;
use super::ring::{RingReader, Rings};
use crate::shard_set::ShardSet;
use crate::{Messages, ShardId};

/// Most messages taken from one ring before the others, and then the shard's other tasks, have
/// their turn. Media that has to go before a control message is taken beyond it, up to what the
/// ring holds.
const TURN_MESSAGES_MAX: usize = 64;

/// The three rings from one other shard.
pub(crate) struct Inlet<M: Messages, K: Rings> {
    media: K::Reader<M::Media>,
    control: LosslessReader<K::Reader<M::Control>>,
    returns: K::Reader<M::Return>,
}

/// One message, as the shard's node takes it.
pub(crate) enum Delivery<M: Messages> {
    /// Of the lossy ring.
    Media(M::Media),
    /// Of the lossless ring.
    Control(M::Control),
    /// Of the ring home.
    Return(M::Return),
}

/// What one turn brought.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Drained {
    /// Messages of each kind, and the deepest ring of that kind as it was found.
    pub(crate) media: Taken,
    /// As above.
    pub(crate) control: Taken,
    /// As above.
    pub(crate) returns: Taken,
    /// A ring still held messages when its share of the turn was used up.
    pub(crate) more: bool,
    /// Senders with a spill list, for which there is room now.
    pub(crate) hungry: ShardSet,
}

/// Messages of one kind in one turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Taken {
    /// How many were taken.
    pub(crate) messages: usize,
    /// Messages in the fullest ring before that.
    pub(crate) depth: usize,
}

impl<M: Messages, K: Rings> Inlet<M, K> {
    pub(super) fn new(
        media: K::Reader<M::Media>,
        control: LosslessReader<K::Reader<M::Control>>,
        returns: K::Reader<M::Return>,
    ) -> Self {
        Self {
            media,
            control,
            returns,
        }
    }

    fn is_empty(&self) -> bool {
        self.control.ring().is_empty() && self.media.is_empty() && self.returns.is_empty()
    }

    /// Control messages in order, and before each of them every media message that its sender had
    /// sent before it: a stream's end never overtakes the stream. Then the rest of the media.
    fn drain(&mut self, drained: &mut Drained, mut deliver: impl FnMut(Delivery<M>)) -> bool {
        let media_ring = &mut self.media;
        let media_taken = &mut drained.media;
        let control = take(self.control.ring_mut(), &mut drained.control, |message| {
            take_all(media_ring, media_taken, |media| {
                deliver(Delivery::Media(media));
            });
            deliver(Delivery::Control(message));
        });
        let media = take(&mut self.media, &mut drained.media, |message| {
            deliver(Delivery::Media(message));
        });
        let returns = take(&mut self.returns, &mut drained.returns, |message| {
            deliver(Delivery::Return(message));
        });
        drained.more |= control.left || media.left || returns.left;
        control.some && self.control.sender_waits()
    }
}

/// What a ring's share of a turn left behind.
#[derive(Clone, Copy)]
struct Share {
    some: bool,
    left: bool,
}

/// All that is in a ring now; at most what the ring holds.
fn take_all<T>(ring: &mut impl RingReader<T>, taken: &mut Taken, mut deliver: impl FnMut(T)) {
    let depth = ring.len();
    for message in std::iter::from_fn(|| ring.pop()).take(depth) {
        deliver(message);
    }
    taken.messages += depth;
    taken.depth = taken.depth.max(depth);
}

fn take<T>(ring: &mut impl RingReader<T>, taken: &mut Taken, mut deliver: impl FnMut(T)) -> Share {
    let depth = ring.len();
    let share = depth.min(TURN_MESSAGES_MAX);
    for message in std::iter::from_fn(|| ring.pop()).take(share) {
        deliver(message);
    }
    taken.messages += share;
    taken.depth = taken.depth.max(depth);
    Share {
        some: share > 0,
        left: depth > share,
    }
}

/// All inlets of one shard.
pub(crate) struct Inbox<M: Messages, K: Rings> {
    inlets: Vec<Option<Inlet<M, K>>>,
    /// Who is served first in the next turn: it rotates, so that no sender is always last.
    first: usize,
}

impl<M: Messages, K: Rings> Inbox<M, K> {
    pub(super) fn with_capacity(shards: usize) -> Self {
        Self {
            inlets: Vec::with_capacity(shards),
            first: 0,
        }
    }

    pub(super) fn push(&mut self, inlet: Option<Inlet<M, K>>) {
        self.inlets.push(inlet);
    }

    /// Whether any ring holds something now.
    pub(crate) fn has_something(&self) -> bool {
        self.inlets.iter().flatten().any(|inlet| !inlet.is_empty())
    }

    /// One turn: every ring's share goes to `deliver`.
    pub(crate) fn drain(&mut self, mut deliver: impl FnMut(ShardId, Delivery<M>)) -> Drained {
        let mut drained = Drained::default();
        let shards = self.inlets.len();
        self.first = (self.first + 1) % shards.max(1);
        let order = (self.first..shards).chain(0..self.first);
        for from in order.filter_map(ShardId::from_index) {
            let Some(inlet) = self.inlets[from.index()].as_mut() else {
                continue;
            };
            if inlet.drain(&mut drained, |message| deliver(from, message)) {
                drained.hungry.insert(from);
            }
        }
        drained
    }
}
