//! The figures of one thread: what its readers have seen since it began, and how that stood when what counts began and when
//! it ended. The figures of that time are the difference.

use std::io;
use std::time::{Duration, Instant, SystemTime};

use hdrhistogram::Histogram;
use shardcast_platform::{now, thread_cpu_time};

use super::counted::Counted;
use super::worker::Worker;
use crate::BenchError;
use crate::clock::unix_nanos;
use crate::measured::{nanos_histogram, record};
use crate::stream::TallyCounts;

/// What the readers of a thread have seen since it began.
#[derive(Debug)]
pub(super) struct Tallied {
    /// Numbers that only grow.
    pub(super) counts: Counts,
    /// Latencies since the last tick, or since what counts began.
    pub(super) latency: Histogram<u64>,
    /// How long joins took.
    pub(super) joins: Histogram<u64>,
    /// How long it took from PLAY to the end of a key frame.
    pub(super) starts: Histogram<u64>,
}

/// Numbers that only grow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Bytes that came to readers, with what frames packets on a connection.
    pub(super) bytes: u64,
    /// Those of readers that are looked at.
    pub(super) sampled_bytes: u64,
    /// Packets that came to readers that are looked at, by their stamps in the time that counts.
    pub(super) timely_packets: u64,
    /// Their bytes, RTP headers included.
    pub(super) timely_bytes: u64,
    /// Datagrams that came to readers that are counted.
    pub(super) datagrams: u64,
    /// What readers that are looked at had received when their connections ended.
    pub(super) ended: TallyCounts,
    /// Of them, those that were sent what is no packet.
    pub(super) broken: usize,
    /// Joins that the server refused.
    pub(super) refused: usize,
    /// Joins that failed otherwise.
    pub(super) failed: usize,
    /// Connections that the server has ended.
    pub(super) closed: usize,
}

/// What a reader that played all the time has received of what counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Throughout {
    /// Of which path.
    pub(super) path: usize,
    /// Whether it is looked at.
    pub(super) is_sampled: bool,
    /// As they came on its connection, or in its datagrams.
    pub(super) bytes: u64,
}

/// What a thread has to show in the end.
#[derive(Debug)]
pub(super) struct ThreadFigures {
    /// While it was measured.
    pub(super) counts: Counts,
    /// While it was measured, of readers that are looked at.
    pub(super) tally: TallyCounts,
    /// While it was measured.
    pub(super) latency: Histogram<u64>,
    /// Of the whole run.
    pub(super) joins: Histogram<u64>,
    /// Of the whole run, with those that still wait.
    pub(super) starts: Histogram<u64>,
    /// While it was measured.
    pub(super) cpu: Duration,
    /// The busiest second of it.
    pub(super) busiest_share: f64,
    /// Well-behaved readers that played at the end, looked at or not.
    pub(super) playing: usize,
    /// Of them, those that are looked at.
    pub(super) sampled: usize,
    /// All that were sent what is no packet.
    pub(super) broken: usize,
    /// Of each reader that played all the time.
    pub(super) throughout: Vec<Throughout>,
}

/// What a second has shown.
pub(super) struct Second {
    pub(super) bytes: u64,
    pub(super) lost: u64,
    pub(super) latency: Histogram<u64>,
    pub(super) share: f64,
}

/// How everything stood at a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    counts: Counts,
    tally: TallyCounts,
}

/// What is known of the time that counts.
#[derive(Debug)]
pub(super) struct Window {
    begin: Option<Totals>,
    figures: Option<ThreadFigures>,
    last: Totals,
    /// Latencies of a second that had begun when what counts did.
    before: Histogram<u64>,
    latency: Histogram<u64>,
    second: Meter,
    whole: Meter,
    busiest_share: f64,
}

/// Time that has gone by, and what of it this thread worked.
#[derive(Clone, Copy, Debug)]
struct Meter {
    wall: Instant,
    cpu: Duration,
}

impl Default for Tallied {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            latency: nanos_histogram(),
            joins: nanos_histogram(),
            starts: nanos_histogram(),
        }
    }
}

impl Window {
    /// Nothing counts yet.
    ///
    /// # Errors
    /// When the system does not say how much time the thread has had.
    pub(super) fn new() -> Result<Self, BenchError> {
        let meter = Meter::now()?;
        Ok(Self {
            begin: None,
            figures: None,
            last: Totals::default(),
            before: nanos_histogram(),
            latency: nanos_histogram(),
            second: meter,
            whole: meter,
            busiest_share: 0.0,
        })
    }

    /// Whether anything counts yet.
    pub(super) fn has_begun(&self) -> bool {
        self.begin.is_some()
    }

    /// From here on it counts.
    ///
    /// # Errors
    /// As [`Window::new`].
    pub(super) fn begin(&mut self, worker: &Worker) -> Result<(), BenchError> {
        worker
            .counted
            .borrow_mut()
            .iter_mut()
            .for_each(Counted::begin);
        worker
            .sampled
            .borrow()
            .iter()
            .for_each(|reader| reader.begin());
        add(&mut self.before, &take_latency(worker));
        self.begin = Some(Totals::of(worker));
        self.whole = Meter::now()?;
        Ok(())
    }

