//! A publisher of one or two tracks that knows what it has sent.

use std::net::SocketAddr;

use super::sound::{SOUND_SDP, SoundSource};
use crate::peer::PeerError;
use crate::peer::connection::Connection;
use crate::peer::message::Response;
use crate::peer::publisher::interleave;
use crate::peer::synthetic::{SDP, Shape, Source};

/// Small frames and short groups: much happens in few bytes.
pub const SHORT_GROUPS: Shape = Shape {
    gop_frames: 5,
    frame_packets: 3,
    pattern_bytes: 200,
};

/// What is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracks {
    /// One video track.
    Video,
    /// One video and one audio track.
    VideoAndSound,
}

/// A recording publisher.
#[derive(Debug)]
pub struct Broadcast {
    connection: Connection,
    url: String,
    video: Source,
    sound: Option<SoundSource>,
    sent_bytes: u64,
}

impl Broadcast {
    /// Publishes on `path`, up to the granted RECORD.
    ///
    /// # Errors
    /// When the server refuses or is not there.
    pub fn start(address: SocketAddr, path: &str, tracks: Tracks) -> Result<Self, PeerError> {
        let mut broadcast = Self::announce(address, path, tracks, SHORT_GROUPS)?;
        broadcast.record()?;
        Ok(broadcast)
    }

    /// As [`Self::start`], with frames of this shape.
    ///
    /// # Errors
    /// When the server refuses or is not there.
    pub fn start_shaped(
        address: SocketAddr,
        path: &str,
        tracks: Tracks,
        shape: Shape,
    ) -> Result<Self, PeerError> {
        let mut broadcast = Self::announce(address, path, tracks, shape)?;
        broadcast.record()?;
        Ok(broadcast)
    }

    /// Announces and sets up, and leaves RECORD to the test.
    ///
    /// # Errors
    /// When the server refuses or is not there.
    pub fn announce(
        address: SocketAddr,
        path: &str,
        tracks: Tracks,
        shape: Shape,
    ) -> Result<Self, PeerError> {
        let url = format!("rtsp://{address}/{path}");
        let mut connection = Connection::open(address)?;
        let sound = (tracks == Tracks::VideoAndSound).then(SoundSource::new);
        let sdp = format!("{SDP}{}", sound.as_ref().map_or("", |_| SOUND_SDP));
        let sdp_type = [("Content-Type", "application/sdp")];
        connection.request("ANNOUNCE", &url, &sdp_type, sdp.as_bytes())?;
        for track in 0..1 + usize::from(sound.is_some()) {
            let (rtp, rtcp) = (2 * track, 2 * track + 1);
            let transport = format!("RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp};mode=record");
            let track = format!("{url}/streamid={track}");
            connection.request("SETUP", &track, &[("Transport", &transport)], b"")?;
        }
        Ok(Self {
            connection,
            url,
            video: Source::new(shape),
            sound,
            sent_bytes: 0,
        })
    }

    /// Asks to record.
    ///
    /// # Errors
    /// When the server refuses or is gone.
    pub fn record(&mut self) -> Result<Response, PeerError> {
        self.connection
            .request("RECORD", &self.url, &[("Range", "npt=0.000-")], b"")
    }

    /// Asks to pause.
    ///
    /// # Errors
    /// When the server refuses or is gone.
    pub fn pause(&mut self) -> Result<Response, PeerError> {
        self.connection.request("PAUSE", &self.url, &[], b"")
    }

    /// Sends so many access units, each with a packet of sound behind it, each in a write of its own.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, units: u64) -> Result<(), PeerError> {
        (0..units).try_for_each(|_| {
            let unit = self.next_unit();
            Ok(self.connection.send(&unit)?)
        })
    }

    /// The bytes of the next access unit with its sound, for tests that send them in their own way. They count as sent.
    pub fn next_unit(&mut self) -> Vec<u8> {
        let mut bytes = interleave(0, &self.video.next_frame());
        if let Some(sound) = &mut self.sound {
            bytes.extend(interleave(2, &[sound.next_packet()]));
        }
        self.sent_bytes += bytes.len() as u64;
        bytes
    }

    /// Access units so far.
    pub fn units(&self) -> u64 {
        self.video.frames()
    }

    /// Video packets with counters so far.
    pub fn packets(&self) -> u64 {
        self.video.packets()
    }

    /// Bytes of media so far, wire headers included.
    pub fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// The URL that it publishes to.
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

    /// Ends the stream in order and waits for the answer; the connection stays.
    ///
    /// # Errors
    /// When the server refuses or is gone.
    pub fn teardown(&mut self) -> Result<Response, PeerError> {
        self.connection.request("TEARDOWN", &self.url, &[], b"")
    }

    /// The connection, for tests that misbehave on it.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }
}
