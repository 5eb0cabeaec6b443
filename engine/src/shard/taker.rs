//! The other side of a path: a stream that this shard takes from its owner for its own readers.
//!
//! Batches may arrive before the answer that says which stream they belong to: they wait, bounded, until it comes.

use std::rc::Rc;
use std::sync::Arc;

use shardcast_runtime::ShardId;

use super::owner::log_limits;
use super::{Control, Described, Return, Shard};
use crate::fanout::{Appended, EndReason, LocalBatch, Log, LogLimits, SharedLog};
use crate::path::{PathEntry, PathId};
use crate::session_id::SessionId;
use crate::stream::{Batch, Generation};

/// Batches that wait for the answer to the first reader's question. More are dropped: the log then goes on at its next
/// start point, as after any loss.
const EARLY_BATCHES_MAX: usize = 256;

/// A stream of another shard.
#[derive(Default)]
pub(super) struct TakenPath {
    /// The stream and its log, once the owner has answered.
    stream: Option<(Generation, Rc<SharedLog>)>,
    /// Readers whose question is open.
    asking: usize,
    early: Vec<(Generation, Arc<Batch>)>,
    early_end: Option<(Generation, EndReason)>,
}

impl Shard {
    /// A reader on this shard is about to ask for the stream: what arrives before the answer is kept.
    pub(super) fn expect_stream(&self, path: PathId) {
        self.state
            .borrow_mut()
            .taken
            .entry(path)
            .or_default()
            .asking += 1;
    }

    /// The owner has refused. If the last reader of the stream has left meanwhile, the stream is given up now.
    pub(super) fn forget_expected(&self, entry: &PathEntry, reader: SessionId) {
        let mut state = self.state.borrow_mut();
        let Some(taken) = state.taken.get_mut(&entry.id) else {
            return;
        };
        taken.answered();
        if taken.asking > 0
            || taken
                .stream
                .as_ref()
                .is_some_and(|(_, log)| log.readers() > 0)
        {
            return;
        }
        if let Some((generation, _)) = state.taken.remove(&entry.id).and_then(|taken| taken.stream)
        {
            let (path, last_here) = (entry.id, true);
            let detach = Control::Detach {
                path,
                generation,
                reader,
                last_here,
            };
            self.context.send_control(entry.owner, detach);
        }
    }

    /// The owner has granted the stream; `snapshot` is its log if it was not taken here before.
    pub(super) fn take_stream(
        &self,
        entry: &PathEntry,
        described: &Described,
        snapshot: Option<Vec<Arc<Batch>>>,
    ) -> Rc<SharedLog> {
        let mut state = self.state.borrow_mut();
        let taken = state.taken.entry(entry.id).or_default();
        taken.answered();
        let known = taken
            .stream
            .as_ref()
            .filter(|(generation, _)| *generation == described.generation);
        if let (Some((_, log)), None) = (known, &snapshot) {
            return log.clone();
        }
        let generation = described.generation;
        let log = SharedLog::new(
            Log::new(described.info.clone(), self.log_limits(entry)),
            self.context.poison(),
        );
        let early = taken
            .early
            .drain(..)
            .filter(|(early, _)| *early == generation)
            .map(|(_, batch)| batch);
        for batch in snapshot.into_iter().flatten().chain(early) {
            self.append_taken(entry.owner, &log, batch);
        }
        if let Some((_, reason)) = taken
            .early_end
            .take()
            .filter(|(early, _)| *early == generation)
        {
            log.log.borrow_mut().end(reason);
        }
        taken.stream = Some((generation, log.clone()));
        self.list_log(&entry.name, &log);
        log
    }

    /// A reader has left its seat; whether it was the last here of that stream.
    pub(super) fn release_stream(&self, entry: &PathEntry, generation: Generation) -> bool {
        let mut state = self.state.borrow_mut();
        let Some(taken) = state.taken.get_mut(&entry.id) else {
            return false;
        };
        let current = taken
            .stream
            .as_ref()
            .filter(|(taken, _)| *taken == generation);
        let last_here = current.is_some_and(|(_, log)| log.readers() == 0) && taken.asking == 0;
        if last_here {
            state.taken.remove(&entry.id);
        }
        last_here
    }

    /// A batch of a stream of another shard.
    pub(super) fn take_batch(
        &self,
        owner: ShardId,
        path: PathId,
        generation: Generation,
        batch: Arc<Batch>,
    ) {
        let mut state = self.state.borrow_mut();
        let Some(taken) = state.taken.get_mut(&path) else {
            return;
        };
        match &taken.stream {
            Some((known, log)) if *known == generation => {
                self.append_taken(owner, log, batch);
            }
            _ if taken.asking > 0 && taken.early.len() < EARLY_BATCHES_MAX => {
                taken.early.push((generation, batch));
            }
            _ => {}
        }
    }

    /// The end of a stream of another shard. Its readers drain the log; a later one begins with another stream.
    pub(super) fn take_end(&self, path: PathId, generation: Generation, reason: EndReason) {
        let mut state = self.state.borrow_mut();
        let Some(taken) = state.taken.get_mut(&path) else {
            return;
        };
        match taken.stream.take_if(|(known, _)| *known == generation) {
            Some((_, log)) => {
                log.log.borrow_mut().end(reason);
                self.wake_queue.push(&log);
            }
            None => taken.early_end = Some((generation, reason)),
        }
        if taken.is_unused() {
            state.taken.remove(&path);
        }
    }

    fn append_taken(&self, owner: ShardId, log: &Rc<SharedLog>, batch: Arc<Batch>) {
        let go_home = |batch: LocalBatch| {
            self.context
                .send_return(owner, Return::Batch(batch.into_shared()));
        };
        let appended = log.log.borrow_mut().append(batch, go_home);
        if appended == Appended::Kept {
            self.wake_queue.push(log);
        }
    }

    fn log_limits(&self, entry: &PathEntry) -> LogLimits {
        let config = self.server.config.load();
        let path = config
            .path(entry.name.as_str())
            .unwrap_or(&config.path_defaults);
        log_limits(path)
    }
}

impl TakenPath {
    fn answered(&mut self) {
        self.asking = self.asking.saturating_sub(1);
        if self.asking == 0 && self.stream.is_some() {
            self.early.clear();
        }
    }

    fn is_unused(&self) -> bool {
        self.stream.is_none() && self.asking == 0
    }
}
