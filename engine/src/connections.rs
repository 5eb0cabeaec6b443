//! Who is connected over RTSP, and what of it the API shows: a record per connection, kept by the shard that serves it,
//! read by anybody. A connection that has set nothing up yet has one too.
//!
//! Locked when a connection, a session or its media begins or ends and when somebody looks, never on the packet's way.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use shardcast_protocol::rtsp::TransportKind;
use shardcast_runtime::ShardId;

use crate::path::PathName;
use crate::record::{Count, SessionRecord};
use crate::session_id::SessionId;

/// Locks of the records: whoever looks at all of them holds only a part at a time.
const STRIPES: u64 = 16;

/// Most of a session's query and user agent that is kept: a peer chooses them, and each session keeps its own.
const TEXT_BYTES_MAX: usize = 512;

/// A connection.
#[derive(Debug)]
pub struct ConnectionRecord {
    /// Its number, and that of its session.
    pub id: SessionId,
    /// Its peer.
    pub peer: SocketAddr,
    /// When it was accepted.
    pub created: SystemTime,
    /// Bytes read while only requests pass, and of media that has ended.
    pub inbound_bytes: Count,
    /// Bytes written while only requests pass, and of media that has ended.
    pub outbound_bytes: Count,
    shard: AtomicUsize,
    /// It counts among its address's connections; one that is refused does not.
    is_counted: bool,
    is_kicked: AtomicBool,
    session: Mutex<Option<Box<RtspSession>>>,
}

/// What is known of a session, from its first ANNOUNCE or SETUP on.
#[derive(Clone, Debug)]
pub struct RtspSession {
    /// When it began.
    pub created: SystemTime,
    /// Whose media it is about.
    pub about: SessionAbout,
    /// How its packets travel, once a track was set up.
    pub transport: Option<TransportKind>,
    /// What is counted while it publishes or reads.
    pub media: Option<Arc<SessionRecord>>,
}

/// What a session's first request has said.
#[derive(Clone, Debug)]
pub struct SessionAbout {
    /// The path.
    pub path: PathName,
    /// The query behind it, as it was sent.
    pub query: Box<str>,
    /// Who it is, as far as it had to say that.
    pub user: Box<str>,
    /// The program.
    pub user_agent: Box<str>,
}

impl ConnectionRecord {
    fn new(id: SessionId, peer: SocketAddr, shard: ShardId, is_counted: bool) -> Self {
        Self {
            is_counted,
            id,
            peer,
            created: SystemTime::now(),
            inbound_bytes: Count::default(),
            outbound_bytes: Count::default(),
            shard: AtomicUsize::new(shard.index()),
            is_kicked: AtomicBool::new(false),
            session: Mutex::default(),
        }
    }

    /// Whether its address has all of its connections without this one.
    #[must_use]
    pub fn is_surplus(&self) -> bool {
        !self.is_counted
    }

    /// The shard that serves it, or did so when it left for another one.
    #[must_use]
    pub fn shard(&self) -> usize {
        self.shard.load(Ordering::SeqCst)
    }

    /// Another shard serves it from now on. That shard looks whether it was [kicked](Self::is_kicked) meanwhile.
    pub fn move_to(&self, shard: ShardId) {
        self.shard.store(shard.index(), Ordering::SeqCst);
    }

    /// Its session is to end.
    #[must_use]
    pub fn is_kicked(&self) -> bool {
        self.is_kicked.load(Ordering::SeqCst)
    }

    /// Marks its session as one that is to end; `false` when there is none, or it is marked already.
    pub fn kick(&self) -> bool {
        self.lock().is_some() && !self.is_kicked.swap(true, Ordering::SeqCst)
    }

    /// The session may stay after all.
    pub fn forgive(&self) {
        self.is_kicked.store(false, Ordering::SeqCst);
    }

    /// Its session, if there is one that is not to end.
    #[must_use]
    pub fn session(&self) -> Option<RtspSession> {
        let session = self.lock().as_deref().cloned();
        session.filter(|_| !self.is_kicked())
    }

