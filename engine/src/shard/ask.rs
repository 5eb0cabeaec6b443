//! Questions to a path's owner, on this shard or another. Each session has at most one open, so sessions bound them.

use std::rc::Rc;
use std::sync::Arc;

use shardcast_runtime::ShardId;
use shardcast_runtime::local::oneshot;

use super::{Answer, AskId, Control, Described, PublishGrant, Question, Refusal, Shard};
use crate::fanout::{EndReason, SharedLog};
use crate::path::{PathEntry, PathName};
use crate::session_id::SessionId;
use crate::stream::{Generation, StreamInfo};

/// A path that ends while it is asked for is looked up again so often; more means that something flaps faster than the
/// rings.
const PLACE_ATTEMPTS_MAX: usize = 8;

impl Shard {
    /// Makes the session the publisher of `name`. A new path is owned by the shard that `place` picks.
    ///
    /// # Errors
    /// The owner's [`Refusal`].
    pub async fn publish(
        &self,
        name: &PathName,
        publisher: SessionId,
        info: Arc<StreamInfo>,
        place: impl Fn() -> ShardId,
    ) -> Result<(Arc<PathEntry>, PublishGrant), Refusal> {
        for _ in 0..PLACE_ATTEMPTS_MAX {
            let found = self.server.directory.find_or_place(name, &place);
            let entry = found.map_err(|_full| Refusal::TooManyPaths)?;
            let question = Question::Publish {
                entry: entry.clone(),
                publisher,
                info: info.clone(),
            };
            match self.ask(entry.owner, question).await {
                Answer::Publish(grant) => return Ok((entry, grant)),
                Answer::Refused(refusal) => return Err(refusal),
                _moved => {}
            }
        }
        Err(Refusal::NoStream)
    }

    /// The stream on `name`.
    ///
    /// # Errors
    /// [`Refusal::NoStream`].
    pub async fn describe(&self, name: &PathName) -> Result<(Arc<PathEntry>, Described), Refusal> {
        let entry = self.server.directory.find(name).ok_or(Refusal::NoStream)?;
        match self
            .ask(
                entry.owner,
                Question::Describe {
                    entry: entry.clone(),
                },
            )
            .await
        {
            Answer::Describe(described) => Ok((entry, described)),
            Answer::Refused(refusal) => Err(refusal),
            _moved => Err(Refusal::NoStream),
        }
    }

    /// Makes the session a reader of the stream; it stays one until [`Self::detach`].
    ///
    /// # Errors
    /// The owner's [`Refusal`].
    pub async fn attach(
        &self,
        entry: &Arc<PathEntry>,
        reader: SessionId,
        described: &Described,
    ) -> Result<Rc<SharedLog>, Refusal> {
        let generation = described.generation;
        if entry.owner == self.id() {
            return self.own_attach_here(entry, reader, generation);
        }
        self.expect_stream(entry.id);
        let answer = self
            .ask(
                entry.owner,
                Question::Attach {
                    entry: entry.clone(),
                    reader,
                    generation,
                },
            )
            .await;
        match answer {
            Answer::Attach(snapshot) => Ok(self.take_stream(entry, described, snapshot)),
            other => {
                self.forget_expected(entry, reader);
                Err(if let Answer::Refused(refusal) = other {
                    refusal
                } else {
                    Refusal::NoStream
                })
            }
        }
    }

    /// The publisher's stream is described otherwise from now on.
    pub fn describe_anew(&self, entry: &PathEntry, publisher: SessionId, info: Arc<StreamInfo>) {
        if entry.owner == self.id() {
            self.own_describe_anew(entry.id, publisher, info);
        } else {
            let path = entry.id;
            let described = Control::DescribedAnew {
                path,
                publisher,
                info,
            };
            self.context.send_control(entry.owner, described);
        }
    }

    /// Ends a publisher: its readers are given what was sent and then the reason.
    pub fn unpublish(&self, entry: &PathEntry, publisher: SessionId, reason: EndReason) {
        if entry.owner == self.id() {
            self.own_unpublish(entry.id, publisher, reason);
        } else {
            self.context.send_control(
                entry.owner,
                Control::Unpublish {
                    path: entry.id,
                    publisher,
                    reason,
                },
            );
        }
    }

    /// Ends a reader, which has left its seat in the log.
    pub fn detach(&self, entry: &PathEntry, generation: Generation, reader: SessionId) {
        let last_here = self.release_stream(entry, generation);
        if entry.owner == self.id() {
            self.own_detach(entry.id, generation, reader, self.id(), last_here);
        } else {
            let path = entry.id;
            self.context.send_control(
                entry.owner,
                Control::Detach {
                    path,
                    generation,
                    reader,
                    last_here,
                },
            );
        }
    }

    async fn ask(&self, owner: ShardId, question: Question) -> Answer {
        if owner == self.id() {
            return self.own_answer(owner, question);
        }
        let (sender, receiver) = oneshot();
        let id = {
            let mut state = self.state.borrow_mut();
            state.last_ask += 1;
            let id = AskId(state.last_ask);
            state.asks.insert(id, sender);
            id
        };
        self.context.send_control(
            owner,
            Control::Ask {
                id,
                question: Box::new(question),
            },
        );
        receiver
            .await
            .unwrap_or(Answer::Refused(Refusal::ShuttingDown))
    }

    pub(super) fn handle_ask(&self, from: ShardId, id: AskId, question: Question) {
        let answer = Box::new(self.own_answer(from, question));
        self.context
            .send_control(from, Control::Answer { id, answer });
    }

    /// An answer to a session that has ended meanwhile: its guards have undone on the way out what the answer grants.
    pub(super) fn handle_answer(&self, id: AskId, answer: Answer) {
        let asker = self.state.borrow_mut().asks.remove(&id);
        if let Some(asker) = asker {
            let _session_is_gone = asker.send(answer);
        }
    }
}
