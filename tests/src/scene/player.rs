//! A reader of any tracks on any channels, and the checks of what it is given.

use std::net::SocketAddr;

use super::rtp::{SenderReport, Start, read_starts};
use super::sound::SoundCheck;
use crate::peer::PeerError;
use crate::peer::connection::Connection;
use crate::peer::message::Response;
use crate::peer::verifier::Verifier;

/// The number of the video track of every broadcast.
pub const VIDEO: usize = 0;
/// The number of its sound track.
pub const SOUND: usize = 1;

/// A track that a reader sets up, and its channels: RTP, then RTCP.
pub type Lane = (usize, u8, u8);

/// Video on the usual channels.
pub const VIDEO_LANE: [Lane; 1] = [(VIDEO, 0, 1)];
/// Video and sound on the usual channels.
pub const BOTH_LANES: [Lane; 2] = [(VIDEO, 0, 1), (SOUND, 2, 3)];

/// What has come over one of a reader's channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// An RTP packet of a track.
    Media(usize, Vec<u8>),
    /// A sender report of a track.
    Report(usize, SenderReport),
}

/// What a reader was given by the end.
#[derive(Debug, Default)]
pub struct Haul {
    /// The check of the video track.
    pub video: Verifier,
    /// The check of the sound track.
    pub sound: SoundCheck,
    /// Tracks of which a sender report has come, in order.
    pub reports: Vec<usize>,
}

impl Haul {
    /// Of a reader that the server may move on to a later key frame.
    pub fn with_jumps() -> Self {
        Self {
            video: Verifier::with_jumps(),
            ..Self::default()
        }
    }

    /// Takes one arrival in.
    ///
    /// # Errors
    /// When a packet is not the one that is due.
    ///
    /// # Panics
    /// When media comes before the track's first report, or a sound packet is not the one that is due.
    pub fn take(&mut self, arrival: &Arrival) -> Result<(), PeerError> {
        match arrival {
            Arrival::Media(track, packet) => {
                let is_clocked = self.reports.contains(track);
                assert!(is_clocked, "media of track {track} before its clock");
                match *track {
                    VIDEO => self.video.check(packet)?,
                    _ => self.sound.check(packet),
                }
            }
            Arrival::Report(track, _) => self.reports.push(*track),
        }
        Ok(())
    }
}

/// A reader.
#[derive(Debug)]
pub struct Player {
    connection: Connection,
    url: String,
    lanes: Vec<Lane>,
    starts: Vec<Start>,
}

impl Player {
    /// Connects, describes, sets up these tracks, and plays.
    ///
    /// # Errors
    /// When the server refuses or is not there.
    pub fn start(address: SocketAddr, path: &str, lanes: &[Lane]) -> Result<Self, PeerError> {
        let mut player = Self::prepare(address, path, lanes)?;
        player.play()?;
        Ok(player)
    }

    /// As [`Self::start`], up to and without PLAY.
    ///
    /// # Errors
    /// When the server refuses or is not there.
    pub fn prepare(address: SocketAddr, path: &str, lanes: &[Lane]) -> Result<Self, PeerError> {
        Self::prepare_on(Connection::open(address)?, address, path, lanes)
    }

    /// As [`Self::prepare`], on a connection to that address which is there already.
    ///
    /// # Errors
    /// When the server refuses or is gone.
    pub fn prepare_on(
        connection: Connection,
        address: SocketAddr,
        path: &str,
        lanes: &[Lane],
    ) -> Result<Self, PeerError> {
        let url = format!("rtsp://{address}/{path}");
        let mut player = Self {
            connection,
            url,
            lanes: lanes.to_vec(),
            starts: Vec::new(),
        };
        player.describe()?;
        player.set_up()?;
        Ok(player)
    }

    /// Asks for the description of the path.
    ///
    /// # Errors
    /// When the server refuses or is gone.
    pub fn describe(&mut self) -> Result<Response, PeerError> {
        let accept = [("Accept", "application/sdp")];
        self.connection.request("DESCRIBE", &self.url, &accept, b"")
    }

