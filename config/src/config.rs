//! The configuration that the engine runs with: plain typed values, every default applied.
//!
//! Filled by `load` from checked settings, read by the engine and, through it, by every shard.
//! Only what is built has a field here; a key that is accepted but not built yet has none, so
//! that no code can believe in it. Deliberately absent: YAML, environment, positions.

use std::net::Ipv4Addr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::access::AccessConfig;
use crate::http::{API_KEYS, HttpConfig, METRICS_KEYS, PPROF_KEYS};
use crate::paths::{PathConfig, Paths};
use crate::settings::Settings;

/// A whole configuration. [`Config::default`] is what runs when there is no file: every key at
/// its default and `all_others` as the only path.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Shards, driver and their time limits.
    pub runtime: RuntimeConfig,
    /// Where log lines go and how they look.
    pub log: LogConfig,
    /// `readTimeout`: for a begun message or frame, and for a recording publisher.
    pub read_timeout: Duration,
    /// `writeTimeout`: how long a socket may accept no byte.
    pub write_timeout: Duration,
    /// `authInternalUsers`: who may do what. The same one as before a change of something else, so
    /// that what users have proven need not be proven again.
    pub access: Arc<AccessConfig>,
    /// The Control API.
    pub api: HttpConfig,
    /// `apiLocalSources`: the API may name sources on this machine and its link.
    pub api_local_sources: bool,
    /// The metrics.
    pub metrics: HttpConfig,
    /// `metricsPerSession`: whether each session has metrics of its own; where that is left to the server, while they are
    /// few.
    pub metrics_per_session: Choice,
    /// The profiler.
    pub pprof: HttpConfig,
    /// The RTSP server.
    pub rtsp: RtspConfig,
    /// Batches, wake slices and the kernel's share of a reader's queue.
    pub fanout: FanoutConfig,
    /// What one address, or all of them, may take.
    pub limits: LimitsConfig,
    /// `pathDefaults`: what a path has that says nothing else.
    pub path_defaults: PathConfig,
    /// `writeQueueSize`: packets that may wait for a reader. Where it stands in the configuration, it is what paths begin
    /// with for `readerQueueBytes`.
    pub write_queue_packets: usize,
    /// `paths`, each with the defaults applied.
    pub paths: Paths,
}

/// Keys `shards`, `driver`, `pinCpus`, `mediaRing`, `stallAfter`, `shutdownTimeout`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeConfig {
    /// How many shards run.
    pub shards: ShardCount,
    /// What serves sockets and timers.
    pub driver: Driver,
    /// Whether each shard is pinned to a CPU.
    pub pin_cpus: bool,
    /// Batches in flight per ordered pair of shards.
    pub media_ring: usize,
    /// A shard that has not polled for so long is reported.
    pub stall_after: Duration,
    /// Time to drain at the end.
    pub shutdown_timeout: Duration,
}

/// `shards`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardCount {
    /// One per CPU that the process may use.
    Auto,
    /// Exactly so many, at most [`SHARDS_MAX`].
    Count(NonZeroUsize),
}

/// The largest value of `shards`: the runtime's own maximum.
pub const SHARDS_MAX: i64 = 256;

/// `driver`. Whether it can be had here is the platform's to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The best that kernel and sandbox allow.
    Auto,
    /// io_uring (Linux).
    IoUring,
    /// epoll (Linux).
    Epoll,
    /// I/O completion ports (Windows).
    Iocp,
    /// glommio, where it is built in (Linux).
    Glommio,
}

/// Keys `logLevel`, `logDestinations`, `logStructured`, `logFile`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The least severe line that is written.
    pub level: LogLevel,
    /// Where lines go; never empty, each at most once.
    pub destinations: Vec<LogDestination>,
    /// JSON lines instead of plain ones.
    pub structured: bool,
    /// The file of [`LogDestination::File`].
    pub file: String,
}

/// `logLevel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Only errors.
    Error,
    /// Errors and warnings.
    Warn,
    /// What an operator wants to see.
    Info,
    /// Everything.
    Debug,
}

/// An entry of `logDestinations`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogDestination {
    /// Standard output.
    Stdout,
    /// The file named by `logFile`.
    File,
}

