//! Errands: what threads that are no shards have a shard do, and the answers that come back from such threads to the
//! shard's tasks.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use shardcast_runtime::local::{Either, Sender, oneshot, race};
use shardcast_runtime::{DoorSeat, ShardId};

use super::{ServerState, Shard};
use crate::admit::HASHES_WAITING_MAX;

/// Errands that wait for one shard: the answers to all hashes that may wait, and as many others. What does not fit is
/// refused to whoever sends it.
pub const ERRANDS_WAITING_MAX: usize = 2 * HASHES_WAITING_MAX;

/// How long a task waits for an answer from outside.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Something that a shard does as soon as it can, in one go.
pub type Errand = Box<dyn FnOnce(&Rc<Shard>) + Send>;

/// The questions of this shard's tasks that are being worked on outside.
#[derive(Default)]
pub(super) struct OpenQuestions {
    waiting: RefCell<HashMap<u64, Sender<Box<dyn Any + Send>>>>,
    last: Cell<u64>,
}

/// To answer a question of a shard's task, from any thread. Dropped, the question stays open until its deadline.
#[derive(Debug)]
pub struct Reply {
    server: Arc<ServerState>,
    shard: ShardId,
    id: u64,
}

impl Reply {
    /// Answers. An answer that finds no room at the shard's door is lost; there are more places than questions.
    pub fn send<T: Send + 'static>(self, answer: T) {
        let id = self.id;
        let errand = Box::new(move |shard: &Rc<Shard>| shard.open_questions.answer(id, answer));
        let _is_never_full = self.server.send_errand(self.shard, errand);
    }
}

impl Shard {
    /// Asks something outside: `hand_over` passes the reply on to whoever works it out, and says whether it could. `None`
    /// when it could not, or when no answer has come within half a minute.
    pub async fn ask_outside<T: Send + 'static>(
        &self,
        hand_over: impl FnOnce(Reply) -> bool,
    ) -> Option<T> {
        self.ask_outside_for(ANSWER_WITHIN, hand_over).await
    }

    /// As [`Self::ask_outside`], with a patience of its own.
    pub async fn ask_outside_for<T: Send + 'static>(
        &self,
        patience: Duration,
        hand_over: impl FnOnce(Reply) -> bool,
    ) -> Option<T> {
        let (sender, receiver) = oneshot();
        let id = self.open_questions.open(sender);
        let reply = Reply {
            server: self.server.clone(),
            shard: self.id(),
            id,
        };
        let _forget = Forget { shard: self, id };
        if !hand_over(reply) {
            return None;
        }
        match race(receiver, shardcast_platform::sleep(patience)).await {
            Either::First(Ok(answer)) => answer.downcast().ok().map(|answer| *answer),
            _ => None,
        }
    }

    /// Runs what comes in at the door, for as long as the shard lives.
    pub(super) async fn run_errands(self: Rc<Self>, seat: DoorSeat<Errand>) {
        let mut door = match seat.open() {
            Ok(door) => door,
            Err(error) => {
                tracing::error!("shard {} can be told nothing: {error}", self.id());
                return;
            }
        };
        loop {
            let errand = door.receive().await;
            errand(&self);
        }
    }
}

impl OpenQuestions {
    fn open(&self, sender: Sender<Box<dyn Any + Send>>) -> u64 {
        let id = self.last.get() + 1;
        self.last.set(id);
        self.waiting.borrow_mut().insert(id, sender);
        id
    }

    /// An answer that nobody waits for any more is dropped.
    fn answer(&self, id: u64, answer: impl Send + 'static) {
        let asker = self.waiting.borrow_mut().remove(&id);
        if let Some(asker) = asker {
            let _asker_is_gone = asker.send(Box::new(answer));
        }
    }
}

/// A question that nobody waits for any more is not kept.
struct Forget<'a> {
    shard: &'a Shard,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.shard
            .open_questions
            .waiting
            .borrow_mut()
            .remove(&self.id);
    }
}
