//! Keeps time for all publishers of a run: one task that sends what is due next, sleeps until then, and takes the figures.
//!
//! Whoever is late makes up for it: what was due is sent as soon as it can be, with the moment at which it should have been.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use shardcast_platform::{precise_timers, sleep, spawn, thread_cpu_time};

use super::outlet::{Announced, Outlet, Sent};
use super::{PublisherFigures, PublishersPlan, THREAD};
use crate::BenchError;
use crate::clock::Clock;
use crate::measured::{Published, nanos_histogram, record};
use crate::shape::Flapping;
use crate::stage::{Stage, Tick};
use crate::stream::packets::Packets;
use crate::stream::source::Source;

/// The event loop's timers are exact to about a millisecond: the rest of a wait is slept by the thread itself.
const COARSE: Duration = Duration::from_millis(2);
/// Other tasks get a turn at least so often.
const BREATH: Duration = Duration::from_millis(10);
/// A connection that takes no more is tried again after this.
const RETRY: Duration = Duration::from_millis(1);
/// What the server sends to publishers is looked at so often.
const LISTEN_INTERVAL: Duration = Duration::from_millis(200);
/// Paths begin one after the other within this, as publishers in the world have no common beat.
const SPREAD: Duration = Duration::from_millis(33);
/// From one tick to the next.
const TICK: Duration = Duration::from_secs(1);

/// What is to be done at its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    /// The next packets of this path.
    Send(usize),
    /// Look at what the server sends to this path's publisher.
    Listen(usize),
    /// This path's publisher leaves; in order, or not.
    Leave(usize, bool),
    /// This path's publisher comes back.
    Return(usize),
    /// Tell the coordinator.
    Tick,
}

/// The path of a publisher that was away, and its new session if there is one.
type Returned = (usize, Result<Outlet, BenchError>);

/// One path's publisher.
struct Publisher {
    source: Source,
    packets: Packets,
    /// Of these packets, what is being sent.
    begun: Option<Range<usize>>,
    /// When that is due.
    due: Instant,
    /// Whether the server has held the publisher up: then it is not our fault what is late.
    is_held_up: bool,
    /// When the stream began.
    begin: Instant,
    outlet: Option<Outlet>,
}

/// All of them.
pub(super) struct Conductor {
    plan: PublishersPlan,
    ticks: Sender<Tick>,
    publishers: Vec<Publisher>,
    deeds: BinaryHeap<Reverse<(Instant, Deed)>>,
    /// Publishers that come back, with what has come of it.
    returned: Rc<RefCell<Vec<Returned>>>,
    figures: Figures,
}

struct Figures {
    published: Published,
    stage: Stage,
    busiest_share: f64,
    tick_begin: (Instant, Duration),
}

impl Conductor {
    /// Publishes every path; nothing is sent yet.
    ///
    /// # Errors
    /// As [`super::Publishers::start`].
    pub(super) async fn start(
        plan: PublishersPlan,
        ticks: Sender<Tick>,
    ) -> Result<Self, BenchError> {
        precise_timers().map_err(BenchError::io("cannot make timers precise"))?;
        let mut publishers: Vec<Publisher> = Vec::new();
        for path in 0..plan.load.paths {
            let seed = plan.load.seed.wrapping_add(path as u64);
            let source = match publishers.first() {
                Some(first) => first.source.beside(seed),
                None => Source::open(&plan.load.source, seed)?,
            };
            let outlet = Outlet::open(Announced::of(&plan, path, &source)).await?;
            publishers.push(Publisher {
                source,
                packets: Packets::default(),
                begun: None,
                due: Instant::now(),
                is_held_up: false,
                begin: Instant::now(),
                outlet: Some(outlet),
            });
        }
        let figures = Figures::new()?;
        let mut conductor = Self {
            plan,
            ticks,
            publishers,
            deeds: BinaryHeap::new(),
            returned: Rc::default(),
            figures,
        };
        conductor.schedule();
        Ok(conductor)
    }

    fn schedule(&mut self) {
        let (now, paths) = (Instant::now(), self.publishers.len());
        for (path, publisher) in self.publishers.iter_mut().enumerate() {
            publisher.begin = now + SPREAD.mul_f64(path as f64 / paths as f64);
            publisher.due = publisher.begin;
            self.deeds
                .push(Reverse((publisher.begin, Deed::Send(path))));
            self.deeds.push(Reverse((
                publisher.begin + LISTEN_INTERVAL,
                Deed::Listen(path),
            )));
        }
        self.deeds.push(Reverse((now + TICK, Deed::Tick)));
        if let Some(flapping) = self.plan.load.flapping {
            for path in 0..flapping.publishers.min(paths) {
                let first = flapping.every.mul_f64((path + 1) as f64 / paths as f64);
                self.deeds
                    .push(Reverse((now + first, Deed::Leave(path, true))));
            }
        }
    }

