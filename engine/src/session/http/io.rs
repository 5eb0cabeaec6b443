//! A connection as hyper wants it: polled, read by way of a buffer that all connections of a listener share, and watched by
//! the session's deadlines.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBufCursor, Write};
use shardcast_platform::{PolledStream, TcpStream};

use crate::session::tls::TlsStream;
use crate::shard::{Exchanges, SessionHandle};

/// The most that one read takes: what hyper's own buffer begins with.
const SCRATCH_BYTES: usize = 8 << 10;

/// Where reads go first: hyper's memory cannot be lent to a call before it was cleared, which costs more than to copy the
/// little that comes. Shared by connections, because a poll leaves nothing in it.
#[derive(Clone, Debug)]
pub struct Scratch(Rc<RefCell<Box<[u8]>>>);

impl Default for Scratch {
    fn default() -> Self {
        let bytes = vec![0; SCRATCH_BYTES];
        Self(Rc::new(RefCell::new(bytes.into_boxed_slice())))
    }
}

/// What is below HTTP.
#[derive(Debug)]
pub(crate) enum Stream {
    /// TCP, or a Unix socket.
    Plain(PolledStream),
    /// TLS over that.
    Tls(Box<TlsStream>),
}

/// A connection under hyper. Its clones are the same connection: one is hyper's, one stays with the session, for what is to
/// be said when hyper has ended.
#[derive(Clone, Debug)]
pub struct HyperStream {
    inner: Rc<Inner>,
}

#[derive(Debug)]
struct Inner {
    stream: RefCell<Stream>,
    session: Rc<SessionHandle>,
    scratch: Scratch,
    /// A message has a time of its own from its first byte; where several are under way at once there is no such thing.
    has_one_message: bool,
    has_ended: Cell<bool>,
    is_write_blocked: Cell<bool>,
}

impl HyperStream {
    /// A connection without TLS.
    #[must_use]
    pub fn plain(stream: TcpStream, session: Rc<SessionHandle>, scratch: Scratch) -> Self {
        let stream = PolledStream::new(stream, session.cancel.clone());
        Self::new(Stream::Plain(stream), session, scratch, true)
    }

    pub(super) fn new(
        stream: Stream,
        session: Rc<SessionHandle>,
        scratch: Scratch,
        has_one_message: bool,
    ) -> Self {
        Self {
            inner: Rc::new(Inner {
                stream: RefCell::new(stream),
                session,
                scratch,
                has_one_message,
                has_ended: Cell::new(false),
                is_write_blocked: Cell::new(false),
            }),
        }
    }

    /// Reads once, and throws it away; 0 at the peer's end, and ever after.
    pub(super) async fn discard(&self) -> io::Result<usize> {
        let inner = &self.inner;
        if inner.has_ended.get() {
            return Ok(0);
        }
        let read = std::future::poll_fn(|context| {
            let mut scratch = inner.scratch.0.borrow_mut();
            inner.stream.borrow_mut().poll_read(context, &mut scratch)
        });
        read.await
    }

    /// Writes all of this.
    pub(super) async fn say(&self, mut bytes: &[u8]) -> io::Result<()> {
        let mut stream = self.clone();
        while !bytes.is_empty() {
            let written =
                std::future::poll_fn(|context| Pin::new(&mut stream).poll_write(context, bytes));
            bytes = bytes.get(written.await?..).unwrap_or_default();
        }
        std::future::poll_fn(|context| Pin::new(&mut stream).poll_flush(context)).await
    }

    /// Ends our direction.
    pub(super) async fn shutdown(&self) -> io::Result<()> {
        let mut stream = self.clone();
        std::future::poll_fn(|context| Pin::new(&mut stream).poll_shutdown(context)).await
    }
}

impl Inner {
    fn note_read(&self, count: usize) {
        self.has_ended.set(count == 0);
        let exchanges = self.session.exchanges.as_deref();
        let is_between = !exchanges.is_some_and(Exchanges::are_under_way);
        if count > 0 && self.has_one_message && is_between {
            self.session.note_message(true, shardcast_platform::now());
        }
    }

    /// Looks at the clock only when the peer does not take what it is sent.
    fn note_written<T>(&self, written: &Poll<io::Result<T>>) {
        match (written, self.is_write_blocked.get()) {
            (Poll::Pending, false) => {
                self.is_write_blocked.set(true);
                self.session.note_write(shardcast_platform::now());
            }
            (Poll::Ready(Ok(_)), true) => self.session.note_accepted(shardcast_platform::now()),
            _ => {}
        }
    }

    fn note_flushed(&self) {
        if self.is_write_blocked.replace(false) {
            self.session.note_write_end();
        }
    }
}

impl Read for HyperStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut room: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let inner = &self.inner;
        let mut scratch = inner.scratch.0.borrow_mut();
        let length = room.remaining().min(scratch.len());
        let Some(buffer) = scratch.get_mut(..length) else {
            return Poll::Ready(Ok(()));
        };
        let count = ready!(inner.stream.borrow_mut().poll_read(context, buffer))?;
        inner.note_read(count);
        room.put_slice(buffer.get(..count).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl Write for HyperStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut *self.inner.stream.borrow_mut() {
            Stream::Plain(stream) => stream.poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        };
        self.inner.note_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut *self.inner.stream.borrow_mut() {
            Stream::Plain(stream) => stream.poll_write_slices(context, slices),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        };
        self.inner.note_written(&written);
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match &mut *self.inner.stream.borrow_mut() {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        };
        match flushed {
            Poll::Ready(_) => self.inner.note_flushed(),
            Poll::Pending => self.inner.note_written(&flushed),
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.inner.stream.borrow_mut() {
            Stream::Plain(stream) => Poll::Ready(stream.shutdown_write()),
            Stream::Tls(stream) => Pin::new(stream).poll_close(context),
        }
    }
}

impl Stream {
    pub(super) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => stream.poll_read(context, buffer),
            Self::Tls(stream) => pin!(stream).poll_read(context, buffer),
        }
    }
}
