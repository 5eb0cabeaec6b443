//! Those who misbehave: a task each, on a thread of their own, which goes through its errands of a round. What becomes of an
//! errand is only counted: a server that refuses or hangs up is within its rights.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use shardcast_platform::{Cancel, block_on, now, sleep, spawn};
use shardcast_protocol::rtsp::TRACKS_MAX;
use shardcast_protocol::rtsp::client::Offer;

use super::schedule::{Act, Cast, Errand};
use crate::BenchError;
use crate::clock::Clock;
use crate::dialogue::{Dialogue, DialogueError, Flow};
use crate::publishers::{Farewell, PublishersPlan, publish_for};
use crate::readers::{Ports, discard, discard_datagrams};
use crate::shape::{Load, Transport};
use crate::stage::SharedStage;
use crate::target::Target;

/// Those who read do so this often, and whoever waits looks this often whether it is over.
const READ_INTERVAL: Duration = Duration::from_millis(50);
/// What a reader that crawls or stalls lets wait, so that the server notices soon.
const SLOW_BUFFER_BYTES: usize = 16 << 10;
/// What a reader that crawls takes each time: a tenth of a megabit per second.
const CRAWL_BYTES: usize = 625;
/// What a reader takes before it resets: more than a frame's head, less than a packet.
const TORN_BYTES: usize = 700;
/// How often whoever flaps does.
const FLAPS: usize = 4;
/// After somebody has said that they leave, for the server to hear it.
const LEAVE_GRACE: Duration = Duration::from_millis(100);
const THREAD: &str = "crew";

/// What a round is made of.
#[derive(Clone)]
pub(crate) struct Round {
    pub(crate) cast: Cast,
    pub(crate) number: u64,
    pub(crate) lasts: Duration,
    pub(crate) load: Load,
    pub(crate) target: Target,
    /// Raised when the user wants an end.
    pub(crate) is_over: Arc<AtomicBool>,
}

/// What has become of errands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    /// They were done to their end.
    pub(crate) done: u64,
    /// The server said no.
    pub(crate) refused: u64,
    /// The server hung up, or a connection failed.
    pub(crate) cut: u64,
    /// By how much the slowest took longer than it was to last: what the server has kept it waiting, mostly.
    pub(crate) overtime_max: Duration,
}

impl Outcomes {
    /// With those of another round.
    pub(crate) fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.refused += other.refused;
        self.cut += other.cut;
        self.overtime_max = self.overtime_max.max(other.overtime_max);
    }
}

/// By act.
pub(crate) type Deeds = BTreeMap<Act, Outcomes>;

/// A round under way.
pub(crate) struct Crew(JoinHandle<Result<Deeds, BenchError>>);

/// What the tasks of the thread share.
struct Stage {
    round: Round,
    over: Cancel,
    busy: Cell<usize>,
    deeds: RefCell<Deeds>,
}

/// Why an errand was not done to its end.
enum Failure {
    Refused,
    Cut,
}

impl Crew {
    /// Has them go.
    ///
    /// # Errors
    /// When there is no thread for them.
    pub(crate) fn start(round: Round) -> Result<Self, BenchError> {
        let body = move || {
            let played = block_on(crate::driver()?, play(round));
            played.map_err(BenchError::io("cannot start an event loop"))
        };
        let thread = std::thread::Builder::new().name(THREAD.to_owned());
        let thread = thread.spawn(body);
        Ok(Self(
            thread.map_err(BenchError::io("cannot start a thread"))?,
        ))
    }

    /// Whether all of them have gone.
    pub(crate) fn has_ended(&self) -> bool {
        self.0.is_finished()
    }

    /// What they did.
    ///
    /// # Errors
    /// When their thread could not run.
    pub(crate) fn join(self) -> Result<Deeds, BenchError> {
        self.0.join().map_err(|_| BenchError::Panicked(THREAD))?
    }
}

/// Plays a round to its end.
async fn play(round: Round) -> Deeds {
    let stage = Rc::new(Stage {
        busy: Cell::new(round.cast.actors()),
        round,
        over: Cancel::new(),
        deeds: RefCell::default(),
    });
    for actor in 0..stage.round.cast.actors() {
        spawn(Rc::clone(&stage).act(actor));
    }
    while stage.busy.get() > 0 {
        sleep(READ_INTERVAL).await;
        if stage.round.is_over.load(Ordering::Relaxed) {
            stage.over.cancel();
        }
    }
    stage.deeds.take()
}

impl Stage {
    /// One actor's round.
    async fn act(self: Rc<Self>, actor: usize) {
        let Round {
            cast,
            number,
            lasts,
            ..
        } = &self.round;
        for errand in cast.errands(*number, actor, *lasts) {
            self.wait(errand.pause).await;
            if self.over.is_cancelled() {
                break;
            }
            let begin = now();
            let outcome = match errand.act.is_of_publisher() {
                true => self.publish(errand).await,
                false => self.read(errand).await,
            };
            let mut deeds = self.deeds.borrow_mut();
            let outcomes = deeds.entry(errand.act).or_default();
            let overtime = begin.elapsed().saturating_sub(errand.lasts);
            outcomes.overtime_max = outcomes.overtime_max.max(overtime);
            match outcome {
                Ok(()) => outcomes.done += 1,
                Err(Failure::Refused) => outcomes.refused += 1,
                Err(Failure::Cut) => outcomes.cut += 1,
            }
        }
        self.busy.set(self.busy.get() - 1);
    }

