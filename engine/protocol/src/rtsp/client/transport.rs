//! What the client's side offers in a `SETUP`, and what it makes of the answer.

use std::net::IpAddr;

use super::ClientError;
use crate::rtsp::{
    Interleaved, Lower, Mode, MulticastGroup, PortPair, Response, TransportKind, TransportSpec,
};

/// How a client wants its packets to travel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Offer {
    /// Between the messages of the connection, on the usual channels.
    #[default]
    Tcp,
    /// As datagrams to and from these ports of ours: a pair per track, in the order in which the
    /// tracks are set up.
    Udp(Vec<PortPair>),
    /// As datagrams to a group of the server's choice.
    Multicast,
}

/// How a track's packets travel, as the server chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientTransport {
    /// On these channels of the connection.
    Tcp(Interleaved),
    /// As datagrams.
    Udp {
        /// Our ports.
        ours: PortPair,
        /// The server's. Some cameras do not tell them.
        servers: Option<PortPair>,
        /// Where packets come from, when it is told.
        source: Option<IpAddr>,
    },
    /// To this group.
    Multicast(MulticastGroup),
}

impl ClientTransport {
    /// The channels, when packets come between the messages of the connection.
    pub const fn interleaved(self) -> Option<Interleaved> {
        match self {
            Self::Tcp(channels) => Some(channels),
            Self::Udp { .. } | Self::Multicast(_) => None,
        }
    }

    /// Whether two tracks could not be told apart.
    pub(super) fn overlaps(self, other: Self) -> bool {
        self.lower().overlaps(other.lower())
    }

    const fn lower(self) -> Lower {
        match self {
            Self::Tcp(channels) => Lower::Tcp(channels),
            Self::Udp { ours, .. } => Lower::Udp(ours),
            Self::Multicast(_) => Lower::Multicast,
        }
    }
}

impl Offer {
    /// What is offered for the `index`-th track that is set up.
    pub(super) fn spec(&self, index: usize, mode: Mode) -> Result<TransportSpec, ClientError> {
        let mode = Some(mode).filter(|mode| *mode == Mode::Record);
        let spec = TransportSpec {
            mode,
            ..TransportSpec::of_kind(self.kind())
        };
        match self {
            Self::Tcp => Ok(TransportSpec {
                interleaved: Interleaved::of_track(index),
                ..spec
            }),
            Self::Udp(ports) => Ok(TransportSpec {
                client_port: Some(*ports.get(index).ok_or(ClientError::Ports(ports.len()))?),
                ..spec
            }),
            Self::Multicast => Ok(spec),
        }
    }

    const fn kind(&self) -> TransportKind {
        match self {
            Self::Tcp => TransportKind::Tcp,
            Self::Udp(_) => TransportKind::Udp,
            Self::Multicast => TransportKind::Multicast,
        }
    }

    /// What the server has chosen for the `index`-th track, and the source that it announced.
    /// Servers built on live555 tell us our own address as `destination`; some cameras leave the
    /// channels or ports out when they take those that were offered.
    pub(super) fn chosen(
        &self,
        index: usize,
        response: &Response,
    ) -> Result<(ClientTransport, Option<u32>), ClientError> {
        let headers = response.headers.all("Transport");
        let spec = TransportSpec::choose(headers, |spec| spec.kind == self.kind());
        let spec = spec.map_err(|_| ClientError::Transport)?;
        let offered = self.spec(index, Mode::Play)?;
        let transport = match self {
            Self::Tcp => (spec.interleaved.or(offered.interleaved)).map(ClientTransport::Tcp),
            Self::Udp(_) => offered.client_port.map(|ours| ClientTransport::Udp {
                ours,
                servers: spec.server_port,
                source: spec
                    .source
                    .as_deref()
                    .and_then(|source| source.parse().ok()),
            }),
            Self::Multicast => group(&spec).map(ClientTransport::Multicast),
        };
        let transport = transport.ok_or(ClientError::Transport)?;
        Ok((transport, spec.ssrc))
    }
}

/// The group of an answer. Without a time to live, packets stay in the local network.
fn group(spec: &TransportSpec) -> Option<MulticastGroup> {
    let address: IpAddr = spec.destination.as_deref()?.parse().ok()?;
    Some(MulticastGroup {
        address,
        ports: spec.port?,
        ttl: spec.ttl.unwrap_or(1),
    })
    .filter(|group| group.address.is_multicast())
}
