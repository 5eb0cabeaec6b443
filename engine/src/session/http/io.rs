//! A transport as hyper wants it: polled, where ours lends buffers and awaits them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use shardcast_platform::{Cancel, Gather, Outcome, Slab, Slice};

use crate::session::transport::{Sink, Source, Transport};

/// Room for one read, and the most that one write takes.
const BUFFER_BYTES: usize = 16 << 10;

type Reading<S> = Pin<Box<dyn Future<Output = (S, Outcome, Slab)>>>;
type Writing<S> = Pin<Box<dyn Future<Output = (S, Outcome, Gather)>>>;

/// A connection under hyper. A half is with its operation, or here; an operation that has begun is awaited by the next
/// poll, whoever asks.
pub(super) struct HyperStream<T: Transport> {
    source: Option<T::Source>,
    slab: Slab,
    reading: Option<Reading<T::Source>>,
    sink: Option<T::Sink>,
    writing: Option<Writing<T::Sink>>,
    cancel: Cancel,
}

impl<T: Transport> HyperStream<T> {
    pub(super) fn new(stream: T, cancel: Cancel) -> Self {
        let (source, sink) = stream.split();
        Self {
            source: Some(source),
            slab: Slab::with_capacity(BUFFER_BYTES),
            reading: None,
            sink: Some(sink),
            writing: None,
            cancel,
        }
    }

    /// Waits until nothing is being written.
    fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(writing) = &mut self.writing else {
            return Poll::Ready(Ok(()));
        };
        let (sink, outcome, gather) = ready!(writing.as_mut().poll(context));
        self.writing = None;
        self.sink = Some(sink);
        done(outcome)?;
        if !gather.is_empty() {
            self.begin_write(gather);
            return self.poll_written(context);
        }
        Poll::Ready(Ok(()))
    }

    fn begin_write(&mut self, gather: Gather) {
        if let Some(mut sink) = self.sink.take() {
            let cancel = self.cancel.clone();
            self.writing = Some(Box::pin(async move {
                let (outcome, gather) = sink.write_or(gather, &cancel).await;
                (sink, outcome, gather)
            }));
        }
    }
}

impl<T: Transport> Unpin for HyperStream<T> {}

impl<T: Transport> Read for HyperStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut room: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.slab.is_empty() {
            if let Some(mut source) = self.source.take() {
                let mut slab = std::mem::take(&mut self.slab);
                let cancel = self.cancel.clone();
                slab.reserve(BUFFER_BYTES);
                self.reading = Some(Box::pin(async move {
                    let (outcome, slab) = source.read_or(slab, &cancel).await;
                    (source, outcome, slab)
                }));
            }
            if let Some(reading) = &mut self.reading {
                let (source, outcome, slab) = ready!(reading.as_mut().poll(context));
                self.reading = None;
                self.source = Some(source);
                self.slab = slab;
                done(outcome)?;
            }
        }
        let count = room.remaining().min(self.slab.len());
        room.put_slice(&self.slab.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<T: Transport> Write for HyperStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_written(context))?;
        let count = bytes.len().min(BUFFER_BYTES);
        let mut gather = Gather::new();
        let taken = bytes.get(..count).unwrap_or_default();
        let _is_empty = gather.push(Slice::new(Bytes::copy_from_slice(taken)));
        self.begin_write(gather);
        // It begins now; what is left of it is awaited before the next.
        match self.poll_written(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(count)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_written(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_written(context))?;
        match &mut self.sink {
            Some(sink) => {
                let ended = std::pin::pin!(sink.shutdown_write());
                ended.poll(context)
            }
            None => Poll::Ready(Ok(())),
        }
    }
}

fn done(outcome: Outcome) -> io::Result<usize> {
    match outcome {
        Outcome::Done(done) => done,
        Outcome::Cancelled => Err(io::ErrorKind::TimedOut.into()),
    }
}
