//! What a reader was not given because it was too slow: counted in its record, and told now and then.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::event::Event;
use crate::fanout::Drop as Dropped;
use crate::path::PathEntry;
use crate::record::SessionRecord;
use crate::shard::ServerState;

/// Drops of one reader are told at most so often.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(10);

/// The drops of a reader since they were last told.
#[derive(Debug, Default)]
pub(crate) struct ReaderDrops {
    untold: RefCell<Option<Dropped>>,
    times: Cell<u64>,
    last_told: Cell<Option<Instant>>,
}

impl ReaderDrops {
    /// Counts what was dropped, and tells of all that was dropped if that is due.
    pub(crate) fn note(
        &self,
        dropped: Option<Dropped>,
        now: Instant,
        record: &Arc<SessionRecord>,
        path: &PathEntry,
        server: &ServerState,
    ) {
        if let Some(dropped) = dropped {
            server.count_drop(record.shard, path, dropped);
            record.dropped_bytes.add(dropped.bytes);
            record.drops.add(1);
            record.drops_by_reason.count(dropped.reason);
            self.add(dropped);
        }
        if let Some((dropped, times)) = self.poll(now) {
            server.events.publish(&Event::ReaderDropped {
                session: record.id,
                path: path.name.clone(),
                reason: dropped.reason,
                bytes: dropped.bytes,
                times,
            });
        }
    }

    fn add(&self, dropped: Dropped) {
        let mut untold = self.untold.borrow_mut();
        let bytes = untold.map_or(0, |before| before.bytes) + dropped.bytes;
        *untold = Some(Dropped { bytes, ..dropped });
        self.times.set(self.times.get() + 1);
    }

    fn poll(&self, now: Instant) -> Option<(Dropped, u64)> {
        let is_due = |told: Instant| now.saturating_duration_since(told) >= SUMMARY_INTERVAL;
        let mut untold = self.untold.borrow_mut();
        let dropped = untold.take_if(|_| self.last_told.get().is_none_or(is_due))?;
        self.last_told.set(Some(now));
        Some((dropped, self.times.replace(0)))
    }
}
