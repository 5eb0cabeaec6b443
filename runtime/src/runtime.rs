//! Starts the shards on threads of their own and ends them. What was decided (how many, which
//! driver) comes first, as a [`Plan`], so that the caller can make each shard's seed; then
//! everything starts, or nothing does.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use shardcast_platform as platform;
use shardcast_platform::{CpuBudget, Doorbell, DoorbellSeat, DriverError};

use crate::counters::{ShardRecord, ShardSnapshot};
use crate::mailbox::mesh;
use crate::messages::assert_sizes;
use crate::options::{Hooks, MEDIA_RING_MAX, MEDIA_RING_MIN, Options, Plan};
use crate::scope::Scope;
use crate::shard::{self, Seat, ShardEnd};
use crate::shutdown::Shutdown;
use crate::stall::{self, Detector, STALL_AFTER_MIN};
use crate::supervise::caught;
use crate::{Node, SHARDS_MAX, ShardId};

/// What a shard that ends at the deadline may still need to report it, before it counts as stuck.
const STUCK_AFTER: Duration = Duration::from_millis(500);

/// Why nothing runs. `E` is the seeds' error. Except for `Seeds`, operator or machine are at fault.
#[derive(Debug, thiserror::Error)]
pub enum StartError<E> {
    /// More shards were asked for than there can be.
    #[error("{shards} shards are too many: at most {SHARDS_MAX} are possible")]
    TooManyShards {
        /// What was asked for.
        shards: usize,
    },
    /// The media ring's size is out of range.
    #[error("a media ring of {slots} is out of range: {MEDIA_RING_MIN} to {MEDIA_RING_MAX}")]
    MediaRing {
        /// What was asked for.
        slots: usize,
    },
    /// The stall detector's patience is too short.
    #[error("{after:?} is too short to call a shard stalled: at least {STALL_AFTER_MIN:?}")]
    StallAfter {
        /// What was asked for.
        after: Duration,
    },
    /// The driver that was asked for cannot be had.
    #[error(transparent)]
    Driver(DriverError),
    /// The caller could not make the seeds.
    #[error(transparent)]
    Seeds(E),
    /// The caller made another number of seeds than there are shards.
    #[error("{seeds} seeds for {shards} shards")]
    SeedCount {
        /// How many were made.
        seeds: usize,
        /// How many were needed.
        shards: usize,
    },
    /// The operating system refused a thread, a doorbell or an event loop.
    #[error("shard {shard} cannot start: {source}")]
    Shard {
        /// Which shard.
        shard: ShardId,
        /// What the system said.
        source: std::io::Error,
    },
    /// The stall detector's thread was refused.
    #[error("the stall detector cannot start: {0}")]
    Detector(std::io::Error),
    /// A node's start panicked, and the hook let the process live.
    #[error("shard {shard} panicked at its start")]
    Panicked {
        /// Which shard.
        shard: ShardId,
    },
}

/// The way to start.
#[derive(Debug)]
pub struct Runtime;

impl Runtime {
    /// Decides the plan, lets `seeds` make one seed per shard, starts every shard and waits until
    /// every node has started. Several runtimes may run in one process.
    ///
    /// # Errors
    /// See [`StartError`]; whatever had started by then has ended again.
    pub fn start<N, E>(
        options: Options,
        hooks: Hooks,
        seeds: impl FnOnce(&Plan) -> Result<Vec<N::Seed>, E>,
    ) -> Result<Running, StartError<E>>
    where
        N: Node,
    {
        assert_sizes::<N::Messages>();
        let plan = plan(&options)?;
        let seeds = seeds(&plan).map_err(StartError::Seeds)?;
        if seeds.len() != plan.shards {
            return Err(StartError::SeedCount {
                seeds: seeds.len(),
                shards: plan.shards,
            });
        }
        launch::<N, E>(plan, &options, &hooks, seeds)
    }
}

/// Checks the options and settles what they leave open.
fn plan<E>(options: &Options) -> Result<Plan, StartError<E>> {
    if !(MEDIA_RING_MIN..=MEDIA_RING_MAX).contains(&options.media_ring) {
        return Err(StartError::MediaRing {
            slots: options.media_ring,
        });
    }
    if options.stall_after < STALL_AFTER_MIN {
        return Err(StartError::StallAfter {
            after: options.stall_after,
        });
    }
    let budget = platform::cpu_budget();
    let (shards, shards_reason) = options.shards.decide(&budget);
    if shards > SHARDS_MAX {
        return Err(StartError::TooManyShards { shards });
    }
    let driver = platform::choose_driver(options.driver).map_err(StartError::Driver)?;
    let cpus = options
        .pin_cpus
        .then(|| pinned_cpus(&budget, shards))
        .flatten();
    Ok(Plan {
        shards,
        shards_reason,
        driver,
        cpus,
    })
}

/// A CPU for each shard, in turn; `None` where the system does not say which there are.
fn pinned_cpus(budget: &CpuBudget, shards: usize) -> Option<Vec<usize>> {
    let cpus: Vec<usize> = budget.cpus.iter().copied().cycle().take(shards).collect();
    (cpus.len() == shards).then_some(cpus)
}

