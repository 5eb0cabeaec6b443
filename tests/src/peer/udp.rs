//! The raw peer over UDP: a publisher and a reader whose packets go through two sockets of their own, beside the
//! connection on which they are agreed.
//!
//! Datagrams that come from anywhere but the address and ports that the server has named are an error, so every test
//! with these peers also shows that the server sends from where its control connection ends.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::message::Response;
use super::reader::track_url;
use super::synthetic::{SDP, Source};
use super::{PeerError, READ_TIMEOUT};
use crate::wait::wait_until;

/// Longest datagram.
const DATAGRAM_BYTES_MAX: usize = 65535;
/// What the socket keeps of a burst: several seconds, so that what is missing was lost elsewhere.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
/// How often a pair of ports is tried: half of all ports are odd, and the one above may be taken.
const PAIR_TRIALS: usize = 64;

/// The two sockets of a track: RTP on an even port, RTCP on the one above (RFC 3550, section 11).
#[derive(Debug)]
pub struct PortPair {
    /// For packets.
    pub rtp: UdpSocket,
    /// For reports.
    pub rtcp: UdpSocket,
}

/// Where the server's packets come from and where it wants ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerPorts {
    /// For packets.
    pub rtp: SocketAddr,
    /// For reports.
    pub rtcp: SocketAddr,
}