    /// Sends until the run ends.
    ///
    /// # Errors
    /// When a connection ends, or a publisher that comes back is refused.
    pub(super) async fn conduct(&mut self) -> Result<PublisherFigures, BenchError> {
        let mut breath = Instant::now();
        while self.figures.follow(self.plan.stage.now())? < Stage::Over {
            let Some(Reverse((due, deed))) = self.deeds.pop() else {
                break;
            };
            if breath.elapsed() > BREATH {
                shardcast_platform::yield_now().await;
                breath = Instant::now();
            }
            if wait_until(due).await {
                breath = Instant::now();
            }
            self.take_returned()?;
            if let Some(next) = self.act(due, deed)? {
                self.deeds.push(Reverse(next));
            }
        }
        for outlet in self.publishers.iter_mut().filter_map(|it| it.outlet.take()) {
            outlet.leave().await;
        }
        Ok(self.figures.result())
    }

    /// Does a deed; what is to be done next instead of it.
    fn act(&mut self, due: Instant, deed: Deed) -> Result<Option<(Instant, Deed)>, BenchError> {
        let next = match deed {
            Deed::Send(path) => self.send(path)?.map(|at| (at, deed)),
            Deed::Listen(path) => {
                self.listen(path)?;
                Some((due + LISTEN_INTERVAL, deed))
            }
            Deed::Leave(path, in_order) => self.leave(due, path, in_order),
            Deed::Return(path) => {
                self.come_back(path);
                None
            }
            Deed::Tick => {
                let tick = self.figures.tick()?;
                // The coordinator may be gone already.
                let _heard = self.ticks.send(tick);
                Some((due + TICK, deed))
            }
        };
        Ok(next)
    }

    /// Sends what is due of a path; when the next is.
    fn send(&mut self, path: usize) -> Result<Option<Instant>, BenchError> {
        let (clock, gap) = (self.plan.clock, self.plan.load.gap);
        let Some(publisher) = self.publishers.get_mut(path) else {
            return Ok(None);
        };
        if publisher.begun.is_none() {
            publisher.begin_next(gap, clock);
        }
        let due = publisher.due;
        if due > Instant::now() {
            return Ok(Some(due));
        }
        let lateness = due.elapsed();
        let Some(sent) = publisher.send_begun()? else {
            publisher.is_held_up = true;
            return Ok(Some(Instant::now() + RETRY));
        };
        self.figures
            .sent(sent, (!publisher.is_held_up).then_some(lateness));
        publisher.begin_next(gap, clock);
        publisher.is_held_up &= publisher.due <= Instant::now();
        Ok(Some(publisher.due))
    }

    fn listen(&mut self, path: usize) -> Result<(), BenchError> {
        let outlet = self
            .publishers
            .get_mut(path)
            .and_then(|it| it.outlet.as_mut());
        outlet.map_or(Ok(()), Outlet::listen)
    }

    fn leave(&mut self, due: Instant, path: usize, in_order: bool) -> Option<(Instant, Deed)> {
        let Flapping { every, away, .. } = self.plan.load.flapping?;
        let outlet = self.publishers.get_mut(path)?.outlet.take();
        match outlet {
            Some(outlet) if in_order => spawn(outlet.leave()),
            Some(outlet) => outlet.abort(),
            None => {}
        }
        self.deeds.push(Reverse((due + away, Deed::Return(path))));
        Some((due + every.max(away + TICK), Deed::Leave(path, !in_order)))
    }

    fn come_back(&mut self, path: usize) {
        let Some(publisher) = self.publishers.get(path) else {
            return;
        };
        let announced = Announced::of(&self.plan, path, &publisher.source);
        let returned = self.returned.clone();
        spawn(async move {
            let outlet = Outlet::open(announced).await;
            returned.borrow_mut().push((path, outlet));
        });
    }

    fn take_returned(&mut self) -> Result<(), BenchError> {
        for (path, outlet) in self.returned.take() {
            let outlet = outlet?;
            if let Some(publisher) = self.publishers.get_mut(path) {
                publisher.come_back(outlet);
            }
            self.figures.published.flaps += 1;
        }
        Ok(())
    }
}

