//! A shard's handle to its surroundings: the engine's tasks send to other shards, spawn, count and
//! mark through it.

use std::future::Future;
use std::rc::Rc;

use shardcast_platform as platform;
use shardcast_platform::{Capabilities, Driver};

use crate::bells::Bells;
use crate::counters::ShardCounters;
use crate::guarded::{Guarded, Poison};
use crate::mailbox::{Outbox, Rtrb, SPILL_MESSAGES_MAX};
use crate::mark::{Mark, Stage};
use crate::scope::Scope;
use crate::supervise::Supervised;
use crate::{Full, Messages, ShardId};

/// Cheap to clone, bound to its shard's thread.
pub struct ShardContext<M: Messages> {
    inner: Rc<Inner<M>>,
}

struct Inner<M: Messages> {
    scope: Rc<Scope>,
    outbox: Outbox<M, Rtrb>,
    bells: Rc<Bells>,
    driver: Driver,
}

impl<M: Messages> Clone for ShardContext<M> {
    fn clone(&self) -> Self {
        Self {
            inner: Rc::clone(&self.inner),
        }
    }
}

impl<M: Messages> std::fmt::Debug for ShardContext<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ShardContext").field(&self.id()).finish()
    }
}

impl<M: Messages> ShardContext<M> {
    pub(crate) fn new(
        scope: Rc<Scope>,
        outbox: Outbox<M, Rtrb>,
        bells: Rc<Bells>,
        driver: Driver,
    ) -> Self {
        let inner = Inner {
            scope,
            outbox,
            bells,
            driver,
        };
        Self {
            inner: Rc::new(inner),
        }
    }

    /// This shard.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.inner.scope.id()
    }

    /// Number of shards, this one included.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.inner.outbox.shards()
    }

    /// Every other shard.
    pub fn others(&self) -> impl Iterator<Item = ShardId> + use<M> {
        let own = self.id();
        ShardId::all(self.shards()).filter(move |shard| *shard != own)
    }

    /// What serves this shard's sockets.
    #[must_use]
    pub fn driver(&self) -> Driver {
        self.inner.driver
    }

    /// What that driver can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        platform::capabilities(self.inner.driver)
    }

    /// Sends media to another shard. Never waits; the receiver is woken at the end of this turn.
    ///
    /// # Errors
    /// The ring is full: the message comes back, and the caller cuts its stream for that shard. It
    /// is counted.
    ///
    /// # Panics
    /// If `to` is this shard: local work goes no way by a ring.
    pub fn send_media(&self, to: ShardId, message: M::Media) -> Result<(), Full<M::Media>> {
        let sent = self.inner.outbox.send_media(to, message);
        match sent {
            Ok(()) => {
                self.stats().media_sent.add(1);
                self.inner.bells.mark(to);
            }
            Err(_) => self.stats().media_dropped.add(1),
        }
        sent
    }

    /// Sends a control message to another shard. Never waits and never fails: what does not fit
    /// waits in this shard's spill list and goes first, in order. A list over its maximum (4
    /// million messages) is a shard's panic.
    ///
    /// # Panics
    /// If `to` is this shard.
    pub fn send_control(&self, to: ShardId, message: M::Control) {
        let spilled = self.inner.outbox.send_control(to, message);
        let counters = self.stats();
        counters.control_sent.add(1);
        counters.control_spilled.add(u64::from(spilled > 0));
        counters.control_spill_max.raise(spilled as u64);
        self.inner.bells.mark(to);
        if spilled > SPILL_MESSAGES_MAX {
            self.inner.scope.handle_shard_panic(format!(
                "control messages to shard {to} run away: {spilled} wait for it"
            ));
        }
    }

    /// Sends something home to another shard; dropped here, and counted, when the ring is full.
    ///
    /// # Panics
    /// If `to` is this shard.
    pub fn send_return(&self, to: ShardId, message: M::Return) {
        match self.inner.outbox.send_return(to, message) {
            Ok(()) => {
                self.stats().return_sent.add(1);
                self.inner.bells.mark(to);
            }
            Err(full) => {
                self.stats().return_dropped.add(1);
                drop(full);
            }
        }
    }

    /// Runs a task on this shard. Its polls are marked; its panic is a shard's panic.
    pub fn spawn(&self, mark: Mark, future: impl Future<Output = ()> + 'static) {
        platform::spawn(Supervised::task(&self.inner.scope, mark, future));
    }

    /// Runs a session on this shard. Its panic ends it alone: it is counted, the future is dropped,
    /// and `on_panic` gets the message to log and to tidy up what the session had registered. If
    /// the panic unwound through a mutable borrow of [`Guarded`] state, or `on_panic` panics too,
    /// it is a shard's panic.
    pub fn spawn_session(
        &self,
        mark: Mark,
        future: impl Future<Output = ()> + 'static,
        on_panic: impl FnOnce(String) + 'static,
    ) {
        let session = Supervised::session(&self.inner.scope, mark, future, Box::new(on_panic));
        platform::spawn(session);
    }

    /// State of this shard that a panic must not leave half changed.
    pub fn guard<T>(&self, value: T) -> Guarded<T> {
        Guarded::new(value, self.poison())
    }

    /// This shard's poison, for [`Guarded::new`].
    #[must_use]
    pub fn poison(&self) -> &Poison {
        self.inner.scope.poison()
    }

    /// This shard's own counters.
    #[must_use]
    pub fn stats(&self) -> &ShardCounters {
        self.inner.scope.counters()
    }

    /// What this shard does from now on, for the stall detector: three plain stores.
    pub fn mark(&self, mark: Mark) {
        self.inner.scope.pulse().set_mark(mark);
    }

    /// The next step for the same path and session.
    pub fn mark_stage(&self, stage: Stage) {
        self.inner.scope.pulse().set_stage(stage);
    }

    pub(crate) fn outbox(&self) -> &Outbox<M, Rtrb> {
        &self.inner.outbox
    }
}
