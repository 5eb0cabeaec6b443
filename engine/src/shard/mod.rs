//! The core of one shard: the paths that it owns, the streams that it takes from other owners for its readers, and the
//! questions between them. Sessions call it; messages of other shards reach it through [`Shard::handle_control`] and its
//! siblings.
//!
//! Invariants: a path's truth is at its owner alone; the owner pushes a batch once per shard with readers, never per
//! reader; a control message is handled after every batch that its sender sent before it, so that the end of a stream
//! never overtakes the stream.

mod addresses;
mod admission;
mod ask;
mod coalesce;
mod datagrams;
mod errands;
mod exchanges;
mod kick;
mod media_link;
mod messages;
mod multicast;
mod news;
mod owner;
mod sessions;
mod shared;
mod taker;
mod turns;
mod withdrawals;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use shardcast_config::FanoutConfig;
use shardcast_runtime::local::Sender;
use shardcast_runtime::{DoorSeat, Guarded, Mark, ShardContext, ShardId, Stage};

pub use addresses::{IdleSeat, IdleSessions};
pub use coalesce::{CoalesceTimer, Coalesced};
pub use datagrams::{
    DatagramDirectory, DatagramFeed, DatagramFeeds, DatagramInbox, DatagramPeer, DatagramPorts,
    DatagramSeed, DatagramTaker, DatagramWay, FedEnd, FedReader, FedSeat, ForwardedDatagram, Pacer,
    PeerSeat,
};
pub use errands::{ERRANDS_WAITING_MAX, Errand, Reply};
pub use exchanges::Exchanges;
pub use kick::KickError;
pub use media_link::MediaLink;
pub use messages::{
    Answer, Arrival, AskId, Control, Described, EngineMessages, Media, PublishGrant, Question,
    Refusal, Return,
};
pub use multicast::{MulticastAddresses, MulticastGroup, MulticastGroups};
pub use news::News;
pub use sessions::{IDLE_TIMEOUT, Phase, SessionHandle, Sessions, Timeouts};
pub use shared::{ConfigHandle, ServerState};
pub use turns::Turns;
pub use withdrawals::{Withdrawals, is_open_to_publishers};

use crate::event::{Event, Protocol, SessionEnd};
use crate::fanout::{Log, WakeLimits, WakeQueue};
use crate::latency::ShardLatencies;
use crate::path::{PathId, PathName};
use crate::refusal::RefusalReason;
use crate::session_id::SessionId;
use crate::stream::Batch;
use crate::supervise::{
    STAGE_COALESCE, STAGE_DATAGRAMS, STAGE_ERRANDS, STAGE_FANOUT, STAGE_SWEEP, STAGE_TURNS,
};

use errands::OpenQuestions;
use owner::OwnedPath;
use taker::TakenPath;
use turns::{CATCH_UP_TURNS, SESSION_TURNS};

/// How often an owner measures its streams: often enough that whoever asks for room is told of the present one.
const MEASURE_INTERVAL: Duration = Duration::from_millis(500);

/// The core of one shard.
pub struct Shard {
    /// Its surroundings.
    pub context: ShardContext<EngineMessages>,
    /// What all shards share.
    pub server: Arc<ServerState>,
    /// The logs with news.
    pub wake_queue: WakeQueue,
    /// Turns of writes to those who catch up.
    pub catch_up_turns: Turns,
    /// Turns of what is no media.
    pub session_turns: Turns,
    /// Closes batches in time.
    pub coalesce: CoalesceTimer,
    /// The sessions here.
    pub sessions: Sessions,
    /// RTP and RTCP in datagrams, where UDP is switched on.
    pub datagrams: Option<Rc<DatagramPorts>>,
    /// The readers that are sent datagrams, by stream.
    pub feeds: DatagramFeeds,
    /// Those who wait to send the next burst of datagrams.
    pub bursts: Pacer,
    /// The groups that readers here were told of.
    pub multicast: MulticastGroups,
    /// How late packets leave here.
    pub latencies: ShardLatencies,
    /// Who waits for news from outside.
    pub news: News,
    open_questions: OpenQuestions,
    state: Guarded<State>,
}

