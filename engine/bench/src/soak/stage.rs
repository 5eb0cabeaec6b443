//! The course of a soak: the server and its steady readers come up, everything is done once, the baseline is taken; then round
//! after round, and after each the wait until everything is as it was.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use super::STEADY_READERS;
use super::companions::Companions;
use super::crew::{Crew, Deeds, Round};
use super::schedule::Cast;
use super::vitals::{Deviation, Vitals};
use crate::BenchError;
use crate::clock::Clock;
use crate::measured::Sampled;
use crate::publishers::{Publishers, PublishersPlan};
use crate::readers::Readers;
use crate::report::Progress;
use crate::run::Interrupt;
use crate::shape::{Load, Transport};
use crate::stage::{SharedStage, Stage, Tick};
use crate::subject::{RunningSubject, Subject};

/// Until the server has said where its metrics are, and all steady readers play: far above what a loaded machine needs.
const BEGIN_MAX: Duration = Duration::from_secs(20);
/// Before the baseline, until it is still, whatever has vanished.
const REST_MAX: Duration = Duration::from_secs(30);
/// Between two looks whether everything is as it was.
const SETTLE_INTERVAL: Duration = Duration::from_millis(200);
/// The baseline is what the server has been for so many looks in a row.
const STILL_LOOKS: usize = 10;
/// What is told on the way is told so often, and what is taken in meanwhile so much oftener.
const TELL_INTERVAL: Duration = Duration::from_secs(1);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// The time in which packets count is announced so early, and ends when everything is over.
const ANNOUNCED_BEFORE: Duration = Duration::from_millis(30);

/// What is to be done.
pub(super) struct Soak<'a> {
    pub(super) cast: Cast,
    /// How long a round lasts.
    pub(super) round: Duration,
    pub(super) rounds: u64,
    /// What nobody disturbs.
    pub(super) load: Load,
    pub(super) memory_tolerance: u64,
    /// How long everything may take to come back.
    pub(super) patience: Duration,
    pub(super) companions: usize,
    pub(super) interrupt: &'a Interrupt,
    pub(super) progress: &'a Progress,
}

/// What has come of it.
pub(super) struct Soaked {
    /// Before anybody misbehaved in a round that counts; none when it was broken off before.
    pub(super) baseline: Option<Vitals>,
    /// After each round.
    pub(super) rounds: Vec<Settled>,
    /// What those who misbehaved did.
    pub(super) deeds: Deeds,
    /// What readers over TCP and over UDP have received that nobody has disturbed.
    pub(super) steady: Vec<(Transport, Sampled)>,
    /// How many of them were sent away.
    pub(super) sent_away: usize,
    /// The busiest second of ours.
    pub(super) busiest_share: f64,
    /// What the server has said of faults of its own.
    pub(super) faults: Vec<String>,
    /// It was broken off.
    pub(super) is_partial: bool,
}

/// What a round has left behind.
pub(super) struct Settled {
    /// When all had gone.
    pub(super) vitals: Vitals,
    /// What was not as before until the end of all patience.
    pub(super) deviations: Vec<Deviation>,
    /// How long it took.
    pub(super) took: Duration,
}

/// A soak under way.
struct UnderWay<'a> {
    soak: &'a Soak<'a>,
    subject: RunningSubject,
    site: SocketAddr,
    stage: Arc<SharedStage>,
    clock: Clock,
    publishers: Publishers,
    readers: Vec<(Transport, Readers)>,
    /// Nobody wants to know second by second.
    ticked: Receiver<Tick>,
    told: Instant,
    deeds: Deeds,
}

