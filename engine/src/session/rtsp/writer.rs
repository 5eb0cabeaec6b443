//! The writing half of a reader: answers first, then whatever the log has at the reader's cursor, in one vectored write.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use shardcast_platform::{Gather, Slice, sleep_until};
use shardcast_runtime::local::{Notify, Sender, race};

use super::datagrams::DatagramReader;
use super::play::Subscription;
use super::reported::ReportedLosses;
use crate::connections::ConnectionRecord;
use crate::drops::{ReaderDrops, Slow};
use crate::egress::{Fill, TcpQueue};
use crate::event::{Event, SessionEnd};
use crate::fanout::EndReason;
use crate::record::SessionRecord;
use crate::session::transport::Sink;
use crate::session::writing::write_fully;
use crate::shard::{MulticastGroup, SessionHandle, Shard};
use crate::supervise::{STAGE_WRITE, session_mark};

/// How long a connection is left to a reader of datagrams that has been told of the end: GStreamer (1.22) has up to 2 s of
/// packets in its own buffer, opens another connection when this one ends before it has played them, and asks in vain to
/// pause there.
const PARTING: Duration = Duration::from_secs(5);

/// A write that took so long has waited for its peer, whose kernel queue is part of what a slow reader has before it. A
/// quick reader's takes a turn of the shard, a few milliseconds at the most, and costs no question to the kernel.
const WRITE_WAIT_MIN: Duration = Duration::from_millis(20);

/// What the two tasks of a reader share.
pub(super) struct Play {
    pub(super) session: Rc<SessionHandle>,
    pub(super) connection: Arc<ConnectionRecord>,
    pub(super) record: Arc<SessionRecord>,
    pub(super) losses: Rc<ReportedLosses>,
    pub(super) subscription: Subscription,
    /// Answers that wait for the writer. Bounded: the reading task waits while they are many.
    pub(super) answers: RefCell<Vec<Bytes>>,
    /// The writer has written; told to the reading task.
    pub(super) answered: Notify,
    pub(super) stop: Cell<bool>,
}

impl Drop for Play {
    /// The reader plays no more, however that has come: what was counted of it stays with its path.
    fn drop(&mut self) {
        let Subscription { shard, entry, .. } = &self.subscription;
        shard.server.records.remove(self.session.id);
        let outbound_bytes = self.record.outbound_bytes.value();
        let ended = &entry.ended_outbound_bytes;
        ended.fetch_add(outbound_bytes, Ordering::Relaxed);
    }
}

