//! The publishers of a run: a thread that sends every path's frames at the moments at which they are due, each packet with
//! that moment in it; and, beside them, a publisher that ends as it likes ([`publish_for`]).

mod conductor;
mod odd;
mod outlet;

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use crate::BenchError;
use crate::clock::Clock;
use crate::measured::Published;
use crate::shape::Load;
use crate::stage::{SharedStage, Tick};
use crate::target::Target;
use conductor::Conductor;
pub(crate) use odd::{Farewell, publish_for};

/// The thread's name.
const THREAD: &str = "publish";

/// What publishers are to do.
#[derive(Clone)]
pub(crate) struct PublishersPlan {
    /// The load that they are part of.
    pub(crate) load: Load,
    /// The server.
    pub(crate) target: Target,
    /// How far the run has come.
    pub(crate) stage: Arc<SharedStage>,
    /// Moments, as probes tell them.
    pub(crate) clock: Clock,
}

/// Publishers under way.
#[derive(Debug)]
pub(crate) struct Publishers(JoinHandle<Result<PublisherFigures, BenchError>>);

/// What they did while the run was measured.
#[derive(Clone, Debug)]
pub(crate) struct PublisherFigures {
    /// What was published.
    pub(crate) published: Published,
    /// The busiest second, as a share of it.
    pub(crate) busiest_share: f64,
}

impl Publishers {
    /// Starts the thread, and waits until every path is published.
    ///
    /// # Errors
    /// When the server is not there or refuses one of them, or the file to publish cannot be.
    pub(crate) fn start(plan: PublishersPlan, ticks: Sender<Tick>) -> Result<Self, BenchError> {
        let (ready, is_ready) = mpsc::sync_channel(1);
        let publish = move || {
            let driver = crate::driver()?;
            let published = shardcast_platform::block_on(driver, async move {
                let mut conductor = Conductor::start(plan, ticks).await?;
                // Whoever started us may have given up.
                let _waiting = ready.send(());
                conductor.conduct().await
            });
            published.map_err(BenchError::io("cannot start an event loop"))?
        };
        let thread = std::thread::Builder::new().name(THREAD.to_owned());
        let thread = thread
            .spawn(publish)
            .map_err(BenchError::io("cannot start a thread"))?;
        let publishers = Self(thread);
        match is_ready.recv() {
            Ok(()) => Ok(publishers),
            Err(_) => Err(publishers
                .join()
                .err()
                .unwrap_or(BenchError::Panicked(THREAD))),
        }
    }

    /// Whether they have ended, which before the run's end is by an error.
    pub(crate) fn have_ended(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits until they have left.
    ///
    /// # Errors
    /// When a publisher was refused, or its connection ended.
    pub(crate) fn join(self) -> Result<PublisherFigures, BenchError> {
        self.0.join().map_err(|_| BenchError::Panicked(THREAD))?
    }
}
