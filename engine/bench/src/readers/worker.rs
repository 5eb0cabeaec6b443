//! One thread of readers: what its tasks share, and the task that watches over them. It sees the run's stage change, takes
//! the figures at that moment, tells each second what has come, and sends everybody home in the end.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shardcast_platform::{Cancel, RecvSlab, now, sleep, spawn};

use super::counted::{Counted, SWEEP_INTERVAL_MAX};
use super::gate::Gate;
use super::joining::seat_readers;
use super::roster::{Part, Seat};
use super::sampled::Sampled;
use super::window::{Tallied, ThreadFigures, Window};
use crate::BenchError;
use crate::shape::Load;
use crate::stage::{SharedStage, Stage, Tick};
use crate::target::Target;

/// A thread sees a change of stage within this.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// One tick.
const SECOND: Duration = Duration::from_secs(1);
/// Whether sessions of readers that are looked at need a keep-alive is asked so often.
const TEND_INTERVAL: Duration = Duration::from_millis(250);
/// After everybody has said that they leave, for the server to hear it: a connection that is closed on bytes that nobody
/// read is reset, and the word before it lost.
const LEAVE_GRACE: Duration = Duration::from_millis(200);

/// What all threads of readers share.
#[derive(Debug)]
pub(super) struct Shared {
    /// How far the run has come.
    pub(super) stage: Arc<SharedStage>,
    /// Well-behaved readers that play now.
    pub(super) playing: AtomicUsize,
    /// Well-behaved readers whose join has ended, one way or the other.
    pub(super) joined: AtomicUsize,
    /// Anybody has come to play.
    pub(super) has_played: AtomicBool,
    /// Why the run cannot go on.
    error: Mutex<Option<BenchError>>,
}

impl Shared {
    pub(super) fn new(stage: Arc<SharedStage>) -> Self {
        Self {
            stage,
            playing: AtomicUsize::new(0),
            joined: AtomicUsize::new(0),
            has_played: AtomicBool::new(false),
            error: Mutex::new(None),
        }
    }

    /// The first error is the one that is told; the others follow from it, mostly.
    pub(super) fn report(&self, error: BenchError) {
        let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(error);
    }

    pub(super) fn take_error(&self) -> Option<BenchError> {
        let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        first.take()
    }
}

/// What a thread is made of.
pub(super) struct WorkerPlan {
    /// For ticks.
    pub(super) name: String,
    /// The load, whole.
    pub(super) load: Arc<Load>,
    /// The server.
    pub(super) target: Arc<Target>,
    /// What it shares with the others.
    pub(super) shared: Arc<Shared>,
    /// Who joins on it.
    pub(super) seats: Vec<Seat>,
    /// Whom it tells.
    pub(super) ticks: Sender<Tick>,
}

/// What the tasks of a thread share.
pub(super) struct Worker {
    pub(super) load: Arc<Load>,
    pub(super) target: Arc<Target>,
    pub(super) shared: Arc<Shared>,
    /// Raised when the run ends.
    pub(super) ending: Cancel,
    /// Through which joins go.
    pub(super) gate: Gate,
    /// From one sweep over the readers that are counted to the next.
    pub(super) sweep_interval: Cell<Duration>,
    /// What the readers of this thread have seen.
    pub(super) tallied: RefCell<Tallied>,
    /// Readers that play and are only counted.
    pub(super) counted: RefCell<Vec<Counted>>,
    /// Readers that play and are looked at.
    pub(super) sampled: RefCell<Vec<Rc<Sampled>>>,
    /// Where datagrams are received.
    pub(super) slab: RefCell<RecvSlab>,
}

impl Worker {
    fn new(plan: &WorkerPlan) -> Self {
        Self {
            load: Arc::clone(&plan.load),
            target: Arc::clone(&plan.target),
            shared: Arc::clone(&plan.shared),
            ending: Cancel::new(),
            gate: Gate::default(),
            sweep_interval: Cell::new(SWEEP_INTERVAL_MAX),
            tallied: RefCell::default(),
            counted: RefCell::default(),
            sampled: RefCell::default(),
            slab: RefCell::new(RecvSlab::new()),
        }
    }

