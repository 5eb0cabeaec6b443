//! A connection that is polled, as crates want it that know no owned buffers.
//!
//! It reads and writes by plain calls, into and from the caller's memory, so that nothing is copied
//! and nothing is the kernel's when a poll returns. Only when a call has found nothing to take, or
//! no room, the loop is asked to say when. That wait is one future per direction and lasts as long
//! as the stream, so that a wait costs no allocation.
//!
//! A read that has not filled its buffer has taken all there was; the next one waits without trying.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use socket2::Socket;

use super::TcpStream;
use super::now::or_nothing;
use crate::burst::Burst;
use crate::cancel::Cancel;
use crate::net::Readiness;
use crate::os;

/// Calls in a row that had not to wait, before everything else on the thread has a turn: a peer
/// that sends, or takes, as fast as it is served would keep the thread otherwise.
const INSTANT_MAX: u32 = 32;

/// A connection under polls, until its `Cancel` is raised: from then on every call fails.
pub struct PolledStream {
    stream: Rc<TcpStream>,
    cancel: Cancel,
    /// What was read and given back.
    unread: Vec<u8>,
    reading: Direction,
    writing: Direction,
}

/// One direction of a stream.
struct Direction {
    /// What comes before the next try.
    first: First,
    instants: Burst,
    /// Made when there is something to wait for at first.
    wait: Option<Wait>,
}

/// What comes before a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Nothing,
    /// Others have a turn.
    Pause,
    /// The loop says that it is worth it.
    Wait,
}

/// One wait after the other.
struct Wait {
    /// Goes on with the next wait when it is polled after it has told of one.
    waits: Pin<Box<dyn Future<Output = Infallible>>>,
    asked: Rc<Asked>,
}

/// What is said to the waits, and by them.
#[derive(Default)]
struct Asked {
    is_pause: Cell<bool>,
    told: Cell<Option<io::Result<Readiness>>>,
}

impl PolledStream {
    /// A connection that ends when `cancel` is raised.
    #[must_use]
    pub fn new(stream: TcpStream, cancel: Cancel) -> Self {
        Self {
            stream: Rc::new(stream),
            cancel,
            unread: Vec::new(),
            reading: Direction::new(),
            writing: Direction::new(),
        }
    }

    /// Gives back what was read last: it is read again.
    pub fn unread(&mut self, bytes: &[u8]) {
        self.unread.splice(..0, bytes.iter().copied());
    }

    /// Takes what has arrived; 0 is the peer's end.
    ///
    /// # Errors
    /// What the system says; `TimedOut` once the stream's `Cancel` is raised; `InvalidInput` when
    /// the buffer is empty.
    pub fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Err(super::no_room()));
        }
        if !self.unread.is_empty() {
            let count = self.unread.len().min(buffer.len());
            buffer[..count].copy_from_slice(&self.unread[..count]);
            self.unread.drain(..count);
            return Poll::Ready(Ok(count));
        }
        let room = buffer.len();
        let stream = &self.stream;
        let taken = self.reading.poll(
            context,
            &self.cancel,
            || Wait::until_readable(stream, &self.cancel),
            || take_now(stream, buffer),
        );
        let count = ready!(taken)?;
        // The peer's end is told as often as it is asked for.
        if count > 0 && count < room {
            self.reading.first = First::Wait;
        }
        Poll::Ready(Ok(count))
    }

    /// Sends what the socket takes of this.
    ///
    /// # Errors
    /// When the connection is gone; `TimedOut` once the stream's `Cancel` is raised.
    pub fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(context, |socket| os::send_now(socket, bytes))
    }

    /// Sends what the socket takes of these, one behind the other.
    ///
    /// # Errors
    /// As [`Self::poll_write`].
    pub fn poll_write_slices(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(context, |socket| os::send_slices_now(socket, slices))
    }

    /// Ends our direction; the peer reads an end, and may still send.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn shutdown_write(&self) -> io::Result<()> {
        let shutdown = |socket: &Socket| socket.shutdown(std::net::Shutdown::Write);
        self.stream.write.0.with_socket(shutdown)
    }

    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        send: impl Fn(&Socket) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let stream = &self.stream;
        self.writing.poll(
            context,
            &self.cancel,
            || Wait::until_writable(stream, &self.cancel),
            || or_nothing(stream.write.0.with_socket(&send)),
        )
    }
}

fn take_now(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    or_nothing(
        stream
            .read
            .half
            .with_socket(|socket| os::take_now(socket, buffer)),
    )
}

impl Direction {
    fn new() -> Self {
        Self {
            first: First::Nothing,
            instants: Burst::new(INSTANT_MAX),
            wait: None,
        }
    }

    /// Tries, and waits where that was in vain.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        cancel: &Cancel,
        wait: impl Fn() -> Wait,
        mut call: impl FnMut() -> io::Result<Option<usize>>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if cancel.is_cancelled() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            if self.first != First::Nothing {
                let is_pause = self.first == First::Pause;
                ready!(self.wait.get_or_insert_with(&wait).poll(context, is_pause))?;
                self.first = First::Nothing;
            } else if self.instants.is_over() {
                self.first = First::Pause;
                continue;
            }
            match call() {
                Ok(None) => {
                    self.instants.end();
                    self.first = First::Wait;
                }
                Ok(Some(count)) => return Poll::Ready(Ok(count)),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Wait {
    fn until_readable(stream: &Rc<TcpStream>, cancel: &Cancel) -> Self {
        let (stream, cancel) = (Rc::clone(stream), cancel.clone());
        Self::new(async move || stream.readable_or(&cancel).await)
    }

    fn until_writable(stream: &Rc<TcpStream>, cancel: &Cancel) -> Self {
        let (stream, cancel) = (Rc::clone(stream), cancel.clone());
        Self::new(async move || stream.writable_or(&cancel).await)
    }

    fn new(wait: impl AsyncFn() -> io::Result<Readiness> + 'static) -> Self {
        let asked = Rc::new(Asked::default());
        let tell = Rc::clone(&asked);
        let waits = async move {
            loop {
                let told = match tell.is_pause.get() {
                    true => {
                        crate::yield_now().await;
                        Ok(Readiness::Ready)
                    }
                    false => wait().await,
                };
                tell.told.set(Some(told));
                until_polled_again().await;
            }
        };
        Self {
            waits: Box::pin(waits),
            asked,
        }
    }

    /// Whoever polls looks at the `Cancel` afterwards.
    fn poll(&mut self, context: &mut Context<'_>, is_pause: bool) -> Poll<io::Result<()>> {
        self.asked.is_pause.set(is_pause);
        let _never = self.waits.as_mut().poll(context);
        match self.asked.told.take() {
            None => Poll::Pending,
            Some(told) => Poll::Ready(told.map(|_| ())),
        }
    }
}

/// Has the poll return; the next one goes on.
async fn until_polled_again() {
    let mut has_returned = false;
    poll_fn(|_| {
        if std::mem::replace(&mut has_returned, true) {
            return Poll::Ready(());
        }
        Poll::Pending
    })
    .await;
}

impl AsyncRead for PolledStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_read(context, buffer)
    }
}

impl AsyncWrite for PolledStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_slices(context, slices)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.shutdown_write())
    }
}

impl std::fmt::Debug for PolledStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.stream.fmt(f)
    }
}