#[derive(Default)]
struct State {
    owned: HashMap<PathId, OwnedPath>,
    /// Those of them whose stream waits for a publisher; looked at by the sweep.
    waiting: HashSet<PathId>,
    taken: HashMap<PathId, TakenPath>,
    asks: HashMap<AskId, Sender<Answer>>,
    last_ask: u64,
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Shard").field(&self.context.id()).finish()
    }
}

impl Shard {
    /// Starts the core on its shard's thread, with its fan-out and its coalescing timer. What comes from other threads
    /// comes in as `errands`.
    #[must_use]
    pub fn start(
        context: ShardContext<EngineMessages>,
        server: Arc<ServerState>,
        datagrams: Option<DatagramSeed>,
        errands: DoorSeat<Errand>,
    ) -> Rc<Self> {
        let datagrams = datagrams.and_then(|seed| start_datagrams(&server, seed));
        let config = server.config.load();
        let limits = wake_limits(&config.fanout);
        let (index, board) = (context.id().index(), server.latency.clone());
        let latencies = ShardLatencies::new(index, board, shardcast_platform::now());
        let shard = Rc::new(Self {
            wake_queue: WakeQueue::new(limits),
            catch_up_turns: Turns::new(CATCH_UP_TURNS),
            session_turns: Turns::new(SESSION_TURNS),
            coalesce: CoalesceTimer::new(config.fanout.coalesce),
            sessions: Sessions::default(),
            datagrams,
            feeds: DatagramFeeds::default(),
            bursts: Pacer::default(),
            multicast: MulticastGroups::default(),
            latencies,
            news: News::default(),
            open_questions: OpenQuestions::default(),
            state: context.guard(State::default()),
            context,
            server,
        });
        shard.spawn_stage(
            STAGE_FANOUT,
            |shard| async move { shard.wake_queue.run().await },
        );
        shard.spawn_stage(STAGE_FANOUT, |shard| async move {
            shard.catch_up_turns.run().await;
        });
        shard.spawn_stage(STAGE_TURNS, |shard| async move {
            shard.session_turns.run().await;
        });
        shard.spawn_stage(
            STAGE_COALESCE,
            |shard| async move { shard.coalesce.run().await },
        );
        shard.spawn_stage(STAGE_ERRANDS, |shard| shard.run_errands(errands));
        shard.spawn_stage(STAGE_SWEEP, move |shard| async move {
            let timeouts = || shard.timeouts();
            let measured = Cell::new(shardcast_platform::now());
            let also = |now| {
                shard.follow_config();
                shard.own_end_overdue(now);
                shard.latencies.publish(now);
                if now.saturating_duration_since(measured.get()) >= MEASURE_INTERVAL {
                    measured.set(now);
                    shard.own_measure(now);
                }
            };
            shard.sessions.sweep(timeouts, also).await;
        });
        shard.spawn_stage(STAGE_DATAGRAMS, |shard| async move {
            shard.bursts.run_by_timer().await;
        });
        if let Some(ports) = &shard.datagrams {
            shard.serve_datagrams(ports);
        }
        shard
    }