/// The writer's half, when it has ended. Boxed, because the place for it is kept as long as the reader plays.
pub(super) type Written<S> = Box<(S, WriterEnd)>;

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
    media: Media,
    sink: S,
    done: Sender<Written<S>>,
) {
    let (id, path) = (play.session.id, play.subscription.entry.id);
    let panicked = play.clone();
    let mut writer = Box::new(Writer {
        play: play.clone(),
        sink,
        drops: ReaderDrops::default(),
    });
    let write = async move {
        let end = match media {
            Media::Interleaved(queue) => {
                let end = writer.write_media(queue).await;
                writer.drops.finish(writer.play.slow());
                end
            }
            Media::Datagrams(reader) => {
                let end = Box::pin(writer.follow_feed(&reader)).await;
                reader.finish_drops(&writer.play.subscription.shard);
                end
            }
            Media::Group(group) => {
                let end = Box::pin(writer.follow_group()).await;
                drop(group);
                end
            }
        };
        let _session_is_gone = done.send(Box::new((writer.sink, end)));
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

/// How a reader is given media.
pub(super) enum Media {
    /// Between the messages of the connection. Boxed, because tasks hold what they are given twice.
    Interleaved(Box<TcpQueue>),
    /// In datagrams, by the stream's feed.
    Datagrams(Box<DatagramReader>),
    /// In datagrams to a group, by somebody else.
    Group(Rc<MulticastGroup>),
}

/// The writing half.
pub(super) struct Writer<S> {
    pub(super) play: Rc<Play>,
    sink: S,
    drops: ReaderDrops,
}

impl<S: Sink> Writer<S> {
    /// Writes until the reader stops, the stream is delivered, or the connection fails.
    async fn write_media(&mut self, mut queue: Box<TcpQueue>) -> WriterEnd {
        let (mut gather, mut has_waited) = (Gather::new(), false);
        loop {
            self.play.take_answers(&mut gather);
            let mut fill = Fill::Empty;
            if !gather.is_empty() || self.has_news(&queue) {
                let now = shardcast_platform::now();
                let kernel_bytes = if has_waited { self.kernel_bytes() } else { 0 };
                fill = self.fill(&mut queue, &mut gather, kernel_bytes, now);
                let (play, sink) = (&self.play, &mut self.sink);
                let count = Some(&play.record.outbound_bytes);
                let (result, written) = write_fully(sink, gather, &play.session, now, count).await;
                gather = written;
                play.answered.notify();
                if let Err(end) = result {
                    return self.fail(end);
                }
                has_waited = self.note_written(&mut queue, now);
            }
            match fill {
                _ if self.play.stop.get() => {
                    if !self.play.has_answers() {
                        return WriterEnd::Stopped;
                    }
                }
                // A group of pictures is many writes, and others have theirs between them.
                Fill::Ready if queue.is_beginning() && self.has_news(&queue) => {
                    Box::pin(self.play.subscription.shard.catch_up_turns.wait()).await;
                }
                Fill::Ready => {}
                Fill::Empty => self.play.subscription.seat.wake.notified().await,
                Fill::TooSlow(reason) => return self.fail(SessionEnd::TooSlow(reason)),
                Fill::Ended(reason) => return self.deliver_end(SessionEnd::Stream(reason)).await,
            }
        }
    }

    /// What was taken last has left; whether that had to wait for the peer.
    fn note_written(&self, queue: &mut TcpQueue, begun: Instant) -> bool {
        let (record, cargo) = (&self.play.record, queue.take_cargo());
        record.progress.set(queue.place());
        if cargo.is_empty() {
            return false;
        }
        let (latency, now) = (&self.play.subscription.latency, shardcast_platform::now());
        if let Some((latency_us, packets)) = cargo.record(latency, now, 1) {
            record.latency.note(latency_us, packets.into());
        }
        now.saturating_duration_since(begun) >= WRITE_WAIT_MIN
    }

    /// What the kernel holds for the reader; nothing where it does not say.
    fn kernel_bytes(&self) -> u64 {
        let held = self.sink.unacknowledged_bytes();
        held.map_or(0, |bytes| bytes as u64)
    }

    /// Nothing but answers, while media comes from the group's own sender.
    async fn follow_group(&mut self) -> WriterEnd {
        loop {
            if let Err(end) = self.write_answers().await {
                return self.fail(end);
            }
            if self.play.stop.get() && !self.play.has_answers() {
                return WriterEnd::Stopped;
            }
            let ended = self.play.subscription.log.log.borrow().ended();
            if let Some(reason) = ended {
                return self.part(reason).await;
            }
            self.play.subscription.seat.wake.notified().await;
        }
    }

    /// A reader of datagrams has been told of the end and leaves by itself; one that does not is left.
    pub(super) async fn part(&mut self, reason: EndReason) -> WriterEnd {
        // A server that goes down cannot wait.
        if reason != EndReason::Shutdown
            && let Some(end) = self.serve_for(PARTING).await
        {
            return end;
        }
        self.deliver_end(SessionEnd::Stream(reason)).await
    }

    /// Writes answers for so long; gives the writer's end, if it comes meanwhile.
    pub(super) async fn serve_for(&mut self, time: Duration) -> Option<WriterEnd> {
        let until = shardcast_platform::now() + time;
        loop {
            if let Err(end) = self.write_answers().await {
                return Some(self.fail(end));
            }
            if self.play.stop.get() && !self.play.has_answers() {
                return Some(WriterEnd::Stopped);
            }
            if shardcast_platform::now() >= until {
                return None;
            }
            let news = self.play.subscription.seat.wake.notified();
            let _either = race(news, sleep_until(until)).await;
        }
    }

    /// Writes the answers that wait.
    pub(super) async fn write_answers(&mut self) -> Result<(), SessionEnd> {
        if !self.play.has_answers() {
            return Ok(());
        }
        let mut gather = Gather::new();
        self.play.take_answers(&mut gather);
        let (play, now) = (&self.play, shardcast_platform::now());
        let count = Some(&play.connection.outbound_bytes);
        let (written, _) = write_fully(&mut self.sink, gather, &play.session, now, count).await;
        play.answered.notify();
        written
    }

    /// Everything was given; the peer is told that nothing more comes.
    pub(super) async fn deliver_end(&mut self, end: SessionEnd) -> WriterEnd {
        let now = shardcast_platform::now();
        self.play.session.linger(end.clone(), now);
        let _peer_may_be_gone = self.sink.shutdown_write().await;
        WriterEnd::Delivered(end)
    }

    pub(super) fn fail(&self, end: SessionEnd) -> WriterEnd {
        self.play.session.end(end.clone());
        WriterEnd::Failed(end)
    }

    /// Whether it is worth a look at the clock: most rounds end here, when all has been written.
    fn has_news(&self, queue: &TcpQueue) -> bool {
        let log = &self.play.subscription.log.log;
        !self.play.stop.get() && queue.has_news(&log.borrow())
    }

    /// Takes media behind the answers, unless the reader is to stop.
    fn fill(
        &mut self,
        queue: &mut TcpQueue,
        gather: &mut Gather,
        kernel_bytes: u64,
        now: Instant,
    ) -> Fill {
        let play = &*self.play;
        if play.stop.get() {
            return Fill::Empty;
        }
        let log = &play.subscription.log.log;
        let fill = queue.fill(&log.borrow(), gather, kernel_bytes, now);
        let taken = queue.take_taken();
        play.record.packets.add(taken.packets.into());
        if taken.rtcp > 0 {
            play.record.outbound_rtcp_packets.add(taken.rtcp.into());
        }
        self.drops.note(queue.poll_drop(), now, play.slow());
        fill
    }
}

impl Play {
    pub(super) fn has_answers(&self) -> bool {
        !self.answers.borrow().is_empty()
    }

    fn slow(&self) -> Slow<'_> {
        Slow {
            record: &self.record,
            path: &self.subscription.entry,
            server: &self.subscription.shard.server,
        }
    }

    fn take_answers(&self, gather: &mut Gather) {
        let mut answers = self.answers.borrow_mut();
        if answers.is_empty() {
            return;
        }
        // The next answer comes in half a minute, if ever.
        for answer in std::mem::take(&mut *answers) {
            if gather.push(Slice::new(answer)).is_err() {
                unreachable!("a write has room for all answers that may wait");
            }
        }
    }
}
