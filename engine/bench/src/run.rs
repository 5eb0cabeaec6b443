//! One run: the subject is started, publishers publish, readers join, and what happens while it is measured is taken
//! together from all threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use shardcast_platform::{ProcessUsage, usage_of};

use crate::BenchError;
use crate::clock::Clock;
use crate::cpus::settle_on;
use crate::measured::{Interval, Measured, OwnUse, Published, Usage, nanos_histogram, quantile_of};
use crate::publishers::{PublisherFigures, Publishers, PublishersPlan};
use crate::readers::{ReaderFigures, Readers};
use crate::report::Progress;
use crate::shape::{Load, SourceShape};
use crate::sockets::send_memory_bytes;
use crate::stage::{SharedStage, Stage, Tick};
use crate::subject::{RunningSubject, Subject};
use crate::validity::{Invalid, LATENESS_P99_MAX, OWN_SHARE_MAX, Validity};

/// After the ramp, for joins that are under way.
const JOIN_GRACE: Duration = Duration::from_secs(20);
/// The coordinator looks around so often.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// The time that counts is announced so early that every thread knows of it before it begins.
const ANNOUNCED_BEFORE: Duration = Duration::from_millis(30);
/// One interval of the figures.
const SECOND: Duration = Duration::from_secs(1);
/// The wall clock may be moved by so little unnoticed.
const CLOCK_STEP_MAX: Duration = Duration::from_millis(1);

/// Whether the user wants the run to end.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Breaks the run off; what was measured so far is kept.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What is run.
pub(crate) struct Trial<'a> {
    /// The server.
    pub(crate) subject: &'a Subject,
    /// What it is loaded with.
    pub(crate) load: &'a Load,
    /// Where we run; empty leaves us where we are.
    pub(crate) cpus: &'a [usize],
    /// Whether what the kernel holds for the server's connections is asked for, too.
    pub(crate) looks_at_sockets: bool,
    /// Whether to break off.
    pub(crate) interrupt: &'a Interrupt,
}

/// What a run has come to: figures, and why it ended early if it did.
pub(crate) struct Ended {
    pub(crate) measured: Measured,
    pub(crate) error: Option<BenchError>,
}

impl Trial<'_> {
    /// Runs it.
    ///
    /// # Errors
    /// When nothing could be measured.
    pub(crate) fn run(&self, progress: &Progress) -> Result<Ended, BenchError> {
        let subject = self.subject.run(self.load.paths)?;
        // Threads that are started from here on run where this one does.
        settle_on(self.cpus)?;
        let (stage, clock) = (Arc::new(SharedStage::default()), Clock::now());
        let (ticks, ticked) = mpsc::channel();
        let publishers = match self.load.source {
            SourceShape::Nothing => None,
            _ => {
                let plan = PublishersPlan {
                    load: self.load.clone(),
                    target: subject.target.clone(),
                    stage: stage.clone(),
                    clock,
                };
                Some(Publishers::start(plan, ticks.clone())?)
            }
        };
        let readers = Readers::start(self.load, &subject.target, stage.clone(), ticks)?;
        let mut under_way = UnderWay {
            trial: self,
            subject,
            clock,
            stage,
            publishers,
            readers,
            seconds: Seconds::new(ticked),
            peak_bytes: None,
            progress,
        };
        let window = under_way.go();
        under_way.end(window)
    }
}

/// A run under way.
struct UnderWay<'a> {
    trial: &'a Trial<'a>,
    subject: RunningSubject,
    clock: Clock,
    stage: Arc<SharedStage>,
    publishers: Option<Publishers>,
    readers: Readers,
    seconds: Seconds,
    /// The server's memory and what the kernel holds for it, at the most of all seconds.
    peak_bytes: Option<u64>,
    progress: &'a Progress,
}

/// What was used in the time that counts.
#[derive(Default)]
struct Window {
    begin: Option<Instant>,
    wall: Duration,
    server: Option<Usage>,
    own_cpu: Duration,
    /// Readers that played when it began.
    playing: usize,
}

