//! Kicking: an operator ends a session, whichever shard serves it.
//!
//! The session is marked first, so that nobody sees it any more and a second kick finds nothing; then its shard is told. A
//! connection that moves meanwhile is told by its mark: whoever moves it names the new shard first and looks then, and here
//! it is marked first and the shard read then.

use std::rc::Rc;

use shardcast_runtime::ShardId;

use super::{ServerState, Shard};
use crate::event::SessionEnd;
use crate::session_id::SessionId;

/// Why a session was not kicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KickError {
    /// There is none, or it is ending already.
    #[error("session not found")]
    NotFound,
    /// Its shard has too much to do already.
    #[error("the session's shard is busy")]
    Busy,
}

impl ServerState {
    /// Ends a session with its connection, as soon as its shard comes to it.
    ///
    /// # Errors
    /// See [`KickError`].
    pub fn kick(&self, session: SessionId) -> Result<(), KickError> {
        let record = self.connections.find(session);
        let record = record.filter(|record| record.kick());
        let record = record.ok_or(KickError::NotFound)?;
        let shard = ShardId::from_index(record.shard());
        let end = Box::new(move |shard: &Rc<Shard>| shard.end_kicked(session));
        let sent = shard.is_some_and(|shard| self.send_errand(shard, end).is_ok());
        if !sent {
            record.forgive();
            return Err(KickError::Busy);
        }
        Ok(())
    }
}

impl Shard {
    /// A session that is not here has ended, or will be told on the shard to which it moves.
    fn end_kicked(&self, session: SessionId) {
        if let Some(session) = self.sessions.find(session) {
            session.end(SessionEnd::Kicked);
        }
    }
}
