//! Who plays, and the bit rates that add up: one book for all shards, so that exactly as many are let in as may be, however
//! many ask at once. Opened when a session looks for room, begins or ends, and when owners tell bit rates.
//!
//! A reader counts with its stream's present rate, as the stream's owner measures it, and not with what was really sent of
//! late: those who have just been let in count in full.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use shardcast_config::LimitsConfig;

use super::Reached;
use crate::path::PathId;

/// How a reader is sent its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderKind {
    /// It is sent every byte itself.
    Own,
    /// It listens to a group, which costs the same for one and for many.
    Group,
}

/// Playing readers of all shards. Bounded by the sessions themselves: a stream without readers has no entry.
#[derive(Debug)]
pub struct Ledger(Mutex<Book>);

#[derive(Debug)]
struct Book {
    taken: Taken,
    by_shard: Vec<usize>,
    streams: HashMap<PathId, Audience>,
}

/// What is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Playing readers.
    pub readers: usize,
    /// The sum of what they are sent, in bits per second.
    pub bit_rate: u64,
}

/// Those who read one stream.
#[derive(Debug, Default)]
struct Audience {
    bit_rate: u64,
    own: u32,
    group: u32,
}

impl Audience {
    fn sent_bit_rate(&self) -> u64 {
        let copies = u64::from(self.own) + u64::from(self.group.min(1));
        self.bit_rate.saturating_mul(copies)
    }

    fn of(&mut self, kind: ReaderKind) -> &mut u32 {
        match kind {
            ReaderKind::Own => &mut self.own,
            ReaderKind::Group => &mut self.group,
        }
    }
}

/// A reader's place, which is given back unless it is kept.
#[derive(Debug)]
pub struct ReaderPass<'a> {
    ledger: &'a Ledger,
    path: PathId,
    kind: ReaderKind,
    shard: usize,
    is_kept: bool,
}

impl ReaderPass<'_> {
    /// The reader has begun: whoever ends it calls [`Ledger::leave`].
    pub fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for ReaderPass<'_> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.ledger.leave(self.path, self.kind, self.shard);
        }
    }
}

impl Ledger {
    pub(super) fn new(shards: usize) -> Self {
        Self(Mutex::new(Book {
            taken: Taken::default(),
            by_shard: vec![0; shards],
            streams: HashMap::new(),
        }))
    }