    /// Sets up every track.
    ///
    /// # Errors
    /// When the server refuses or is gone.
    pub fn set_up(&mut self) -> Result<(), PeerError> {
        for (track, rtp, rtcp) in self.lanes.clone() {
            let url = format!("{}/trackID={track}", self.url);
            let transport = format!("RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp}");
            let granted =
                self.connection
                    .request("SETUP", &url, &[("Transport", &transport)], b"")?;
            let granted = granted.header("Transport").unwrap_or_default().to_owned();
            if !granted.contains(&format!("interleaved={rtp}-{rtcp}")) {
                return Err(PeerError::Garbage(granted));
            }
        }
        Ok(())
    }

    /// Asks to play.
    ///
    /// # Errors
    /// When the server refuses or is gone.
    pub fn play(&mut self) -> Result<Response, PeerError> {
        let played = self
            .connection
            .request("PLAY", &self.url, &[("Range", "npt=0.000-")], b"")?;
        self.starts = played
            .header("RTP-Info")
            .map(read_starts)
            .unwrap_or_default();
        Ok(played)
    }

    /// Asks to pause. Packets may still come before the answer.
    ///
    /// # Errors
    /// When the server refuses or is gone.
    pub fn pause(&mut self) -> Result<Response, PeerError> {
        self.connection.request("PAUSE", &self.url, &[], b"")
    }

    /// Asks for the end. Packets may still come before the answer; the connection stays.
    ///
    /// # Errors
    /// When the server refuses or is gone.
    pub fn teardown(&mut self) -> Result<Response, PeerError> {
        self.connection.request("TEARDOWN", &self.url, &[], b"")
    }

    /// What the answer to PLAY has said about each track.
    pub fn starts(&self) -> &[Start] {
        &self.starts
    }

    /// The URL that it plays.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// This end's address.
    pub fn local_address(&self) -> SocketAddr {
        self.connection
            .socket()
            .local_addr()
            .expect("a connected socket has an address")
    }

    /// The next thing that comes; `None` after an orderly end.
    ///
    /// # Errors
    /// When the connection breaks or stays silent, or a channel is none of this reader's.
    ///
    /// # Panics
    /// When RTCP does not begin with a sender report: the server has nothing else to say.
    pub fn next_arrival(&mut self) -> Result<Option<Arrival>, PeerError> {
        let Some(frame) = self.connection.next_frame()? else {
            return Ok(None);
        };
        for &(track, rtp, rtcp) in &self.lanes {
            if frame.channel == rtp {
                return Ok(Some(Arrival::Media(track, frame.payload)));
            }
            if frame.channel == rtcp {
                let report = SenderReport::read(&frame.payload);
                return Ok(Some(Arrival::Report(track, report)));
            }
        }
        let strange = format!("a frame on channel {}", frame.channel);
        Err(PeerError::Garbage(strange))
    }

    /// Reads and checks until so many more video packets with counters have come.
    ///
    /// # Errors
    /// When the connection breaks or ends first, or a packet is not the one that is due.
    pub fn read_packets(&mut self, haul: &mut Haul, packets: u64) -> Result<(), PeerError> {
        let until = haul.video.packets() + packets;
        while haul.video.packets() < until {
            let during = "a stream of packets";
            let arrival = self.next_arrival()?;
            haul.take(&arrival.ok_or(PeerError::Closed { during })?)?;
        }
        Ok(())
    }

    /// Reads and checks until video packet `packet` has come.
    ///
    /// # Errors
    /// As [`Self::read_packets`].
    pub fn read_up_to(&mut self, haul: &mut Haul, packet: u64) -> Result<(), PeerError> {
        while haul.video.last().is_none_or(|last| last.packet < packet) {
            self.read_packets(haul, 1)?;
        }
        Ok(())
    }

    /// Reads and checks until the server ends the stream.
    ///
    /// # Errors
    /// When the connection breaks or a packet is not the one that is due.
    pub fn read_to_end(&mut self, haul: &mut Haul) -> Result<(), PeerError> {
        while let Some(arrival) = self.next_arrival()? {
            haul.take(&arrival)?;
        }
        Ok(())
    }

    /// The connection, for tests that misbehave on it.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }
}
