//! How the packets of a track travel: between the messages of the control connection, as datagrams
//! to and from the peer, or as datagrams to a group. `spec` reads and writes the `Transport` header;
//! `server` chooses among what was offered, `client` offers, and reads what was chosen.

mod spec;

use std::fmt;
use std::net::IpAddr;

pub use spec::{TransportError, TransportSpec};

/// The lower transport of a track (RFC 2326, section 12.39), once it is agreed on. All tracks of a
/// session share its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lower {
    /// Between the messages of the control connection, on these channels.
    Tcp(Interleaved),
    /// Datagrams to and from these ports of the peer.
    Udp(PortPair),
    /// Datagrams to a group, whoever listens. Only for readers.
    Multicast,
}

/// Which of the lower transports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransportKind {
    /// [`Lower::Tcp`].
    #[default]
    Tcp,
    /// [`Lower::Udp`].
    Udp,
    /// [`Lower::Multicast`].
    Multicast,
}

/// A pair of channels of the control connection (RFC 2326, section 10.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interleaved {
    /// Channel of the RTP packets.
    pub rtp: u8,
    /// Channel of the RTCP packets.
    pub rtcp: u8,
}

/// A pair of UDP ports, none of them 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortPair {
    /// Port of the RTP packets.
    pub rtp: u16,
    /// Port of the RTCP packets.
    pub rtcp: u16,
}

/// Where a stream's track is sent for everybody who listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MulticastGroup {
    /// Address of the group.
    pub address: IpAddr,
    /// The group's ports.
    pub ports: PortPair,
    /// How many routers the packets pass.
    pub ttl: u8,
}

/// Which way the packets of a session go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To a reader.
    Play,
    /// From a publisher.
    Record,
}

impl Lower {
    /// Which of the lower transports it is.
    pub const fn kind(self) -> TransportKind {
        match self {
            Self::Tcp(_) => TransportKind::Tcp,
            Self::Udp(_) => TransportKind::Udp,
            Self::Multicast => TransportKind::Multicast,
        }
    }

    /// The channels, when packets go between the messages of the control connection.
    pub const fn interleaved(self) -> Option<Interleaved> {
        match self {
            Self::Tcp(channels) => Some(channels),
            Self::Udp(_) | Self::Multicast => None,
        }
    }

    /// Whether two tracks could not be told apart: they share a channel or a port.
    pub fn overlaps(self, other: Self) -> bool {
        match (self, other) {
            (Self::Tcp(ours), Self::Tcp(theirs)) => ours.overlaps(theirs),
            (Self::Udp(ours), Self::Udp(theirs)) => ours.overlaps(theirs),
            _ => false,
        }
    }
}

impl Interleaved {
    /// The usual channels of a track: twice its number, and the one above.
    pub fn of_track(track: usize) -> Option<Self> {
        let rtp = u8::try_from(track.checked_mul(2)?).ok()?;
        let rtcp = rtp.checked_add(1)?;
        Some(Self { rtp, rtcp })
    }

    /// Whether the two pairs share a channel.
    pub fn overlaps(self, other: Self) -> bool {
        let others = [other.rtp, other.rtcp];
        others.contains(&self.rtp) || others.contains(&self.rtcp)
    }
}

impl PortPair {
    /// Whether the two pairs share a port.
    pub fn overlaps(self, other: Self) -> bool {
        let others = [other.rtp, other.rtcp];
        others.contains(&self.rtp) || others.contains(&self.rtcp)
    }
}

impl fmt::Display for Interleaved {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.rtp, self.rtcp)
    }
}

impl fmt::Display for PortPair {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.rtp, self.rtcp)
    }
}