    /// This shard.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.context.id()
    }

    /// Counts something that was refused here.
    pub fn count_refusal(&self, reason: RefusalReason) {
        self.server.count_refusal(self.id(), reason);
    }

    /// Counts a request that the session was refused, and tells of it now and then.
    pub fn note_refused_request(&self, session: &SessionHandle, reason: RefusalReason) {
        self.count_refusal(reason);
        let due = session
            .refused_requests
            .note(reason, shardcast_platform::now());
        if let Some((reason, requests)) = due {
            let event = Event::RequestsRefused {
                peer: session.peer,
                protocol: session.protocol,
                reason,
                requests,
            };
            self.server.events.publish(&event);
        }
    }

    fn timeouts(&self) -> Timeouts {
        let config = self.server.config.load();
        Timeouts {
            read: config.read_timeout,
            write: config.write_timeout,
        }
    }

    /// Takes over what is not looked up where it is needed.
    fn follow_config(&self) {
        let config = self.server.config.load();
        self.coalesce.set_wait(config.fanout.coalesce);
        self.wake_queue.set_limits(wake_limits(&config.fanout));
        self.take_withdrawals();
    }

    /// Ends all that does not end by itself when the publishers have: sessions that do not play, and streams that wait.
    pub fn begin_drain(&self) {
        self.sessions.begin_drain();
        self.news.tell();
        self.own_drain();
    }

    /// Counts packets that readers of datagrams are not given because none can hold them; the first ones of a stream are
    /// told.
    pub fn note_oversized(&self, path: &PathName, log: &Log) {
        let (packets, is_first) = log.take_oversized();
        (0..packets).for_each(|_| self.count_refusal(RefusalReason::OversizedPacket));
        if is_first {
            let packet_bytes_max = self.server.config.load().rtsp.udp_payload_bytes_max;
            self.server.events.publish(&Event::PacketsOversized {
                path: path.clone(),
                packet_bytes_max,
            });
        }
    }

    /// A batch from another shard.
    pub fn handle_media(&self, from: ShardId, media: Media) {
        match media {
            Media::Batch {
                path,
                generation,
                batch,
            } => self.take_batch(from, path, generation, batch),
            Media::Ingest {
                path,
                publisher,
                batch,
            } => self.own_batch(path, publisher, batch),
            Media::Datagram(forwarded) => self.take_forwarded(&forwarded),
        }
    }

    /// A control message from another shard.
    pub fn handle_control(self: &Rc<Self>, from: ShardId, control: Control) {
        match control {
            Control::Arrive(arrival) => arrival.arrive(self),
            Control::Ask { id, question } => self.handle_ask(from, id, *question),
            Control::Answer { id, answer } => self.handle_answer(id, *answer),
            Control::Unpublish {
                path,
                publisher,
                reason,
            } => self.own_unpublish(path, publisher, reason),
            Control::DescribedAnew {
                path,
                publisher,
                info,
            } => self.own_describe_anew(path, publisher, info),
            Control::Detach {
                path,
                generation,
                reader,
                last_here,
            } => {
                self.own_detach(path, generation, reader, from, last_here);
            }
            Control::ClosePublisher { publisher, reason } => {
                self.close_publisher_here(publisher, reason);
            }
            Control::StreamEnded {
                path,
                generation,
                reason,
            } => self.take_end(path, generation, reason),
        }
    }

    /// A batch that another shard is done with; its memory is freed here, where it was allocated.
    pub fn handle_return(&self, _from: ShardId, Return::Batch(batch): Return) {
        drop::<Arc<Batch>>(batch);
    }

    fn close_publisher_here(&self, id: SessionId, reason: SessionEnd) {
        if let Some(session) = self.sessions.find(id) {
            session.end(reason);
        }
    }

    fn spawn_stage<F: Future<Output = ()> + 'static>(
        self: &Rc<Self>,
        stage: Stage,
        run: impl FnOnce(Rc<Self>) -> F,
    ) {
        self.context.spawn(Mark::stage(stage), run(self.clone()));
    }
}

fn wake_limits(config: &FanoutConfig) -> WakeLimits {
    WakeLimits {
        readers: config.wake_readers,
        bytes: config.wake_bytes,
    }
}

/// Without its sockets a shard serves all but UDP.
fn start_datagrams(server: &ServerState, seed: DatagramSeed) -> Option<Rc<DatagramPorts>> {
    let ports = DatagramPorts::start(seed);
    ports
        .inspect_err(|error| {
            server.events.publish(&Event::AcceptFailed {
                protocol: Protocol::Rtsp,
                error: error.to_string(),
            });
        })
        .ok()
}
