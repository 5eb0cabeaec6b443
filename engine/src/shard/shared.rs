//! What all shards share: the configuration, the directory of paths, the events and the sessions' records. Nothing here is
//! touched on the packet's way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use shardcast_config::Config;
use shardcast_protocol::rtsp::PortPair;
use shardcast_runtime::{DoorSender, Full, ShardId, place};

use crate::admit::Admission;
use crate::connections::Connections;
use crate::event::EventBus;
use crate::fanout::Drop;
use crate::latency::LatencyBoard;
use crate::limits::{ByAddress, LIMITS, LimitReport, Limits};
use crate::path::{Directory, PathEntry, PathName};
use crate::record::{DROP_REASONS, DropCounts, DropsByReason, LogRecords, SessionRecords};
use crate::refusal::{RefusalCounters, RefusalReason, Refusals};
use crate::streams::StreamRecords;

use super::{DatagramDirectory, Errand, IdleSessions, MulticastAddresses, Withdrawals};

/// The configuration in force. A shard sees a change at its next look.
pub type ConfigHandle = Arc<ArcSwap<Config>>;

/// Shared by all shards.
#[derive(Debug)]
pub struct ServerState {
    /// The configuration.
    pub config: ConfigHandle,
    /// Who may what.
    pub admission: Admission,
    /// Who owns which path.
    pub directory: Directory,
    /// What happens.
    pub events: EventBus,
    /// Who is connected over RTSP.
    pub connections: Connections,
    /// What is counted of sessions.
    pub records: SessionRecords,
    /// How late packets leave, by path.
    pub latency: Arc<LatencyBoard>,
    /// What is counted of logs.
    pub logs: LogRecords,
    /// What is known of streams.
    pub streams: StreamRecords,
    /// How much is taken of what there is.
    pub limits: Limits,
    /// Sessions that neither play nor record, by address.
    pub idle_sessions: IdleSessions,
    /// Which shard expects whose datagrams.
    pub datagram_directory: Arc<DatagramDirectory>,
    /// Which addresses streams have for multicast.
    pub multicast_addresses: Arc<MulticastAddresses>,
    /// Paths that the configuration has taken away, for their owners.
    pub withdrawals: Withdrawals,
    /// Our ports for RTP and RTCP in datagrams, where UDP is switched on.
    pub datagram_ports: Option<PortPair>,
    /// Sockets that are open for one publisher's packets alone.
    pub peer_sockets: AtomicUsize,
    /// The shards' doors for errands.
    errands: Vec<DoorSender<Errand>>,
    /// Sessions and paths of each shard.
    loads: Vec<AtomicU32>,
    /// What each shard has refused.
    refusals: Vec<RefusalCounters>,
    /// How often each shard has moved readers forward.
    drops: Vec<DropCounts>,
}

impl ServerState {
    /// For the shards of these doors, with these listeners of events.
    #[must_use]
    pub fn new(
        config: ConfigHandle,
        admission: Admission,
        errands: Vec<DoorSender<Errand>>,
        events: EventBus,
        datagram_ports: Option<PortPair>,
    ) -> Self {
        let shards = errands.len();
        let range = config.load().rtsp.multicast_range;
        Self {
            config,
            admission,
            directory: Directory::default(),
            events,
            connections: Connections::default(),
            records: SessionRecords::default(),
            latency: LatencyBoard::new(shards),
            logs: LogRecords::default(),
            streams: StreamRecords::default(),
            limits: Limits::new(shards),
            idle_sessions: IdleSessions::default(),
            datagram_directory: Arc::default(),
            multicast_addresses: MulticastAddresses::new(range),
            withdrawals: Withdrawals::new(shards),
            datagram_ports,
            peer_sockets: AtomicUsize::new(0),
            errands,
            loads: (0..shards).map(|_| AtomicU32::new(0)).collect(),
            refusals: (0..shards).map(|_| RefusalCounters::default()).collect(),
            drops: (0..shards).map(|_| DropCounts::default()).collect(),
        }
    }

    /// Every limit, and what is taken of it.
    #[must_use]
    pub fn limit_reports(&self) -> [LimitReport; LIMITS] {
        let by_address = ByAddress {
            connections: self.connections.most_of_an_address(),
            sessions: self.idle_sessions.most_of_an_address(),
        };
        let config = self.config.load();
        self.limits.report(&config.limits, by_address)
    }

    /// How many shards there are.
    #[must_use]
    pub fn shard_count(&self) -> usize {
        self.loads.len()
    }

    /// Has a shard do something; the only way from a thread that is none.
    ///
    /// # Errors
    /// Too much waits for it already, or there is no such shard.
    pub fn send_errand(&self, shard: ShardId, errand: Errand) -> Result<(), Full<Errand>> {
        match self.errands.get(shard.index()) {
            Some(door) => door.send(errand),
            None => Err(Full(errand)),
        }
    }

    /// The shard for a new path.
    #[must_use]
    pub fn place(&self, name: &PathName) -> ShardId {
        let loads: Vec<u32> = self
            .loads
            .iter()
            .map(|load| load.load(Ordering::Relaxed))
            .collect();
        place(name.as_str(), &loads)
    }

    /// Counts what this shard has refused; only itself may.
    pub fn count_refusal(&self, shard: ShardId, reason: RefusalReason) {
        if let Some(counters) = self.refusals.get(shard.index()) {
            counters.count(reason);
        }
    }

    /// What all shards have refused.
    #[must_use]
    pub fn refusals(&self) -> Refusals {
        Refusals::sum(&self.refusals)
    }

    /// Counts that a reader was moved forward on a shard; only that shard may.
    pub fn count_drop(&self, shard: usize, path: &PathEntry, dropped: Drop) {
        if let Some(counts) = self.drops.get(shard) {
            counts.count(dropped.reason, dropped.times);
        }
        let known = DROP_REASONS.iter().zip(&path.drops);
        for (_, count) in known.filter(|(reason, _)| **reason == dropped.reason) {
            count.fetch_add(dropped.times, Ordering::Relaxed);
        }
        let bytes = &path.dropped_bytes;
        bytes.fetch_add(dropped.bytes, Ordering::Relaxed);
    }

    /// How often each shard has moved readers forward.
    #[must_use]
    pub fn drops(&self) -> Vec<DropsByReason> {
        self.drops.iter().map(DropCounts::by_reason).collect()
    }

    /// A session or path begins on this shard.
    pub fn add_load(&self, shard: ShardId) {
        if let Some(load) = self.loads.get(shard.index()) {
            load.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A session or path ends on this shard.
    pub fn remove_load(&self, shard: ShardId) {
        if let Some(load) = self.loads.get(shard.index()) {
            load.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
