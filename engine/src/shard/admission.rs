//! Asking for admission on a shard, and waiting for what cannot be said at once: a slow hash, and the answer to a failed
//! attempt. Nobody else waits meanwhile.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use shardcast_runtime::DoorSeat;
use shardcast_runtime::local::{Either, Receiver, Sender, oneshot, race};

use super::{SessionHandle, Shard};
use crate::admit::{
    AdmitRequest, Decision, FAILURE_DELAY, HashJob, HashWork, Hashed, HashedAnswer, Weighed,
};
use crate::event::Event;
use crate::refusal::RefusalReason;

/// The requests of this shard's sessions that wait for a hash. A session has at most one, or as many as HTTP lets it have
/// requests open, so sessions bound them.
#[derive(Default)]
pub(super) struct HashQuestions {
    waiting: RefCell<HashMap<u64, Sender<Hashed>>>,
    last: Cell<u64>,
}

/// One of them; it is forgotten when this is dropped.
struct HashQuestion<'a> {
    questions: &'a HashQuestions,
    id: u64,
    answer: Receiver<Hashed>,
}

impl Shard {
    /// Decides about a request of this session, for whoever it says that it comes from: a proxy's connection has requests
    /// of many. A failed attempt is told of, and its answer waits.
    pub async fn admit(&self, session: &SessionHandle, request: AdmitRequest<'_>) -> Decision {
        let (begun, peer) = (shardcast_platform::now(), request.peer);
        let config = self.server.config.load_full();
        let weighed = self.server.admission.weigh(&config, request, begun);
        let hashed = match weighed {
            Weighed::Open => return Decision::Open,
            Weighed::Proven => return Decision::Proven,
            Weighed::CredentialsMissing => return Decision::CredentialsMissing,
            Weighed::TooManyFailures => Hashed::TooManyFailures,
            Weighed::Failed => Hashed::Wrong,
            Weighed::Hash(work) => {
                let deadline = begun + config.read_timeout;
                self.hash(session, peer, work, deadline).await
            }
        };
        match hashed {
            Hashed::Right => Decision::Proven,
            Hashed::Wrong => self.fail(session, peer, begun + FAILURE_DELAY).await,
            Hashed::TooManyFailures => Decision::TooManyFailures,
            Hashed::Late => {
                self.count_refusal(RefusalReason::HashOverdue);
                Decision::Busy
            }
        }
    }

    /// Has hashes computed, and waits no longer than until the deadline or the session's end.
    async fn hash(
        &self,
        session: &SessionHandle,
        peer: SocketAddr,
        work: HashWork,
        deadline: Instant,
    ) -> Hashed {
        let mut question = self.hash_questions.ask();
        let job = HashJob {
            shard: self.id(),
            id: question.id,
            address: peer.ip(),
            deadline,
            work,
        };
        if !self.server.admission.hash(job) {
            return Hashed::Late;
        }
        let given_up = race(
            shardcast_platform::sleep_until(deadline),
            session.cancel.cancelled(),
        );
        match race(&mut question.answer, given_up).await {
            Either::First(Ok(hashed)) => hashed,
            _ => Hashed::Late,
        }
    }

    /// A failed attempt: it is answered at `due`, or at once when its address has too many that wait.
    async fn fail(&self, session: &SessionHandle, peer: SocketAddr, due: Instant) -> Decision {
        self.server.events.publish(&Event::AuthenticationFailed {
            peer,
            protocol: session.protocol,
        });
        let failures = self.server.admission.failures();
        let Some(_waiting) = failures.take(peer.ip()) else {
            return Decision::TooManyFailures;
        };
        let pause = shardcast_platform::sleep_until(due);
        let _either = race(pause, session.cancel.cancelled()).await;
        Decision::Failed
    }

    /// Hands the answers that come in at the door to those who wait for them, for as long as the shard lives.
    pub(super) async fn take_hashes(self: Rc<Self>, seat: DoorSeat<HashedAnswer>) {
        let mut door = match seat.open() {
            Ok(door) => door,
            Err(error) => {
                tracing::error!("shard {} learns of no hash: {error}", self.id());
                return;
            }
        };
        loop {
            let HashedAnswer { id, hashed } = door.receive().await;
            self.hash_questions.answer(id, hashed);
        }
    }
}

impl HashQuestions {
    fn ask(&self) -> HashQuestion<'_> {
        let (sender, answer) = oneshot();
        let id = self.last.get() + 1;
        self.last.set(id);
        self.waiting.borrow_mut().insert(id, sender);
        HashQuestion {
            questions: self,
            id,
            answer,
        }
    }

    /// An answer that nobody waits for any more is dropped.
    fn answer(&self, id: u64, hashed: Hashed) {
        let asker = self.waiting.borrow_mut().remove(&id);
        if let Some(asker) = asker {
            let _session_is_gone = asker.send(hashed);
        }
    }
}

impl Drop for HashQuestion<'_> {
    fn drop(&mut self) {
        self.questions.waiting.borrow_mut().remove(&self.id);
    }
}
