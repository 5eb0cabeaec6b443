//! The addresses that the server listens on, bound before its shards start: RTSP's, and the two ports for datagrams.

use std::net::SocketAddr;

use shardcast_config::{Config, HttpConfig, RtspConfig};
use shardcast_platform::{Acceptor, BindError, BoundUdp, ListenAddress, SocketFile, UdpOptions};
use shardcast_protocol::rtsp::PortPair;

use crate::control::SiteKind;
use crate::server::{ListenPlace, Listener, ServerError};
use crate::session::{PairError, PairFiles, Seats, TlsListener};
use crate::shard::DatagramSeed;

/// Pairs of ports that are tried when the system is to choose: the one after the port that it gives may be taken.
const PORT_PAIRS_TRIED_MAX: usize = 64;

/// The names of a site's keys.
struct SiteKeys {
    address: &'static str,
    key: &'static str,
    certificate: &'static str,
}

const API_KEYS: SiteKeys = SiteKeys {
    address: "apiAddress",
    key: "apiServerKey",
    certificate: "apiServerCert",
};

const METRICS_KEYS: SiteKeys = SiteKeys {
    address: "metricsAddress",
    key: "metricsServerKey",
    certificate: "metricsServerCert",
};

const PPROF_KEYS: SiteKeys = SiteKeys {
    address: "pprofAddress",
    key: "pprofServerKey",
    certificate: "pprofServerCert",
};

/// What one shard needs to serve a site.
#[derive(Debug)]
pub(crate) struct SiteSeed {
    pub(crate) kind: SiteKind,
    pub(crate) acceptor: Acceptor,
    pub(crate) tls: Option<TlsListener>,
    pub(crate) seats: Seats,
}

/// What was opened; of acceptors and datagrams one per shard.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) acceptors: Vec<Option<Acceptor>>,
    pub(crate) sites: Vec<Vec<SiteSeed>>,
    /// The listeners among them with files of certificates.
    pub(crate) tls: Vec<TlsListener>,
    /// To be there while the server is.
    pub(crate) socket_files: Vec<SocketFile>,
    pub(crate) datagrams: Vec<Option<DatagramSeed>>,
    pub(crate) datagram_ports: Option<PortPair>,
}

/// Binds everything that the configuration asks for.
///
/// # Errors
/// Which key's address cannot be had.
pub(crate) fn open_listeners(config: &Config, shards: usize) -> Result<Opened, ServerError> {
    let mut opened = Opened::default();
    if config.rtsp.enabled {
        open_rtsp(&config.rtsp, shards, &mut opened)?;
        if config.rtsp.udp {
            open_datagrams(&config.rtsp, shards, &mut opened)?;
        }
    }
    opened.sites.resize_with(shards, Vec::new);
    let sites = [
        (SiteKind::Api, API_KEYS, &config.api),
        (SiteKind::Metrics, METRICS_KEYS, &config.metrics),
        (SiteKind::Pprof, PPROF_KEYS, &config.pprof),
    ];
    for (kind, keys, site) in sites.into_iter().filter(|(_, _, site)| site.enabled) {
        open_site(kind, &keys, site, &mut opened)?;
    }
    opened.acceptors.resize_with(shards, || None);
    opened.datagrams.resize_with(shards, || None);
    Ok(opened)
}

fn open_rtsp(config: &RtspConfig, shards: usize, opened: &mut Opened) -> Result<(), ServerError> {
    let key = "rtspAddress";
    let address = address_of(key, &config.address)?;
    let bound = shardcast_platform::bind(&address, shards)
        .map_err(|error| ServerError::Bind { key, error })?;
    opened.listeners.push(Listener {
        protocol: "RTSP",
        transport: "TCP",
        configured: config.address.clone(),
        address: ListenPlace::Ip(bound.local_addr),
        note: bound.note,
    });
    opened.acceptors = bound.acceptors.into_iter().map(Some).collect();
    Ok(())
}

fn open_site(
    kind: SiteKind,
    keys: &SiteKeys,
    config: &HttpConfig,
    opened: &mut Opened,
) -> Result<(), ServerError> {
    let tls = config.encryption.then(|| open_tls(keys, config));
    let tls = tls.transpose()?;
    let door = open_door(keys.address, &config.address, opened.sites.len())?;
    opened.listeners.push(Listener {
        protocol: kind.name(),
        transport: if config.encryption { "HTTPS" } else { "HTTP" },
        configured: config.address.clone(),
        address: door.place,
        note: door.note,
    });
    opened.socket_files.extend(door.file);
    let seats = Seats::default();
    for (shard, acceptor) in opened.sites.iter_mut().zip(door.acceptors) {
        shard.push(SiteSeed {
            kind,
            acceptor,
            tls: tls.clone(),
            seats: seats.clone(),
        });
    }
    opened.tls.extend(tls);
    Ok(())
}

/// A place to connect to, whatever its kind.
struct OpenDoor {
    acceptors: Vec<Acceptor>,
    place: ListenPlace,
    file: Option<SocketFile>,
    note: Option<String>,
}