    async fn wait(&self, span: Duration) {
        let end = now() + span;
        while now() < end && !self.over.is_cancelled() {
            sleep(READ_INTERVAL.min(end.saturating_duration_since(now()))).await;
        }
    }

    async fn publish(&self, errand: Errand) -> Result<(), Failure> {
        let mut load = self.round.load.clone();
        load.publisher_transport = errand.transport;
        let plan = PublishersPlan {
            load,
            target: self.round.target.clone(),
            stage: Arc::new(SharedStage::default()),
            clock: Clock::now(),
        };
        let farewell = match errand.act {
            Act::BreakOff => Farewell::MidFrame,
            Act::FallSilent => Farewell::Mute,
            Act::PublishAndVanish => Farewell::None,
            _ => Farewell::InOrder,
        };
        let (path, seed, over) = (errand.path, errand.seed, &self.over);
        let published = publish_for(&plan, path, seed, errand.lasts, farewell, over).await;
        published.map_err(|_| Failure::Cut)
    }

    async fn read(&self, errand: Errand) -> Result<(), Failure> {
        if errand.act == Act::Ask {
            let mut dialogue = self.connect().await?;
            dialogue.describe(&self.url(errand)).await?;
            return Ok(());
        }
        if errand.act == Act::Flap {
            for _ in 0..FLAPS {
                let (flow, _ports) = self.join(errand).await?;
                flow.into_dialogue(&self.over).leave().await?;
            }
            return Ok(());
        }
        let (flow, ports) = self.join(errand).await?;
        match errand.act {
            Act::Stall => self.wait(errand.lasts).await,
            Act::Crawl => self.crawl(&flow, errand.lasts).await?,
            Act::Linger => {
                self.wait(errand.lasts / 2).await;
                self.stay(&flow, &ports, errand.lasts / 2).await?;
                self.leave(flow).await?;
            }
            Act::Reset => {
                self.stay(&flow, &ports, errand.lasts).await?;
                flow.stream.read_now(&mut [0; TORN_BYTES])?;
                flow.stream.abort();
            }
            Act::Vanish => self.stay(&flow, &ports, errand.lasts).await?,
            _ => {
                self.stay(&flow, &ports, errand.lasts).await?;
                self.leave(flow).await?;
            }
        }
        Ok(())
    }

    fn url(&self, errand: Errand) -> String {
        self.round.target.path_url(errand.path)
    }

    async fn connect(&self) -> Result<Dialogue, DialogueError> {
        Dialogue::connect(self.round.target.address, None, &self.over).await
    }

    /// Up to the answer to PLAY.
    async fn join(&self, errand: Errand) -> Result<(Flow, Vec<Ports>), DialogueError> {
        let mut dialogue = self.connect().await?;
        if matches!(errand.act, Act::Stall | Act::Crawl | Act::Linger) {
            dialogue.stream().set_receive_buffer(SLOW_BUFFER_BYTES)?;
        }
        let description = dialogue.describe(&self.url(errand)).await?;
        let tracks = match errand.transport {
            Transport::Tcp => 0,
            Transport::Udp => description.media.len().min(TRACKS_MAX),
        };
        let ip = dialogue.local_addr()?.ip();
        let ports = (0..tracks).map(|_| Ports::bind(ip));
        let ports = ports.collect::<io::Result<Vec<_>>>()?;
        let offer = match errand.transport {
            Transport::Tcp => Offer::Tcp,
            Transport::Udp => Offer::Udp(ports.iter().map(|ports| ports.pair).collect()),
        };
        dialogue.play(&description, offer).await?;
        Ok((dialogue.into_flow(), ports))
    }

    /// Reads all that comes.
    async fn stay(&self, flow: &Flow, ports: &[Ports], lasts: Duration) -> io::Result<()> {
        let end = now() + lasts;
        while now() < end && !self.over.is_cancelled() {
            discard(&flow.stream)?;
            for ports in ports {
                discard_datagrams(ports)?;
            }
            self.wait(READ_INTERVAL.min(left(end))).await;
        }
        Ok(())
    }

    /// Says that it leaves. The answer is not looked at: it comes behind the rest of a packet whose begin was thrown away.
    async fn leave(&self, mut flow: Flow) -> Result<(), Failure> {
        flow.client.teardown().map_err(|_| Failure::Cut)?;
        while let Some(message) = flow.client.poll_output() {
            flow.stream.write_now(&message)?;
        }
        self.wait(LEAVE_GRACE).await;
        // What nobody has read when a connection is closed would reset it. One that has ended has nothing.
        let _ended = discard(&flow.stream);
        Ok(())
    }

    /// Reads less than comes.
    async fn crawl(&self, flow: &Flow, lasts: Duration) -> io::Result<()> {
        let end = now() + lasts;
        while now() < end && !self.over.is_cancelled() {
            if flow.stream.discard_now(CRAWL_BYTES)? == Some(0) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.wait(READ_INTERVAL.min(left(end))).await;
        }
        Ok(())
    }
}

fn left(end: Instant) -> Duration {
    end.saturating_duration_since(now())
}

impl From<DialogueError> for Failure {
    fn from(error: DialogueError) -> Self {
        match error.is_refusal() {
            true => Self::Refused,
            false => Self::Cut,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(_: io::Error) -> Self {
        Self::Cut
    }
}