    /// Bytes read and written so far.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let session = self.lock();
        let media = session.as_deref().and_then(RtspSession::media_here);
        let bytes = |count: &Count, of: fn(&SessionRecord) -> &Count| {
            count.value() + media.map_or(0, |media| of(media).value())
        };
        let inbound = bytes(&self.inbound_bytes, |media| &media.inbound_bytes);
        (
            inbound,
            bytes(&self.outbound_bytes, |media| &media.outbound_bytes),
        )
    }

    /// A session begins, unless one has.
    pub fn begin_session(&self, about: impl FnOnce() -> SessionAbout) {
        let mut session = self.lock();
        if session.is_some() {
            return;
        }
        *session = Some(Box::new(RtspSession {
            created: SystemTime::now(),
            about: about(),
            transport: None,
            media: None,
        }));
    }

    /// A track was set up.
    pub fn note_transport(&self, transport: TransportKind) {
        if let Some(session) = &mut *self.lock() {
            session.transport = Some(transport);
        }
    }

    /// The session publishes or reads from now on.
    pub fn begin_media(&self, media: Arc<SessionRecord>) {
        if let Some(session) = &mut *self.lock() {
            session.media = Some(media);
        }
    }

    /// The session publishes or reads no more; what the connection carried for it stays counted.
    pub fn end_media(&self) {
        let mut session = self.lock();
        let Some(session) = &mut *session else {
            return;
        };
        if let Some(media) = session.media_here() {
            self.inbound_bytes.add(media.inbound_bytes.value());
            self.outbound_bytes.add(media.outbound_bytes.value());
        }
        session.media = None;
    }

    /// The session is over; the connection goes on.
    pub fn end_session(&self) {
        self.end_media();
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<RtspSession>>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionAbout {
    /// As the peer has said; of long texts the beginning.
    #[must_use]
    pub fn new(path: PathName, query: &str, user: &str, user_agent: &str) -> Self {
        let kept = |text: &str| {
            let end = text.floor_char_boundary(TEXT_BYTES_MAX);
            text.get(..end).unwrap_or_default().into()
        };
        Self {
            path,
            query: kept(query),
            user: kept(user),
            user_agent: kept(user_agent),
        }
    }
}

impl RtspSession {
    /// The media that the connection itself carries.
    fn media_here(&self) -> Option<&SessionRecord> {
        let is_here = self.transport == Some(TransportKind::Tcp);
        self.media.as_deref().filter(|_| is_here)
    }
}

/// The records of all connections. Bounded by the connections themselves.
#[derive(Clone, Debug, Default)]
pub struct Connections(Arc<Records>);

#[derive(Debug, Default)]
struct Records {
    stripes: [Stripe; STRIPES as usize],
    /// How many connections each address has. Bounded by the connections, too.
    addresses: Mutex<HashMap<IpAddr, usize>>,
}

type Stripe = Mutex<HashMap<SessionId, Arc<ConnectionRecord>>>;

/// A connection's place among the records, until it is dropped.
#[derive(Debug)]
pub struct ConnectionSeat {
    connections: Connections,
    record: Arc<ConnectionRecord>,
}

impl Connections {
    /// Seats a connection that begins on this shard. It is marked as surplus when its address has `most` already; 0 is no
    /// limit.
    #[must_use]
    pub fn seat(
        &self,
        id: SessionId,
        peer: SocketAddr,
        shard: ShardId,
        most: usize,
    ) -> ConnectionSeat {
        let is_counted = self.count(peer.ip(), most);
        let record = Arc::new(ConnectionRecord::new(id, peer, shard, is_counted));
        self.lock(id).insert(id, record.clone());
        ConnectionSeat {
            connections: self.clone(),
            record,
        }
    }

    /// Whether there is room for one more of this address, which is taken then.
    fn count(&self, address: IpAddr, most: usize) -> bool {
        let mut addresses = self.addresses();
        let count = addresses.entry(address).or_default();
        let has_room = most == 0 || *count < most;
        *count += usize::from(has_room);
        has_room
    }

    fn forget(&self, address: IpAddr) {
        let mut addresses = self.addresses();
        if let Some(count) = addresses.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&address);
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.addresses().values().sum()
    }

    /// There is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.addresses().is_empty()
    }

    /// The connections of the address that has most.
    #[must_use]
    pub fn most_of_an_address(&self) -> usize {
        self.addresses().values().copied().max().unwrap_or(0)
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        let addresses = &self.0.addresses;
        addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection of this number, which is that of its session.
    #[must_use]
    pub fn find(&self, id: SessionId) -> Option<Arc<ConnectionRecord>> {
        self.lock(id).get(&id).cloned()
    }

    /// All connections, in the order of their begin.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<ConnectionRecord>> {
        let mut all = Vec::new();
        for stripe in &self.0.stripes {
            let stripe = stripe.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(stripe.values().cloned());
        }
        all.sort_by_key(|record| (record.created, record.id));
        all
    }

    fn lock(&self, id: SessionId) -> MutexGuard<'_, HashMap<SessionId, Arc<ConnectionRecord>>> {
        let stripe = usize::try_from(id.number() % STRIPES).unwrap_or(0);
        let stripe = &self.0.stripes[stripe];
        stripe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::ops::Deref for ConnectionSeat {
    type Target = Arc<ConnectionRecord>;

    fn deref(&self) -> &Arc<ConnectionRecord> {
        &self.record
    }
}