/// Keys `rtsp`, `rtspAddress`, `rtspTransports`, `rtspAuthMethods` and those of RTP in datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtspConfig {
    /// Whether the server listens at all.
    pub enabled: bool,
    /// `host:port` or `:port` (every address, IPv6 and IPv4).
    pub address: String,
    /// Publishers and readers may have UDP.
    pub udp: bool,
    /// Readers may have multicast.
    pub multicast: bool,
    /// Publishers and readers may have the control connection.
    pub tcp: bool,
    /// `rtpAddress`: where RTP datagrams come and leave.
    pub rtp_address: String,
    /// `rtcpAddress`: where RTCP datagrams come and leave.
    pub rtcp_address: String,
    /// `udpMaxPayloadSize`: larger RTP packets are cut anew for readers over UDP.
    pub udp_payload_bytes_max: usize,
    /// `udpReadBufferSize`: `SO_RCVBUF`; `None` leaves the system's.
    pub udp_receive_buffer: Option<NonZeroUsize>,
    /// `multicastIPRange`: the first address of the groups, and how many there are.
    pub multicast_range: MulticastRange,
    /// `multicastRTPPort`.
    pub multicast_rtp_port: u16,
    /// `multicastRTCPPort`.
    pub multicast_rtcp_port: u16,
    /// How users may prove who they are, in the order of the challenges; never empty.
    pub auth_methods: Vec<AuthMethod>,
}

/// The addresses that streams may be given for multicast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MulticastRange {
    /// The first one.
    pub first: Ipv4Addr,
    /// How many there are, at least one.
    pub count: u32,
}

/// An entry of `rtspAuthMethods`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// User name and password as they are (RFC 7617).
    Basic,
    /// Their MD5 digest with a nonce (RFC 2617, section 3).
    Digest,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RtspTransport {
    Udp,
    Multicast,
    Tcp,
}

/// Keys `coalesce`, `batchBytes`, `gatherReaders`, `wakeReaders`, `wakeBytes`, `moveLive`,
/// `notSentLowat`, `sendBuffer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FanoutConfig {
    /// Longest wait of a packet for its batch.
    pub coalesce: Duration,
    /// A batch closes at this size.
    pub batch_bytes: usize,
    /// Readers of a path that stay on the owner's shard before they spread; 0 spreads at once.
    pub gather_readers: usize,
    /// Readers woken before the shard yields.
    pub wake_readers: usize,
    /// Bytes handed out before the shard yields.
    pub wake_bytes: usize,
    /// Whether a connected socket may move to the owner's shard.
    pub move_live: Choice,
    /// Unsent bytes that the kernel may hold per TCP reader; `None` leaves the system's.
    pub not_sent_lowat: Option<NonZeroUsize>,
    /// `SO_SNDBUF` of readers; `None` leaves the system's.
    pub send_buffer: Option<NonZeroUsize>,
}

/// A switch that may be left to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Where the platform can, or while it makes sense.
    Auto,
    /// Always.
    Yes,
    /// Never.
    No,
}

/// Its words.
const CHOICES: &[(&str, Choice)] = &[
    ("auto", Choice::Auto),
    ("yes", Choice::Yes),
    ("no", Choice::No),
];

/// How much the server takes upon itself: keys `sessionsPerAddress`, `connectionsPerAddress`, `readers`, `egress`,
/// `memory` and `cpu`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Sessions of one address that neither play nor record.
    pub sessions_per_address: usize,
    /// Connections of one address, whatever they do; 0 is no limit.
    pub connections_per_address: usize,
    /// Playing readers in all; 0 is no limit.
    pub readers: usize,
    /// Bits per second, the sum of what readers are sent; 0 is no limit.
    pub egress_bit_rate: u64,
    /// Bytes of logs, queues and sessions together; `None` is a share of what the machine or its control group has.
    pub memory_bytes: Option<NonZeroUsize>,
    /// The busy share of a shard, in percent, from which on it takes no new reader; 100 is no limit.
    pub cpu_percent: usize,
}

/// The key that lets the API name sources on this machine; the API must not turn it itself.
pub(crate) const LOCAL_SOURCES: &str = "apiLocalSources";

