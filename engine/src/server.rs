//! The server: a configuration becomes shards with listeners. The daemon and the tests start it alike.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;
use shardcast_config as config;
use shardcast_config::{Config, Document};
use shardcast_platform::{
    Acceptor, BindError, Cancel, DriverError, DriverRequest, ListenAddressError, SocketFile,
    UnixBindError,
};
use shardcast_runtime::{
    DoorSeat, DoorSender, Exit, Hooks, Mark, Node, Options, Plan, Running, Runtime, RuntimeHandle,
    ShardContext, ShardCount, ShardId, Stall, StartError, door,
};

use crate::admit::Admission;
use crate::control::{ConfigHook, ControlState, Site};
use crate::doors::{SiteSeed, open_listeners};
use crate::event::{Event, EventBus, EventReceiver};
use crate::gauge::Gauge;
use crate::path::PathId;
use crate::session::{HttpService, ListenerSeed, Scratch, Service, Watch, listen};
use crate::session_id::SessionId;
use crate::shard::{
    Control, DatagramSeed, ERRANDS_WAITING_MAX, EngineMessages, Errand, Media, Return, ServerState,
    Shard,
};
use crate::snapshot::Snapshot;
use crate::supervise::STAGES;

/// A running server.
#[derive(Debug)]
pub struct Server {
    running: Running,
    state: Arc<ServerState>,
    control: Arc<ControlState>,
    /// At work until the server is gone.
    _certificates: Option<Watch>,
    /// The same.
    _gauge: Gauge,
    /// There until the server is gone.
    _socket_files: Vec<SocketFile>,
}

/// An address that the server listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// "RTSP".
    pub protocol: &'static str,
    /// "TCP", "UDP/RTP", "UDP/RTCP", "HTTP" or "HTTPS".
    pub transport: &'static str,
    /// As configured.
    pub configured: String,
    /// As bound: with the port that was chosen.
    pub address: ListenPlace,
    /// What was not as configured.
    pub note: Option<String>,
}

/// Where a listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenPlace {
    /// An address of the network.
    Ip(SocketAddr),
    /// The file of a Unix socket.
    Unix(PathBuf),
}

impl ListenPlace {
    /// Its port; a file has none.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Ip(address) => address.port(),
            Self::Unix(_) => 0,
        }
    }
}

/// As it is configured.
impl fmt::Display for ListenPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address of the configuration is none.
    #[error("{key}: '{address}' is no address: {error}")]
    Address {
        /// The configuration's key.
        key: &'static str,
        /// Its value.
        address: String,
        /// What is wrong.
        error: ListenAddressError,
    },
    /// The system refuses the address.
    #[error("{key}: {error}")]
    Bind {
        /// The configuration's key.
        key: &'static str,
        /// What is wrong.
        error: BindError,
    },
    /// The file of a Unix socket cannot be had.
    #[error("{key}: {error}")]
    BindUnix {
        /// The configuration's key.
        key: &'static str,
        /// What is wrong.
        error: UnixBindError,
    },
    /// The files for TLS cannot be used.
    #[error("{key}: {error}")]
    Tls {
        /// The configuration's key.
        key: &'static str,
        /// Which file, and what is wrong.
        error: String,
    },
    /// The two ports for datagrams are no pair.
    #[error(
        "rtpAddress '{rtp}' and rtcpAddress '{rtcp}': the port of RTCP has to be the one after that of RTP"
    )]
    Ports {
        /// `rtpAddress`.
        rtp: String,
        /// `rtcpAddress`.
        rtcp: String,
    },
    /// The driver that was asked for cannot be had.
    #[error("{key}: {error}")]
    Driver {
        /// The configuration's key.
        key: &'static str,
        /// What is wrong.
        error: DriverError,
    },
    /// The shards did not start.
    #[error("{0}")]
    Start(String),
}

/// What else a program runs on every shard: called on the shard's thread before it accepts anybody, so that it can start
/// tasks there. The daemon has none; tests put faults into a server by it.
pub type Companion = Arc<dyn Fn(&Rc<Shard>) + Send + Sync>;

/// Shuts a server down, or has it read its configuration again, from another thread.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    runtime: RuntimeHandle,
    control: Arc<ControlState>,
}

impl ServerHandle {
    /// Asks every shard to drain and end.
    pub fn shutdown(&self) {
        self.runtime.shutdown();
    }