fn launch<N: Node, E>(
    plan: Plan,
    options: &Options,
    hooks: &Hooks,
    seeds: Vec<N::Seed>,
) -> Result<Running, StartError<E>> {
    let (doorbells, doorbell_seats) = doorbells(plan.shards)?;
    let (events, received) = mpsc::channel();
    let (stop_detector, detector_stop) = mpsc::channel();
    let mut running = Running {
        handle: RuntimeHandle {
            shared: Arc::new(Shared {
                shutdown: Arc::new(Shutdown::new(
                    options.shutdown_timeout,
                    Arc::clone(&doorbells),
                )),
                records: (0..plan.shards).map(|_| Arc::default()).collect(),
                epoch: platform::now(),
                plan,
                events,
            }),
        },
        events: received,
        threads: 0,
        ends: Vec::new(),
        _stop_detector: stop_detector,
    };
    let shared = Arc::clone(&running.handle.shared);
    start_detector(&shared, options.stall_after, hooks, detector_stop)
        .map_err(StartError::Detector)?;
    let mailboxes = mesh(shared.plan.shards, options.media_ring);
    let arrivals = shared.shutdown.arrivals();
    let parts = seeds
        .into_iter()
        .zip(mailboxes)
        .zip(doorbell_seats)
        .zip(arrivals);
    for (shard, (((seed, mailbox), doorbell), arrival)) in
        ShardId::all(shared.plan.shards).zip(parts)
    {
        let seat = Seat {
            seed,
            mailbox,
            doorbell,
            arrival,
            doorbells: Arc::clone(&doorbells),
            shutdown: Arc::clone(&shared.shutdown),
            driver: shared.plan.driver.driver,
            heartbeat: stall::heartbeat_period(options.stall_after),
        };
        if let Err(source) = start_thread::<N>(&shared, shard, seat, hooks.clone()) {
            return Err(running.give_up(shard, ShardEnd::Refused(source)));
        }
        running.threads += 1;
    }
    running.until_ready()
}

type Doorbells = (Arc<[Doorbell]>, Vec<DoorbellSeat>);

fn doorbells<E>(shards: usize) -> Result<Doorbells, StartError<E>> {
    let pairs: Result<Vec<_>, _> = ShardId::all(shards)
        .map(|shard| Doorbell::pair().map_err(|source| StartError::Shard { shard, source }))
        .collect();
    let (doorbells, seats): (Vec<_>, Vec<_>) = pairs?.into_iter().unzip();
    Ok((doorbells.into(), seats))
}

fn start_detector(
    shared: &Shared,
    stall_after: Duration,
    hooks: &Hooks,
    stop: Receiver<()>,
) -> std::io::Result<()> {
    let detector = Detector::new(stall_after, shared.records.clone());
    let (epoch, hooks) = (shared.epoch, hooks.clone());
    thread::Builder::new()
        .name(String::from("stalls"))
        .spawn(move || stall::watch(detector, epoch, &hooks, &stop))
        .map(drop)
}

fn start_thread<N: Node>(
    shared: &Arc<Shared>,
    shard: ShardId,
    seat: Seat<N>,
    hooks: Hooks,
) -> std::io::Result<()> {
    let shared = Arc::clone(shared);
    thread::Builder::new()
        .name(format!("shard-{shard}"))
        .spawn(move || run_thread(&shared, shard, seat, hooks))
        .map(drop)
}

/// A shard's thread, from its first line to its last.
fn run_thread<N: Node>(shared: &Shared, shard: ShardId, seat: Seat<N>, hooks: Hooks) {
    pin(shared, shard);
    let record = Arc::clone(&shared.records[shard.index()]);
    let driver = seat.driver;
    let scope = Scope::new(shard, Arc::clone(&record), hooks, shared.epoch);
    let life = shard::run(std::rc::Rc::clone(&scope), seat, || {
        shared.tell(Event::Ready);
    });
    let end = match caught(|| platform::block_on(driver, life)) {
        Ok(Ok(end)) => end,
        Ok(Err(error)) => ShardEnd::Refused(error),
        Err(message) => {
            // The event loop itself, or what a task dropped with it.
            scope.handle_shard_panic(message);
            ShardEnd::Panicked
        }
    };
    record.pulse.end();
    let alone = matches!(end, ShardEnd::Panicked | ShardEnd::Refused(_));
    shared.tell(Event::Ended(shard, end));
    if alone {
        // After the telling, so that the shard that caused the end is the first to be heard of.
        shared.shutdown.request();
    }
}

/// Keeps this thread on its shard's CPU. A machine that refuses costs speed, not correctness, so it
/// is only said.
fn pin(shared: &Shared, shard: ShardId) {
    let cpu = shared
        .plan
        .cpus
        .as_ref()
        .and_then(|cpus| cpus.get(shard.index()));
    if let Some(cpu) = cpu
        && let Err(error) = platform::pin_current_thread(*cpu)
    {
        tracing::warn!("shard {shard} cannot be pinned to CPU {cpu}: {error}");
    }
}

/// What the shards' threads tell the one that waits for them. At most two per shard, and one for
/// the request.
enum Event {
    Ready,
    Ended(ShardId, ShardEnd),
    ShutdownRequested,
}

struct Shared {
    plan: Plan,
    records: Vec<Arc<ShardRecord>>,
    shutdown: Arc<Shutdown>,
    epoch: Instant,
    events: Sender<Event>,
}

impl Shared {
    fn tell(&self, event: Event) {
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
        self.shared.shutdown.request();
        self.shared.tell(Event::ShutdownRequested);
    }

    /// A copy of every shard's counters, in order of the shards.
    #[must_use]
    pub fn counters(&self) -> Vec<ShardSnapshot> {
        let now = platform::now().saturating_duration_since(self.shared.epoch);
        ShardId::all(self.shared.plan.shards)
            .zip(&self.shared.records)
            .map(|(shard, record)| record.snapshot(shard, now))
            .collect()
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
    fn until_ready<E>(mut self) -> Result<Self, StartError<E>> {
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
    fn give_up<E>(mut self, shard: ShardId, end: ShardEnd) -> StartError<E> {
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
        self.handle.shared.shutdown.request();
    }
}