impl Soak<'_> {
    /// Soaks it.
    ///
    /// # Errors
    /// When the server or a steady publisher is gone.
    pub(super) fn run(&self, subject: &Subject) -> Result<Soaked, BenchError> {
        let mut under_way = self.begin(subject)?;
        let gone = under_way.go_through();
        let (baseline, rounds) = match gone {
            Ok(it) => it,
            Err(error) => {
                under_way.stage.set(Stage::Over);
                return Err(error);
            }
        };
        under_way.end(baseline, rounds)
    }

    fn begin(&self, subject: &Subject) -> Result<UnderWay<'_>, BenchError> {
        let subject = subject.run(self.cast.all_paths())?;
        let site = wait_site(&subject)?;
        let (stage, clock) = (Arc::new(SharedStage::default()), Clock::now());
        let (ticks, ticked) = mpsc::channel();
        let plan = PublishersPlan {
            load: self.load.clone(),
            target: subject.target.clone(),
            stage: Arc::clone(&stage),
            clock,
        };
        let publishers = Publishers::start(plan, ticks.clone())?;
        let mut readers = Vec::new();
        for transport in [Transport::Tcp, Transport::Udp] {
            let load = Load {
                reader_transport: transport,
                ..self.load.clone()
            };
            let started = Readers::start(&load, &subject.target, stage.clone(), ticks.clone())?;
            readers.push((transport, started));
        }
        Ok(UnderWay {
            soak: self,
            subject,
            site,
            stage,
            clock,
            publishers,
            readers,
            ticked,
            told: Instant::now(),
            deeds: Deeds::default(),
        })
    }
}