    /// Has the files of the configuration read again. What comes of it is told as an event; what is wrong changes nothing.
    pub fn reload(&self) {
        let control = self.control.clone();
        let reload = move || control.configuration.reload(&control.server);
        if !self.control.clerk.do_later(reload) {
            let error = "too many requests wait; ask again".to_owned();
            let events = &self.control.server.events;
            events.publish(&Event::ReloadFailed { error });
        }
    }
}

impl Server {
    /// Starts with this configuration. What happens is told to the listeners of `events`.
    ///
    /// # Errors
    /// See [`ServerError`]; nothing is left running.
    pub fn start(document: Document, events: EventBus) -> Result<Self, ServerError> {
        Self::start_with(document, events, None)
    }

    /// As [`Self::start`], with something else on every shard beside it.
    ///
    /// # Errors
    /// See [`ServerError`]; nothing is left running.
    pub fn start_with(
        document: Document,
        events: EventBus,
        companion: Option<Companion>,
    ) -> Result<Self, ServerError> {
        let options = options_of(document.config());
        let handle = Arc::new(ArcSwap::new(document.config().clone()));
        let mut made = None;
        let hooks_state = Arc::new(std::sync::OnceLock::new());
        let hooks = hooks(&hooks_state, &events);
        let seeds = |plan: &Plan| {
            let opened = open_listeners(&handle.load(), plan.shards)?;
            let admission = Admission::start()
                .map_err(|error| ServerError::Start(format!("admission: {error}")))?;
            let (errands, errand_seats) = open_doors(plan.shards)?;
            let state = Arc::new(ServerState::new(
                handle.clone(),
                admission,
                errands,
                events.clone(),
                opened.datagram_ports,
            ));
            let _set_once = hooks_state.set(state.clone());
            let control = ControlState::new(state.clone(), document, opened.listeners)
                .map_err(|error| ServerError::Start(format!("control: {error}")))?;
            let control = Arc::new(control);
            let certificates = Watch::start(&opened.tls)
                .map_err(|error| ServerError::Start(format!("certificates: {error}")))?;
            let kept = (certificates, opened.socket_files);
            made = Some((state.clone(), control.clone(), kept));
            let seats = opened
                .acceptors
                .into_iter()
                .zip(opened.datagrams)
                .zip(opened.sites)
                .zip(errand_seats);
            let seed = |(((acceptor, datagrams), sites), errands)| Seed {
                state: state.clone(),
                acceptor,
                sites,
                control: control.clone(),
                datagrams,
                errands,
                companion: companion.clone(),
            };
            Ok(seats.map(seed).collect())
        };
        let running = Runtime::start::<EngineNode, ServerError>(options, hooks, seeds)
            .map_err(server_error)?;
        let (state, control, (certificates, socket_files)) =
            made.ok_or_else(|| ServerError::Start("no shard was planned".into()))?;
        control.set_runtime(running.handle());
        let gauge = Gauge::start(state.clone(), running.handle())
            .map_err(|error| ServerError::Start(format!("gauge: {error}")))?;
        Ok(Self {
            running,
            state,
            control,
            _certificates: certificates,
            _gauge: gauge,
            _socket_files: socket_files,
        })
    }

    /// How many shards, on which driver, and why.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        self.running.plan()
    }

    /// What the server listens on.
    #[must_use]
    pub fn listeners(&self) -> &[Listener] {
        &self.control.listeners
    }

    /// All events from now on; `None` when there are too many listeners already.
    #[must_use]
    pub fn events(&self) -> Option<EventReceiver> {
        self.state.events.listen()
    }

    /// All counters.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.control.snapshot()
    }

    /// Has `hook` called with every configuration that begins to hold after the first; only the first hook is.
    pub fn set_config_hook(&self, hook: ConfigHook) {
        self.control.configuration.set_hook(hook);
    }

    /// To shut down from another thread.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle {
            runtime: self.running.handle(),
            control: self.control.clone(),
        }
    }

    /// Asks every shard to drain and end.
    pub fn shutdown(&self) {
        self.running.shutdown();
    }

    /// Waits until somebody has asked for the shutdown and all shards have ended; then the listeners of events end too.
    #[must_use]
    pub fn join(self) -> Exit {
        let exit = self.running.join();
        self.state.events.close();
        exit
    }
}

/// What one shard is started with.
struct Seed {
    state: Arc<ServerState>,
    acceptor: Option<Acceptor>,
    sites: Vec<SiteSeed>,
    control: Arc<ControlState>,
    datagrams: Option<DatagramSeed>,
    errands: DoorSeat<Errand>,
    companion: Option<Companion>,
}

/// One shard of the server.
struct EngineNode {
    shard: Rc<Shard>,
    stop_accepting: Cancel,
}

