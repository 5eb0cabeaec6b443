//! One publisher's session on a server: packets leave by its connection, or as datagrams beside it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Instant;

use bytes::{Buf as _, Bytes};
use shardcast_platform::{Cancel, TcpStream, UdpSocket, bind_udp_pair};
use shardcast_protocol::container::rtp::framing::INTERLEAVED_HEADER_BYTES;
use shardcast_protocol::rtsp::client::{ClientTransport, Offer};
use shardcast_protocol::rtsp::{Limits, MessageReader, Parsed, PortPair};

use super::PublishersPlan;
use crate::BenchError;
use crate::dialogue::{Dialogue, DialogueError, Flow};
use crate::shape::Transport;
use crate::stream::packets::Packets;
use crate::stream::source::Source;
use crate::target::Credentials;

/// What is thrown away at once of what a server sends to a publisher.
const DISCARD_BYTES: usize = 1 << 16;
/// What is read at once of its answers.
const READ_BYTES: usize = 4096;
/// Of a socket that hears a server's reports.
const RECEIVE_BUFFER_BYTES: usize = 1 << 16;

/// What left at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

/// What a publisher says of itself.
pub(super) struct Announced {
    address: SocketAddr,
    credentials: Option<Credentials>,
    url: String,
    sdp: Bytes,
    controls: Vec<Option<String>>,
    transport: Transport,
}

/// A publisher's session.
pub(super) struct Outlet {
    url: String,
    flow: Flow,
    messages: MessageReader,
    lower: Lower,
    keep_alive_due: Instant,
}

enum Lower {
    /// With how much of what is being sent has left already.
    Connection { gone: usize },
    /// A way for each track.
    Datagrams(Vec<Way>),
}

/// Where a track's datagrams go.
struct Way {
    socket: UdpSocket,
    to: SocketAddr,
    /// What comes here is not read.
    _reports: UdpSocket,
}

type Pairs = Vec<(UdpSocket, UdpSocket)>;

impl Announced {
    pub(super) fn of(plan: &PublishersPlan, path: usize, source: &Source) -> Self {
        Self {
            address: plan.target.address,
            credentials: plan.target.credentials.clone(),
            url: plan.target.path_url(path),
            sdp: source.sdp(),
            controls: source.controls(),
            transport: plan.load.publisher_transport,
        }
    }

    async fn publish(&self) -> Result<(Flow, Lower), DialogueError> {
        let never = Cancel::new();
        let mut dialogue =
            Dialogue::connect(self.address, self.credentials.as_ref(), &never).await?;
        let pairs = match self.transport {
            Transport::Tcp => Vec::new(),
            Transport::Udp => self.bind(dialogue.local_addr()?.ip())?,
        };
        let offer = match self.transport {
            Transport::Tcp => Offer::Tcp,
            Transport::Udp => Offer::Udp(ports_of(&pairs)?),
        };
        dialogue
            .publish(&self.url, self.sdp.clone(), &self.controls, offer)
            .await?;
        let flow = dialogue.into_flow();
        let lower = match self.transport {
            Transport::Tcp => Lower::Connection { gone: 0 },
            Transport::Udp => Lower::Datagrams(self.ways(&flow, pairs)?),
        };
        Ok((flow, lower))
    }

    fn bind(&self, local: IpAddr) -> Result<Pairs, DialogueError> {
        let pairs = self.controls.iter().map(|_| {
            let (packets, reports) = bind_udp_pair(local, RECEIVE_BUFFER_BYTES)?;
            Ok((packets.start()?, reports.start()?))
        });
        pairs.collect()
    }

    fn ways(&self, flow: &Flow, pairs: Pairs) -> Result<Vec<Way>, DialogueError> {
        let ways = flow
            .client
            .tracks()
            .iter()
            .zip(pairs)
            .map(|(track, (socket, reports))| {
                let ClientTransport::Udp {
                    servers: Some(ports),
                    source,
                    ..
                } = track.transport
                else {
                    let reason = "the server did not say to which ports packets go";
                    return Err(io::Error::other(reason).into());
                };
                let ip = source.unwrap_or(self.address.ip());
                Ok(Way {
                    socket,
                    to: SocketAddr::new(ip, ports.rtp),
                    _reports: reports,
                })
            });
        ways.collect()
    }
}

fn ports_of(pairs: &Pairs) -> Result<Vec<PortPair>, DialogueError> {
    let ports = pairs.iter().map(|(packets, reports)| {
        Ok(PortPair {
            rtp: packets.local_addr()?.port(),
            rtcp: reports.local_addr()?.port(),
        })
    });
    ports.collect()
}

impl Outlet {
    /// Publishes, up to the granted RECORD.
    ///
    /// # Errors
    /// When the server is not there, or refuses.
    pub(super) async fn open(announced: Announced) -> Result<Self, BenchError> {
        match announced.publish().await {
            Ok((flow, lower)) => Ok(Self {
                keep_alive_due: Instant::now() + flow.client.session_timeout() / 2,
                url: announced.url,
                flow,
                messages: MessageReader::new(Limits::default()),
                lower,
            }),
            Err(error) => Err(error.into_bench_error("publisher", &announced.url, 0)),
        }
    }

