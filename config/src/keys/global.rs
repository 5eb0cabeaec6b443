//! The keys of the top level: MediaMTX's as of August 2026 in the order of its reference,
//! deprecated ones included, then our own.

use std::time::Duration;

use super::Status::{
    Becomes, Built, BuiltExcept, BuiltNotEmpty, First, Gone, InPathDefaults, Inverted, NotBuilt,
};
use super::{
    ENCRYPTION, ENCRYPTS, HOUR, Key, RECORD_FORMAT, RESTRICTS, SIZE, SPAN, SWITCH, TEXT, WHOLE, key,
};
use crate::config::SHARDS_MAX;
use crate::kind::{Field, Kind, field};

/// The default of `authInternalUsers`: anyone publishes, reads and plays back; the rest is for
/// this machine.
const OPEN_TO_ALL: &str = "
- user: any
  permissions: [{action: publish}, {action: read}, {action: playback}]
- user: any
  ips: [127.0.0.1, '::1']
  permissions: [{action: api}, {action: metrics}, {action: pprof}]
";

/// What MediaMTX's own configuration file excludes from authentication over HTTP; without
/// effect as long as `authMethod` is `internal`, which it has to be.
const CONTROL_ACTIONS: &str = "[{action: api}, {action: metrics}, {action: pprof}]";

const ACTIONS: Kind = Kind::Choice(&["publish", "read", "playback", "api", "metrics", "pprof"]);

const PERMISSION: &[Field] = &[
    field("action", ACTIONS, ""),
    field("path", Kind::PathRule, ""),
];

/// `user` has no default here: a user without a name is not the user `any`.
const USER: &[Field] = &[
    field("user", Kind::Credential, ""),
    field("pass", Kind::Credential, ""),
    field("ips", Kind::Networks, ""),
    field("permissions", Kind::Records(PERMISSION), ""),
];

const ICE_SERVER: &[Field] = &[
    field("url", TEXT, ""),
    field("username", TEXT, ""),
    field("password", TEXT, ""),
    field("clientOnly", SWITCH, "no"),
];

const PORT: Kind = Kind::Count(0, u16::MAX as i64);

/// A wait that must end, and not at once.
const WAIT: Kind = Kind::Span(Duration::from_millis(1), Duration::MAX);

/// Shorter, and a busy timer is mistaken for a stall.
const STALL_AFTER_MIN: Duration = Duration::from_millis(100);

/// A packet that waits longer for its batch is no longer live.
const COALESCE_MAX: Duration = Duration::from_secs(1);

/// Batches in flight between two shards: 65536 of them are 16 GiB at the default size.
const MEDIA_RING_MAX: i64 = 1 << 16;

/// Two access units of the largest size.
const BATCH_BYTES_MAX: i64 = 16 << 20;

/// Room for the headers of a fragment and for something in it.
const UDP_PAYLOAD_BYTES_MIN: i64 = 128;

/// More sockets than one machine serves.
const READERS_MAX: i64 = 1 << 24;

/// The server itself takes some of it; less would refuse everybody.
const MEMORY_BYTES_MIN: i64 = 32 << 20;

/// Socket options are signed 32-bit numbers, and Linux doubles `SO_SNDBUF`.
const SOCKET_BYTES_MAX: i64 = 1 << 29;

