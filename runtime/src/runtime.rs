//! Starts the shards on threads of their own. What was decided (how many, which
//! driver) comes first, as a [`Plan`], so that the caller can make each shard's seed; then
//! everything starts, or nothing does.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use shardcast_platform as platform;
use shardcast_platform::{CpuBudget, Doorbell, DoorbellSeat, DriverError};

use crate::mailbox::mesh;
use crate::messages::assert_sizes;
use crate::options::{Hooks, MEDIA_RING_MAX, MEDIA_RING_MIN, Options, Plan};
use crate::running::{Event, Running, Shared};
use crate::scope::Scope;
use crate::shard::{self, Seat, ShardEnd};
use crate::shutdown::Shutdown;
use crate::stall::{self, Detector, STALL_AFTER_MIN};
use crate::supervise::caught;
use crate::{Node, SHARDS_MAX, ShardId};

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
    let shutdown = Shutdown::new(options.shutdown_timeout, Arc::clone(&doorbells));
    let (mut running, detector_stop) = Running::new(plan, shutdown);
    let shared = running.shared();
    start_detector(&shared, options.stall_after, hooks, detector_stop)
        .map_err(StartError::Detector)?;
    let seats = seats::<N>(&shared, options, seeds, &doorbells, doorbell_seats);
    for (shard, seat) in ShardId::all(shared.plan.shards).zip(seats) {
        match start_thread::<N>(&shared, shard, seat, hooks.clone()) {
            Ok(()) => running.count_thread(),
            Err(source) => return Err(running.give_up(shard, ShardEnd::Refused(source))),
        }
    }
    running.until_ready()
}

/// What each shard starts from. Seats that are never taken are dropped, and count as arrived.
fn seats<N: Node>(
    shared: &Shared,
    options: &Options,
    seeds: Vec<N::Seed>,
    doorbells: &Arc<[Doorbell]>,
    doorbell_seats: Vec<DoorbellSeat>,
) -> Vec<Seat<N>> {
    let mailboxes = mesh(shared.plan.shards, options.media_ring);
    let parts = seeds.into_iter().zip(mailboxes).zip(doorbell_seats);
    parts
        .zip(shared.shutdown.arrivals())
        .map(|(((seed, mailbox), doorbell), arrival)| Seat {
            seed,
            mailbox,
            doorbell,
            arrival,
            doorbells: Arc::clone(doorbells),
            shutdown: Arc::clone(&shared.shutdown),
            driver: shared.plan.driver.driver,
            heartbeat: stall::heartbeat_period(options.stall_after),
        })
        .collect()
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
        shared.request_shutdown();
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
