//! A connection's move to another shard, while only requests pass: its socket, its state,
//! what its peer has shown of itself, and the question that is open.

use std::net::SocketAddr;
use std::rc::Rc;

use bytes::BytesMut;
use shardcast_config::Choice;
use shardcast_platform::{IdleSocket, Slab, TcpStream};
use shardcast_protocol::rtsp::{MessageReader, Question, ServerSession};
use shardcast_runtime::ShardId;

use super::connection::{Connection, Flow, Plan};
use super::identity::Identity;
use crate::connections::ConnectionSeat;
use crate::event::SessionEnd;
use crate::session::listener::spawn;
use crate::session::transport::Transport;
use crate::session_id::SessionId;
use crate::shard::{Arrival, Control, IdleSeat, SessionHandle, Shard};

/// Where a connection is to go, and the question with which it goes on there.
pub(super) struct Departure {
    to: ShardId,
    question: Question,
}

/// A connection on its way.
struct Handover {
    socket: IdleSocket,
    session: SessionId,
    peer: SocketAddr,
    unread: BytesMut,
    reader: MessageReader,
    server: ServerSession,
    question: Question,
    idle: Option<IdleSeat>,
    identity: Identity,
    seat: ConnectionSeat,
}

impl<T: Transport> Connection<T> {
    /// Whether the connection may move to that shard.
    pub(super) fn may_move_to(&self, to: ShardId) -> bool {
        self.can_move() && !self.has_moved && to != self.shard.id()
    }

    /// Whether connections move at all: where they do, a publisher is on its path's shard already.
    pub(super) fn can_move(&self) -> bool {
        let is_wanted = self.shard.server.config.load().fanout.move_live != Choice::No;
        let can_be = self.shard.context.capabilities().move_live && self.transport.is_movable();
        is_wanted && can_be
    }

    pub(super) fn move_to(&self, to: ShardId, question: Question) -> Flow {
        Flow::Move(Box::new(Departure { to, question }))
    }

    /// Lets go of the socket and sends the connection away. Nothing of it is in flight: the task that runs here is the only
    /// one, and it is not reading.
    pub(super) fn depart(self, Departure { to, question }: Departure) -> SessionEnd {
        let Ok(socket) = self.transport.release() else {
            return SessionEnd::Connection("the connection cannot move".into());
        };
        let handover = Handover {
            socket,
            session: self.session.id,
            peer: self.session.peer,
            unread: self.slab.into_bytes_mut(),
            reader: self.reader,
            server: self.server,
            question,
            idle: self.idle,
            identity: self.identity,
            seat: self.seat,
        };
        self.shard
            .context
            .send_control(to, Control::Arrive(Box::new(handover)));
        SessionEnd::Moved
    }
}

impl Arrival for Handover {
    fn arrive(self: Box<Self>, shard: &Rc<Shard>) {
        let session = Rc::new(SessionHandle::new(
            self.session,
            self.peer,
            shardcast_platform::now(),
        ));
        let (question, record) = (self.question, self.seat.clone());
        record.move_to(shard.id());
        let transport = match TcpStream::adopt(self.socket) {
            Ok(transport) => transport,
            Err(error) => {
                let lost = async move { SessionEnd::Connection(error.to_string()) };
                return spawn(shard, &session, lost);
            }
        };
        let connection = Box::new(Connection {
            shard: shard.clone(),
            session: session.clone(),
            transport,
            slab: Slab::from_bytes_mut(self.unread),
            reader: self.reader,
            server: self.server,
            plan: Plan::Nothing,
            has_moved: true,
            reading: None,
            idle: self.idle,
            group: None,
            identity: self.identity,
            seat: self.seat,
        });
        spawn(shard, &session, connection.run_with(question));
        if record.is_kicked() {
            session.end(SessionEnd::Kicked);
        }
    }
}