impl Config {
    /// The settings of the path that serves `name`: its own entry, else the first regular
    /// expression that matches (in sorted order), else `all_others`. `None`: the path is not
    /// configured, and nobody may publish or read it.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<&PathConfig> {
        self.paths.find(name).map(|(_, path)| path)
    }

    /// The defaults, without any path.
    pub(crate) fn without_paths() -> Self {
        Self {
            runtime: RuntimeConfig::default(),
            log: LogConfig::default(),
            read_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            access: Arc::default(),
            api: HttpConfig::on(":9997"),
            api_local_sources: false,
            metrics: HttpConfig::on(":9998"),
            metrics_per_session: Choice::Auto,
            pprof: HttpConfig::on(":9999"),
            rtsp: RtspConfig::default(),
            fanout: FanoutConfig::default(),
            limits: LimitsConfig::default(),
            path_defaults: PathConfig::default(),
            write_queue_packets: 512,
            paths: Paths::default(),
        }
    }

    /// Takes over what the top level of a configuration says.
    pub(crate) fn apply(&mut self, settings: &Settings) {
        settings.duration("readTimeout", &mut self.read_timeout);
        settings.duration("writeTimeout", &mut self.write_timeout);
        self.runtime.apply(settings);
        self.log.apply(settings);
        Arc::make_mut(&mut self.access).apply(settings);
        self.api.apply(settings, &API_KEYS);
        settings.switch(LOCAL_SOURCES, &mut self.api_local_sources);
        self.metrics.apply(settings, &METRICS_KEYS);
        let per_session = &mut self.metrics_per_session;
        settings.choice("metricsPerSession", CHOICES, per_session);
        self.pprof.apply(settings, &PPROF_KEYS);
        self.rtsp.apply(settings);
        self.fanout.apply(settings);
        self.limits.apply(settings);
        settings.count("writeQueueSize", &mut self.write_queue_packets);
        if settings.value("writeQueueSize").is_some() {
            self.path_defaults
                .take_write_queue(self.write_queue_packets);
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        let mut config = Self::without_paths();
        config.paths.set_others(config.path_defaults.clone());
        config
    }
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            shards: ShardCount::Auto,
            driver: Driver::Auto,
            pin_cpus: false,
            media_ring: 1024,
            stall_after: Duration::from_secs(1),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

impl RuntimeConfig {
    fn apply(&mut self, settings: &Settings) {
        if let Some(count) = settings.automatic_count("shards") {
            self.shards = count.map_or(ShardCount::Auto, ShardCount::Count);
        }
        settings.choice(
            "driver",
            &[
                ("auto", Driver::Auto),
                ("io_uring", Driver::IoUring),
                ("epoll", Driver::Epoll),
                ("iocp", Driver::Iocp),
                ("glommio", Driver::Glommio),
            ],
            &mut self.driver,
        );
        settings.switch("pinCpus", &mut self.pin_cpus);
        settings.count("mediaRing", &mut self.media_ring);
        settings.duration("stallAfter", &mut self.stall_after);
        settings.duration("shutdownTimeout", &mut self.shutdown_timeout);
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            destinations: vec![LogDestination::Stdout],
            structured: false,
            file: "mediamtx.log".to_owned(),
        }
    }
}

impl LogConfig {
    fn apply(&mut self, settings: &Settings) {
        settings.choice(
            "logLevel",
            &[
                ("error", LogLevel::Error),
                ("warn", LogLevel::Warn),
                ("info", LogLevel::Info),
                ("debug", LogLevel::Debug),
            ],
            &mut self.level,
        );
        settings.choices(
            "logDestinations",
            &[
                ("stdout", LogDestination::Stdout),
                ("file", LogDestination::File),
            ],
            &mut self.destinations,
        );
        settings.switch("logStructured", &mut self.structured);
        settings.text("logFile", &mut self.file);
    }
}