impl Node for EngineNode {
    type Messages = EngineMessages;
    type Seed = Seed;

    fn start(context: ShardContext<EngineMessages>, seed: Seed) -> Rc<Self> {
        let shard = Shard::start(context, seed.state, seed.datagrams, seed.errands);
        if let Some(companion) = seed.companion {
            companion(&shard);
        }
        let stop_accepting = Cancel::new();
        if let Some(acceptor) = seed.acceptor {
            let service = Service::Rtsp;
            listen(
                &shard,
                ListenerSeed { acceptor, service },
                stop_accepting.clone(),
            );
        }
        for site in seed.sites {
            let acceptor = site.acceptor;
            let service = Service::Http(HttpService {
                site: Arc::new(Site::new(site.kind)),
                state: seed.control.clone(),
                tls: site.tls,
                seats: site.seats,
                scratch: Scratch::default(),
            });
            listen(
                &shard,
                ListenerSeed { acceptor, service },
                stop_accepting.clone(),
            );
        }
        Rc::new(Self {
            shard,
            stop_accepting,
        })
    }

    fn handle_media(&self, from: ShardId, message: Media) {
        self.shard.handle_media(from, message);
    }

    fn handle_control(&self, from: ShardId, message: Control) {
        self.shard.handle_control(from, message);
    }

    fn handle_return(&self, from: ShardId, message: Return) {
        self.shard.handle_return(from, message);
    }

    /// Publishers end; with them their streams, whose readers are given the rest and then closed.
    async fn drain(self: Rc<Self>) {
        self.stop_accepting.cancel();
        self.shard.begin_drain();
        self.shard.sessions.drained().await;
    }
}

/// The two ends of the shards' doors for errands.
type Doors = (Vec<DoorSender<Errand>>, Vec<DoorSeat<Errand>>);

/// A door into each shard.
fn open_doors(shards: usize) -> Result<Doors, ServerError> {
    let failed = |error| ServerError::Start(format!("a door into a shard: {error}"));
    let doors = (0..shards).map(|_| door(ERRANDS_WAITING_MAX).map_err(failed));
    Ok(doors.collect::<Result<Vec<_>, _>>()?.into_iter().unzip())
}

fn options_of(config: &Config) -> Options {
    let runtime = &config.runtime;
    Options {
        shards: match runtime.shards {
            config::ShardCount::Auto => ShardCount::Auto,
            config::ShardCount::Count(count) => {
                ShardCount::Count(NonZeroUsize::new(count.get()).unwrap_or(NonZeroUsize::MIN))
            }
        },
        driver: match runtime.driver {
            config::Driver::Auto => DriverRequest::Auto,
            config::Driver::IoUring => DriverRequest::IoUring,
            config::Driver::Epoll => DriverRequest::Epoll,
            config::Driver::Iocp => DriverRequest::Iocp,
            config::Driver::Glommio => DriverRequest::Glommio,
        },
        pin_cpus: runtime.pin_cpus,
        media_ring: runtime.media_ring,
        stall_after: runtime.stall_after,
        shutdown_timeout: runtime.shutdown_timeout,
    }
}

/// The stall detector knows numbers; the directory knows their names.
fn hooks(state: &Arc<std::sync::OnceLock<Arc<ServerState>>>, events: &EventBus) -> Hooks {
    let (state, events) = (state.clone(), events.clone());
    Hooks {
        stages: STAGES,
        describe: Arc::new(move |mark| describe(state.get().map(Arc::as_ref), mark)),
        on_stall: Arc::new(move |stall: Stall| {
            let at = format!("{} ({})", stall.stage, stall.subject);
            let event = Event::Stalled {
                shard: stall.shard.index(),
                busy_for: stall.busy_for,
                at,
                over: stall.over,
            };
            events.publish(&event);
        }),
        ..Hooks::default()
    }
}

fn describe(state: Option<&ServerState>, mark: Mark) -> String {
    let name = state.and_then(|state| state.directory.name_of(PathId(mark.path)));
    let path = name.map_or_else(|| "no path".to_owned(), |name| format!("path {name}"));
    match mark.session {
        0 => path,
        session => format!("{path}, session {}", SessionId::new(session)),
    }
}

fn server_error(error: StartError<ServerError>) -> ServerError {
    match error {
        StartError::Seeds(error) => error,
        StartError::Driver(error) => ServerError::Driver {
            key: "driver",
            error,
        },
        other => ServerError::Start(other.to_string()),
    }
}
