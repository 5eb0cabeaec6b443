//! A conversation with a server over one connection, up to the point from which packets flow, for publishers and for
//! readers: the protocol's own client state machine over a connection of the platform.
//!
//! Every wait ends: when the answer is there, [`ANSWER_TIMEOUT`] after it was asked for, or when the caller's `Cancel` is
//! raised. No read or write is left before it has ended; whoever gives up cancels it, and awaits that.

mod error;
#[cfg(test)]
mod tests;

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use shardcast_platform::{Cancel, Gather, Outcome, Slab, Slice, TcpStream, now, sleep_until};
use shardcast_protocol::rtsp::auth::Login;
use shardcast_protocol::rtsp::client::{ClientEvent, ClientSession, Offer, TrackControl};
use shardcast_protocol::rtsp::{Limits, MessageReader, Parsed};
use shardcast_protocol::sdp::{self, SessionDescription};

pub(crate) use error::DialogueError;

use crate::target::Credentials;

/// How long a connection, and then each answer, may take: far above what a loaded server needs, below a person's patience.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of answers that are read at once. A description and its head fit.
const READ_BYTES: usize = 4096;

/// A connection that talks.
#[derive(Debug)]
pub(crate) struct Dialogue {
    stream: TcpStream,
    client: ClientSession,
    messages: MessageReader,
    /// What has come and was not understood yet.
    input: Slab,
    patience: Patience,
    /// When the last request was made.
    asked: SystemTime,
}

/// Until when a wait may last.
#[derive(Debug)]
struct Patience {
    deadline: Instant,
    /// The caller's.
    ending: Cancel,
    /// Raised by us when time is up, or the caller's is: operations in flight know this one.
    stop: Cancel,
}

/// What is left of a dialogue once packets flow.
#[derive(Debug)]
pub(crate) struct Flow {
    /// The connection.
    pub(crate) stream: TcpStream,
    /// The state of the session on it.
    pub(crate) client: ClientSession,
    /// What has come behind the last answer.
    pub(crate) rest: BytesMut,
}

impl Dialogue {
    /// Connects, and says nothing yet. Once `ending` is raised, every wait ends with [`DialogueError::Stopped`].
    pub(crate) async fn connect(
        address: SocketAddr,
        credentials: Option<&Credentials>,
        ending: &Cancel,
    ) -> Result<Self, DialogueError> {
        let patience = Patience::new(ending.clone());
        // A connect, unlike a read, may be left.
        let connected = patience.wait_or_leave(TcpStream::connect(address)).await;
        let connected = connected.ok_or_else(|| patience.error())?;
        let stream = connected.map_err(|error| DialogueError::Connect { address, error })?;
        let mut client = ClientSession::new("shardcast-bench");
        if let Some(Credentials { user, pass }) = credentials.cloned() {
            let client_nonce = format!("{:016x}", fastrand::u64(..));
            client.log_in_as(Login {
                user,
                pass,
                client_nonce,
            });
        }
        Ok(Self {
            stream,
            client,
            messages: MessageReader::new(Limits::default()),
            input: Slab::with_capacity(READ_BYTES),
            patience,
            asked: SystemTime::now(),
        })
    }

    /// When the last request was made, to which all answers have come.
    pub(crate) fn asked(&self) -> SystemTime {
        self.asked
    }

    /// Our own address, as the server sees it.
    pub(crate) fn local_addr(&self) -> Result<SocketAddr, DialogueError> {
        Ok(self.stream.local_addr()?)
    }

    /// The connection, to be prepared for what comes.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Asks what there is to play.
    pub(crate) async fn describe(
        &mut self,
        url: &str,
    ) -> Result<SessionDescription, DialogueError> {
        self.client.start_play(url)?;
        match self.next_event().await? {
            ClientEvent::Described { sdp } => Ok(sdp::parse(&sdp)?),
            other => Err(DialogueError::Unexpected(other)),
        }
    }

    /// Sets up all tracks of the description, and plays. Over UDP, the offer has a pair of ports for each.
    pub(crate) async fn play(
        &mut self,
        description: &SessionDescription,
        offer: Offer,
    ) -> Result<(), DialogueError> {
        let media = description.media.iter().enumerate();
        let controls = media.map(|(track, media)| TrackControl {
            track,
            control: media.attribute("control").map(str::to_owned),
        });
        let controls: Vec<_> = controls.collect();
        self.client.offer(offer)?;
        self.client.set_up(description.control(), &controls)?;
        match self.next_event().await? {
            ClientEvent::Playing { .. } => Ok(()),
            other => Err(DialogueError::Unexpected(other)),
        }
    }

    /// Announces a stream, sets up its tracks, and records.
    pub(crate) async fn publish(
        &mut self,
        url: &str,
        sdp: Bytes,
        controls: &[Option<String>],
        offer: Offer,
    ) -> Result<(), DialogueError> {
        self.client.offer(offer)?;
        self.client.start_publish(url, sdp, controls)?;
        match self.next_event().await? {
            ClientEvent::Recording => Ok(()),
            other => Err(DialogueError::Unexpected(other)),
        }
    }