pub(crate) const GLOBAL: &[Key] = &[
    key(
        "logLevel",
        Kind::Choice(&["error", "warn", "info", "debug"]),
        "info",
        Built,
    ),
    key(
        "logDestinations",
        Kind::Choices(&["stdout", "file", "syslog"]),
        "stdout",
        BuiltExcept(&["syslog"]),
    ),
    key("logStructured", SWITCH, "false", Built),
    key("logFile", TEXT, "mediamtx.log", Built),
    key("sysLogPrefix", TEXT, "mediamtx", NotBuilt),
    key("dumpPackets", SWITCH, "false", NotBuilt),
    key("readTimeout", WAIT, "10s", Built),
    key("writeTimeout", WAIT, "10s", Built),
    key(
        "readBufferCount",
        Kind::PowerOfTwo,
        "",
        Becomes("writeQueueSize"),
    ),
    key("writeQueueSize", Kind::PowerOfTwo, "512", Built),
    key(
        "udpMaxPayloadSize",
        Kind::Count(UDP_PAYLOAD_BYTES_MIN, 1472),
        "1452",
        Built,
    ),
    key(
        "udpReadBufferSize",
        Kind::Count(0, SOCKET_BYTES_MAX),
        "0",
        Built,
    ),
    key("runOnConnect", TEXT, "", NotBuilt),
    key("runOnConnectRestart", SWITCH, "false", NotBuilt),
    key("runOnDisconnect", TEXT, "", NotBuilt),
    key(
        "authMethod",
        Kind::Choice(&["internal", "http", "jwt"]),
        "internal",
        RESTRICTS,
    ),
    key("authInternalUsers", Kind::Records(USER), OPEN_TO_ALL, Built),
    key("authHTTPAddress", TEXT, "", RESTRICTS),
    key("externalAuthenticationURL", TEXT, "", RESTRICTS).shown_when_given(),
    key("authHTTPFingerprint", TEXT, "", RESTRICTS),
    key("authHTTPExclude", Kind::Records(PERMISSION), "", RESTRICTS).or(&[CONTROL_ACTIONS]),
    key("authJWTJWKS", TEXT, "", RESTRICTS),
    key("authJWTJWKSFingerprint", TEXT, "", RESTRICTS),
    key("authJWTClaimKey", TEXT, "mediamtx_permissions", RESTRICTS),
    key("authJWTExclude", Kind::Records(PERMISSION), "", RESTRICTS).or(&[CONTROL_ACTIONS]),
    key("authJWTInHTTPQuery", SWITCH, "", Gone),
    key("authJWTIssuer", TEXT, "", RESTRICTS),
    key("authJWTAudience", TEXT, "", RESTRICTS),
    key("api", SWITCH, "false", Built),
    key("apiAddress", Kind::Address, ":9997", Built),
    key("apiEncryption", SWITCH, "false", Built),
    key("apiServerKey", TEXT, "server.key", Built),
    key("apiServerCert", TEXT, "server.crt", Built),
    key("apiAllowOrigin", TEXT, "", First("apiAllowOrigins")),
    key("apiAllowOrigins", Kind::Texts, "*", Built),
    key("apiTrustedProxies", Kind::Networks, "", Built),
    key("metrics", SWITCH, "false", Built),
    key("metricsAddress", Kind::Address, ":9998", Built),
    key("metricsEncryption", SWITCH, "false", Built),
    key("metricsServerKey", TEXT, "server.key", Built),
    key("metricsServerCert", TEXT, "server.crt", Built),
    key("metricsAllowOrigin", TEXT, "", First("metricsAllowOrigins")),
    key("metricsAllowOrigins", Kind::Texts, "*", Built),
    key("metricsTrustedProxies", Kind::Networks, "", Built),
    key("pprof", SWITCH, "false", Built),
    key("pprofAddress", Kind::Address, ":9999", Built),
    key("pprofEncryption", SWITCH, "false", Built),
    key("pprofServerKey", TEXT, "server.key", Built),
    key("pprofServerCert", TEXT, "server.crt", Built),
    key("pprofAllowOrigin", TEXT, "", First("pprofAllowOrigins")),
    key("pprofAllowOrigins", Kind::Texts, "*", Built),
    key("pprofTrustedProxies", Kind::Networks, "", Built),
    key("playback", SWITCH, "false", NotBuilt),
    key("playbackAddress", Kind::Address, ":9996", NotBuilt),
    key("playbackEncryption", SWITCH, "false", ENCRYPTS),
    key("playbackServerKey", TEXT, "server.key", NotBuilt),
    key("playbackServerCert", TEXT, "server.crt", NotBuilt),
    key(
        "playbackAllowOrigin",
        TEXT,
        "",
        First("playbackAllowOrigins"),
    ),
    key("playbackAllowOrigins", Kind::Texts, "*", NotBuilt),
    key("playbackTrustedProxies", Kind::Networks, "", NotBuilt),
    key("rtsp", SWITCH, "true", Built),
    key("rtspDisable", SWITCH, "", Inverted("rtsp")),
    key(
        "protocols",
        Kind::Choices(&["udp", "multicast", "tcp"]),
        "",
        Becomes("rtspTransports"),
    ),
    key(
        "rtspTransports",
        Kind::Choices(&["udp", "multicast", "tcp"]),
        "udp, multicast, tcp",
        BuiltNotEmpty,
    ),
    key("encryption", ENCRYPTION, "", Becomes("rtspEncryption")),
    key("rtspEncryption", ENCRYPTION, "no", ENCRYPTS),
    key("rtspAddress", Kind::Listen, ":8554", Built),
    key("rtspsAddress", Kind::Address, ":8322", NotBuilt),
    key("rtpAddress", Kind::Listen, ":8000", Built),
    key("rtcpAddress", Kind::Listen, ":8001", Built),
    key(
        "multicastIPRange",
        Kind::MulticastRange,
        "224.1.0.0/16",
        Built,
    ),
    key("multicastRTPPort", PORT, "8002", Built),
    key("multicastRTCPPort", PORT, "8003", Built),
    key("srtpAddress", Kind::Address, ":8004", NotBuilt),
    key("srtcpAddress", Kind::Address, ":8005", NotBuilt),
    key("multicastSRTPPort", PORT, "8006", NotBuilt),
    key("multicastSRTCPPort", PORT, "8007", NotBuilt),
    key("serverKey", TEXT, "", Becomes("rtspServerKey")),
    key("serverCert", TEXT, "", Becomes("rtspServerCert")),
    key("rtspServerKey", TEXT, "server.key", NotBuilt),
    key("rtspServerCert", TEXT, "server.crt", NotBuilt),
    key(
        "authMethods",
        Kind::Choices(&["basic", "digest"]),
        "",
        Becomes("rtspAuthMethods"),
    ),
    key(
        "rtspAuthMethods",
        Kind::Choices(&["basic", "digest"]),
        "basic",
        Built,
    ),
    key("rtspTrustedProxies", Kind::Networks, "", NotBuilt),
    key(
        "rtspUDPReadBufferSize",
        WHOLE,
        "",
        Becomes("udpReadBufferSize"),
    ),
    key("rtmp", SWITCH, "true", NotBuilt),
    key("rtmpDisable", SWITCH, "", Inverted("rtmp")),
    key("rtmpEncryption", ENCRYPTION, "no", ENCRYPTS),
    key("rtmpAddress", Kind::Address, ":1935", NotBuilt),
    key("rtmpsAddress", Kind::Address, ":1936", NotBuilt),
    key("rtmpServerKey", TEXT, "server.key", NotBuilt),
    key("rtmpServerCert", TEXT, "server.crt", NotBuilt),
    key("rtmpTrustedProxies", Kind::Networks, "", NotBuilt),
    key("hls", SWITCH, "true", NotBuilt),
    key("hlsDisable", SWITCH, "", Inverted("hls")),
    key("hlsAddress", Kind::Address, ":8888", NotBuilt),
    key("hlsEncryption", SWITCH, "false", ENCRYPTS),
    key("hlsServerKey", TEXT, "server.key", NotBuilt),
    key("hlsServerCert", TEXT, "server.crt", NotBuilt),
    key("hlsAllowOrigin", TEXT, "", First("hlsAllowOrigins")),
    key("hlsAllowOrigins", Kind::Texts, "*", NotBuilt),
    key("hlsTrustedProxies", Kind::Networks, "", NotBuilt),
    key("hlsAlwaysRemux", SWITCH, "false", NotBuilt),
    key(
        "hlsVariant",
        Kind::Choice(&["mpegts", "fmp4", "lowLatency"]),
        "lowLatency",
        NotBuilt,
    ),
    key("hlsSegmentCount", WHOLE, "7", NotBuilt),
    key("hlsSegmentDuration", SPAN, "1s", NotBuilt),
    key("hlsPartDuration", SPAN, "200ms", NotBuilt),
    key("hlsSegmentMaxSize", SIZE, "50M", NotBuilt),
    key("hlsDirectory", TEXT, "", NotBuilt),
    key("hlsMuxerCloseAfter", SPAN, "60s", NotBuilt),
    key("hlsCDNSecret", TEXT, "", NotBuilt),
    key("webrtc", SWITCH, "true", NotBuilt),
    key("webrtcDisable", SWITCH, "", Inverted("webrtc")),
    key("webrtcAddress", Kind::Address, ":8889", NotBuilt),
    key("webrtcEncryption", SWITCH, "false", ENCRYPTS),
    key("webrtcServerKey", TEXT, "server.key", NotBuilt),
    key("webrtcServerCert", TEXT, "server.crt", NotBuilt),
    key("webrtcAllowOrigin", TEXT, "", First("webrtcAllowOrigins")),
    key("webrtcAllowOrigins", Kind::Texts, "*", NotBuilt),
    key("webrtcTrustedProxies", Kind::Networks, "", NotBuilt),
    key("webrtcLocalUDPAddress", Kind::Address, ":8189", NotBuilt),
    key("webrtcLocalTCPAddress", Kind::Address, "", NotBuilt),
    key("webrtcIPsFromInterfaces", SWITCH, "true", NotBuilt),
    key("webrtcIPsFromInterfacesList", Kind::Texts, "", NotBuilt),
    key("webrtcAdditionalHosts", Kind::Texts, "", NotBuilt),
    key("webrtcICEServers2", Kind::Records(ICE_SERVER), "", NotBuilt),
    key("webrtcSTUNGatherTimeout", SPAN, "5s", NotBuilt),
    key("webrtcHandshakeTimeout", SPAN, "10s", NotBuilt),
    key("webrtcTrackGatherTimeout", SPAN, "2s", NotBuilt),
    key(
        "webrtcICEUDPMuxAddress",
        Kind::Address,
        "",
        Becomes("webrtcLocalUDPAddress"),
    ),
    key(
        "webrtcICETCPMuxAddress",
        Kind::Address,
        "",
        Becomes("webrtcLocalTCPAddress"),
    ),
    key(
        "webrtcICEHostNAT1To1IPs",
        Kind::Texts,
        "",
        Becomes("webrtcAdditionalHosts"),
    ),
    key(
        "webrtcICEServers",
        Kind::Texts,
        "",
        Becomes("webrtcICEServers2"),
    ),
    key("srt", SWITCH, "true", NotBuilt),
    key("srtAddress", Kind::Address, ":8890", NotBuilt),
    key("moq", SWITCH, "true", NotBuilt),
    key("moqHTTP2Address", Kind::Address, ":8892", NotBuilt),
    key("moqHTTP3Address", Kind::Address, ":8892", NotBuilt),
    key("moqQUICAddress", Kind::Address, ":8893", NotBuilt),
    key("moqServerKey", TEXT, "auto.key", NotBuilt),
    key("moqServerCert", TEXT, "auto.crt", NotBuilt),
    key("moqAllowOrigins", Kind::Texts, "*", NotBuilt),
    key("moqTrustedProxies", Kind::Networks, "", NotBuilt),
    key(
        "moqHTTPS2Address",
        Kind::Address,
        "",
        Becomes("moqHTTP2Address"),
    ),
    key(
        "moqHTTPS3Address",
        Kind::Address,
        "",
        Becomes("moqHTTP3Address"),
    ),
    key("record", SWITCH, "", InPathDefaults),
    key("recordPath", TEXT, "", InPathDefaults),
    key("recordFormat", RECORD_FORMAT, "", InPathDefaults),
    key("recordPartDuration", SPAN, "", InPathDefaults),
    key("recordSegmentDuration", SPAN, "", InPathDefaults),
    key("recordDeleteAfter", SPAN, "", InPathDefaults),
    // Shardcast's own: shards.
    key(
        "shards",
        Kind::Automatic(&Kind::Count(1, SHARDS_MAX)),
        "auto",
        Built,
    ),
    key(
        "driver",
        Kind::Choice(&["auto", "io_uring", "epoll", "iocp", "glommio"]),
        "auto",
        Built,
    ),
    key("pinCpus", SWITCH, "no", Built),
    key("mediaRing", Kind::Count(1, MEDIA_RING_MAX), "1024", Built),
    key("stallAfter", Kind::Span(STALL_AFTER_MIN, HOUR), "1s", Built),
    key(
        "shutdownTimeout",
        Kind::Span(Duration::ZERO, HOUR),
        "10s",
        Built,
    ),
    // Shardcast's own: fan-out.
    key(
        "coalesce",
        Kind::Span(Duration::ZERO, COALESCE_MAX),
        "3ms",
        Built,
    ),
    key(
        "batchBytes",
        Kind::Size(1 << 10, BATCH_BYTES_MAX),
        "256K",
        Built,
    ),
    key("gatherReaders", Kind::Count(0, READERS_MAX), "64", Built),
    key("wakeReaders", Kind::Count(1, READERS_MAX), "512", Built),
    key(
        "wakeBytes",
        Kind::Size(1 << 10, SOCKET_BYTES_MAX),
        "4M",
        Built,
    ),
    key(
        "moveLive",
        Kind::Choice(&["auto", "yes", "no"]),
        "auto",
        Built,
    ),
    key(
        "notSentLowat",
        Kind::Size(0, SOCKET_BYTES_MAX),
        "64K",
        Built,
    ),
    key("sendBuffer", Kind::Size(0, SOCKET_BYTES_MAX), "0", Built),
    // Shardcast's own: the API.
    key("apiLocalSources", SWITCH, "no", Built),
    // Shardcast's own: limits and metrics.
    key(
        "sessionsPerAddress",
        Kind::Count(1, READERS_MAX),
        "4096",
        Built,
    ),
    key("connectionsPerAddress", WHOLE, "0", Built),
    key("readers", WHOLE, "0", Built),
    key("egress", Kind::BitRate, "0", Built),
    key(
        "memory",
        Kind::Automatic(&Kind::Size(MEMORY_BYTES_MIN, i64::MAX)),
        "auto",
        Built,
    ),
    key("cpu", Kind::Count(1, 100), "95", Built),
    key(
        "metricsPerSession",
        Kind::Choice(&["auto", "yes", "no"]),
        "auto",
        Built,
    ),
];
