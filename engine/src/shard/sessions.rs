//! The sessions of one shard: how each is ended from outside, and the deadlines that end it.
//!
//! One sweep over all sessions, a few times a second, serves every deadline of theirs: a session carries no timer.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use shardcast_platform::Cancel;
use shardcast_runtime::local::Notify;

use super::Exchanges;
use crate::event::{Deadline, Protocol, SessionEnd};
use crate::refusal::RefusalSummary;
use crate::session_id::SessionId;

/// A session that neither plays nor records, and answers nothing, lives so long without a request; clients are told in `Session: ;timeout=`.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection that was told its end may so long read what is on the way to it.
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);

/// The sweep is as fine as an eighth of the shortest timeout, within these bounds.
const SWEEP_INTERVAL_MIN: Duration = Duration::from_millis(20);
const SWEEP_INTERVAL_MAX: Duration = Duration::from_millis(500);

/// The configured timeouts.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// `readTimeout`.
    pub read: Duration,
    /// `writeTimeout`.
    pub write: Duration,
}

/// What a session is doing, as far as deadlines care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Requests only.
    Commands,
    /// It is sent media; it need send nothing itself.
    Playing,
    /// It is sent media in datagrams, which nobody acknowledges: its requests and reports are its signs of life.
    PlayingDatagrams,
    /// It sends media.
    Recording,
    /// It was told its end.
    Closing {
        /// When.
        since: Instant,
    },
}

impl Phase {
    fn is_playing(self) -> bool {
        matches!(self, Self::Playing | Self::PlayingDatagrams)
    }
}

/// A session, as others on its shard see it.
#[derive(Debug)]
pub struct SessionHandle {
    /// Its number.
    pub id: SessionId,
    /// Its peer.
    pub peer: SocketAddr,
    /// Raised when it is to end; every read and write of it is given this.
    pub cancel: Cancel,
    /// What it speaks.
    pub protocol: Protocol,
    /// Its requests that are being answered, where it speaks HTTP.
    pub exchanges: Option<Box<Exchanges>>,
    /// Its refused requests.
    pub refused_requests: RefusalSummary,
    ended: OnceCell<SessionEnd>,
    phase: Cell<Phase>,
    last_request: Cell<Instant>,
    last_media: Cell<Instant>,
    message_begun: Cell<Option<Instant>>,
    write: Cell<Option<WriteWatch>>,
}

#[derive(Clone, Copy, Debug)]
struct WriteWatch {
    begun: Instant,
    accepted: Instant,
}

impl SessionHandle {
    /// A session that begins at `now`.
    #[must_use]
    pub fn new(id: SessionId, peer: SocketAddr, now: Instant) -> Self {
        Self {
            id,
            peer,
            cancel: Cancel::new(),
            protocol: Protocol::Rtsp,
            exchanges: None,
            refused_requests: RefusalSummary::default(),
            ended: OnceCell::new(),
            phase: Cell::new(Phase::Commands),
            last_request: Cell::new(now),
            last_media: Cell::new(now),
            message_begun: Cell::new(None),
            write: Cell::new(None),
        }
    }

    /// As [`Self::new`], for one that speaks HTTP to this site.
    #[must_use]
    pub fn over_http(id: SessionId, peer: SocketAddr, site: &'static str, now: Instant) -> Self {
        Self {
            protocol: Protocol::Http(site),
            exchanges: Some(Box::default()),
            ..Self::new(id, peer, now)
        }
    }

    /// Ends the session: its operations are cancelled. The first reason stays.
    pub fn end(&self, reason: SessionEnd) {
        let _first_stays = self.ended.set(reason);
        self.cancel.cancel();
    }

    /// The session was told its end and only reads until its peer has closed. The first reason stays.
    pub fn linger(&self, reason: SessionEnd, now: Instant) {
        let _first_stays = self.ended.set(reason);
        self.phase.set(Phase::Closing { since: now });
    }

    /// The server is going down: a session over HTTP finishes what is under way, others end.
    fn drain(&self) {
        match &self.exchanges {
            Some(exchanges) => {
                let _first_stays = self.ended.set(SessionEnd::Shutdown);
                exchanges.winding_down.cancel();
            }
            None => self.end(SessionEnd::Shutdown),
        }
    }