impl Publisher {
    /// Chooses what is sent next and when it is due: a frame, or with a gap one packet of it. Each packet is told its moment.
    fn begin_next(&mut self, gap: Option<Duration>, clock: Clock) {
        let next = self.begun.take().map_or(0, |begun| begun.end);
        let goes_on = next < self.packets.len();
        let begun = match (goes_on, gap) {
            (true, Some(gap)) => {
                self.due += gap;
                next..next + 1
            }
            _ => {
                self.next_frame(gap);
                0..gap.map_or(self.packets.len(), |_| 1)
            }
        };
        let due_unix_nanos = clock.unix_nanos(self.due);
        for packet in begun.clone() {
            self.packets.stamp(packet, due_unix_nanos);
        }
        self.begun = Some(begun);
    }

    /// What was begun before is of the publisher that left.
    fn come_back(&mut self, outlet: Outlet) {
        self.outlet = Some(outlet);
        self.source.begin_anew();
        self.packets.clear();
        self.begun = None;
    }

    /// A frame whose packets are spread may still be under way when the next is due.
    fn next_frame(&mut self, gap: Option<Duration>) {
        self.packets.clear();
        let due = self.begin + self.source.next(&mut self.packets);
        self.due = due.max(self.due + gap.unwrap_or_default());
    }

    /// Sends what was begun: its packets and bytes, once all of it is with the system. Who is away lets it pass.
    fn send_begun(&mut self) -> Result<Option<Sent>, BenchError> {
        match (&mut self.outlet, self.begun.clone()) {
            (Some(outlet), Some(begun)) => outlet.send(&self.packets, begun),
            _ => Ok(Some(Sent::default())),
        }
    }
}

impl Figures {
    fn new() -> Result<Self, BenchError> {
        let cpu = thread_time()?;
        Ok(Self {
            published: Published {
                packets: 0,
                bytes: 0,
                lateness: nanos_histogram(),
                flaps: 0,
            },
            stage: Stage::Ramp,
            busiest_share: 0.0,
            tick_begin: (Instant::now(), cpu),
        })
    }

    /// Notices that the run has gone on: what was before it was measured does not count.
    fn follow(&mut self, stage: Stage) -> Result<Stage, BenchError> {
        if stage != self.stage && stage == Stage::Measured {
            self.published.packets = 0;
            self.published.bytes = 0;
            self.published.lateness.reset();
            self.tick_begin = (Instant::now(), thread_time()?);
        }
        self.stage = stage;
        Ok(stage)
    }

    fn sent(&mut self, sent: Sent, lateness: Option<Duration>) {
        if self.stage > Stage::Measured {
            return;
        }
        self.published.packets += sent.packets;
        self.published.bytes += sent.bytes;
        if let Some(lateness) = lateness.filter(|_| sent.packets > 0) {
            record(&mut self.published.lateness, lateness);
        }
    }

    fn tick(&mut self) -> Result<Tick, BenchError> {
        let (now, cpu) = (Instant::now(), thread_time()?);
        let (begin, cpu_begin) = std::mem::replace(&mut self.tick_begin, (now, cpu));
        let worked = cpu.saturating_sub(cpu_begin).as_secs_f64();
        let share = worked
            / now
                .duration_since(begin)
                .as_secs_f64()
                .max(f64::MIN_POSITIVE);
        if self.stage == Stage::Measured {
            self.busiest_share = self.busiest_share.max(share);
        }
        Ok(Tick {
            thread: THREAD.to_owned(),
            playing: 0,
            bytes: 0,
            lost: 0,
            latency: nanos_histogram(),
            share,
        })
    }

    fn result(&self) -> PublisherFigures {
        PublisherFigures {
            published: self.published.clone(),
            busiest_share: self.busiest_share,
        }
    }
}

fn thread_time() -> Result<Duration, BenchError> {
    thread_cpu_time().map_err(BenchError::io("cannot read a thread's CPU time"))
}

/// Sleeps until then, to the tenth of a millisecond; whether other tasks had a turn.
async fn wait_until(moment: Instant) -> bool {
    let left = || moment.saturating_duration_since(Instant::now());
    let is_long = left() > COARSE;
    if is_long {
        // The thread may have been kept from its CPU since that was asked.
        sleep(left().saturating_sub(COARSE)).await;
    }
    std::thread::sleep(left());
    is_long
}
