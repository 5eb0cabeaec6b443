//! The feed: a thread takes what happens from the bus, writes each event once into the history, and has the shards with
//! listeners wake them.
//!
//! One errand per shard is on its way at a time, however much happens meanwhile. Where a shard's door is full, it is told
//! a little later.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use shardcast_runtime::ShardId;

use super::history::{Entry, EventId, Found, History};
use super::question::Begin;
use super::wire::tell;
use crate::event::{EventReceiver, Received, ServerGone};
use crate::random::random_u32;
use crate::shard::{ServerState, Shard};

/// Listeners at once; more are refused. Each costs a shard a look at every event, and a piece of 16 KiB.
pub const EVENT_LISTENERS_MAX: usize = 100;

/// Events that are written down before listeners are told, so that in a flood they are told too.
const BURST_EVENTS_MAX: usize = 512;

/// A shard whose door was full is told again so much later.
const TELL_AGAIN: Duration = Duration::from_millis(100);

/// Without events there is nothing to do.
const NOTHING_HAPPENS: Duration = Duration::from_secs(3600);

/// The history, and who listens to it.
#[derive(Debug)]
pub struct EventFeed {
    epoch: u32,
    history: Mutex<History>,
    shards: Vec<Audience>,
    listeners: AtomicUsize,
}

/// The listeners of one shard.
#[derive(Debug, Default)]
struct Audience {
    listeners: AtomicUsize,
    /// An errand is on its way to them.
    is_told: AtomicBool,
}

/// A listener's place among those that there may be.
#[derive(Debug)]
pub(super) struct Seat {
    feed: Arc<EventFeed>,
    shard: ShardId,
}

impl EventFeed {
    /// A feed that nobody writes to yet, for listeners on so many shards.
    pub(super) fn new(shards: usize) -> Self {
        Self {
            epoch: random_u32(),
            history: Mutex::new(History::new()),
            shards: (0..shards).map(|_| Audience::default()).collect(),
            listeners: AtomicUsize::new(0),
        }
    }

    /// Starts the thread, which ends with the server. `None` when the bus has no room, or the system no thread.
    #[must_use]
    pub fn start(server: &Arc<ServerState>) -> Option<Arc<Self>> {
        let events = server.events.listen()?;
        let feed = Arc::new(Self::new(server.shard_count()));
        let (writer, server) = (feed.clone(), Arc::downgrade(server));
        let builder = std::thread::Builder::new().name("events".into());
        let started = builder.spawn(move || writer.run(&events, &server));
        started.ok().map(|_ends_with_the_server| feed)
    }

    fn run(self: &Arc<Self>, events: &EventReceiver, server: &Weak<ServerState>) {
        let mut patience = NOTHING_HAPPENS;
        while self.write_burst(events, patience).is_ok() {
            let Some(server) = server.upgrade() else {
                return;
            };
            patience = match self.tell_all(&server) {
                true => NOTHING_HAPPENS,
                false => TELL_AGAIN,
            };
        }
    }

    fn write_burst(&self, events: &EventReceiver, patience: Duration) -> Result<(), ServerGone> {
        let mut received = events.receive(patience)?;
        for _ in 0..BURST_EVENTS_MAX {
            let Some(news) = received else { break };
            self.write(news);
            received = events.try_receive().unwrap_or_default();
        }
        if let Some(news) = received {
            self.write(news);
        }
        Ok(())
    }

    /// What was lost on the way here is a gap for everybody.
    pub(super) fn write(&self, received: Received) {
        let id = EventId {
            epoch: self.epoch,
            number: self.lock().next(),
        };
        let entry = match received {
            Received::Event(event) => tell(&event).map(|told| Entry::write(id, told)),
            Received::Missed(missed) => Some(Entry::gap(id, Some(missed))),
        };
        // Written down outside of the lock, which shards take too; this thread alone adds to the history.
        if let Some(entry) = entry {
            self.lock().push(entry);
        }
    }

