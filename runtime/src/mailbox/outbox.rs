//! The sending half of a shard's mailbox: one outlet per other shard. Messages come from this
//! shard's tasks and leave into the rings. No call waits.

use std::cell::RefCell;

use super::lossless::LosslessWriter;
use super::ring::{RingWriter, Rings};
use crate::{Full, Messages, ShardId};

/// The three rings to one other shard.
pub(crate) struct Outlet<M: Messages, K: Rings> {
    media: K::Writer<M::Media>,
    control: LosslessWriter<M::Control, K::Writer<M::Control>>,
    returns: K::Writer<M::Return>,
}

impl<M: Messages, K: Rings> Outlet<M, K> {
    pub(super) fn new(
        media: K::Writer<M::Media>,
        control: LosslessWriter<M::Control, K::Writer<M::Control>>,
        returns: K::Writer<M::Return>,
    ) -> Self {
        Self {
            media,
            control,
            returns,
        }
    }
}

/// All outlets of one shard. Shared by the shard's tasks; a borrow lasts for one push and no
/// message is dropped inside it, so that a message's `Drop` may send.
pub(crate) struct Outbox<M: Messages, K: Rings> {
    outlets: Vec<Option<RefCell<Outlet<M, K>>>>,
}

impl<M: Messages, K: Rings> Outbox<M, K> {
    pub(super) fn with_capacity(shards: usize) -> Self {
        Self {
            outlets: Vec::with_capacity(shards),
        }
    }

    pub(super) fn push(&mut self, outlet: Option<Outlet<M, K>>) {
        self.outlets.push(outlet.map(RefCell::new));
    }

    /// Shards of the process, this one included.
    pub(crate) fn shards(&self) -> usize {
        self.outlets.len()
    }

    /// Sends media, or gives it back when the ring is full.
    pub(crate) fn send_media(&self, to: ShardId, message: M::Media) -> Result<(), Full<M::Media>> {
        self.outlet(to)
            .borrow_mut()
            .media
            .push(message)
            .map_err(Full)
    }

    /// Sends a control message, by way of the spill list if it must be. Returns that list's length
    /// afterwards; 0 when everything is in the ring.
    pub(crate) fn send_control(&self, to: ShardId, message: M::Control) -> usize {
        let mut outlet = self.outlet(to).borrow_mut();
        outlet.control.send(message);
        outlet.control.spilled()
    }

    /// Sends a chunk home, or gives it back when the ring is full.
    pub(crate) fn send_return(
        &self,
        to: ShardId,
        message: M::Return,
    ) -> Result<(), Full<M::Return>> {
        self.outlet(to)
            .borrow_mut()
            .returns
            .push(message)
            .map_err(Full)
    }

    /// Whether some spill list can move on, or has to ask for room.
    pub(crate) fn wants_flush(&self) -> bool {
        self.all()
            .any(|(_, outlet)| outlet.borrow().control.wants_flush())
    }

    /// Moves every spill list on as far as its ring has room, and reports the shards that got
    /// something.
    pub(crate) fn flush(&self, mut moved: impl FnMut(ShardId)) {
        for (to, outlet) in self.all() {
            if outlet.borrow_mut().control.flush() > 0 {
                moved(to);
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = (ShardId, &RefCell<Outlet<M, K>>)> {
        ShardId::all(self.shards())
            .zip(&self.outlets)
            .filter_map(|(to, outlet)| Some((to, outlet.as_ref()?)))
    }

    fn outlet(&self, to: ShardId) -> &RefCell<Outlet<M, K>> {
        self.outlets
            .get(to.index())
            .and_then(Option::as_ref)
            .expect("a message goes to another shard of this process, never to the sender's own")
    }
}