impl Default for RtspConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            address: ":8554".to_owned(),
            udp: true,
            multicast: true,
            tcp: true,
            rtp_address: ":8000".to_owned(),
            rtcp_address: ":8001".to_owned(),
            udp_payload_bytes_max: 1452,
            udp_receive_buffer: None,
            multicast_range: MulticastRange {
                first: Ipv4Addr::new(224, 1, 0, 0),
                count: 1 << 16,
            },
            multicast_rtp_port: 8002,
            multicast_rtcp_port: 8003,
            auth_methods: vec![AuthMethod::Basic],
        }
    }
}

impl RtspConfig {
    fn apply(&mut self, settings: &Settings) {
        settings.switch("rtsp", &mut self.enabled);
        settings.text("rtspAddress", &mut self.address);
        self.apply_transports(settings);
        settings.text("rtpAddress", &mut self.rtp_address);
        settings.text("rtcpAddress", &mut self.rtcp_address);
        settings.count("udpMaxPayloadSize", &mut self.udp_payload_bytes_max);
        settings.optional_count("udpReadBufferSize", &mut self.udp_receive_buffer);
        let mut range = String::new();
        settings.text("multicastIPRange", &mut range);
        if let Some(range) = MulticastRange::of_network(&range) {
            self.multicast_range = range;
        }
        settings.port("multicastRTPPort", &mut self.multicast_rtp_port);
        settings.port("multicastRTCPPort", &mut self.multicast_rtcp_port);
        settings.choices(
            "rtspAuthMethods",
            &[("basic", AuthMethod::Basic), ("digest", AuthMethod::Digest)],
            &mut self.auth_methods,
        );
    }

    fn apply_transports(&mut self, settings: &Settings) {
        let mut chosen = Vec::new();
        settings.choices(
            "rtspTransports",
            &[
                ("udp", RtspTransport::Udp),
                ("multicast", RtspTransport::Multicast),
                ("tcp", RtspTransport::Tcp),
            ],
            &mut chosen,
        );
        if !chosen.is_empty() {
            self.udp = chosen.contains(&RtspTransport::Udp);
            self.multicast = chosen.contains(&RtspTransport::Multicast);
            self.tcp = chosen.contains(&RtspTransport::Tcp);
        }
    }
}

impl MulticastRange {
    /// Of a network as `224.1.0.0/16`, which is checked already.
    fn of_network(network: &str) -> Option<Self> {
        let (first, bits) = network.split_once('/')?;
        let host_bits = 32_u32.checked_sub(bits.parse().ok()?)?;
        Some(Self {
            first: first.parse().ok()?,
            count: 1_u32.checked_shl(host_bits)?,
        })
    }
}

impl Default for FanoutConfig {
    fn default() -> Self {
        Self {
            coalesce: Duration::from_millis(3),
            batch_bytes: 256 << 10,
            gather_readers: 64,
            wake_readers: 512,
            wake_bytes: 4 << 20,
            move_live: Choice::Auto,
            not_sent_lowat: NonZeroUsize::new(64 << 10),
            send_buffer: None,
        }
    }
}

impl FanoutConfig {
    fn apply(&mut self, settings: &Settings) {
        settings.duration("coalesce", &mut self.coalesce);
        settings.count("batchBytes", &mut self.batch_bytes);
        settings.count("gatherReaders", &mut self.gather_readers);
        settings.count("wakeReaders", &mut self.wake_readers);
        settings.count("wakeBytes", &mut self.wake_bytes);
        settings.choice("moveLive", CHOICES, &mut self.move_live);
        settings.optional_count("notSentLowat", &mut self.not_sent_lowat);
        settings.optional_count("sendBuffer", &mut self.send_buffer);
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            sessions_per_address: 4096,
            connections_per_address: 0,
            readers: 0,
            egress_bit_rate: 0,
            memory_bytes: None,
            cpu_percent: 95,
        }
    }
}

impl LimitsConfig {
    fn apply(&mut self, settings: &Settings) {
        settings.count("sessionsPerAddress", &mut self.sessions_per_address);
        settings.count("connectionsPerAddress", &mut self.connections_per_address);
        settings.count("readers", &mut self.readers);
        settings.bit_rate("egress", &mut self.egress_bit_rate);
        if let Some(memory_bytes) = settings.automatic_count("memory") {
            self.memory_bytes = memory_bytes;
        }
        settings.count("cpu", &mut self.cpu_percent);
    }
}