    /// Whether there would be room for a reader of a stream with this bit rate now.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn look(&self, bit_rate: u64, limits: &LimitsConfig) -> Result<(), Reached> {
        self.lock().check(bit_rate, limits)
    }

    /// Takes a place for a reader of this path on this shard, whose stream has this bit rate.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn join(
        &self,
        path: PathId,
        bit_rate: u64,
        kind: ReaderKind,
        shard: usize,
        limits: &LimitsConfig,
    ) -> Result<ReaderPass<'_>, Reached> {
        let mut book = self.lock();
        let audience = book.streams.get(&path);
        let cost = match (kind, audience) {
            (ReaderKind::Group, Some(audience)) if audience.group > 0 => 0,
            (_, Some(audience)) => audience.bit_rate,
            (_, None) => bit_rate,
        };
        book.check(cost, limits)?;
        book.change(path, bit_rate, |audience| *audience.of(kind) += 1);
        book.taken.readers += 1;
        if let Some(readers) = book.by_shard.get_mut(shard) {
            *readers += 1;
        }
        Ok(ReaderPass {
            ledger: self,
            path,
            kind,
            shard,
            is_kept: false,
        })
    }

    /// Gives the place of a reader back.
    pub fn leave(&self, path: PathId, kind: ReaderKind, shard: usize) {
        let mut book = self.lock();
        book.change(path, 0, |audience| {
            let readers = audience.of(kind);
            *readers = readers.saturating_sub(1);
        });
        book.taken.readers = book.taken.readers.saturating_sub(1);
        if let Some(readers) = book.by_shard.get_mut(shard) {
            *readers = readers.saturating_sub(1);
        }
    }

    /// The present bit rates of these streams; those without readers are passed over.
    pub fn set_bit_rates(&self, streams: &[(PathId, u64)]) {
        let mut book = self.lock();
        for (path, bit_rate) in streams {
            if book.streams.contains_key(path) {
                book.change(*path, 0, |audience| audience.bit_rate = *bit_rate);
            }
        }
    }

    /// What is taken now.
    #[must_use]
    pub fn taken(&self) -> Taken {
        self.lock().taken
    }

    /// Playing readers of each shard.
    #[must_use]
    pub fn readers_by_shard(&self) -> Vec<usize> {
        self.lock().by_shard.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn check(&self, cost: u64, limits: &LimitsConfig) -> Result<(), Reached> {
        if limits.readers > 0 && self.taken.readers >= limits.readers {
            return Err(Reached::Readers(limits.readers));
        }
        let egress = limits.egress_bit_rate;
        if egress > 0 && self.taken.bit_rate.saturating_add(cost) > egress {
            return Err(Reached::Egress(egress));
        }
        Ok(())
    }

    /// Changes a stream's audience, and the sum with it.
    fn change(&mut self, path: PathId, bit_rate: u64, change: impl FnOnce(&mut Audience)) {
        let audience = self.streams.entry(path).or_insert_with(|| Audience {
            bit_rate,
            ..Audience::default()
        });
        let before = audience.sent_bit_rate();
        change(audience);
        let after = audience.sent_bit_rate();
        self.taken.bit_rate = self
            .taken
            .bit_rate
            .saturating_sub(before)
            .saturating_add(after);
        if audience.own == 0 && audience.group == 0 {
            self.streams.remove(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: PathId = PathId(1);

    fn limits(readers: usize, egress_bit_rate: u64) -> LimitsConfig {
        LimitsConfig {
            readers,
            egress_bit_rate,
            ..LimitsConfig::default()
        }
    }

    fn join(ledger: &Ledger, kind: ReaderKind, limits: &LimitsConfig) -> Result<(), Reached> {
        let pass = ledger.join(PATH, 1000, kind, 0, limits);
        pass.map(ReaderPass::keep)
    }

    #[test]
    fn the_reader_past_the_maximum_is_refused_until_one_leaves() {
        let (ledger, limits) = (Ledger::new(1), limits(2, 0));
        join(&ledger, ReaderKind::Own, &limits).unwrap();
        assert_eq!(ledger.look(0, &limits), Ok(()));
        join(&ledger, ReaderKind::Group, &limits).unwrap();
        let reached = Err(Reached::Readers(2));
        assert_eq!(join(&ledger, ReaderKind::Own, &limits), reached);
        assert_eq!(ledger.look(0, &limits), reached);
        ledger.leave(PATH, ReaderKind::Group, 0);
        join(&ledger, ReaderKind::Own, &limits).unwrap();
        assert_eq!(ledger.readers_by_shard(), [2]);
    }

    #[test]
    fn exactly_as_many_are_let_in_however_many_ask_at_once() {
        let (ledger, limits) = (Ledger::new(1), limits(50, 0));
        let ask = || (0..100).filter(|_| join(&ledger, ReaderKind::Own, &limits).is_ok());
        let let_in: usize = std::thread::scope(|scope| {
            let askers: Vec<_> = (0..4).map(|_| scope.spawn(|| ask().count())).collect();
            askers.into_iter().map(|asker| asker.join().unwrap()).sum()
        });
        assert_eq!(let_in, 50);
    }

    #[test]
    fn bit_rates_add_up_to_the_budget_and_no_further() {
        let (ledger, limits) = (Ledger::new(1), limits(0, 2000));
        join(&ledger, ReaderKind::Own, &limits).unwrap();
        join(&ledger, ReaderKind::Own, &limits).unwrap();
        let reached = Err(Reached::Egress(2000));
        assert_eq!(join(&ledger, ReaderKind::Own, &limits), reached);
        ledger.set_bit_rates(&[(PATH, 500), (PathId(2), 7)]);
        assert_eq!(ledger.taken().bit_rate, 1000);
        join(&ledger, ReaderKind::Own, &limits).unwrap();
        ledger.set_bit_rates(&[(PATH, 900)]);
        assert_eq!(ledger.taken().bit_rate, 2700, "those who are there stay");
        assert_eq!(join(&ledger, ReaderKind::Own, &limits), reached);
    }

    #[test]
    fn a_group_is_sent_its_stream_once() {
        let (ledger, limits) = (Ledger::new(1), limits(0, 1000));
        for _ in 0..5 {
            join(&ledger, ReaderKind::Group, &limits).unwrap();
        }
        assert_eq!(ledger.taken().bit_rate, 1000);
        let reached = Err(Reached::Egress(1000));
        assert_eq!(join(&ledger, ReaderKind::Own, &limits), reached);
    }

    #[test]
    fn a_place_that_is_not_kept_is_given_back_and_nothing_stays() {
        let (ledger, limits) = (Ledger::new(1), limits(1, 0));
        drop(ledger.join(PATH, 1000, ReaderKind::Own, 0, &limits));
        assert_eq!(ledger.taken(), Taken::default());
        assert!(ledger.lock().streams.is_empty());
    }
}