    /// Wakes the listeners of every shard; whether all could be told.
    fn tell_all(self: &Arc<Self>, server: &ServerState) -> bool {
        let mut all_told = true;
        for (index, audience) in self.shards.iter().enumerate() {
            let nobody = audience.listeners.load(Ordering::Acquire) == 0;
            if nobody || audience.is_told.swap(true, Ordering::AcqRel) {
                continue;
            }
            let feed = self.clone();
            let errand = Box::new(move |shard: &std::rc::Rc<Shard>| {
                feed.wake_listeners(index, shard);
            });
            let sent = ShardId::from_index(index).map(|shard| server.send_errand(shard, errand));
            if sent.is_some_and(|sent| sent.is_err()) {
                audience.is_told.store(false, Ordering::Release);
                all_told = false;
            }
        }
        all_told
    }

    /// From here on another errand may come; what was written before is seen by those who are woken now.
    fn wake_listeners(&self, index: usize, shard: &Shard) {
        if let Some(audience) = self.shards.get(index) {
            audience.is_told.swap(false, Ordering::AcqRel);
        }
        shard.news.tell();
    }

    /// A seat for a listener on this shard; `None` when all are taken.
    pub(super) fn sit_down(self: &Arc<Self>, shard: ShardId) -> Option<Seat> {
        let seat = |taken: usize| (taken < EVENT_LISTENERS_MAX).then_some(taken + 1);
        let taken = self
            .listeners
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, seat);
        taken.ok()?;
        if let Some(audience) = self.shards.get(shard.index()) {
            audience.listeners.fetch_add(1, Ordering::AcqRel);
        }
        let feed = self.clone();
        Some(Seat { feed, shard })
    }

    /// The number of the first event for who begins here, and what it has missed: `None` when nothing, the inner `None` when
    /// nobody knows how much.
    pub(super) fn begin(&self, begin: Begin) -> (u64, Option<Option<u64>>) {
        let history = self.lock();
        match begin {
            Begin::Now => (history.next(), None),
            Begin::Behind(id) if id.epoch == self.epoch && id.number < history.next() => {
                (id.number + 1, None)
            }
            Begin::Behind(_) | Begin::Elsewhere => {
                let found = history.read(0, 0);
                (found.next, Some(None))
            }
        }
    }

    /// The id that a listener has seen whose next event has this number.
    pub(super) fn id_before(&self, next: u64) -> EventId {
        EventId {
            epoch: self.epoch,
            number: next.saturating_sub(1),
        }
    }

    /// At most `most` events from `next` on.
    pub(super) fn read(&self, next: u64, most: usize) -> Found {
        self.lock().read(next, most)
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    pub(super) fn feed(&self) -> &EventFeed {
        &self.feed
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.feed.listeners.fetch_sub(1, Ordering::AcqRel);
        if let Some(audience) = self.feed.shards.get(self.shard.index()) {
            audience.listeners.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_listeners_as_the_maximum_find_a_seat_and_leave_it() {
        let feed = Arc::new(EventFeed::new(1));
        let sit_down = || feed.sit_down(ShardId::from_index(0).unwrap());
        let mut seats: Vec<_> = (0..EVENT_LISTENERS_MAX).map(|_| sit_down()).collect();
        assert!(seats.iter().all(Option::is_some));
        assert!(sit_down().is_none());
        seats.pop();
        assert!(sit_down().is_some());
    }

    #[test]
    fn an_id_of_another_process_is_a_gap_of_unknown_size_before_the_whole_history() {
        let feed = EventFeed::new(1);
        (0..3).for_each(|_| feed.write(Received::Missed(1)));
        let here = |number| {
            Begin::Behind(EventId {
                epoch: feed.epoch,
                number,
            })
        };
        let elsewhere = Begin::Behind(EventId {
            epoch: !feed.epoch,
            number: 2,
        });
        assert_eq!(feed.begin(Begin::Now), (4, None));
        assert_eq!(feed.begin(here(0)), (1, None));
        assert_eq!(feed.begin(here(2)), (3, None));
        assert_eq!(feed.begin(here(3)), (4, None));
        assert_eq!(feed.begin(here(4)), (1, Some(None)));
        assert_eq!(feed.begin(elsewhere), (1, Some(None)));
        assert_eq!(feed.begin(Begin::Elsewhere), (1, Some(None)));
    }
}
