//! What handlers work with: everything that is known of the server, from any thread.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use shardcast_config::Document;
use shardcast_runtime::RuntimeHandle;

use super::events::EventFeed;
use super::{Clerk, Configuration};
use crate::server::Listener;
use crate::shard::ServerState;
use crate::snapshot::Snapshot;

/// The server, as control sees it.
#[derive(Debug)]
pub struct ControlState {
    /// What all shards share.
    pub server: Arc<ServerState>,
    /// The configuration, to be changed.
    pub configuration: Configuration,
    /// Where the server listens.
    pub listeners: Vec<Listener>,
    /// When it was started.
    pub started: SystemTime,
    /// Works out answers.
    pub clerk: Clerk,
    runtime: OnceLock<RuntimeHandle>,
    events: OnceLock<Option<Arc<EventFeed>>>,
}

impl ControlState {
    /// Of a server that is about to start its shards.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn new(
        server: Arc<ServerState>,
        document: Document,
        listeners: Vec<Listener>,
    ) -> std::io::Result<Self> {
        let state = Self {
            server,
            configuration: Configuration::new(document),
            listeners,
            started: SystemTime::now(),
            clerk: Clerk::start()?,
            runtime: OnceLock::new(),
            events: OnceLock::new(),
        };
        if state.server.config.load().api.enabled {
            let _keeps_a_history_from_the_begin = state.event_feed();
        }
        Ok(state)
    }

    /// The feed of events. Where nobody could ask for it so far, it begins now; `None` when it cannot be had.
    #[must_use]
    pub fn event_feed(&self) -> Option<&Arc<EventFeed>> {
        let feed = self.events.get_or_init(|| EventFeed::start(&self.server));
        feed.as_ref()
    }

    /// The shards run.
    pub fn set_runtime(&self, runtime: RuntimeHandle) {
        let _set_once = self.runtime.set(runtime);
    }

    /// The shards, once they run.
    #[must_use]
    pub fn runtime(&self) -> Option<&RuntimeHandle> {
        self.runtime.get()
    }

    /// All counters.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let shards = self.runtime().map(RuntimeHandle::counters);
        Snapshot::take(&self.server, shards.unwrap_or_default())
    }
}