impl PortPair {
    /// Opens a pair on this address.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(ip: IpAddr) -> io::Result<Self> {
        for _ in 0..PAIR_TRIALS {
            let rtp = UdpSocket::bind((ip, 0))?;
            let port = rtp.local_addr()?.port();
            if !port.is_multiple_of(2) {
                continue;
            }
            if let Ok(rtcp) = UdpSocket::bind((ip, port + 1)) {
                let socket = socket2::SockRef::from(&rtp);
                socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
                return Ok(Self { rtp, rtcp });
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// The pair as `Transport` names it.
    ///
    /// # Errors
    /// When a socket has no address.
    pub fn client_port(&self) -> io::Result<String> {
        let (rtp, rtcp) = (self.rtp.local_addr()?, self.rtcp.local_addr()?);
        Ok(format!("client_port={}-{}", rtp.port(), rtcp.port()))
    }
}

impl ServerPorts {
    /// Reads `server_port` of the answer to SETUP.
    ///
    /// # Errors
    /// When it names none.
    pub fn read(granted: &Response, server: SocketAddr) -> Result<Self, PeerError> {
        let transport = granted.header("Transport").unwrap_or_default();
        let mut parameters = transport.split(';');
        let ports = parameters.find_map(|parameter| {
            let (rtp, rtcp) = parameter.strip_prefix("server_port=")?.split_once('-')?;
            Some((rtp.parse().ok()?, rtcp.parse().ok()?))
        });
        let ports = ports.ok_or_else(|| PeerError::Garbage(transport.to_owned()))?;
        Ok(Self {
            rtp: SocketAddr::new(server.ip(), ports.0),
            rtcp: SocketAddr::new(server.ip(), ports.1),
        })
    }
}

/// A playing reader of a path's first track, over UDP.
#[derive(Debug)]
pub struct UdpReader {
    connection: Connection,
    url: String,
    ports: PortPair,
    server: ServerPorts,
    play: Response,
}

impl UdpReader {
    /// Connects to `path` and plays its first track.
    ///
    /// # Errors
    /// When the server refuses or is not there.
    pub fn start(address: SocketAddr, path: &str) -> Result<Self, PeerError> {
        let url = format!("rtsp://{address}/{path}");
        let mut connection = Connection::open(address)?;
        let accept = [("Accept", "application/sdp")];
        let described = connection.request("DESCRIBE", &url, &accept, b"")?;
        let track = track_url(&url, &described)?;
        let ports = PortPair::open(connection.socket().local_addr()?.ip())?;
        let transport = format!("RTP/AVP;unicast;{}", ports.client_port()?);
        let granted = connection.request("SETUP", &track, &[("Transport", &transport)], b"")?;
        let server = ServerPorts::read(&granted, address)?;
        let play = connection.request("PLAY", &url, &[("Range", "npt=0.000-")], b"")?;
        Ok(Self {
            connection,
            url,
            ports,
            server,
            play,
        })
    }

    /// The answer to PLAY, with its RTP-Info.
    pub fn play_response(&self) -> &Response {
        &self.play
    }

    /// Its own two sockets.
    pub fn ports(&self) -> &PortPair {
        &self.ports
    }

    /// The server's two.
    pub fn server(&self) -> ServerPorts {
        self.server
    }

    /// The next RTP packet; `None` when none comes for so long.
    ///
    /// # Errors
    /// When a stranger sent it, or the socket breaks.
    pub fn next_packet(&self, silence: Duration) -> Result<Option<Vec<u8>>, PeerError> {
        receive(&self.ports.rtp, self.server.rtp, silence)
    }

    /// The next RTCP packet; `None` when none comes for so long.
    ///
    /// # Errors
    /// When a stranger sent it, or the socket breaks.
    pub fn next_report(&self, silence: Duration) -> Result<Option<Vec<u8>>, PeerError> {
        receive(&self.ports.rtcp, self.server.rtcp, silence)
    }

    /// Sends an RTCP packet to the server.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn send_report(&self, report: &[u8]) -> io::Result<()> {
        self.ports.rtcp.send_to(report, self.server.rtcp).map(drop)
    }

    /// Gives every packet to `take` until it has had enough (false).
    ///
    /// # Errors
    /// When none comes for [`READ_TIMEOUT`], a stranger sends one, or `take` finds a flaw.
    pub fn read_while(
        &self,
        mut take: impl FnMut(&[u8]) -> Result<bool, PeerError>,
    ) -> Result<(), PeerError> {
        let during = "a stream of datagrams";
        loop {
            let packet = self.next_packet(READ_TIMEOUT)?;
            if !take(&packet.ok_or(PeerError::Closed { during })?)? {
                return Ok(());
            }
        }
    }

    /// Ends the session in order.
    ///
    /// # Errors
    /// When the server refuses or is gone.
    pub fn teardown(mut self) -> Result<(), PeerError> {
        self.connection.request("TEARDOWN", &self.url, &[], b"")?;
        Ok(())
    }

    /// The connection, for tests that misbehave on it.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// A publisher of one synthetic video track, over UDP.
#[derive(Debug)]
pub struct UdpPublisher {
    connection: Connection,
    url: String,
    ports: PortPair,
    server: ServerPorts,
}

impl UdpPublisher {
    /// Connects and announces the synthetic stream on `path`, up to the granted RECORD.
    ///
    /// # Errors
    /// When the server refuses or is not there.
    pub fn start(address: SocketAddr, path: &str) -> Result<Self, PeerError> {
        let url = format!("rtsp://{address}/{path}");
        let mut connection = Connection::open(address)?;
        let sdp_type = [("Content-Type", "application/sdp")];
        connection.request("ANNOUNCE", &url, &sdp_type, SDP.as_bytes())?;
        let ports = PortPair::open(connection.socket().local_addr()?.ip())?;
        let transport = format!("RTP/AVP/UDP;unicast;{};mode=record", ports.client_port()?);
        let track = format!("{url}/streamid=0");
        let granted = connection.request("SETUP", &track, &[("Transport", &transport)], b"")?;
        let server = ServerPorts::read(&granted, address)?;
        connection.request("RECORD", &url, &[("Range", "npt=0.000-")], b"")?;
        Ok(Self {
            connection,
            url,
            ports,
            server,
        })
    }

    /// Its own two sockets.
    pub fn ports(&self) -> &PortPair {
        &self.ports
    }

    /// The server's two.
    pub fn server(&self) -> ServerPorts {
        self.server
    }

    /// Sends RTP packets, a datagram each.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn send(&self, packets: &[Vec<u8>]) -> io::Result<()> {
        packets
            .iter()
            .try_for_each(|packet| self.ports.rtp.send_to(packet, self.server.rtp).map(drop))
    }

    /// Sends the next `frames` access units of `source`, one in each `interval`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn send_frames(
        &self,
        source: &mut Source,
        frames: u32,
        interval: Duration,
    ) -> io::Result<()> {
        let start = Instant::now();
        (0..frames).try_for_each(|frame| {
            wait_until(start + interval * frame);
            self.send(&source.next_frame())
        })
    }

