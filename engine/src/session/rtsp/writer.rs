//! The writing half of a reader: answers first, then whatever the log has at the reader's cursor, in one vectored write.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use shardcast_platform::{Gather, Slice};
use shardcast_runtime::local::{Notify, Sender};

use super::play::Subscription;
use crate::egress::{Fill, TcpQueue};
use crate::event::{Event, SessionEnd};
use crate::fanout::Drop as Dropped;
use crate::record::SessionRecord;
use crate::session::transport::Sink;
use crate::session::writing::write_fully;
use crate::shard::{SessionHandle, Shard};
use crate::supervise::{STAGE_WRITE, session_mark};

/// Drops of one reader are told at most so often.
const DROP_SUMMARY_INTERVAL: Duration = Duration::from_secs(10);

/// What the two tasks of a reader share.
pub(super) struct Play {
    pub(super) session: Rc<SessionHandle>,
    pub(super) record: Arc<SessionRecord>,
    pub(super) subscription: Subscription,
    /// Answers that wait for the writer. Bounded: the reading task waits while they are many.
    pub(super) answers: RefCell<Vec<Bytes>>,
    /// The writer has written; told to the reading task.
    pub(super) answered: Notify,
    pub(super) stop: Cell<bool>,
}

/// How the writer ended.
pub(super) enum WriterEnd {
    /// It was told to stop.
    Stopped,
    /// The stream is delivered to its end.
    Delivered(SessionEnd),
    /// It cannot go on.
    Failed(SessionEnd),
}

pub(super) fn spawn_writer<S: Sink>(
    shard: &Rc<Shard>,
    play: &Rc<Play>,
    queue: TcpQueue,
    sink: S,
    done: Sender<(S, WriterEnd)>,
) {
    let (id, path) = (play.session.id, play.subscription.entry.id);
    let (task, panicked) = (play.clone(), play.clone());
    let write = async move {
        let (sink, end) = write_media(&task, queue, sink).await;
        let _session_is_gone = done.send((sink, end));
    };
    shard.context.spawn_session(
        session_mark(STAGE_WRITE, Some(path), id),
        write,
        move |message| {
            let events = &panicked.subscription.shard.server.events;
            events.publish(&Event::SessionPanicked {
                session: panicked.session.id,
                message,
            });
            panicked.session.end(SessionEnd::Panicked);
        },
    );
}

/// Writes until the reader stops, the stream is delivered, or the connection fails.
async fn write_media<S: Sink>(play: &Play, mut queue: TcpQueue, mut sink: S) -> (S, WriterEnd) {
    let mut gather = Gather::new();
    let mut drops = DropSummary::default();
    loop {
        play.take_answers(&mut gather);
        let fill = play.fill(&mut queue, &mut gather, &mut drops);
        let (result, written) = write_fully(
            &mut sink,
            gather,
            &play.session,
            Some(&play.record.outbound_bytes),
        )
        .await;
        gather = written;
        play.answered.notify();
        if let Err(end) = result {
            play.session.end(end.clone());
            return (sink, WriterEnd::Failed(end));
        }
        match fill {
            _ if play.stop.get() => {
                if play.answers.borrow().is_empty() {
                    return (sink, WriterEnd::Stopped);
                }
            }
            Fill::Ready => {}
            Fill::Empty => play.subscription.seat.wake.notified().await,
            Fill::TooSlow(reason) => {
                let end = SessionEnd::TooSlow(reason);
                play.session.end(end.clone());
                return (sink, WriterEnd::Failed(end));
            }
            Fill::Ended(reason) => {
                let end = SessionEnd::Stream(reason);
                play.session.linger(end.clone(), shardcast_platform::now());
                let _peer_may_be_gone = sink.shutdown_write().await;
                return (sink, WriterEnd::Delivered(end));
            }
        }
    }
}

impl Play {
    fn take_answers(&self, gather: &mut Gather) {
        for answer in self.answers.borrow_mut().drain(..) {
            if gather.push(Slice::new(answer)).is_err() {
                unreachable!("a write has room for all answers that may wait");
            }
        }
    }

    /// Takes media behind the answers, unless the reader is to stop.
    fn fill(&self, queue: &mut TcpQueue, gather: &mut Gather, drops: &mut DropSummary) -> Fill {
        if self.stop.get() {
            return Fill::Empty;
        }
        let now = shardcast_platform::now();
        let fill = queue.fill(&self.subscription.log.log.borrow(), gather, now);
        self.record.packets.set(queue.packets_taken());
        if let Some(dropped) = queue.poll_drop() {
            self.record.dropped_bytes.add(dropped.bytes);
            self.record.drops.add(1);
            drops.add(dropped);
        }
        if let Some((dropped, times)) = drops.poll(now) {
            let (session, path) = (self.session.id, self.subscription.entry.name.clone());
            let event = Event::ReaderDropped {
                session,
                path,
                reason: dropped.reason,
                bytes: dropped.bytes,
                times,
            };
            self.subscription.shard.server.events.publish(&event);
        }
        fill
    }
}

/// The drops of a reader since they were last told.
#[derive(Default)]
struct DropSummary {
    dropped: Option<Dropped>,
    times: u64,
    last_told: Option<Instant>,
}

impl DropSummary {
    fn add(&mut self, dropped: Dropped) {
        let bytes = self.dropped.map_or(0, |before| before.bytes) + dropped.bytes;
        self.dropped = Some(Dropped { bytes, ..dropped });
        self.times += 1;
    }

    fn poll(&mut self, now: Instant) -> Option<(Dropped, u64)> {
        let is_due = self
            .last_told
            .is_none_or(|told| now.saturating_duration_since(told) >= DROP_SUMMARY_INTERVAL);
        let dropped = self.dropped.take_if(|_| is_due)?;
        self.last_told = Some(now);
        Some((dropped, std::mem::take(&mut self.times)))
    }
}
