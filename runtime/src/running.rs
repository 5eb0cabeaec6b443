//! The shards at work, as the thread that started them sees them: plan, counters, shutdown, and the
//! wait for the end.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use shardcast_platform as platform;

use crate::ShardId;
use crate::counters::{ShardRecord, ShardSnapshot};
use crate::options::Plan;
use crate::runtime::StartError;
use crate::shard::ShardEnd;
use crate::shutdown::Shutdown;

/// What a shard that ends at the deadline may still need to report it, before it counts as stuck.
const STUCK_AFTER: Duration = Duration::from_millis(500);

/// What the shards' threads tell the one that waits for them. At most two per shard, and one for
/// the request.
pub(crate) enum Event {
    /// A node has started.
    Ready,
    /// A shard's thread ends.
    Ended(ShardId, ShardEnd),
    /// Whoever waits has a deadline from now on.
    ShutdownRequested,
}

/// What all threads of a runtime have in common.
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    pub(crate) records: Vec<Arc<ShardRecord>>,
    pub(crate) shutdown: Arc<Shutdown>,
    pub(crate) epoch: Instant,
    events: Sender<Event>,
}

impl Shared {
    /// Asks for the end, and gives whoever waits for it its deadline.
    pub(crate) fn request_shutdown(&self) {
        if self.shutdown.request() {
            self.tell(Event::ShutdownRequested);
        }
    }

    pub(crate) fn tell(&self, event: Event) {
        // Nobody listens any more once `Running` is gone; then nobody needs to know.
        let _ = self.events.send(event);
    }
}

/// To look at the shards and to end them, from any thread.
#[derive(Clone)]
pub struct RuntimeHandle {
    shared: Arc<Shared>,
}

impl RuntimeHandle {
    /// What was decided at start.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.shared.plan
    }

    /// Asks every shard to drain and end. Returns at once; further calls change nothing.
    pub fn shutdown(&self) {
        self.shared.request_shutdown();
    }

    /// Whether somebody has asked for the end.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.shared.shutdown.is_requested()
    }

    /// A copy of every shard's counters, in order of the shards.
    #[must_use]
    pub fn counters(&self) -> Vec<ShardSnapshot> {
        self.each_counters().collect()
    }

    /// The same, one after the other.
    pub fn each_counters(&self) -> impl Iterator<Item = ShardSnapshot> + '_ {
        let now = platform::now().saturating_duration_since(self.shared.epoch);
        ShardId::all(self.shared.plan.shards)
            .zip(&self.shared.records)
            .map(move |(shard, record)| record.snapshot(shard, now))
    }
}

impl std::fmt::Debug for RuntimeHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuntimeHandle")
            .field("plan", self.plan())
            .finish_non_exhaustive()
    }
}

/// How everything ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Every shard drained within `shutdown_timeout`.
    Clean,
    /// These shards had not drained at the deadline; a thread that is stuck is left behind.
    DeadlinePassed {
        /// In order.
        shards: Vec<ShardId>,
    },
    /// These shards panicked, and the hook let the process live.
    Panicked {
        /// In order.
        shards: Vec<ShardId>,
    },
}

/// The shards at work. Dropping it asks them to end without waiting for it.
#[derive(Debug)]
pub struct Running {
    handle: RuntimeHandle,
    events: Receiver<Event>,
    /// Threads that were started: one per shard, unless the system refused one.
    threads: usize,
    ends: Vec<(ShardId, ShardEnd)>,
    /// The stall detector ends when this hangs up.
    _stop_detector: Sender<()>,
}

impl Running {
    /// Everything but the threads, and the detector's word to stop.
    pub(crate) fn new(plan: Plan, shutdown: Shutdown) -> (Self, Receiver<()>) {
        let (events, received) = mpsc::channel();
        let (stop_detector, detector_stop) = mpsc::channel();
        let shared = Shared {
            shutdown: Arc::new(shutdown),
            records: (0..plan.shards).map(|_| Arc::default()).collect(),
            epoch: platform::now(),
            plan,
            events,
        };
        let running = Self {
            handle: RuntimeHandle {
                shared: Arc::new(shared),
            },
            events: received,
            threads: 0,
            ends: Vec::new(),
            _stop_detector: stop_detector,
        };
        (running, detector_stop)
    }

    /// What the threads that are to be started need.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.handle.shared)
    }

    /// One more thread runs, and will tell of its end.
    pub(crate) fn count_thread(&mut self) {
        self.threads += 1;
    }

    /// What was decided at start.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        self.handle.plan()
    }

    /// A handle for other threads: to shut down, to read counters.
    #[must_use]
    pub fn handle(&self) -> RuntimeHandle {
        self.handle.clone()
    }

    /// See [`RuntimeHandle::shutdown`].
    pub fn shutdown(&self) {
        self.handle.shutdown();
    }

    /// See [`RuntimeHandle::counters`].
    #[must_use]
    pub fn counters(&self) -> Vec<ShardSnapshot> {
        self.handle.counters()
    }

    /// Waits until somebody has asked for the shutdown and every shard has ended, or its deadline
    /// has passed.
    #[must_use]
    pub fn join(mut self) -> Exit {
        self.until_ended();
        self.exit()
    }

    fn until_ended(&mut self) {
        while self.ends.len() < self.threads {
            match self.next_event() {
                Ok(Event::Ended(shard, end)) => self.ends.push((shard, end)),
                Ok(Event::Ready | Event::ShutdownRequested) => {}
                Err(_) => break,
            }
        }
    }

    /// The next event, however long it takes; after the request for shutdown, only until the shards
    /// are late.
    fn next_event(&self) -> Result<Event, RecvTimeoutError> {
        match self.handle.shared.shutdown.deadline() {
            None => self
                .events
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected),
            Some(deadline) => {
                let late = deadline + STUCK_AFTER;
                self.events
                    .recv_timeout(late.saturating_duration_since(platform::now()))
            }
        }
    }

    fn exit(&self) -> Exit {
        let ended = |shard: ShardId| {
            self.ends
                .iter()
                .find(|(ended, _)| *ended == shard)
                .map(|(_, end)| end)
        };
        let which = |wanted: fn(Option<&ShardEnd>) -> bool| -> Vec<ShardId> {
            ShardId::all(self.plan().shards)
                .filter(|shard| wanted(ended(*shard)))
                .collect()
        };
        let panicked = which(|end| matches!(end, Some(ShardEnd::Panicked)));
        let late = which(|end| matches!(end, None | Some(ShardEnd::DeadlinePassed)));
        match (panicked.is_empty(), late.is_empty()) {
            (false, _) => Exit::Panicked { shards: panicked },
            (true, false) => Exit::DeadlinePassed { shards: late },
            (true, true) => Exit::Clean,
        }
    }

    /// Waits until every node has started.
    pub(crate) fn until_ready<E>(mut self) -> Result<Self, StartError<E>> {
        for _ in 0..self.threads {
            // `Shared` holds a sender, so the channel never hangs up.
            if let Ok(Event::Ended(shard, end)) = self.events.recv() {
                self.ends.push((shard, ShardEnd::Panicked));
                return Err(self.give_up(shard, end));
            }
        }
        Ok(self)
    }

    /// Ends what has started, because `shard` did not.
    pub(crate) fn give_up<E>(mut self, shard: ShardId, end: ShardEnd) -> StartError<E> {
        self.shutdown();
        self.until_ended();
        match end {
            ShardEnd::Refused(source) => StartError::Shard { shard, source },
            _ => StartError::Panicked { shard },
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.shared.request_shutdown();
    }
}