impl UnderWay<'_> {
    /// Goes through the stages, and leaves the readers told to end.
    fn go(&mut self) -> Result<Window, BenchError> {
        let window = self.go_through();
        self.stage.set(Stage::Ending);
        window
    }

    fn go_through(&mut self) -> Result<Window, BenchError> {
        let (load, course) = (self.trial.load, self.trial.load.course);
        let begin = Instant::now();
        while self.readers.joined() < load.readers && begin.elapsed() < course.ramp + JOIN_GRACE {
            if !self.look(Stage::Ramp)? {
                return Ok(Window::default());
            }
        }
        self.stage.set(Stage::WarmUp);
        let warm = Instant::now() + course.warm_up;
        while Instant::now() < warm {
            if !self.look(Stage::WarmUp)? {
                return Ok(Window::default());
            }
        }
        self.measure(course.duration)
    }

    fn measure(&mut self, duration: Duration) -> Result<Window, BenchError> {
        let begin = self.announce(duration);
        let playing = self.readers.playing();
        self.stage.set(Stage::Measured);
        let (server, own) = (self.subject.usage()?, own_cpu()?);
        let mut goes_on = Ok(true);
        while matches!(goes_on, Ok(true)) && begin.elapsed() < duration {
            goes_on = self.look(Stage::Measured);
        }
        let wall = match goes_on {
            Ok(true) => duration,
            _ => self.break_off(begin),
        };
        if let Err(error) = goes_on {
            self.seconds.error = Some(error);
        }
        let after = match self.subject.usage() {
            Ok(after) => after,
            Err(error) => {
                self.seconds.error.get_or_insert(error);
                None
            }
        };
        Ok(Window {
            begin: Some(begin),
            wall,
            server: server
                .zip(after)
                .map(|(before, after)| between(before, after)),
            own_cpu: own_cpu()?.saturating_sub(own),
            playing,
        })
    }

    /// Says when what counts begins and ends, and waits for the begin.
    fn announce(&self, duration: Duration) -> Instant {
        let begin = Instant::now() + ANNOUNCED_BEFORE;
        let end = self.clock.unix_nanos(begin + duration);
        let begin_unix_nanos = self.clock.unix_nanos(begin);
        self.stage.count_between(begin_unix_nanos..end);
        std::thread::sleep(begin.saturating_duration_since(Instant::now()));
        begin
    }

    /// What counts ends now, earlier than was said.
    fn break_off(&self, begin: Instant) -> Duration {
        let now = Instant::now();
        let begin_unix_nanos = self.clock.unix_nanos(begin);
        self.stage
            .count_between(begin_unix_nanos..self.clock.unix_nanos(now));
        now - begin
    }

    /// Takes what has come in meanwhile; false when the user wants an end.
    fn look(&mut self, stage: Stage) -> Result<bool, BenchError> {
        self.seconds.take(LOOK_INTERVAL);
        if self.seconds.is_over() {
            let usage = self.subject.usage()?;
            self.weigh(usage);
            let interval = self.seconds.close(stage, usage);
            self.progress
                .second(stage.name(), self.trial.load.readers, &interval);
        }
        if let Some(error) = self.readers.take_error() {
            return Err(error);
        }
        if self.publishers.as_ref().is_some_and(Publishers::have_ended) {
            let ended = self.publishers.take().map(Publishers::join);
            let gone = || BenchError::Panicked("publish");
            return Err(ended.and_then(Result::err).unwrap_or_else(gone));
        }
        Ok(!self.trial.interrupt.is_raised())
    }

    /// Notes what the server and its connections take now, if anybody wants to know.
    fn weigh(&mut self, usage: Option<ProcessUsage>) {
        let Some(usage) = usage.filter(|_| self.trial.looks_at_sockets) else {
            return;
        };
        if let Some(held) = send_memory_bytes(self.subject.target.address.port()) {
            let bytes = usage.resident_bytes + held;
            self.peak_bytes = self.peak_bytes.max(Some(bytes));
        }
    }

    /// Waits for everybody, and takes the figures together.
    fn end(self, window: Result<Window, BenchError>) -> Result<Ended, BenchError> {
        let clock = self.clock;
        let readers = self.readers.join();
        self.stage.set(Stage::Over);
        let publishers = self.publishers.map(Publishers::join).transpose();
        let window = window?;
        let (readers, mut error) = (readers?, self.seconds.error);
        let publishers = match publishers {
            Ok(publishers) => publishers,
            Err(ended) => {
                error.get_or_insert(ended);
                None
            }
        };
        let is_partial = error.is_some() || self.trial.interrupt.is_raised();
        let own = own_use(
            &window,
            &readers,
            publishers.as_ref(),
            self.trial.cpus.len(),
        );
        let published = publishers.map_or_else(no_publisher, |it| it.published);
        let mut measured = Measured {
            begin_unix_nanos: window.begin.map(|begin| clock.unix_nanos(begin)),
            wall: window.wall,
            sampled: readers.sampled,
            all: readers.all,
            joins: readers.joins,
            starts: readers.starts,
            published,
            server: window.server.map(|used| Usage {
                peak_bytes: self.peak_bytes,
                ..used
            }),
            own,
            intervals: self.seconds.intervals,
            validity: Validity::default(),
            is_partial,
        };
        measured.validity = judge(&measured, self.trial.load, &window, clock.stepped());
        Ok(Ended { measured, error })
    }
}

fn no_publisher() -> Published {
    Published {
        packets: 0,
        bytes: 0,
        lateness: nanos_histogram(),
        flaps: 0,
    }
}

