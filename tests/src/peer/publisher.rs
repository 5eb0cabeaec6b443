//! The raw publisher: ANNOUNCE, SETUP, RECORD over TCP, then whatever packets the test gives it, as interleaved frames.

use std::net::SocketAddr;

use super::PeerError;
use super::connection::Connection;
use super::synthetic::{SDP, Source};

/// A publisher of one synthetic video track.
#[derive(Debug)]
pub struct Publisher {
    connection: Connection,
    url: String,
}

impl Publisher {
    /// Connects and announces the synthetic stream on `path`, up to the granted RECORD.
    ///
    /// # Errors
    /// When the server refuses or is not there.
    pub fn start(address: SocketAddr, path: &str) -> Result<Self, PeerError> {
        Self::start_with(address, path, SDP)
    }

    /// As [`Self::start`], with an SDP of the test's own whose first track has the control `streamid=0`.
    ///
    /// # Errors
    /// When the server refuses or is not there.
    pub fn start_with(address: SocketAddr, path: &str, sdp: &str) -> Result<Self, PeerError> {
        let url = format!("rtsp://{address}/{path}");
        let mut connection = Connection::open(address)?;
        let sdp_type = [("Content-Type", "application/sdp")];
        connection.request("ANNOUNCE", &url, &sdp_type, sdp.as_bytes())?;
        let transport = [(
            "Transport",
            "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record",
        )];
        connection.request("SETUP", &format!("{url}/streamid=0"), &transport, b"")?;
        connection.request("RECORD", &url, &[("Range", "npt=0.000-")], b"")?;
        Ok(Self { connection, url })
    }

    /// Sends RTP packets on the track's channel, in one write.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, packets: &[Vec<u8>]) -> Result<(), PeerError> {
        Ok(self.connection.send(&interleave(0, packets))?)
    }

    /// Sends the next `frames` access units of `source`, each in a write of its own, as fast as the socket takes them.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send_frames(&mut self, source: &mut Source, frames: u64) -> Result<(), PeerError> {
        (0..frames).try_for_each(|_| self.send(&source.next_frame()))
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

/// Puts packets behind interleaved headers of one channel.
pub fn interleave(channel: u8, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for packet in packets {
        let length = u16::try_from(packet.len()).expect("a test's packet is below 64 KiB");
        bytes.extend_from_slice(&[b'$', channel]);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(packet);
    }
    bytes
}
