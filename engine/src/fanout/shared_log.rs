//! A log together with the readers that wait on it, as the tasks of one shard share it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use shardcast_runtime::local::Notify;
use shardcast_runtime::{Guarded, Poison};

use super::log::Log;

/// A reader's place among those who are woken.
#[derive(Debug, Default)]
pub struct ReaderSeat {
    /// Wakes the reader's writer.
    pub wake: Notify,
    index: Cell<usize>,
    is_quiet: Cell<bool>,
}

/// A reader for whom the datagram image is built, until it is dropped.
#[derive(Debug)]
pub struct DatagramSeat(Rc<SharedLog>);

impl Drop for DatagramSeat {
    fn drop(&mut self) {
        self.0.log.borrow().leave_datagrams();
    }
}

/// A log and its readers on this shard.
#[derive(Debug)]
pub struct SharedLog {
    /// The log. Never borrowed across an await.
    pub log: Guarded<Log>,
    readers: RefCell<Vec<Rc<ReaderSeat>>>,
    /// Readers that are not woken: others send to them.
    quiet: Cell<usize>,
    /// Who is woken next, and how many still have to be.
    round: Cell<Round>,
    /// Whether the log stands in the wake queue.
    pub(super) queued: Cell<bool>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Round {
    next: usize,
    left: usize,
}

impl SharedLog {
    /// Shares a log that has no reader yet.
    #[must_use]
    pub fn new(log: Log, poison: &Poison) -> Rc<Self> {
        let (readers, round, queued) = (RefCell::default(), Cell::default(), Cell::new(false));
        Rc::new(Self {
            log: Guarded::new(log, poison),
            readers,
            quiet: Cell::new(0),
            round,
            queued,
        })
    }

    /// Seats a reader: it is woken when there is news. It stays seated until [`Self::leave`].
    #[must_use]
    pub fn seat(&self) -> Rc<ReaderSeat> {
        let seat = Rc::new(ReaderSeat::default());
        let mut readers = self.readers.borrow_mut();
        seat.index.set(readers.len());
        readers.push(seat.clone());
        seat
    }

    /// Seats a reader that is not woken when there is news, because others send to it.
    #[must_use]
    pub fn quiet_seat(&self) -> Rc<ReaderSeat> {
        self.quiet.set(self.quiet.get() + 1);
        let seat = ReaderSeat::default();
        seat.is_quiet.set(true);
        Rc::new(seat)
    }

    /// A reader of datagrams has come; a packet takes at most so many bytes.
    #[must_use]
    pub fn join_datagrams(self: &Rc<Self>, packet_bytes_max: usize) -> DatagramSeat {
        self.log.borrow().join_datagrams(packet_bytes_max);
        DatagramSeat(self.clone())
    }

    /// Ends a reader's seat.
    pub fn leave(&self, seat: &Rc<ReaderSeat>) {
        if seat.is_quiet.replace(false) {
            return self.quiet.set(self.quiet.get() - 1);
        }
        let mut readers = self.readers.borrow_mut();
        let index = seat.index.get();
        if readers
            .get(index)
            .is_some_and(|found| Rc::ptr_eq(found, seat))
        {
            readers.swap_remove(index);
            if let Some(moved) = readers.get(index) {
                moved.index.set(index);
                // The round may have passed this place already.
                moved.wake.notify();
            }
        }
    }

    /// Readers on this shard.
    #[must_use]
    pub fn readers(&self) -> usize {
        self.readers.borrow().len() + self.quiet.get()
    }

    /// Begins a round: every reader is to be woken once more. Each round begins one reader further on, so that none is
    /// always last.
    pub(super) fn begin_round(&self) {
        let readers = self.readers.borrow().len();
        let Round { next, left } = self.round.get();
        let next = if left == 0 { next + 1 } else { next };
        self.round.set(Round {
            next: next % readers.max(1),
            left: readers,
        });
    }

    /// Wakes up to `most` readers of the round; whether some are left.
    pub(super) fn wake_some(&self, most: usize) -> bool {
        let readers = self.readers.borrow();
        let mut round = self.round.get();
        let count = round.left.min(most).min(readers.len());
        for _ in 0..count {
            round.next = if round.next + 1 < readers.len() {
                round.next + 1
            } else {
                0
            };
            readers[round.next].wake.notify();
        }
        round.left = if count < most { 0 } else { round.left - count };
        self.round.set(round);
        round.left > 0
    }
}