    /// Well-behaved readers that play on this thread.
    pub(super) fn playing(&self) -> usize {
        let counted = self.counted.borrow();
        let counted = counted.iter().filter(|reader| reader.is_well_behaved());
        counted.count() + self.sampled.borrow().len()
    }

    /// A well-behaved reader has come to play.
    pub(super) fn handle_playing(&self) {
        self.shared.playing.fetch_add(1, Ordering::Relaxed);
    }

    /// The server has ended the connection of a well-behaved reader.
    pub(super) fn handle_closed(&self) {
        self.shared.playing.fetch_sub(1, Ordering::Relaxed);
        self.tallied.borrow_mut().counts.closed += 1;
    }
}

/// Runs a thread to its end.
///
/// # Errors
/// When the system does not say how much time the thread has had.
pub(super) async fn run(plan: WorkerPlan) -> Result<ThreadFigures, BenchError> {
    let worker = Rc::new(Worker::new(&plan));
    let (storm, ramp): (Vec<Seat>, Vec<Seat>) = plan
        .seats
        .iter()
        .copied()
        .partition(|seat| seat.part == Part::Storm);
    spawn(seat_readers(Rc::clone(&worker), ramp));
    spawn(Rc::clone(&worker).sweep());
    let mut watch = Watch {
        window: Window::new()?,
        worker,
        storm,
        name: plan.name,
        ticks: plan.ticks,
    };
    watch.watch().await?;
    watch.leave().await;
    let figures = watch.window.into_figures();
    Ok(figures.expect("a window that was watched has ended"))
}

/// The task that watches.
struct Watch {
    worker: Rc<Worker>,
    window: Window,
    /// Who joins when it is measured.
    storm: Vec<Seat>,
    name: String,
    ticks: Sender<Tick>,
}

impl Watch {
    /// Looks around until the run ends.
    async fn watch(&mut self) -> Result<(), BenchError> {
        // The coordinator's seconds begin when we do: told half a second later, each has one tick of every thread.
        let (mut tick, mut tend) = (now() + SECOND / 2, now() + TEND_INTERVAL);
        loop {
            sleep(LOOK_INTERVAL).await;
            let stage = self.worker.shared.stage.now();
            if stage >= Stage::Ending {
                return self.end();
            }
            if stage == Stage::Measured && !self.window.has_begun() {
                self.begin()?;
            }
            if now() >= tick {
                tick += SECOND;
                self.tick()?;
            }
            if now() >= tend {
                tend = now() + TEND_INTERVAL;
                let sampled = self.worker.sampled.borrow();
                sampled.iter().for_each(|reader| reader.tend());
            }
        }
    }

    /// What counts begins.
    fn begin(&mut self) -> Result<(), BenchError> {
        self.worker.sweep_now();
        self.window.begin(&self.worker)?;
        let storm = std::mem::take(&mut self.storm);
        spawn(seat_readers(Rc::clone(&self.worker), storm));
        Ok(())
    }

    fn tick(&mut self) -> Result<(), BenchError> {
        let playing = self.worker.playing();
        let tick = self.window.tick(&self.worker)?;
        self.worker.pace(tick.bytes, playing);
        // Nobody listens any more when the run was broken off.
        let _ = self.ticks.send(Tick {
            thread: self.name.clone(),
            playing,
            bytes: tick.bytes,
            lost: tick.lost,
            latency: tick.latency,
            share: tick.share,
        });
        Ok(())
    }

    /// What counts has ended.
    fn end(&mut self) -> Result<(), BenchError> {
        self.worker.sweep_now();
        self.window.end(&self.worker)?;
        self.worker.ending.cancel();
        Ok(())
    }

    /// Everybody leaves in order.
    async fn leave(&self) {
        let mut counted = self.worker.counted.take();
        let sampled = self.worker.sampled.take();
        counted.iter_mut().for_each(Counted::leave);
        sampled.iter().for_each(|reader| reader.leave());
        sleep(LEAVE_GRACE).await;
        counted.iter().for_each(Counted::discard);
        sampled.iter().for_each(|reader| reader.discard());
    }
}
