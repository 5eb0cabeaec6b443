//! The accept loop of one shard and what begins with each connection.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use shardcast_platform::{AcceptOutcome, Acceptor, Cancel, TcpListener, TcpStream};
use shardcast_runtime::Mark;

use super::http::{self, HttpService};
use super::rtsp;
use super::transport::Transport;
use crate::event::{Event, Protocol, SessionEnd};
use crate::random::random_u64;
use crate::refusal::RefusalReason;
use crate::session_id::SessionId;
use crate::shard::{SessionHandle, Shard};
use crate::supervise::{STAGE_ACCEPT, STAGE_SESSION, session_mark};

/// Pause after a failed accept, as when descriptors have run out: long enough not to spin, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Descriptors that media leaves to the sites, so that the API answers when all others are taken: one per operator, script
/// and scraper that could ask at once, and some for files.
const RESERVED_DESCRIPTORS: u64 = 64;

/// When no more are left, a site's new connection takes the place of an idle one: one per shard that may be accepting, and
/// some for files.
const LAST_DESCRIPTORS: u64 = 8;

/// What a shard needs to listen, made before the shard starts.
#[derive(Debug)]
pub(crate) struct ListenerSeed {
    /// Its place in the group of sockets on the port.
    pub(crate) acceptor: Acceptor,
    /// What its connections speak.
    pub(crate) service: Service,
}

/// The protocols that are listened for.
#[derive(Clone, Debug)]
pub(crate) enum Service {
    /// RTSP.
    Rtsp,
    /// A site over HTTP.
    Http(HttpService),
}

impl Service {
    fn protocol(&self) -> Protocol {
        match self {
            Self::Rtsp => Protocol::Rtsp,
            Self::Http(service) => Protocol::Http(service.site.kind.name()),
        }
    }
}

/// Accepts connections on this shard until `cancel` is raised.
pub(crate) fn listen(shard: &Rc<Shard>, seed: ListenerSeed, cancel: Cancel) {
    let task = shard.clone();
    shard.context.spawn(Mark::stage(STAGE_ACCEPT), async move {
        match seed.acceptor.start() {
            Ok(listener) => accept_all(&task, &listener, &seed.service, &cancel).await,
            Err(error) => task.server.events.publish(&Event::AcceptFailed {
                protocol: seed.service.protocol(),
                error: error.to_string(),
            }),
        }
    });
}

async fn accept_all(shard: &Rc<Shard>, listener: &TcpListener, service: &Service, cancel: &Cancel) {
    let mut is_failing = false;
    loop {
        match accept(shard, listener, service, cancel).await {
            AcceptOutcome::Accepted(stream, peer) => {
                is_failing = false;
                shard.session_turns.wait().await;
                serve_as(service, shard, stream, peer);
            }
            AcceptOutcome::Failed(error) => {
                shard.count_refusal(RefusalReason::AcceptFailed);
                if !std::mem::replace(&mut is_failing, true) {
                    shard.server.events.publish(&Event::AcceptFailed {
                        protocol: service.protocol(),
                        error: error.to_string(),
                    });
                }
                shardcast_platform::sleep(ACCEPT_PAUSE).await;
            }
            AcceptOutcome::Cancelled => return,
        }
    }
}

/// Accepts a connection. One for media needs a descriptor beyond those that are reserved. For one to a site, when even
/// those are nearly gone, another has to go that asks for nothing.
async fn accept(
    shard: &Shard,
    listener: &TcpListener,
    service: &Service,
    cancel: &Cancel,
) -> AcceptOutcome {
    use shardcast_platform::are_descriptors_scarce;
    if cancel.is_cancelled() {
        return AcceptOutcome::Cancelled;
    }
    match service {
        Service::Rtsp if are_descriptors_scarce(RESERVED_DESCRIPTORS) => {
            let error = "no descriptors are left but those for HTTP (see ulimit -n)";
            return AcceptOutcome::Failed(std::io::Error::other(error));
        }
        Service::Http(_) if are_descriptors_scarce(LAST_DESCRIPTORS) => {
            let why = "no descriptors are left (see ulimit -n)".into();
            let end = SessionEnd::Protocol(RefusalReason::TooManyConnections, why);
            shard.sessions.end_idlest_over_http(end);
        }
        _ => {}
    }
    listener.accept(cancel).await
}

/// Serves a new RTSP connection on this shard, in a task of its own.
pub fn serve(shard: &Rc<Shard>, stream: impl Transport, peer: SocketAddr) {
    let session = SessionHandle::new(new_id(), canonical(peer), shardcast_platform::now());
    let session = begin(shard, session);
    spawn(shard, &session, rtsp::serve(shard, &session, stream));
}

fn serve_as(service: &Service, shard: &Rc<Shard>, stream: TcpStream, peer: SocketAddr) {
    let Service::Http(service) = service else {
        return serve(shard, stream, peer);
    };
    let (now, site) = (shardcast_platform::now(), service.site.kind.name());
    let session = SessionHandle::over_http(new_id(), canonical(peer), site, now);
    let session = begin(shard, session);
    let (task, handle, service) = (shard.clone(), session.clone(), service.clone());
    let run = async move { http::serve(&task, &handle, stream, service).await };
    spawn(shard, &session, run);
}

fn new_id() -> SessionId {
    SessionId::new(random_u64())
}

fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}

fn begin(shard: &Shard, session: SessionHandle) -> Rc<SessionHandle> {
    shard.server.events.publish(&Event::ConnectionOpened {
        peer: session.peer,
        protocol: session.protocol,
        shard: shard.id().index(),
    });
    Rc::new(session)
}

/// Runs a session's future; its end or panic takes the session out of the shard's table.
pub(super) fn spawn(
    shard: &Rc<Shard>,
    session: &Rc<SessionHandle>,
    run: impl Future<Output = SessionEnd> + 'static,
) {
    shard.sessions.insert(session.clone());
    shard.server.add_load(shard.id());
    let (task_shard, panic_shard) = (shard.clone(), shard.clone());
    let (ended, session) = (session.clone(), session.clone());
    // What an `async` block takes in and awaits is held there twice; this way that is a pointer.
    let run = Box::pin(run);
    let task = async move {
        let reason = run.await;
        finish(&task_shard, &ended, reason);
    };
    shard.context.spawn_session(
        session_mark(STAGE_SESSION, None, session.id),
        task,
        move |message| {
            panic_shard.server.events.publish(&Event::SessionPanicked {
                session: session.id,
                message,
            });
            // A writer of the session may be at work still.
            session.end(SessionEnd::Panicked);
            finish(&panic_shard, &session, SessionEnd::Panicked);
        },
    );
}

fn finish(shard: &Shard, session: &SessionHandle, reason: SessionEnd) {
    shard.sessions.remove(session.id);
    shard.server.remove_load(shard.id());
    if let Some(refusal) = reason.refusal() {
        shard.count_refusal(refusal);
    }
    if reason != SessionEnd::Moved {
        shard.server.events.publish(&Event::ConnectionClosed {
            peer: session.peer,
            protocol: session.protocol,
            reason,
        });
    }
}
