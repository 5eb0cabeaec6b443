//! What happens in the server, typed. The log and the Control API's stream of events are written from them.
//!
//! Events come from every shard and go to every listener. A listener's queue is bounded ([`QUEUE_EVENTS_MAX`]): when it is
//! full, events are lost for that listener alone, and the next one that fits tells how many.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shardcast_protocol::rtsp::TransportKind;

use crate::fanout::{DropReason, EndReason};
use crate::path::PathName;
use crate::record::Role;
use crate::refusal::RefusalReason;
use crate::session_id::SessionId;

/// Events that wait for one listener. At a few hundred bytes each that is some megabytes.
pub const QUEUE_EVENTS_MAX: usize = 4096;

/// Listeners at once: the log, and a handful of tests, tools and later protocols.
pub const LISTENERS_MAX: usize = 64;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A connection was accepted.
    ConnectionOpened {
        /// The peer.
        peer: SocketAddr,
        /// What is spoken there.
        protocol: Protocol,
        /// The shard that the kernel has given it to.
        shard: usize,
    },
    /// A connection ended.
    ConnectionClosed {
        /// The peer.
        peer: SocketAddr,
        /// What was spoken there.
        protocol: Protocol,
        /// Why.
        reason: SessionEnd,
    },
    /// Requests that a connection was refused; at most one event per connection and interval.
    RequestsRefused {
        /// The peer.
        peer: SocketAddr,
        /// What it speaks.
        protocol: Protocol,
        /// Why the latest one was.
        reason: RefusalReason,
        /// How many since the last such event.
        requests: u64,
    },
    /// A peer has offered wrong credentials.
    AuthenticationFailed {
        /// The peer.
        peer: SocketAddr,
        /// What it speaks.
        protocol: Protocol,
    },
    /// Accepting failed; tried again after a pause.
    AcceptFailed {
        /// What the connections would have spoken.
        protocol: Protocol,
        /// What the system said.
        error: String,
    },
    /// A stream can be read.
    PathAvailable {
        /// The path.
        path: PathName,
        /// Who publishes.
        publisher: SessionId,
        /// Number and codecs of its tracks.
        tracks: String,
    },
    /// A stream has lost its publisher; its readers wait for another one.
    PathWaiting {
        /// The path.
        path: PathName,
        /// How long.
        grace: Duration,
    },
    /// A stream has ended.
    PathGone {
        /// The path.
        path: PathName,
        /// Why.
        reason: EndReason,
    },
    /// A session began to publish.
    PublisherBegan {
        /// The session.
        session: SessionId,
        /// The peer.
        peer: SocketAddr,
        /// The path.
        path: PathName,
        /// Number and codecs of its tracks.
        tracks: String,
        /// How its packets travel.
        transport: TransportKind,
    },
    /// A session began to read.
    ReaderBegan {
        /// The session.
        session: SessionId,
        /// The peer.
        peer: SocketAddr,
        /// The path.
        path: PathName,
        /// Number and codecs of its tracks.
        tracks: String,
        /// How its packets travel.
        transport: TransportKind,
    },
    /// A session that published or read has ended.
    SessionEnded {
        /// The session.
        session: SessionId,
        /// The peer.
        peer: SocketAddr,
        /// What it did.
        role: Role,
        /// How its packets travelled.
        transport: TransportKind,
        /// The path.
        path: PathName,
        /// Why.
        reason: SessionEnd,
    },
    /// A reader was not given packets; at most one event per reader and interval, and one at its end.
    ReaderDropped {
        /// The session.
        session: SessionId,
        /// The path.
        path: PathName,
        /// Why.
        reason: DropReason,
        /// Bytes of the log that the reader was not given.
        bytes: u64,
        /// Access units of the leading track among them, as far as the log still had them.
        units: u64,
        /// How often it was moved forward, or began to be given less.
        times: u64,
    },
    /// A stream was cut for a shard whose ring was full, and has gone on since; `batches` did not cross.
    RingFull {
        /// The path.
        path: PathName,
        /// The shard.
        shard: usize,
        /// How many.
        batches: u64,
    },
    /// Packets of a stream are too large for datagrams and cannot be cut: readers over UDP are not given them. Told once per
    /// stream and shard.
    PacketsOversized {
        /// The path.
        path: PathName,
        /// `udpMaxPayloadSize`.
        packet_bytes_max: usize,
    },
    /// Packets of a publisher that no reader was given.
    PublisherPacketsRefused {
        /// The session.
        session: SessionId,
        /// The path.
        path: PathName,
        /// Why.
        reason: RefusalReason,
        /// How many.
        packets: u64,
    },
    /// A shard has not polled for long.
    Stalled {
        /// The shard.
        shard: usize,
        /// For how long.
        busy_for: Duration,
        /// What it polled last.
        at: String,
        /// It goes on again.
        over: bool,
    },
    /// The configuration was changed.
    Reloaded {
        /// By whom.
        by: ReloadedBy,
        /// What an operator should read that was not so before.
        warnings: Vec<String>,
        /// The keys whose change has effect only at the next start.
        waiting: Vec<&'static str>,
    },
    /// The configuration was to be read again and is wrong; it is as it was.
    ReloadFailed {
        /// What is wrong, a line for each error.
        error: String,
    },
    /// A session's task panicked: a bug of ours, ended with that session alone.
    SessionPanicked {
        /// The session.
        session: SessionId,
        /// What the panic said.
        message: String,
    },
}

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// RTSP.
    Rtsp,
    /// HTTP, to the site of this name.
    Http(&'static str),
}