impl UnderWay<'_> {
    /// The baseline, and what each round has left behind.
    fn go_through(&mut self) -> Result<(Option<Vitals>, Vec<Settled>), BenchError> {
        self.wait_steady()?;
        let Some(alone) = self.wait_still(None)? else {
            return Ok((None, Vec::new()));
        };
        self.play(0)?;
        let Some(baseline) = self.wait_still(Some(alone.sessions))? else {
            return Ok((None, Vec::new()));
        };
        let companions = Companions::open(self.subject.target.address, self.soak.companions)?;
        self.announce();
        let mut rounds = Vec::new();
        for number in 1..=self.soak.rounds {
            self.play(number)?;
            if self.soak.interrupt.is_raised() {
                break;
            }
            let settled = self.settle(&baseline)?;
            let has_deviated = !settled.deviations.is_empty();
            rounds.push(settled);
            // What did not come back will not by itself, and hides what else does not.
            if has_deviated {
                break;
            }
        }
        drop(companions);
        Ok((Some(baseline), rounds))
    }

    fn wait_steady(&mut self) -> Result<(), BenchError> {
        let begin = Instant::now();
        let wanted = self.soak.cast.paths * STEADY_READERS;
        while self.playing() < wanted {
            self.look("begin")?;
            if begin.elapsed() > BEGIN_MAX {
                let playing = self.playing();
                let reason = format!("only {playing} of {wanted} steady readers play");
                return Err(BenchError::Server(reason));
            }
        }
        Ok(())
    }

    fn playing(&self) -> usize {
        self.readers.iter().map(|(_, it)| it.playing()).sum()
    }

    /// A round of those who misbehave.
    fn play(&mut self, number: u64) -> Result<(), BenchError> {
        let is_over = Arc::new(AtomicBool::new(false));
        let crew = Crew::start(Round {
            cast: self.soak.cast,
            number,
            lasts: self.soak.round,
            load: self.soak.load.clone(),
            target: self.subject.target.clone(),
            is_over: Arc::clone(&is_over),
        })?;
        let rounds = self.soak.rounds;
        let words = match number {
            0 => "before the baseline".to_owned(),
            number => format!("round {number} of {rounds}"),
        };
        while !crew.has_ended() {
            let looked = self.look(&words);
            if looked.is_err() || self.soak.interrupt.is_raised() {
                is_over.store(true, Ordering::Relaxed);
            }
            looked?;
        }
        for (act, outcomes) in crew.join()? {
            self.deeds.entry(act).or_default().add(&outcomes);
        }
        Ok(())
    }

    /// What the server is once nobody is there but those who stay, who have so many sessions if that is known; none when the
    /// user wants an end.
    fn wait_still(&mut self, sessions: Option<u64>) -> Result<Option<Vitals>, BenchError> {
        let (begin, mut last, mut looks) = (Instant::now(), self.vitals()?, 0);
        while looks < STILL_LOOKS {
            self.look_for(SETTLE_INTERVAL, "baseline")?;
            let vitals = self.vitals()?;
            let is_alone = sessions.is_none_or(|sessions| sessions == vitals.sessions);
            let is_still = is_alone && vitals.is_as_still_as(&last);
            looks = if is_still { looks + 1 } else { 0 };
            last = vitals;
            if self.soak.interrupt.is_raised() {
                return Ok(None);
            }
            if begin.elapsed() > REST_MAX {
                let (is, was) = (last.sessions, sessions.unwrap_or_default());
                let reason = format!("it does not come to rest: {is} sessions, at first {was}");
                return Err(BenchError::Server(reason));
            }
        }
        Ok(Some(last))
    }

    /// Waits until everything is as it was.
    fn settle(&mut self, baseline: &Vitals) -> Result<Settled, BenchError> {
        let begin = Instant::now();
        loop {
            self.look_for(SETTLE_INTERVAL, "settling")?;
            let vitals = self.vitals()?;
            let deviations = vitals.deviations(baseline, self.soak.memory_tolerance);
            let took = begin.elapsed();
            let is_over = took > self.soak.patience || self.soak.interrupt.is_raised();
            if deviations.is_empty() || is_over {
                return Ok(Settled {
                    vitals,
                    deviations,
                    took,
                });
            }
        }
    }

    fn vitals(&self) -> Result<Vitals, BenchError> {
        let vitals = Vitals::take(self.site);
        vitals.map_err(|error| {
            // A server that has ended says why.
            let ended = self.subject.usage().err();
            ended.unwrap_or_else(|| BenchError::io("cannot take the server's metrics")(error))
        })
    }

    /// From here on the steady readers' packets count.
    fn announce(&self) {
        let begin = self.clock.unix_nanos(Instant::now() + ANNOUNCED_BEFORE);
        self.stage.count_between(begin..u64::MAX);
        std::thread::sleep(ANNOUNCED_BEFORE);
        self.stage.set(Stage::Measured);
    }

    fn look_for(&mut self, span: Duration, words: &str) -> Result<(), BenchError> {
        let end = Instant::now() + span;
        while Instant::now() < end {
            self.look(words)?;
        }
        Ok(())
    }

    /// Takes in what has happened, and tells now and then.
    fn look(&mut self, words: &str) -> Result<(), BenchError> {
        std::thread::sleep(LOOK_INTERVAL);
        self.ticked.try_iter().for_each(drop);
        for (_, readers) in &self.readers {
            if let Some(error) = readers.take_error() {
                return Err(error);
            }
        }
        if self.publishers.have_ended() {
            let why = self.subject.usage().err();
            let gone = || BenchError::Server("it has ended a steady publisher".to_owned());
            return Err(why.unwrap_or_else(gone));
        }
        if self.told.elapsed() >= TELL_INTERVAL {
            self.told = Instant::now();
            let vitals = self.vitals()?;
            self.soak.progress.line(&format!(
                "{words:<20} sessions {:>4}  tasks {:>5}  descriptors {:>5}  memory {:>6.1} MiB",
                vitals.sessions,
                vitals.tasks,
                vitals.descriptors,
                vitals.resident_bytes as f64 / 1_048_576.0,
            ));
        }
        Ok(())
    }

    /// Everybody leaves, and what they have seen is taken together.
    fn end(self, baseline: Option<Vitals>, rounds: Vec<Settled>) -> Result<Soaked, BenchError> {
        self.stage.set(Stage::Ending);
        let (mut steady, mut sent_away, mut busiest_share) = (Vec::new(), 0, 0.0_f64);
        for (transport, readers) in self.readers {
            let figures = readers.join()?;
            sent_away += figures.all.closed;
            busiest_share = busiest_share.max(figures.busiest_share);
            steady.push((transport, figures.sampled));
        }
        self.stage.set(Stage::Over);
        let published = self.publishers.join()?;
        Ok(Soaked {
            is_partial: self.soak.interrupt.is_raised(),
            baseline,
            rounds,
            deeds: self.deeds,
            steady,
            sent_away,
            busiest_share: busiest_share.max(published.busiest_share),
            faults: self.subject.faults(),
        })
    }
}

/// Where the server's metrics are: it says so after where it listens.
fn wait_site(subject: &RunningSubject) -> Result<SocketAddr, BenchError> {
    let begin = Instant::now();
    loop {
        if let Some(site) = subject.site() {
            return Ok(site);
        }
        if begin.elapsed() > BEGIN_MAX {
            return Err(BenchError::Server("it has no metrics".to_owned()));
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}
