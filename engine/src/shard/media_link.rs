//! A stream's way over one media ring: from its publisher's shard to the owner, or from the owner to a shard with readers.
//!
//! When the ring is full the stream is cut there until its next start point: what comes between is of no use to a reader.

use std::cell::Cell;
use std::sync::Arc;

use shardcast_runtime::ShardId;

use super::{Media, Shard};
use crate::event::Event;
use crate::path::PathName;
use crate::stream::Batch;

/// Whether the stream is cut on its way, and what that has cost so far.
#[derive(Debug, Default)]
pub struct MediaLink {
    is_cut: Cell<bool>,
    lost_batches: Cell<u64>,
}

impl Shard {
    /// Sends a batch over the ring to another shard, as the message that `media` makes of it. What was lost is told when
    /// the stream goes on.
    pub fn send_batch(
        &self,
        link: &MediaLink,
        path: &PathName,
        to: ShardId,
        batch: &Arc<Batch>,
        media: impl FnOnce(Arc<Batch>) -> Media,
    ) {
        let is_skipped = link.is_cut.get() && batch.own_start().is_none();
        if is_skipped || self.context.send_media(to, media(batch.clone())).is_err() {
            link.is_cut.set(true);
            link.lost_batches.set(link.lost_batches.get() + 1);
        } else if link.is_cut.replace(false) {
            let (path, batches) = (path.clone(), link.lost_batches.replace(0));
            let shard = to.index();
            self.server.events.publish(&Event::RingFull {
                path,
                shard,
                batches,
            });
        }
    }
}