    /// A deadline of it has passed. Over HTTP there is something to be said to a request that has not come whole.
    fn end_overdue(&self, deadline: Deadline, now: Instant) {
        match &self.exchanges {
            Some(exchanges) if deadline == Deadline::MessageUnfinished => {
                self.message_begun.set(None);
                self.linger(SessionEnd::TimedOut(deadline), now);
                exchanges.be_late();
            }
            _ => self.end(SessionEnd::TimedOut(deadline)),
        }
    }

    /// Why it ended, if that was decided before.
    #[must_use]
    pub fn ended(&self) -> Option<&SessionEnd> {
        self.ended.get()
    }

    /// What it is doing.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// It does something else from now on.
    pub fn enter(&self, phase: Phase, now: Instant) {
        self.phase.set(phase);
        self.last_request.set(now);
        self.last_media.set(now);
    }

    /// A request was read.
    pub fn note_request(&self, now: Instant) {
        self.last_request.set(now);
    }

    /// Media was read.
    pub fn note_media(&self, now: Instant) {
        self.last_media.set(now);
    }

    /// A message or frame has begun, or none is under way. The begin of one stays whatever drips in after it.
    pub fn note_message(&self, is_begun: bool, now: Instant) {
        let begun = self.message_begun.get().unwrap_or(now);
        self.message_begun.set(is_begun.then_some(begun));
    }

    /// A whole message was read: the next one has a time of its own.
    pub fn note_message_end(&self) {
        self.message_begun.set(None);
    }

    /// A write begins.
    pub fn note_write(&self, now: Instant) {
        self.write.set(Some(WriteWatch {
            begun: now,
            accepted: now,
        }));
    }

    /// The socket has accepted bytes of the write.
    pub fn note_accepted(&self, now: Instant) {
        self.write.set(self.write.get().map(|write| WriteWatch {
            accepted: now,
            ..write
        }));
    }

    /// The write is over.
    pub fn note_write_end(&self) {
        self.write.set(None);
    }

    /// Whether it speaks HTTP, and neither asks nor is answered.
    fn is_idle_over_http(&self) -> bool {
        let is_answered = |exchanges: &Exchanges| !exchanges.are_under_way();
        let is_idle = self.exchanges.as_deref().is_some_and(is_answered);
        is_idle && self.message_begun.get().is_none() && self.ended.get().is_none()
    }

    /// The deadline that has passed.
    fn overdue(&self, now: Instant, timeouts: Timeouts) -> Option<Deadline> {
        let since = |then: Instant| now.saturating_duration_since(then);
        if let Some(write) = self.write.get() {
            if since(write.accepted) > timeouts.write {
                return Some(Deadline::WriteStuck);
            }
            if since(write.begun) > 2 * timeouts.write {
                return Some(Deadline::WriteTooLong);
            }
        }
        if self
            .message_begun
            .get()
            .is_some_and(|begun| since(begun) > timeouts.read)
        {
            return Some(Deadline::MessageUnfinished);
        }
        let exchanges = self.exchanges.as_deref();
        if exchanges.is_some_and(|exchanges| exchanges.is_stuck(now, timeouts.write)) {
            return Some(Deadline::WriteStuck);
        }
        match self.phase.get() {
            Phase::Commands if exchanges.is_some_and(Exchanges::are_under_way) => None,
            Phase::Commands => {
                (since(self.last_request.get()) > IDLE_TIMEOUT).then_some(Deadline::Idle)
            }
            Phase::Recording => {
                (since(self.last_media.get()) > timeouts.read).then_some(Deadline::PublisherSilent)
            }
            Phase::Closing { since: begun } => {
                (since(begun) > LINGER_TIMEOUT).then_some(Deadline::Idle)
            }
            Phase::PlayingDatagrams => {
                let heard = self.last_request.get().max(self.last_media.get());
                (since(heard) > IDLE_TIMEOUT).then_some(Deadline::Idle)
            }
            Phase::Playing => None,
        }
    }
}

/// All sessions of a shard.
#[derive(Debug, Default)]
pub struct Sessions {
    all: RefCell<HashMap<SessionId, Rc<SessionHandle>>>,
    changed: Notify,
    is_draining: Cell<bool>,
}

impl Sessions {
    /// Adds a session.
    pub fn insert(&self, session: Rc<SessionHandle>) {
        if self.is_draining.get() {
            session.drain();
        }
        self.all.borrow_mut().insert(session.id, session);
    }

    /// Takes a session out.
    pub fn remove(&self, id: SessionId) {
        self.all.borrow_mut().remove(&id);
        self.changed.notify();
    }