impl Drop for ConnectionSeat {
    fn drop(&mut self) {
        let id = self.record.id;
        self.connections.lock(id).remove(&id);
        if self.record.is_counted {
            self.connections.forget(self.record.peer.ip());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Role;

    const PEER: ([u8; 4], u16) = ([127, 0, 0, 1], 1);

    fn seat(connections: &Connections) -> ConnectionSeat {
        let shard = ShardId::from_index(0).unwrap();
        connections.seat(SessionId::new(7), PEER.into(), shard, 0)
    }

    fn about() -> SessionAbout {
        let path = PathName::new("cam").unwrap();
        let (query, program) = ("ä".repeat(TEXT_BYTES_MAX), "x".repeat(TEXT_BYTES_MAX));
        SessionAbout::new(path, &query, "", &program)
    }

    fn media(inbound_bytes: u64) -> Arc<SessionRecord> {
        let (id, path) = (SessionId::new(7), PathName::new("cam").unwrap());
        let record = SessionRecord::new(id, Role::Publisher, PEER.into(), path, 0);
        record.inbound_bytes.add(inbound_bytes);
        Arc::new(record)
    }

    #[test]
    fn what_a_connection_carries_stays_counted_when_its_media_ends() {
        let connections = Connections::default();
        let seat = seat(&connections);
        seat.inbound_bytes.add(1);
        seat.begin_session(about);
        seat.note_transport(TransportKind::Tcp);
        for rounds in 1..=2 {
            seat.begin_media(media(10));
            assert_eq!(seat.bytes(), (1 + 10 * rounds, 0));
            seat.end_media();
            assert_eq!(seat.bytes(), (1 + 10 * rounds, 0));
        }
    }

    #[test]
    fn datagrams_are_not_the_connections() {
        let connections = Connections::default();
        let seat = seat(&connections);
        seat.begin_session(about);
        seat.note_transport(TransportKind::Udp);
        seat.begin_media(media(10));
        assert_eq!(seat.bytes(), (0, 0));
        seat.end_session();
        assert_eq!(seat.bytes(), (0, 0));
    }

    #[test]
    fn a_session_is_kicked_once_and_seen_no_more() {
        let connections = Connections::default();
        let seat = seat(&connections);
        assert!(!seat.kick(), "there is no session yet");
        seat.begin_session(about);
        assert!(seat.session().is_some());
        assert!(seat.kick());
        assert!(seat.session().is_none() && !seat.kick());
        seat.forgive();
        assert!(seat.session().is_some() && seat.kick());
    }

    #[test]
    fn texts_of_a_peer_are_kept_to_their_maximum() {
        let connections = Connections::default();
        let seat = seat(&connections);
        seat.begin_session(about);
        let about = seat.session().unwrap().about;
        assert_eq!(about.query.len(), TEXT_BYTES_MAX);
        assert_eq!(about.user_agent.len(), TEXT_BYTES_MAX);
    }

    #[test]
    fn an_address_has_its_maximum_of_connections_and_others_have_theirs() {
        let (connections, shard) = (Connections::default(), ShardId::from_index(0).unwrap());
        let seat = |number, last| {
            let peer = ([127, 0, 0, last], 1).into();
            connections.seat(SessionId::new(number), peer, shard, 2)
        };
        let first = seat(1, 1);
        let _second = seat(2, 1);
        assert!(seat(3, 1).is_surplus() && !first.is_surplus());
        assert!(!seat(4, 2).is_surplus());
        assert_eq!(
            (connections.len(), connections.most_of_an_address()),
            (2, 2)
        );
        drop(first);
        assert!(!seat(5, 1).is_surplus());
    }

    #[test]
    fn a_connection_that_has_ended_is_found_no_more() {
        let connections = Connections::default();
        let seat = seat(&connections);
        assert!(connections.find(SessionId::new(7)).is_some());
        assert_eq!(connections.all().len(), 1);
        drop(seat);
        assert!(connections.all().is_empty());
    }
}
