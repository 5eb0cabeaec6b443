//! The sockets of a reader over UDP: a pair per track, RTP on the even port and RTCP on the one above it (RFC 3550, section
//! 11). What comes for RTCP is left in its socket: it counts in no figure.

use std::io;
use std::net::IpAddr;

use shardcast_platform::{UdpSeat, UdpSocket, bind_udp_pair};
use shardcast_protocol::rtsp::PortPair;

/// What waits for a thread that sweeps: a key frame several times, also at high bit rates. The system may give less.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// The sockets of one track.
#[derive(Debug)]
pub(crate) struct Ports {
    /// Where packets come.
    pub(crate) rtp: UdpSocket,
    /// Their numbers.
    pub(crate) pair: PortPair,
    /// Somebody is there for the server's reports.
    _rtcp: UdpSeat,
}

impl Ports {
    /// Two neighbouring ports at this address of ours.
    ///
    /// # Errors
    /// When descriptors or ports have run out.
    pub(crate) fn bind(ip: IpAddr) -> io::Result<Self> {
        let (rtp, rtcp) = bind_udp_pair(ip, RECEIVE_BUFFER_BYTES)?;
        let rtp = rtp.start()?;
        let port = rtp.local_addr()?.port();
        let pair = PortPair {
            rtp: port,
            rtcp: port | 1,
        };
        Ok(Self {
            rtp,
            pair,
            _rtcp: rtcp,
        })
    }
}