    /// Talks until something has come of it. Packets that come meanwhile are thrown away.
    pub(crate) async fn next_event(&mut self) -> Result<ClientEvent, DialogueError> {
        self.patience.begin();
        loop {
            while let Some(message) = self.client.poll_output() {
                self.write(message).await?;
            }
            let consumed = match self.messages.poll(self.input.filled())? {
                Parsed::Response { response, consumed } => {
                    drop(self.input.split_to(consumed));
                    match self.client.handle_response(response)? {
                        Some(event) => return Ok(event),
                        None => continue,
                    }
                }
                Parsed::Request { request, consumed } => {
                    self.client.handle_request(&request);
                    consumed
                }
                Parsed::Frame { consumed, .. } => consumed,
                Parsed::Incomplete { consumed, .. } => {
                    drop(self.input.split_to(consumed));
                    self.read_more().await?;
                    0
                }
            };
            drop(self.input.split_to(consumed));
        }
    }

    /// Ends a session of which packets still come, or are sent.
    pub(crate) async fn leave(mut self) -> Result<(), DialogueError> {
        self.client.teardown()?;
        self.next_event().await.map(|_ended| ())
    }

    /// Packets flow from here on.
    pub(crate) fn into_flow(self) -> Flow {
        Flow {
            stream: self.stream,
            client: self.client,
            rest: self.input.into_bytes_mut(),
        }
    }

    async fn write(&mut self, message: Bytes) -> Result<(), DialogueError> {
        self.asked = SystemTime::now();
        let mut gather = Gather::new();
        let _fits = gather.push(Slice::new(message));
        while !gather.is_empty() {
            let stop = self.patience.stop.clone();
            let writing = self.stream.write_or(gather, &stop);
            let (outcome, rest) = self.patience.wait(writing).await;
            gather = rest;
            self.check(outcome)?;
        }
        Ok(())
    }

    async fn read_more(&mut self) -> Result<(), DialogueError> {
        let mut input = std::mem::take(&mut self.input);
        input.reserve(READ_BYTES);
        let stop = self.patience.stop.clone();
        let reading = self.stream.read_or(input, &stop);
        let (outcome, input) = self.patience.wait(reading).await;
        self.input = input;
        self.check(outcome)
    }

    fn check(&self, outcome: Outcome) -> Result<(), DialogueError> {
        match outcome {
            Outcome::Done(Ok(0)) => Err(DialogueError::Ended),
            Outcome::Done(Ok(_)) => Ok(()),
            Outcome::Done(Err(error)) => Err(error.into()),
            Outcome::Cancelled => Err(self.patience.error()),
        }
    }
}

impl Flow {
    /// Goes back to talking, to end the session in order.
    pub(crate) fn into_dialogue(self, ending: &Cancel) -> Dialogue {
        Dialogue {
            stream: self.stream,
            client: self.client,
            messages: MessageReader::new(Limits::default()),
            input: Slab::from_bytes_mut(self.rest),
            patience: Patience::new(ending.clone()),
            asked: SystemTime::now(),
        }
    }
}

impl Patience {
    fn new(ending: Cancel) -> Self {
        let stop = Cancel::new();
        Self {
            deadline: now() + ANSWER_TIMEOUT,
            ending,
            stop,
        }
    }

    /// The next answer has all the time again.
    fn begin(&mut self) {
        self.deadline = now() + ANSWER_TIMEOUT;
    }

    /// Awaits an operation to its end, which it is told to hurry to when time is up.
    async fn wait<T>(&self, operation: impl Future<Output = T>) -> T {
        let mut operation = pin!(operation);
        let mut over = pin!(self.over());
        poll_fn(|context| {
            if !self.stop.is_cancelled() && over.as_mut().poll(context).is_ready() {
                self.stop.cancel();
            }
            operation.as_mut().poll(context)
        })
        .await
    }

    /// Awaits what may be left when time is up: then none.
    async fn wait_or_leave<T>(&self, operation: impl Future<Output = T>) -> Option<T> {
        let mut operation = pin!(operation);
        let mut over = pin!(self.over());
        poll_fn(|context| match operation.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending => over.as_mut().poll(context).map(|()| None),
        })
        .await
    }

    /// Time is up, or the caller has had enough.
    async fn over(&self) {
        let mut deadline = pin!(sleep_until(self.deadline));
        let mut ending = pin!(self.ending.cancelled());
        poll_fn(|context| match ending.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => deadline.as_mut().poll(context),
        })
        .await;
    }

    /// Why a wait was broken off.
    fn error(&self) -> DialogueError {
        match self.ending.is_cancelled() {
            true => DialogueError::Stopped,
            false => DialogueError::Late,
        }
    }
}