/// Listens on `host:port` or on `unix://path`.
fn open_door(key: &'static str, configured: &str, shards: usize) -> Result<OpenDoor, ServerError> {
    if let Some(path) = configured.strip_prefix("unix://") {
        let bound = shardcast_platform::bind_unix(path.as_ref(), shards)
            .map_err(|error| ServerError::BindUnix { key, error })?;
        return Ok(OpenDoor {
            acceptors: bound.acceptors,
            place: ListenPlace::Unix(path.into()),
            file: Some(bound.file),
            note: None,
        });
    }
    let address = address_of(key, configured)?;
    let bound = shardcast_platform::bind(&address, shards)
        .map_err(|error| ServerError::Bind { key, error })?;
    Ok(OpenDoor {
        acceptors: bound.acceptors,
        place: ListenPlace::Ip(bound.local_addr),
        file: None,
        note: bound.note,
    })
}

/// What a site's listener needs for TLS, from its two files.
fn open_tls(keys: &SiteKeys, config: &HttpConfig) -> Result<TlsListener, ServerError> {
    let files = PairFiles {
        key: config.server_key.clone().into(),
        certificate: config.server_cert.clone().into(),
    };
    TlsListener::open(files, &[b"h2", b"http/1.1"]).map_err(|error| {
        let key = match &error {
            PairError::Certificate { .. } => keys.certificate,
            PairError::Key { .. } | PairError::Unusable(_) => keys.key,
        };
        let error = error.to_string();
        ServerError::Tls { key, error }
    })
}

/// Answers to SETUP name both ports as a pair, so RTCP's has to be the one after RTP's.
fn open_datagrams(
    config: &RtspConfig,
    shards: usize,
    opened: &mut Opened,
) -> Result<(), ServerError> {
    let rtp_address = address_of("rtpAddress", &config.rtp_address)?;
    let rtcp_address = address_of("rtcpAddress", &config.rtcp_address)?;
    let follows = rtp_address.port().checked_add(1) == Some(rtcp_address.port());
    let is_chosen = rtp_address.port() == 0 && rtcp_address.port() == 0;
    if !follows && !is_chosen {
        return Err(ServerError::Ports {
            rtp: config.rtp_address.clone(),
            rtcp: config.rtcp_address.clone(),
        });
    }
    let options = UdpOptions {
        receive_buffer: config.udp_receive_buffer.map(std::num::NonZeroUsize::get),
    };
    let (rtp, rtcp) = match is_chosen {
        true => bind_chosen_pair(&rtp_address, &rtcp_address, shards, options)?,
        false => bind_pair(&rtp_address, &rtcp_address, shards, options)?,
    };
    opened.datagram_ports = Some(PortPair {
        rtp: rtp.local_addr.port(),
        rtcp: rtcp.local_addr.port(),
    });
    let listener = |transport, configured: &str, address: SocketAddr, note| Listener {
        protocol: "RTSP",
        transport,
        configured: configured.to_owned(),
        address: ListenPlace::Ip(address),
        note,
    };
    let at = (&config.rtp_address, &config.rtcp_address);
    opened
        .listeners
        .push(listener("UDP/RTP", at.0, rtp.local_addr, rtp.note));
    opened
        .listeners
        .push(listener("UDP/RTCP", at.1, rtcp.local_addr, rtcp.note));
    let seats = rtp.seats.into_iter().zip(rtcp.seats);
    let seed = |(rtp, rtcp)| Some(DatagramSeed { rtp, rtcp });
    opened.datagrams = seats.map(seed).collect();
    Ok(())
}

fn bind_pair(
    rtp: &ListenAddress,
    rtcp: &ListenAddress,
    shards: usize,
    options: UdpOptions,
) -> Result<(BoundUdp, BoundUdp), ServerError> {
    let bind = |key, address| {
        let bound = shardcast_platform::bind_udp(address, shards, options);
        bound.map_err(|error: BindError| ServerError::Bind { key, error })
    };
    Ok((bind("rtpAddress", rtp)?, bind("rtcpAddress", rtcp)?))
}

/// With port 0 the system chooses RTP's, an even one by custom (RFC 3550, section 11), and RTCP takes the next.
fn bind_chosen_pair(
    rtp: &ListenAddress,
    rtcp: &ListenAddress,
    shards: usize,
    options: UdpOptions,
) -> Result<(BoundUdp, BoundUdp), ServerError> {
    let mut odd = Vec::new();
    let mut last = None;
    for _ in 0..PORT_PAIRS_TRIED_MAX {
        let bound = shardcast_platform::bind_udp(rtp, shards, options);
        let bound = bound.map_err(|error| {
            let key = "rtpAddress";
            ServerError::Bind { key, error }
        })?;
        let port = bound.local_addr.port();
        let Some(next) = port.checked_add(1).filter(|_| port % 2 == 0) else {
            odd.push(bound);
            continue;
        };
        match shardcast_platform::bind_udp(&rtcp.with_port(next), shards, options) {
            Ok(next) => return Ok((bound, next)),
            Err(error) => last = Some(error),
        }
    }
    Err(match last {
        Some(error) => ServerError::Bind {
            key: "rtcpAddress",
            error,
        },
        None => ServerError::Start("no even UDP port is free".into()),
    })
}

fn address_of(key: &'static str, configured: &str) -> Result<ListenAddress, ServerError> {
    configured.parse().map_err(|error| ServerError::Address {
        key,
        address: configured.to_owned(),
        error,
    })
}
