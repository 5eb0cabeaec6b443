//! Writes of a session, watched by its deadlines.

use std::time::Instant;

use bytes::Bytes;
use shardcast_platform::{Gather, Outcome, Slab, Slice};

use super::transport::{Sink, Source};
use crate::event::SessionEnd;
use crate::record::Count;
use crate::shard::SessionHandle;

/// Writes all of `gather`, one write after the other; the first begins at `now`. What was accepted is counted.
///
/// # Errors
/// Why the session is over.
pub(crate) fn write_fully(
    sink: &mut impl Sink,
    mut gather: Gather,
    session: &SessionHandle,
    now: Instant,
    accepted_bytes: Option<&Count>,
) -> impl Future<Output = (Result<(), SessionEnd>, Gather)> {
    session.note_write(now);
    // An `async fn` would hold its arguments twice, and every reader holds this.
    async move {
        let mut result = Ok(());
        while result.is_ok() && !gather.is_empty() {
            let (outcome, rest) = sink.write_or(gather, &session.cancel).await;
            gather = rest;
            result = match outcome {
                Outcome::Done(Ok(0)) => Err(SessionEnd::PeerClosed),
                Outcome::Done(Ok(bytes)) => {
                    // Whatever is written whole, as nearly all is, costs no look at the clock.
                    if !gather.is_empty() {
                        session.note_accepted(shardcast_platform::now());
                    }
                    accepted_bytes.inspect(|count| count.add(bytes as u64));
                    Ok(())
                }
                Outcome::Done(Err(error)) => Err(SessionEnd::Connection(error.to_string())),
                Outcome::Cancelled => Err(ended(session)),
            };
        }
        session.note_write_end();
        (result, gather)
    }
}

/// Writes one message.
///
/// # Errors
/// Why the session is over.
pub(crate) async fn write_message(
    sink: &mut impl Sink,
    message: Bytes,
    session: &SessionHandle,
) -> Result<(), SessionEnd> {
    let mut gather = Gather::new();
    if gather.push(Slice::new(message)).is_err() {
        unreachable!("an empty write has room for one slice");
    }
    let now = shardcast_platform::now();
    write_fully(sink, gather, session, now, None).await.0
}

/// Tells the peer that nothing more comes, and reads on until it has closed too or the session's deadline for that has
/// passed: a socket that is closed with unread bytes is reset, and takes from the peer what is on its way to it.
pub(crate) async fn linger<S: Source + Sink>(
    stream: &mut S,
    mut slab: Slab,
    session: &SessionHandle,
    reason: SessionEnd,
) {
    session.linger(reason, shardcast_platform::now());
    if stream.shutdown_write().await.is_ok() {
        discard(stream, &mut slab, session).await;
    }
}

/// Reads until the peer has closed.
pub(crate) async fn discard(source: &mut impl Source, slab: &mut Slab, session: &SessionHandle) {
    loop {
        let mut spare = std::mem::replace(slab, Slab::with_capacity(0));
        let filled = spare.len();
        drop(spare.split_to(filled));
        spare.reserve(DISCARD_BYTES);
        let (outcome, back) = source.read_or(spare, &session.cancel).await;
        *slab = back;
        if !matches!(outcome, Outcome::Done(Ok(1..))) {
            return;
        }
    }
}

/// Read at a time while discarding.
const DISCARD_BYTES: usize = 2048;

/// Why a cancelled session is over.
#[must_use]
pub(crate) fn ended(session: &SessionHandle) -> SessionEnd {
    session.ended().cloned().unwrap_or(SessionEnd::Shutdown)
}
