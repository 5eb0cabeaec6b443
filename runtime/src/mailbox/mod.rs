//! The mailboxes of all shards: three rings per ordered pair. One [`Outbox`] and one [`Inbox`] per
//! shard are made at start and moved to the shard's thread; nothing is shared between two shards
//! but the rings themselves.
//!
//! Generic over the rings, so that what ships can run under a model checker with a stand-in ring.
//! Deliberately absent: waking. The mailbox says whom to wake, the bells wake.

mod inbox;
mod lossless;
mod outbox;
mod ring;
mod sync;

pub(crate) use inbox::{Delivery, Drained, Inbox};
pub(crate) use lossless::SPILL_MESSAGES_MAX;
pub(crate) use outbox::Outbox;
pub(crate) use ring::{Rings, Rtrb};

use crate::{Messages, ShardId};
use inbox::Inlet;
use outbox::Outlet;

/// Slots of a control ring. A burst of this many subscriptions between two shards needs no spill
/// list.
pub(crate) const CONTROL_RING: usize = 1024;

/// Slots of a return ring. Chunks come home in the rhythm in which batches go out; beyond a quarter
/// of the usual media ring it is cheaper to free a chunk where it is than to keep more of them
/// alive.
pub(crate) const RETURN_RING: usize = 256;

/// One shard's part of the mesh.
pub(crate) type Mailbox<M, K> = (Outbox<M, K>, Inbox<M, K>);

/// Makes all rings between `shards` shards, one mailbox per shard in order.
pub(crate) fn mesh<M: Messages, K: Rings>(shards: usize, media_ring: usize) -> Vec<Mailbox<M, K>> {
    let mut mailboxes: Vec<Mailbox<M, K>> = (0..shards)
        .map(|_| (Outbox::with_capacity(shards), Inbox::with_capacity(shards)))
        .collect();
    for from in ShardId::all(shards) {
        for to in ShardId::all(shards) {
            let pair = (from != to).then(|| link(media_ring));
            let (outlet, inlet) = pair.unzip();
            // Senders are pushed in the order of their targets, receivers in the order of their
            // sources.
            mailboxes[from.index()].0.push(outlet);
            mailboxes[to.index()].1.push(inlet);
        }
    }
    mailboxes
}

/// The three rings from one shard to another.
fn link<M: Messages, K: Rings>(media_ring: usize) -> (Outlet<M, K>, Inlet<M, K>) {
    let media = K::pair(media_ring);
    let control = lossless::lossless(K::pair(CONTROL_RING));
    let returns = K::pair(RETURN_RING);
    (
        Outlet::new(media.0, control.0, returns.0),
        Inlet::new(media.1, control.1, returns.1),
    )
}

#[cfg(all(test, not(loom)))]
mod ends;
#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod tests;