/// As log lines begin with it.
impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Rtsp => "RTSP",
            Self::Http(site) => site,
        })
    }
}

/// Who changed the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReloadedBy {
    /// A request to the Control API, in MediaMTX's words.
    #[error("API request")]
    Request,
    /// The signal to read the file again.
    #[error("signal")]
    Signal,
}

/// Why a publisher's packet was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RefusedPacket {
    /// No RTP or RTCP.
    #[error("malformed")]
    Malformed,
    /// On a channel that no SETUP named.
    #[error("unknown_channel")]
    UnknownChannel,
    /// Of another source than the track's.
    #[error("other_source")]
    OtherSource,
    /// Of an access unit over its maximum.
    #[error("access_unit_too_large")]
    AccessUnitTooLarge,
}

/// Why a session or connection ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionEnd {
    /// The peer closed its connection.
    #[error("EOF")]
    PeerClosed,
    /// The peer said TEARDOWN.
    #[error("terminated")]
    Teardown,
    /// The connection failed.
    #[error("{0}")]
    Connection(String),
    /// The peer broke the protocol.
    #[error("{1}")]
    Protocol(RefusalReason, String),
    /// The stream that was read has ended.
    #[error("{0}")]
    Stream(EndReason),
    /// Another publisher took the path.
    #[error("closed because another publisher has taken over the path")]
    Overridden,
    /// An operator has ended it by the API.
    #[error("kicked")]
    Kicked,
    /// The path is not configured for publishers any more.
    #[error("the path was removed from the configuration")]
    PathRemoved,
    /// A deadline passed.
    #[error("{0}")]
    TimedOut(Deadline),
    /// The reader could not keep up.
    #[error("reader is too slow ({0})")]
    TooSlow(DropReason),
    /// The session moved to another shard; there it goes on.
    #[error("moved")]
    Moved,
    /// The server is going down.
    #[error("the server is shutting down")]
    Shutdown,
    /// A bug of ours.
    #[error("internal error")]
    Panicked,
}

impl SessionEnd {
    /// Its name, one of a closed set: for programs that tell reasons apart.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::PeerClosed => "peer_closed",
            Self::Teardown => "teardown",
            Self::Connection(_) => "connection_failed",
            Self::Protocol(reason, _) => reason.label(),
            Self::Stream(reason) => reason.label(),
            Self::Overridden => "overridden",
            Self::PathRemoved => "path_removed",
            Self::TimedOut(deadline) => RefusalReason::from(*deadline).label(),
            Self::TooSlow(_) => RefusalReason::SlowReader.label(),
            Self::Moved => "moved",
            Self::Shutdown => "shutdown",
            Self::Kicked => "kicked",
            Self::Panicked => "internal_error",
        }
    }

    /// The reason, if the server has ended it for what its peer did or did not do.
    #[must_use]
    pub fn refusal(&self) -> Option<RefusalReason> {
        match self {
            Self::Protocol(reason, _) => Some(*reason),
            Self::TimedOut(deadline) => Some((*deadline).into()),
            Self::TooSlow(_) => Some(RefusalReason::SlowReader),
            _ => None,
        }
    }
}

/// Which deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Deadline {
    /// `readTimeout`: a message or frame was begun and not finished.
    #[error("a message was not finished within readTimeout")]
    MessageUnfinished,
    /// `readTimeout`: a publisher sent nothing.
    #[error("the publisher has sent nothing for readTimeout")]
    PublisherSilent,
    /// `writeTimeout`: the socket accepted no byte.
    #[error("the peer has accepted no byte for writeTimeout")]
    WriteStuck,
    /// One write lasted twice `writeTimeout`.
    #[error("one write has lasted twice writeTimeout")]
    WriteTooLong,
    /// Neither playing nor recording, and no request for 60 s.
    #[error("session is inactive")]
    Idle,
}

