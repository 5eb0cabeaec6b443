//! The readers of a load: thousands that are only counted, some that are looked at packet by packet, and those that
//! misbehave, on threads of their own with event loops of the platform.
//!
//! One thread has all readers that are looked at, and nothing else, so that it is there when a packet comes. The others
//! share out those that are counted, and those that misbehave. Who joins when, and who is looked at, follows from the load
//! ([`roster`]); a join is a conversation ([`joining`]); then a reader is swept with all others ([`counted`]), waited for
//! ([`sampled`]) or left to itself ([`odd`]). Each thread watches the run's stage and keeps its own figures ([`worker`],
//! [`window`]), which are taken together in the end ([`figures`]).

mod counted;
mod figures;
mod gate;
mod joining;
mod keeper;
mod odd;
mod ports;
mod roster;
mod sampled;
mod starting;
#[cfg(test)]
mod tests;
mod window;
mod worker;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use shardcast_platform::{Driver, block_on};

pub(crate) use counted::{discard, discard_datagrams};
pub(crate) use figures::ReaderFigures;
pub(crate) use ports::Ports;

use crate::BenchError;
use crate::shape::Load;
use crate::stage::{SharedStage, Tick};
use crate::target::Target;
use roster::{Seat, seats};
use window::ThreadFigures;
use worker::{Shared, WorkerPlan};

/// Readers that are only counted, of one thread at most while CPUs are left: at a usual bit rate it works for less than half
/// of the time then.
const COUNTED_PER_THREAD: usize = 4000;
/// What a thread that has panicked is called.
const THREADS: &str = "of the readers";

/// Readers, joining or playing.
#[derive(Debug)]
pub(crate) struct Readers {
    /// Each ends with its figures; with none, it has said why.
    threads: Vec<JoinHandle<Option<ThreadFigures>>>,
    shared: Arc<Shared>,
}

impl Readers {
    /// Starts the readers' threads, on which joins begin at once.
    ///
    /// # Errors
    /// When the system has no event loops or threads for them.
    pub(crate) fn start(
        load: &Load,
        target: &Target,
        stage: Arc<SharedStage>,
        ticks: Sender<Tick>,
    ) -> Result<Self, BenchError> {
        let driver = crate::driver()?;
        let shared = Arc::new(Shared::new(stage));
        let (load, target) = (Arc::new(load.clone()), Arc::new(target.clone()));
        let mut threads = Vec::new();
        for (name, seats) in places(&load) {
            let plan = WorkerPlan {
                name: name.clone(),
                load: Arc::clone(&load),
                target: Arc::clone(&target),
                shared: Arc::clone(&shared),
                seats,
                ticks: ticks.clone(),
            };
            let body = move || serve(driver, plan);
            let thread = std::thread::Builder::new().name(name).spawn(body);
            threads.push(thread.map_err(BenchError::io("cannot start a thread of readers"))?);
        }
        Ok(Self { threads, shared })
    }

    /// Well-behaved readers that play now.
    pub(crate) fn playing(&self) -> usize {
        self.shared.playing.load(Ordering::Relaxed)
    }

    /// Well-behaved readers whose join has ended: they play, or were not let in.
    pub(crate) fn joined(&self) -> usize {
        self.shared.joined.load(Ordering::Relaxed)
    }

    /// Why the run cannot go on, once.
    pub(crate) fn take_error(&self) -> Option<BenchError> {
        self.shared.take_error()
    }

    /// Waits until all have left, which they do once the run ends, and takes their figures together.
    ///
    /// # Errors
    /// When a thread could not run to its end.
    pub(crate) fn join(self) -> Result<ReaderFigures, BenchError> {
        let threads = self.threads.into_iter();
        let ended: Vec<_> = threads.map(|thread| thread.join().ok().flatten()).collect();
        let figures: Option<Vec<_>> = ended.into_iter().collect();
        let why = || self.shared.take_error();
        let figures = figures.ok_or_else(|| why().unwrap_or(BenchError::Panicked(THREADS)))?;
        Ok(ReaderFigures::of(&figures))
    }
}

/// The body of a thread. An error is known at once, not only when the run is over.
fn serve(driver: Driver, plan: WorkerPlan) -> Option<ThreadFigures> {
    let shared = Arc::clone(&plan.shared);
    let ended = block_on(driver, worker::run(plan));
    let ended = ended.map_err(BenchError::io("an event loop of the readers"));
    match ended.and_then(|figures| figures) {
        Ok(figures) => Some(figures),
        Err(error) => {
            shared.report(error);
            None
        }
    }
}

/// The threads by name, and who sits on each.
fn places(load: &Load) -> Vec<(String, Vec<Seat>)> {
    let is_sampled = |seat: &Seat| seat.is_looked_at(load);
    let (sampled, others): (Vec<_>, Vec<_>) = seats(load).into_iter().partition(is_sampled);
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = others.len().div_ceil(COUNTED_PER_THREAD).min(cpus);
    let mut places = vec![("sampled".to_owned(), sampled)];
    for thread in 0..threads {
        let seats = others.iter().skip(thread).step_by(threads).copied();
        places.push((format!("counted-{thread}"), seats.collect()));
    }
    places.retain(|(_, seats)| !seats.is_empty());
    places
}
