//! What keeps a session alive, and ends it: short requests by a call that does not wait.
//!
//! Their answers are never looked at, neither among the bytes that are thrown away nor among packets. They count as bytes of
//! the reader: some hundred in half a minute, which changes no figure. A server that takes a nonce back in the middle of a
//! session is not answered again.

use std::io;
use std::time::{Duration, Instant};

use fastrand::Rng;
use shardcast_platform::{TcpStream, now};
use shardcast_protocol::rtsp::client::ClientSession;
use shardcast_protocol::rtsp::{Response, StatusCode};

/// A server that wants to hear from us more often than this does not.
const EVERY_MIN: Duration = Duration::from_secs(1);

/// The session of a reader that plays.
#[derive(Debug)]
pub(super) struct Keeper {
    client: ClientSession,
    due: Instant,
    every: Duration,
}

impl Keeper {
    /// Keep-alives go at half the session's timeout. The first comes by chance within that, so that those of readers that
    /// joined together do not go together.
    pub(super) fn new(client: ClientSession, chance: &mut Rng) -> Self {
        let every = (client.session_timeout() / 2).max(EVERY_MIN);
        Self {
            client,
            due: now() + every.mul_f64(chance.f64()),
            every,
        }
    }

    /// Sends a keep-alive when one is due.
    ///
    /// # Errors
    /// When the connection is gone, or the server has not read for long.
    pub(super) fn tend(&mut self, stream: &TcpStream, moment: Instant) -> io::Result<()> {
        if moment < self.due {
            return Ok(());
        }
        self.due = moment + self.every;
        self.client.keep_alive().map_err(io::Error::other)?;
        self.say(stream)
    }

    /// Ends the session.
    ///
    /// # Errors
    /// As above.
    pub(super) fn leave(&mut self, stream: &TcpStream) -> io::Result<()> {
        self.client.teardown().map_err(io::Error::other)?;
        self.say(stream)
    }

    fn say(&mut self, stream: &TcpStream) -> io::Result<()> {
        while let Some(message) = self.client.poll_output() {
            if stream.write_now(&message)? < message.len() {
                return Err(io::ErrorKind::WriteZero.into());
            }
            let granted = Response::new(StatusCode::OK, None);
            self.client
                .handle_response(granted)
                .map_err(io::Error::other)?;
        }
        // Who has just said something is back to acknowledging late.
        stream.acknowledge_at_once()
    }
}