fn own_cpu() -> Result<Duration, BenchError> {
    match usage_of(std::process::id()) {
        Ok(usage) => Ok(usage.cpu),
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => Ok(Duration::ZERO),
        Err(error) => Err(BenchError::io("cannot read our own CPU time")(error)),
    }
}

fn between(before: ProcessUsage, after: ProcessUsage) -> Usage {
    Usage {
        cpu: after.cpu.saturating_sub(before.cpu),
        resident_bytes: after.resident_bytes,
        threads: after.threads,
        peak_bytes: None,
    }
}

/// The busiest thread, or all CPUs of ours together when that is more.
fn own_use(
    window: &Window,
    readers: &ReaderFigures,
    publishers: Option<&PublisherFigures>,
    cpus: usize,
) -> OwnUse {
    let publisher_share = publishers.map_or(0.0, |it| it.busiest_share);
    let wall = window.wall.as_secs_f64() * cpus as f64;
    let together = match wall > 0.0 {
        true => window.own_cpu.as_secs_f64() / wall,
        false => 0.0,
    };
    OwnUse {
        cpu: window.own_cpu,
        readers_cpu: readers.readers_cpu,
        busiest_share: readers.busiest_share.max(publisher_share).max(together),
    }
}

/// Whether the figures are the server's.
fn judge(measured: &Measured, load: &Load, window: &Window, stepped: Duration) -> Validity {
    let lateness = quantile_of(&measured.published.lateness, 0.99).unwrap_or_default();
    let share = measured.own.busiest_share;
    let (playing, asked) = (window.playing, load.readers);
    let nothing = measured.sampled.packets == 0 && load.sampled > 0;
    let reasons = [
        (share > OWN_SHARE_MAX).then_some(Invalid::OwnCpu { share }),
        (lateness > LATENESS_P99_MAX).then_some(Invalid::LatePublishing { p99: lateness }),
        (stepped > CLOCK_STEP_MAX).then_some(Invalid::ClockStepped { by: stepped }),
        (playing < asked).then_some(Invalid::ReadersMissing { playing, asked }),
        nothing.then_some(Invalid::NothingArrived),
    ];
    Validity {
        reasons: reasons.into_iter().flatten().collect(),
    }
}

/// What threads tell, second by second.
struct Seconds {
    ticked: Receiver<Tick>,
    begin: Instant,
    last: Instant,
    /// Of the second under way.
    ticks: Vec<Tick>,
    /// The last of each thread.
    playing: Vec<(String, usize)>,
    server_cpu: Option<Duration>,
    intervals: Vec<Interval>,
    /// Why the run ended early.
    error: Option<BenchError>,
}

impl Seconds {
    fn new(ticked: Receiver<Tick>) -> Self {
        let now = Instant::now();
        Self {
            ticked,
            begin: now,
            last: now,
            ticks: Vec::new(),
            playing: Vec::new(),
            server_cpu: None,
            intervals: Vec::new(),
            error: None,
        }
    }

    /// Waits for so long at most.
    fn take(&mut self, timeout: Duration) {
        match self.ticked.recv_timeout(timeout) {
            Ok(tick) => self.add(tick),
            Err(RecvTimeoutError::Timeout) => {}
            // All threads have ended; whoever looks at them finds out why.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(timeout),
        }
    }

    fn add(&mut self, tick: Tick) {
        match self
            .playing
            .iter_mut()
            .find(|(thread, _)| *thread == tick.thread)
        {
            Some((_, playing)) => *playing = tick.playing,
            None => self.playing.push((tick.thread.clone(), tick.playing)),
        }
        self.ticks.push(tick);
    }

    fn is_over(&self) -> bool {
        self.last.elapsed() >= SECOND
    }

    /// Makes an interval of the second.
    fn close(&mut self, stage: Stage, server: Option<ProcessUsage>) -> Interval {
        // Threads tell in the middle of each, so that each has one tick of every thread.
        self.last += SECOND;
        let mut latency: Histogram<u64> = nanos_histogram();
        for tick in &self.ticks {
            // Both have the same range.
            let _added = latency.add(&tick.latency);
        }
        let ticks = self.ticks.iter();
        let cpu = server.map(|usage| usage.cpu);
        let before = std::mem::replace(&mut self.server_cpu, cpu);
        let interval = Interval {
            until: self.begin.elapsed(),
            is_measured: stage == Stage::Measured,
            readers: self.playing.iter().map(|(_, playing)| playing).sum(),
            bytes: ticks.clone().map(|tick| tick.bytes).sum(),
            lost: ticks.clone().map(|tick| tick.lost).sum(),
            latency_p50: quantile_of(&latency, 0.5),
            latency_p99: quantile_of(&latency, 0.99),
            server_cpu: cpu
                .zip(before)
                .map(|(cpu, before)| cpu.saturating_sub(before)),
            own_share: ticks.map(|tick| tick.share).fold(0.0, f64::max),
        };
        self.ticks.clear();
        self.intervals.push(interval);
        interval
    }
}
