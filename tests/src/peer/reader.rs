//! The raw reader: DESCRIBE, SETUP, PLAY over TCP, then the packets of the first track, one by one.

use std::net::SocketAddr;

use super::PeerError;
use super::connection::Connection;
use super::message::Response;
use super::verifier::Verifier;

/// A playing reader of a path's first track.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    url: String,
    play: Response,
}

/// The status of a DESCRIBE of `path`: 200 once somebody publishes there.
///
/// # Errors
/// When the server is not there or answers nonsense.
pub fn describe_status(address: SocketAddr, path: &str) -> Result<u16, PeerError> {
    let mut connection = Connection::open(address)?;
    let url = format!("rtsp://{address}/{path}");
    let accept = [("Accept", "application/sdp")];
    Ok(connection.ask("DESCRIBE", &url, &accept, b"")?.status)
}

impl Reader {
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
        let transport = [("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1")];
        connection.request("SETUP", &track, &transport, b"")?;
        let play = connection.request("PLAY", &url, &[("Range", "npt=0.000-")], b"")?;
        Ok(Self {
            connection,
            url,
            play,
        })
    }

    /// The answer to PLAY, with its RTP-Info.
    pub fn play_response(&self) -> &Response {
        &self.play
    }

    /// The next RTP packet; `None` once the server has ended the stream. RTCP is passed over.
    ///
    /// # Errors
    /// When the connection breaks or stays silent.
    pub fn next_packet(&mut self) -> Result<Option<Vec<u8>>, PeerError> {
        while let Some(frame) = self.connection.next_frame()? {
            if frame.channel == 0 {
                return Ok(Some(frame.payload));
            }
        }
        Ok(None)
    }

    /// Reads and checks packets until the server ends the stream.
    ///
    /// # Errors
    /// When the connection breaks or a packet is not the one that is due.
    pub fn read_to_end(&mut self, verifier: &mut Verifier) -> Result<(), PeerError> {
        while let Some(packet) = self.next_packet()? {
            verifier.check(&packet)?;
        }
        Ok(())
    }

    /// Reads and checks packets until `packets` of them with counters have come.
    ///
    /// # Errors
    /// When the connection breaks or ends first, or a packet is not the one that is due.
    pub fn read_packets(&mut self, verifier: &mut Verifier, packets: u64) -> Result<(), PeerError> {
        let until = verifier.packets() + packets;
        while verifier.packets() < until {
            let during = "a stream of packets";
            let packet = self.next_packet()?.ok_or(PeerError::Closed { during })?;
            verifier.check(&packet)?;
        }
        Ok(())
    }

    /// Ends the session in order. Packets may still come before the answer.
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

/// The URL of the first track: its control attribute behind the content base (RFC 2326, section C.1.1).
pub(super) fn track_url(url: &str, described: &Response) -> Result<String, PeerError> {
    let sdp = String::from_utf8_lossy(&described.body);
    let media = sdp.split("m=").nth(1).unwrap_or_default();
    let control = media
        .lines()
        .find_map(|line| line.strip_prefix("a=control:"));
    let control = control.ok_or_else(|| PeerError::Garbage(format!("no control: {sdp}")))?;
    if control.starts_with("rtsp://") {
        return Ok(control.to_owned());
    }
    let base = described.header("Content-Base").unwrap_or(url);
    Ok(format!("{}/{control}", base.trim_end_matches('/')))
}
