//! The tasks of an HTTP/2 connection's streams, on the shard of the connection.

use std::rc::Rc;

use hyper::rt::Executor;

use crate::event::{Event, SessionEnd};
use crate::shard::{SessionHandle, Shard};
use crate::supervise::{STAGE_SESSION, session_mark};

/// Spawns on a shard. There are at most as many tasks as the connection has streams.
#[derive(Clone)]
pub(super) struct StreamExecutor {
    shard: Rc<Shard>,
    session: Rc<SessionHandle>,
}

impl StreamExecutor {
    pub(super) fn new(shard: &Rc<Shard>, session: &Rc<SessionHandle>) -> Self {
        Self {
            shard: shard.clone(),
            session: session.clone(),
        }
    }
}

impl<F: Future<Output = ()> + 'static> Executor<F> for StreamExecutor {
    /// A panic in a stream's task ends the connection.
    fn execute(&self, task: F) {
        let (shard, session) = (self.shard.clone(), self.session.clone());
        let mark = session_mark(STAGE_SESSION, None, session.id);
        self.shard
            .context
            .spawn_session(mark, task, move |message| {
                shard.server.events.publish(&Event::SessionPanicked {
                    session: session.id,
                    message,
                });
                session.end(SessionEnd::Panicked);
            });
    }
}
