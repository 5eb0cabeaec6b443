//! What a reader was not given because it was too slow: counted in its record, and told now and then.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use crate::event::Event;
use crate::fanout::Drop as Dropped;
use crate::path::PathEntry;
use crate::record::SessionRecord;
use crate::shard::ServerState;

/// Drops of one reader are told at most so often.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(10);

/// The drops of a reader. Nearly all have none, so there is room for them only when the first has come.
#[derive(Debug, Default)]
pub(crate) struct ReaderDrops(RefCell<Option<Box<Drops>>>);

#[derive(Debug, Default)]
struct Drops {
    untold: Option<Dropped>,
    last_told: Option<Instant>,
}

/// Whose drops they are.
#[derive(Clone, Copy)]
pub(crate) struct Slow<'a> {
    pub(crate) record: &'a SessionRecord,
    pub(crate) path: &'a PathEntry,
    pub(crate) server: &'a ServerState,
}

impl ReaderDrops {
    /// Counts what was dropped, and tells of all that was dropped if that is due.
    pub(crate) fn note(&self, dropped: Option<Dropped>, now: Instant, slow: Slow<'_>) {
        let mut drops = self.0.borrow_mut();
        if let Some(dropped) = dropped {
            slow.count(dropped);
            let drops = drops.get_or_insert_default();
            let before = drops.untold;
            drops.untold = Some(before.map_or(dropped, |before| before.with(dropped)));
        }
        if let Some(told) = drops.as_mut().and_then(|drops| drops.poll(now)) {
            slow.tell(told);
        }
    }

    /// The reader is gone: what has not been told of it is told now.
    pub(crate) fn finish(&self, slow: Slow<'_>) {
        let drops = self.0.take();
        if let Some(untold) = drops.and_then(|drops| drops.untold) {
            slow.tell(untold);
        }
    }
}

impl Drops {
    fn poll(&mut self, now: Instant) -> Option<Dropped> {
        let is_due = |told: Instant| now.saturating_duration_since(told) >= SUMMARY_INTERVAL;
        let told = self.last_told;
        let dropped = self.untold.take_if(|_| told.is_none_or(is_due))?;
        self.last_told = Some(now);
        Some(dropped)
    }
}

impl Slow<'_> {
    fn count(self, dropped: Dropped) {
        let record = self.record;
        self.server.count_drop(record.shard, self.path, dropped);
        record.dropped_bytes.add(dropped.bytes);
        record.dropped_units.add(dropped.units);
        record.drops_by_reason.count(dropped.reason, dropped.times);
    }

    fn tell(self, dropped: Dropped) {
        self.server.events.publish(&Event::ReaderDropped {
            session: self.record.id,
            path: self.path.name.clone(),
            reason: dropped.reason,
            bytes: dropped.bytes,
            units: dropped.units,
            times: dropped.times,
        });
    }
}