    /// Sends these packets: what has left once all of it has, none while there is no room.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(super) fn send(
        &mut self,
        packets: &Packets,
        which: Range<usize>,
    ) -> Result<Option<Sent>, BenchError> {
        let count = which.len() as u64;
        let bytes = match &mut self.lower {
            Lower::Connection { gone } => {
                let bytes = packets.interleaved_of(which);
                if !write(&self.flow.stream, bytes, gone).map_err(closed(&self.url))? {
                    return Ok(None);
                }
                std::mem::take(gone)
            }
            Lower::Datagrams(ways) => {
                let packets = which.filter_map(|packet| packets.get(packet));
                packets
                    .map(|(track, frame)| send_datagram(ways.get(track), frame))
                    .sum()
            }
        };
        Ok(Some(Sent {
            packets: count,
            bytes: bytes as u64,
        }))
    }

    /// Takes what the server sends, and says that we are still there when that is due.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(super) fn listen(&mut self) -> Result<(), BenchError> {
        let heard = match self.lower {
            // The server's reports, of which nothing is wanted.
            Lower::Connection { .. } => discard(&self.flow.stream),
            Lower::Datagrams(_) => self.hear(),
        };
        heard.map_err(closed(&self.url))?;
        // Beside packets on the connection it is not needed, and could come between the halves of one.
        if Instant::now() >= self.keep_alive_due && matches!(self.lower, Lower::Datagrams(_)) {
            self.keep_alive_due = Instant::now() + self.flow.client.session_timeout() / 2;
            self.keep_alive().map_err(closed(&self.url))?;
        }
        Ok(())
    }

    /// Takes answers.
    fn hear(&mut self) -> io::Result<()> {
        let mut buffer = [0; READ_BYTES];
        let Some(arrived) = self.flow.stream.read_now(&mut buffer)? else {
            return Ok(());
        };
        if arrived.bytes == 0 {
            return Err(ended());
        }
        let rest = &mut self.flow.rest;
        rest.extend_from_slice(buffer.get(..arrived.bytes).unwrap_or_default());
        loop {
            let consumed = match self.messages.poll(rest).map_err(io::Error::other)? {
                Parsed::Response { response, consumed } => {
                    let handled = self.flow.client.handle_response(response);
                    handled.map_err(io::Error::other)?;
                    consumed
                }
                Parsed::Request { consumed, .. } | Parsed::Frame { consumed, .. } => consumed,
                Parsed::Incomplete { consumed, .. } => {
                    rest.advance(consumed);
                    return Ok(());
                }
            };
            rest.advance(consumed);
        }
    }

    fn keep_alive(&mut self) -> io::Result<()> {
        self.flow.client.keep_alive().map_err(io::Error::other)?;
        while let Some(message) = self.flow.client.poll_output() {
            // A connection that has no room for a request is about to end by itself.
            let _written = self.flow.stream.write_now(&message)?;
        }
        Ok(())
    }

    /// Ends the session in order.
    pub(super) async fn leave(self) {
        // A server that does not answer is left all the same.
        let _ended = self.flow.into_dialogue(&Cancel::new()).leave().await;
    }

    /// Vanishes in the middle of a frame, where frames lie on the connection.
    pub(super) fn tear(self, packets: &Packets) {
        if matches!(self.lower, Lower::Connection { .. }) {
            let bytes = packets.interleaved();
            // One that is gone already is torn well enough.
            let _ = bytes
                .get(..bytes.len() / 2)
                .map(|part| self.flow.stream.write_now(part));
        }
        self.abort();
    }

    /// Vanishes.
    pub(super) fn abort(self) {
        self.flow.stream.abort();
    }
}

/// Throws away what has come.
fn discard(stream: &TcpStream) -> io::Result<()> {
    match stream.discard_now(DISCARD_BYTES)? {
        Some(0) => Err(ended()),
        Some(_) | None => Ok(()),
    }
}

fn ended() -> io::Error {
    io::Error::other("the server closed the connection")
}

/// Whether all of it has left.
fn write(stream: &TcpStream, bytes: &[u8], gone: &mut usize) -> io::Result<bool> {
    while let Some(rest @ [_, ..]) = bytes.get(*gone..) {
        match stream.write_now(rest)? {
            0 => return Ok(false),
            count => *gone += count,
        }
    }
    Ok(true)
}

/// Who publishes over UDP is not told what is lost: neither are we.
fn send_datagram(way: Option<&Way>, frame: &[u8]) -> usize {
    let packet = frame.get(INTERLEAVED_HEADER_BYTES..).unwrap_or_default();
    let sent = way.map(|way| way.socket.send_run(packet, packet.len(), way.to, None));
    match sent {
        Some(Ok(bytes)) => bytes,
        Some(Err(_)) | None => 0,
    }
}

fn closed(url: &str) -> impl FnOnce(io::Error) -> BenchError + '_ {
    move |error| BenchError::Session {
        whose: "publisher",
        url: url.to_owned(),
        reason: error.to_string(),
    }
}
