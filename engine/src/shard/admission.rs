//! Asking for admission on a shard, and waiting for what cannot be said at once: a slow hash, and the answer to a failed
//! attempt. Nobody else waits meanwhile.

use std::net::SocketAddr;
use std::time::Instant;

use shardcast_runtime::local::{Either, race};

use super::{SessionHandle, Shard};
use crate::admit::{AdmitRequest, Decision, FAILURE_DELAY, HashJob, HashWork, Hashed, Weighed};
use crate::event::Event;
use crate::refusal::RefusalReason;

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
        let patience = deadline.saturating_duration_since(shardcast_platform::now());
        let answer = self.ask_outside_for(patience, |reply| {
            self.server.admission.hash(HashJob {
                answer: Box::new(move |hashed| reply.send(hashed)),
                address: peer.ip(),
                deadline,
                work,
            })
        });
        match race(answer, session.cancel.cancelled()).await {
            Either::First(Some(hashed)) => hashed,
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
}