    /// The session of this number.
    #[must_use]
    pub fn find(&self, id: SessionId) -> Option<Rc<SessionHandle>> {
        self.all.borrow().get(&id).cloned()
    }

    /// Number of sessions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.borrow().len()
    }

    /// No session is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends every session but those that play, and every one that comes; those that play end with their streams.
    pub fn begin_drain(&self) {
        self.is_draining.set(true);
        let all: Vec<_> = self.all.borrow().values().cloned().collect();
        for session in all.iter().filter(|session| !session.phase().is_playing()) {
            session.drain();
        }
    }

    /// Ends the connection over HTTP that has asked for nothing for the longest time, if any waits for nothing but its next
    /// request.
    pub fn end_idlest_over_http(&self, reason: SessionEnd) {
        let all = self.all.borrow();
        let idle = all.values().filter(|session| session.is_idle_over_http());
        if let Some(idlest) = idle.min_by_key(|session| session.last_request.get()) {
            idlest.end(reason);
        }
    }

    /// Resolves when no session is left.
    pub async fn drained(&self) {
        while !self.is_empty() {
            self.changed.notified().await;
        }
    }

    /// The server is going down.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.is_draining.get()
    }

    /// Ends the sessions whose deadline has passed, for as long as the shard lives; `also` looks after other deadlines.
    pub async fn sweep(&self, timeouts: impl Fn() -> Timeouts, also: impl Fn(Instant)) {
        loop {
            let shortest = timeouts().read.min(timeouts().write);
            let interval = (shortest / 8).clamp(SWEEP_INTERVAL_MIN, SWEEP_INTERVAL_MAX);
            shardcast_platform::sleep(interval).await;
            let (now, timeouts) = (shardcast_platform::now(), timeouts());
            self.end_overdue(now, timeouts);
            also(now);
        }
    }

    fn end_overdue(&self, now: Instant, timeouts: Timeouts) {
        let all = self.all.borrow();
        for session in all.values() {
            if let Some(deadline) = session.overdue(now, timeouts) {
                session.end_overdue(deadline, now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: Timeouts = Timeouts {
        read: Duration::from_secs(10),
        write: Duration::from_secs(10),
    };

    fn session(begin: Instant) -> SessionHandle {
        SessionHandle::new(SessionId::new(1), ([127, 0, 0, 1], 1).into(), begin)
    }

    fn after(begin: Instant, seconds: u64) -> Instant {
        begin + Duration::from_secs(seconds)
    }

    #[test]
    fn a_reader_that_plays_need_send_nothing() {
        let begin = Instant::now();
        let session = session(begin);
        session.enter(Phase::Playing, begin);
        assert_eq!(session.overdue(after(begin, 100_000), TIMEOUTS), None);
    }

    #[test]
    fn a_reader_of_datagrams_lives_by_its_requests_or_its_reports() {
        let begin = Instant::now();
        let session = session(begin);
        session.enter(Phase::PlayingDatagrams, begin);
        session.note_request(after(begin, 30));
        session.note_media(after(begin, 50));
        assert_eq!(session.overdue(after(begin, 110), TIMEOUTS), None);
        let overdue = session.overdue(after(begin, 111), TIMEOUTS);
        assert_eq!(overdue, Some(Deadline::Idle));
    }

    #[test]
    fn a_session_without_media_ends_after_a_minute_without_a_request() {
        let begin = Instant::now();
        let session = session(begin);
        session.note_request(after(begin, 30));
        assert_eq!(session.overdue(after(begin, 90), TIMEOUTS), None);
        assert_eq!(
            session.overdue(after(begin, 91), TIMEOUTS),
            Some(Deadline::Idle)
        );
    }

    #[test]
    fn a_publisher_that_sends_nothing_ends_after_the_read_timeout() {
        let begin = Instant::now();
        let session = session(begin);
        session.enter(Phase::Recording, begin);
        session.note_media(after(begin, 5));
        assert_eq!(session.overdue(after(begin, 15), TIMEOUTS), None);
        assert_eq!(
            session.overdue(after(begin, 16), TIMEOUTS),
            Some(Deadline::PublisherSilent)
        );
    }

    #[test]
    fn a_message_that_drips_in_has_one_deadline_from_its_begin() {
        let begin = Instant::now();
        let session = session(begin);
        for second in 0..11 {
            session.note_message(true, after(begin, second));
        }
        assert_eq!(
            session.overdue(after(begin, 11), TIMEOUTS),
            Some(Deadline::MessageUnfinished)
        );
        session.note_message(false, after(begin, 11));
        assert_eq!(session.overdue(after(begin, 12), TIMEOUTS), None);
    }

    #[test]
    fn a_write_ends_the_session_when_stuck_or_when_it_lasts_twice_as_long() {
        let begin = Instant::now();
        let session = session(begin);
        session.enter(Phase::Playing, begin);
        session.note_write(begin);
        assert_eq!(
            session.overdue(after(begin, 11), TIMEOUTS),
            Some(Deadline::WriteStuck)
        );
        for second in 1..=20 {
            session.note_accepted(after(begin, second));
            assert_eq!(session.overdue(after(begin, second), TIMEOUTS), None);
        }
        session.note_accepted(after(begin, 21));
        assert_eq!(
            session.overdue(after(begin, 21), TIMEOUTS),
            Some(Deadline::WriteTooLong)
        );
        session.note_write_end();
        assert_eq!(session.overdue(after(begin, 99), TIMEOUTS), None);
    }

    #[test]
    fn a_connection_over_http_is_idle_only_between_its_requests() {
        let begin = Instant::now();
        let peer = ([127, 0, 0, 1], 1).into();
        let session = SessionHandle::over_http(SessionId::new(1), peer, "API", begin);
        let exchanges = session.exchanges.as_ref().unwrap();
        exchanges.begin();
        assert_eq!(session.overdue(after(begin, 1000), TIMEOUTS), None);
        exchanges.end(true);
        let overdue = session.overdue(after(begin, 1000), TIMEOUTS);
        assert_eq!(overdue, Some(Deadline::Idle));
    }

    #[test]
    fn the_connection_over_http_that_was_silent_for_the_longest_time_makes_room() {
        let (sessions, begin) = (Sessions::default(), Instant::now());
        let peer = ([127, 0, 0, 1], 1).into();
        let add = |id, session: fn(SessionId, SocketAddr, Instant) -> SessionHandle, seconds| {
            let session = session(SessionId::new(id), peer, after(begin, seconds));
            let session = Rc::new(session);
            sessions.insert(session.clone());
            session
        };
        let over_http = |id, peer, now| SessionHandle::over_http(id, peer, "API", now);
        let _media = add(1, SessionHandle::new, 0);
        let (asks, answered) = (add(2, over_http, 1), add(3, over_http, 2));
        let (idlest, idle) = (add(4, over_http, 3), add(5, over_http, 4));
        asks.note_message(true, begin);
        answered.exchanges.as_ref().unwrap().begin();
        let ended = || {
            let all = [1, 2, 3, 4, 5].map(|id| sessions.find(SessionId::new(id)).unwrap());
            all.map(|session| session.cancel.is_cancelled())
        };
        sessions.end_idlest_over_http(SessionEnd::PeerClosed);
        assert_eq!(ended(), [false, false, false, true, false]);
        sessions.end_idlest_over_http(SessionEnd::PeerClosed);
        sessions.end_idlest_over_http(SessionEnd::PeerClosed);
        assert_eq!(ended(), [false, false, false, true, true]);
        drop((idlest, idle));
    }

    #[test]
    fn who_sends_a_request_too_slowly_over_http_is_told_before_the_end() {
        let begin = Instant::now();
        let peer = ([127, 0, 0, 1], 1).into();
        let session = SessionHandle::over_http(SessionId::new(1), peer, "API", begin);
        session.note_message(true, begin);
        let now = after(begin, 11);
        let overdue = session.overdue(now, TIMEOUTS);
        assert_eq!(overdue, Some(Deadline::MessageUnfinished));
        session.end_overdue(Deadline::MessageUnfinished, now);
        assert!(session.exchanges.as_ref().unwrap().is_late());
        assert!(!session.cancel.is_cancelled());
        // It has a moment for the answer, then it ends.
        assert_eq!(session.overdue(now, TIMEOUTS), None);
        let overdue = session.overdue(after(begin, 17), TIMEOUTS);
        assert_eq!(overdue, Some(Deadline::Idle));
    }

    #[test]
    fn the_first_reason_of_an_end_stays() {
        let session = session(Instant::now());
        session.linger(SessionEnd::Teardown, Instant::now());
        session.end(SessionEnd::Shutdown);
        assert_eq!(session.ended(), Some(&SessionEnd::Teardown));
        assert!(session.cancel.is_cancelled());
    }
}