/// Hands events to all listeners. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct EventBus {
    listeners: Arc<Mutex<Vec<Listener>>>,
    counters: Arc<EventCounters>,
}

#[derive(Debug, Default)]
struct EventCounters {
    published: AtomicU64,
    lost: AtomicU64,
}

#[derive(Debug)]
struct Listener {
    queue: SyncSender<Event>,
    missed: Arc<AtomicU64>,
}

/// One listener's end.
#[derive(Debug)]
pub struct EventReceiver {
    queue: Receiver<Event>,
    missed: Arc<AtomicU64>,
}

/// What a listener receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// An event.
    Event(Event),
    /// So many events were lost, because this listener was too slow.
    Missed(u64),
}

impl EventBus {
    /// A listener of all events from now on; `None` when there are [`LISTENERS_MAX`].
    #[must_use]
    pub fn listen(&self) -> Option<EventReceiver> {
        let mut listeners = self.lock();
        if listeners.len() == LISTENERS_MAX {
            return None;
        }
        let (sender, queue) = sync_channel(QUEUE_EVENTS_MAX);
        let missed = Arc::new(AtomicU64::new(0));
        listeners.push(Listener {
            queue: sender,
            missed: missed.clone(),
        });
        Some(EventReceiver { queue, missed })
    }

    /// Tells every listener. Never waits for one.
    pub fn publish(&self, event: &Event) {
        self.counters.published.fetch_add(1, Ordering::Relaxed);
        self.lock()
            .retain(|listener| match listener.queue.try_send(event.clone()) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => {
                    listener.missed.fetch_add(1, Ordering::Relaxed);
                    self.counters.lost.fetch_add(1, Ordering::Relaxed);
                    true
                }
                Err(TrySendError::Disconnected(_)) => false,
            });
    }

    /// Events since the start.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.counters.published.load(Ordering::Relaxed)
    }

    /// How often a listener was too slow for an event, since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.counters.lost.load(Ordering::Relaxed)
    }

    /// Ends every listener, after what it has still to receive.
    pub fn close(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Listener>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventReceiver {
    /// The next event, if it comes within `timeout`. `Err` when the server is gone and nothing is left.
    ///
    /// # Errors
    /// [`ServerGone`].
    pub fn receive(&self, timeout: Duration) -> Result<Option<Received>, ServerGone> {
        if let Some(missed) = self.take_missed() {
            return Ok(Some(missed));
        }
        match self.queue.recv_timeout(timeout) {
            Ok(event) => Ok(Some(Received::Event(event))),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(ServerGone),
        }
    }

    /// The next event that is here already.
    ///
    /// # Errors
    /// [`ServerGone`].
    pub fn try_receive(&self) -> Result<Option<Received>, ServerGone> {
        match self.queue.try_recv() {
            Ok(event) => Ok(Some(Received::Event(event))),
            Err(TryRecvError::Empty) => Ok(self.take_missed()),
            Err(TryRecvError::Disconnected) => Err(ServerGone),
        }
    }

    fn take_missed(&self) -> Option<Received> {
        let missed = self.missed.swap(0, Ordering::Relaxed);
        (missed > 0).then_some(Received::Missed(missed))
    }
}

/// The server that published events has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server has ended")]
pub struct ServerGone;

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: u64) -> Event {
        Event::SessionPanicked {
            session: SessionId::new(n),
            message: String::new(),
        }
    }

    #[test]
    fn a_slow_listener_loses_events_and_is_told_how_many() {
        let bus = EventBus::default();
        let (slow, quick) = (bus.listen().unwrap(), bus.listen().unwrap());
        for n in 0..QUEUE_EVENTS_MAX as u64 + 3 {
            bus.publish(&event(n));
            assert_eq!(quick.try_receive(), Ok(Some(Received::Event(event(n)))));
        }
        assert_eq!(slow.receive(Duration::ZERO), Ok(Some(Received::Missed(3))));
        assert_eq!(
            slow.receive(Duration::ZERO),
            Ok(Some(Received::Event(event(0))))
        );
    }

    #[test]
    fn listeners_are_bounded_and_leave_room_when_they_go() {
        let bus = EventBus::default();
        let mut listeners: Vec<_> = (0..LISTENERS_MAX).map(|_| bus.listen().unwrap()).collect();
        assert!(bus.listen().is_none());
        listeners.pop();
        bus.publish(&event(0));
        assert!(bus.listen().is_some());
    }
}
