//! The benchmark's side of an RTSP connection, up to the point from which packets flow: blocking, with the protocol
//! package's own client state machine.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use bytes::Bytes;
use shardcast_protocol::rtsp::client::{ClientEvent, ClientSession, Offer, TrackControl};
use shardcast_protocol::rtsp::{Limits, MessageReader, Parsed, PortPair, RtspUrl};
use shardcast_protocol::sdp;

use crate::BenchError;
use crate::synthetic::{CONTROL, SDP};

/// How long an answer may take: far above what a loaded server needs, below a person's patience.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes asked of the socket at once while talking.
const READ_BYTES: usize = 4096;

/// A connection that talks.
#[derive(Debug)]
struct Talk {
    stream: TcpStream,
    client: ClientSession,
    reader: MessageReader,
    input: Vec<u8>,
    during: &'static str,
}

impl Talk {
    fn open(address: SocketAddr, during: &'static str, offer: Offer) -> Result<Self, BenchError> {
        let stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self {
            stream,
            client: ClientSession::offering("load", offer),
            reader: MessageReader::new(Limits::default()),
            input: Vec::new(),
            during,
        })
    }

    /// Talks until something has come of it.
    fn next_event(&mut self) -> Result<ClientEvent, BenchError> {
        loop {
            while let Some(message) = self.client.poll_output() {
                self.stream.write_all(&message)?;
            }
            match self.reader.poll(&self.input)? {
                Parsed::Response { response, consumed } => {
                    self.input.drain(..consumed);
                    if let Some(event) = self.client.handle_response(response)? {
                        return Ok(event);
                    }
                }
                Parsed::Request { request, consumed } => {
                    self.input.drain(..consumed);
                    self.client.handle_request(&request);
                }
                Parsed::Frame { consumed, .. } => drop(self.input.drain(..consumed)),
                Parsed::Incomplete { .. } => self.read_more()?,
            }
        }
    }

    fn read_more(&mut self) -> Result<(), BenchError> {
        let mut buffer = [0; READ_BYTES];
        let count = self.stream.read(&mut buffer)?;
        if count == 0 {
            return Err(BenchError::Closed(self.during));
        }
        self.input.extend(buffer.iter().take(count));
        Ok(())
    }
}

/// Where an `rtsp://` URL leads.
///
/// # Errors
/// When it is none, or its host has no address.
pub fn address_of(url: &str) -> Result<SocketAddr, BenchError> {
    let url = RtspUrl::parse(url)?;
    let mut addresses = (url.host(), url.port()).to_socket_addrs()?;
    addresses
        .next()
        .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound).into())
}

/// Plays the first track of `url`: the connection from PLAY's answer on, and the bytes behind it that have come already.
///
/// # Errors
/// When the server is not there, refuses, or answers nonsense.
pub fn play(address: SocketAddr, url: &str) -> Result<(TcpStream, Vec<u8>), BenchError> {
    play_by(address, url, Offer::Tcp)
}

/// As [`play`], with the packets as datagrams to these ports of ours.
///
/// # Errors
/// As [`play`].
pub fn play_to(address: SocketAddr, url: &str, ports: PortPair) -> Result<TcpStream, BenchError> {
    let (connection, _) = play_by(address, url, Offer::Udp(vec![ports]))?;
    Ok(connection)
}

fn play_by(
    address: SocketAddr,
    url: &str,
    offer: Offer,
) -> Result<(TcpStream, Vec<u8>), BenchError> {
    play_on(Talk::open(address, "a reader", offer)?, url)
}

fn play_on(mut talk: Talk, url: &str) -> Result<(TcpStream, Vec<u8>), BenchError> {
    talk.client.start_play(url)?;
    loop {
        match talk.next_event()? {
            ClientEvent::Described { sdp } => {
                let description = sdp::parse(&sdp)?;
                let tracks = sdp::tracks(&description)?;
                let control = tracks.first().and_then(|track| track.control.clone());
                let first = TrackControl { track: 0, control };
                talk.client.set_up(description.control(), &[first])?;
            }
            ClientEvent::Playing { .. } => return Ok((talk.stream, talk.input)),
            ClientEvent::Recording | ClientEvent::Paused => {}
            ClientEvent::Ended => return Err(BenchError::Closed("a reader")),
        }
    }
}

/// A publisher of the made-up stream.
#[derive(Debug)]
pub struct Publisher(Talk);

impl Publisher {
    /// Publishes at `url`, up to the granted RECORD.
    ///
    /// # Errors
    /// As [`play`].
    pub fn start(address: SocketAddr, url: &str) -> Result<Self, BenchError> {
        let mut talk = Talk::open(address, "the publisher", Offer::Tcp)?;
        let sdp = Bytes::from_static(SDP.as_bytes());
        talk.client
            .start_publish(url, sdp, &[Some(CONTROL.to_owned())])?;
        while talk.next_event()? != ClientEvent::Recording {}
        Ok(Self(talk))
    }

    /// Sends interleaved frames.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, frames: &[u8]) -> Result<(), BenchError> {
        Ok(self.0.stream.write_all(frames)?)
    }
}
