//! A session that publishes or reads, as events tell of it: its begin when this is made, and its end, however that comes.

use std::rc::Rc;

use shardcast_protocol::rtsp::TransportKind;

use crate::event::{Event, SessionEnd};
use crate::path::PathName;
use crate::record::Role;
use crate::shard::{SessionHandle, Shard};

/// A session whose begin was told and whose end will be. Dropping it without a word is the end of one that nobody has
/// ended: by a panic, or with its shard.
pub(crate) struct Begun {
    shard: Rc<Shard>,
    session: Rc<SessionHandle>,
    role: Role,
    transport: TransportKind,
    /// Until the end was told.
    path: Option<PathName>,
}

impl Begun {
    /// A session that publishes from now on.
    pub(crate) fn publisher(
        shard: &Rc<Shard>,
        session: &Rc<SessionHandle>,
        path: &PathName,
        tracks: String,
        transport: TransportKind,
    ) -> Self {
        shard.server.events.publish(&Event::PublisherBegan {
            session: session.id,
            peer: session.peer,
            path: path.clone(),
            tracks,
            transport,
        });
        Self::new(shard, session, path, Role::Publisher, transport)
    }

    /// A session that reads from now on.
    pub(crate) fn reader(
        shard: &Rc<Shard>,
        session: &Rc<SessionHandle>,
        path: &PathName,
        tracks: String,
        transport: TransportKind,
    ) -> Self {
        shard.server.events.publish(&Event::ReaderBegan {
            session: session.id,
            peer: session.peer,
            path: path.clone(),
            tracks,
            transport,
        });
        Self::new(shard, session, path, Role::Reader, transport)
    }

    fn new(
        shard: &Rc<Shard>,
        session: &Rc<SessionHandle>,
        path: &PathName,
        role: Role,
        transport: TransportKind,
    ) -> Self {
        Self {
            shard: shard.clone(),
            session: session.clone(),
            role,
            transport,
            path: Some(path.clone()),
        }
    }

    /// It has ended.
    pub(crate) fn end(mut self, reason: SessionEnd) {
        self.tell(reason);
    }

    fn tell(&mut self, reason: SessionEnd) {
        if let Some(path) = self.path.take() {
            let event = Event::SessionEnded {
                session: self.session.id,
                peer: self.session.peer,
                role: self.role,
                transport: self.transport,
                path,
                reason,
            };
            self.shard.server.events.publish(&event);
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.tell(match std::thread::panicking() {
            true => SessionEnd::Panicked,
            false => SessionEnd::Shutdown,
        });
    }
}