    /// Sends an RTCP packet to the server.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn send_report(&self, report: &[u8]) -> io::Result<()> {
        self.ports.rtcp.send_to(report, self.server.rtcp).map(drop)
    }

    /// The next RTCP packet; `None` when none comes for so long.
    ///
    /// # Errors
    /// When a stranger sent it, or the socket breaks.
    pub fn next_report(&self, silence: Duration) -> Result<Option<Vec<u8>>, PeerError> {
        receive(&self.ports.rtcp, self.server.rtcp, silence)
    }

    /// Ends the stream in order and waits for the answer.
    ///
    /// # Errors
    /// When the server refuses or is gone.
    pub fn teardown(mut self) -> Result<(), PeerError> {
        self.connection.request("TEARDOWN", &self.url, &[], b"")?;
        Ok(())
    }

    /// The connection, for tests that misbehave on it.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// The next datagram, which has to come from `due`; `None` when none comes for so long.
fn receive(
    socket: &UdpSocket,
    due: SocketAddr,
    silence: Duration,
) -> Result<Option<Vec<u8>>, PeerError> {
    socket.set_read_timeout(Some(silence))?;
    let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        match socket.recv_from(&mut datagram) {
            Ok((length, from)) if from == due => {
                datagram.truncate(length);
                return Ok(Some(datagram));
            }
            Ok((_, from)) => {
                let strange = format!("a datagram from {from}, not from {due}");
                return Err(PeerError::Garbage(strange));
            }
            Err(error) if is_silence(&error) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_silence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_even_and_the_one_above() {
        let pair = PortPair::open(IpAddr::from([127, 0, 0, 1])).unwrap();
        let port = pair.rtp.local_addr().unwrap().port();
        assert!(port.is_multiple_of(2));
        assert_eq!(
            pair.client_port().unwrap(),
            format!("client_port={port}-{}", port + 1)
        );
    }

    #[test]
    fn the_servers_ports_are_read() {
        let granted = Response {
            phrase: "OK".into(),
            status: 200,
            headers: vec![(
                "Transport".to_owned(),
                "RTP/AVP/UDP;unicast;client_port=4-5;server_port=8000-8001;ssrc=0".to_owned(),
            )],
            body: Vec::new(),
        };
        let server = "[::1]:8554".parse().unwrap();
        let ports = ServerPorts::read(&granted, server).unwrap();
        assert_eq!(ports.rtp, "[::1]:8000".parse().unwrap());
        assert_eq!(ports.rtcp, "[::1]:8001".parse().unwrap());
    }

    #[test]
    fn a_strangers_datagram_is_told() {
        let pair = PortPair::open(IpAddr::from([127, 0, 0, 1])).unwrap();
        let due = pair.rtcp.local_addr().unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        pair.rtcp
            .send_to(b"due", pair.rtp.local_addr().unwrap())
            .unwrap();
        stranger
            .send_to(b"strange", pair.rtp.local_addr().unwrap())
            .unwrap();
        let next = || receive(&pair.rtp, due, READ_TIMEOUT);
        assert_eq!(next().unwrap(), Some(b"due".to_vec()));
        assert!(matches!(next(), Err(PeerError::Garbage(_))));
    }
}