    /// A second is over.
    ///
    /// # Errors
    /// As [`Window::new`].
    pub(super) fn tick(&mut self, worker: &Worker) -> Result<Second, BenchError> {
        let totals = Totals::of(worker);
        let last = std::mem::replace(&mut self.last, totals);
        let tally = totals.tally - last.tally;
        let mut latency = take_latency(worker);
        let is_whole = self.second.wall >= self.whole.wall;
        let share = self.second.lap()?;
        if self.has_begun() {
            add(&mut self.latency, &latency);
        }
        if self.has_begun() && is_whole {
            self.busiest_share = self.busiest_share.max(share);
        }
        add(&mut latency, &self.before);
        self.before.reset();
        Ok(Second {
            bytes: totals.counts.bytes - last.counts.bytes,
            lost: tally.lost + tally.skipped,
            latency,
            share,
        })
    }

    /// From here on nothing counts any more.
    ///
    /// # Errors
    /// As [`Window::new`].
    pub(super) fn end(&mut self, worker: &Worker) -> Result<(), BenchError> {
        let totals = Totals::of(worker);
        let begin = self.begin.unwrap_or(totals);
        let (wall, cpu) = self.whole.elapsed()?;
        if self.has_begun() {
            add(&mut self.latency, &take_latency(worker));
        }
        let (counted, sampled) = (worker.counted.borrow(), worker.sampled.borrow());
        let throughout = counted.iter().filter_map(Counted::throughout);
        let looked_at = sampled.iter().filter_map(|reader| reader.throughout());
        let broken = sampled.iter().filter(|reader| reader.counts().is_broken);
        self.figures = Some(ThreadFigures {
            counts: totals.counts.since(begin.counts),
            tally: totals.tally - begin.tally,
            latency: std::mem::replace(&mut self.latency, nanos_histogram()),
            joins: worker.tallied.borrow().joins.clone(),
            starts: starts(worker),
            cpu: if self.has_begun() {
                cpu
            } else {
                Duration::ZERO
            },
            busiest_share: self.busiest_share.max(share(wall, cpu)),
            playing: worker.playing(),
            sampled: sampled.len(),
            broken: broken.count() + totals.counts.broken,
            throughout: throughout.chain(looked_at).collect(),
        });
        Ok(())
    }

    /// What the thread has to show; nothing when it never ended in order.
    pub(super) fn into_figures(self) -> Option<ThreadFigures> {
        self.figures
    }
}

/// The latencies since the last time.
fn take_latency(worker: &Worker) -> Histogram<u64> {
    let mut tallied = worker.tallied.borrow_mut();
    let latency = tallied.latency.clone();
    tallied.latency.reset();
    latency
}

/// How long starts took; who has not begun yet has waited so long at least.
fn starts(worker: &Worker) -> Histogram<u64> {
    let mut starts = worker.tallied.borrow().starts.clone();
    let now_unix_nanos = unix_nanos(SystemTime::now());
    for reader in worker.sampled.borrow().iter() {
        let waited = reader.has_waited(now_unix_nanos);
        waited.into_iter().for_each(|it| record(&mut starts, it));
    }
    starts
}

/// All of them have the same range.
fn add(to: &mut Histogram<u64>, other: &Histogram<u64>) {
    let _added = to.add(other);
}

fn share(wall: Duration, cpu: Duration) -> f64 {
    match wall.is_zero() {
        true => 0.0,
        false => cpu.as_secs_f64() / wall.as_secs_f64(),
    }
}

impl Totals {
    fn of(worker: &Worker) -> Self {
        let counts = worker.tallied.borrow().counts;
        let mut tally = counts.ended;
        let sampled = worker.sampled.borrow();
        sampled.iter().for_each(|reader| tally += reader.counts());
        Self { counts, tally }
    }
}

impl Counts {
    /// What has come since `earlier`. Joins and ends of connections count from the begin of the run.
    fn since(self, earlier: Self) -> Self {
        Self {
            bytes: self.bytes - earlier.bytes,
            sampled_bytes: self.sampled_bytes - earlier.sampled_bytes,
            datagrams: self.datagrams - earlier.datagrams,
            ..self
        }
    }
}

impl Meter {
    fn now() -> Result<Self, BenchError> {
        Ok(Self {
            wall: now(),
            cpu: cpu_time()?,
        })
    }

    fn elapsed(&self) -> Result<(Duration, Duration), BenchError> {
        Ok((self.wall.elapsed(), cpu_time()?.saturating_sub(self.cpu)))
    }

    /// The share that the thread worked since the last time.
    fn lap(&mut self) -> Result<f64, BenchError> {
        let (wall, cpu) = self.elapsed()?;
        *self = Self::now()?;
        Ok(share(wall, cpu))
    }
}

/// Where the system does not keep it, nothing is known of our own work.
fn cpu_time() -> Result<Duration, BenchError> {
    match thread_cpu_time() {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(Duration::ZERO),
        known => known.map_err(BenchError::io("cannot read the CPU time of a thread")),
    }
}
