//! A listener: a cursor in the history, which writes what it finds as the body of a response.
//!
//! It is asked for more only when its connection has taken what came before. So a slow one stands still, and when its place
//! has fallen out of the history it is told how many events it has missed; nobody waits for it.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::feed::Seat;
use super::history::Entry;
use super::question::{Form, Question};
use crate::control::web::Pieces;
use crate::shard::Shard;

/// A listener is sent something so often, so that whoever stands between knows that the connection lives.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// Events that are looked at before others have their turn on this shard.
const ENTRIES_PER_TURN_MAX: usize = 256;

/// A piece that has so much is sent.
const PIECE_BYTES: usize = 16 << 10;

/// What a listener has to be told beside events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    /// That it is connected.
    Place,
    /// That events are missing before its place; nobody knows how many.
    Gap,
}

/// One listener.
pub(super) struct EventListener {
    shard: Rc<Shard>,
    seat: Seat,
    question: Question,
    greeting: Option<Greeting>,
    next: u64,
    news: u64,
    heartbeat: Pin<Box<dyn Future<Output = ()>>>,
}

impl EventListener {
    pub(super) fn new(shard: Rc<Shard>, seat: Seat, question: Question) -> Self {
        let (next, missed) = seat.feed().begin(question.begin);
        let greeting = match missed {
            Some(_nobody_knows) => Greeting::Gap,
            None => Greeting::Place,
        };
        Self {
            news: shard.news.place(),
            heartbeat: heartbeat(),
            greeting: Some(greeting),
            shard,
            seat,
            question,
            next,
        }
    }

    /// What there is from this listener's place on, as far as one piece goes; `None` at the history's end.
    fn read(&mut self) -> Option<Bytes> {
        let feed = self.seat.feed();
        let found = feed.read(self.next, ENTRIES_PER_TURN_MAX);
        if found.entries.is_empty() {
            return None;
        }
        let mut piece = BytesMut::new();
        self.next += found.missed;
        if found.missed > 0 {
            let id = feed.id_before(self.next);
            self.write(&Entry::gap(id, Some(found.missed)), &mut piece);
        }
        for entry in &found.entries {
            if piece.len() >= PIECE_BYTES {
                break;
            }
            self.next += 1;
            if self.question.asks_for(entry) {
                self.write(entry, &mut piece);
            }
        }
        Some(piece.freeze())
    }

    fn write(&self, entry: &Entry, piece: &mut BytesMut) {
        piece.extend_from_slice(match self.question.form {
            Form::SentEvents => entry.sent_event(),
            Form::JsonLines => entry.json_line(),
        });
    }

    /// Nothing but the place that was reached: with an id alone nothing is dispatched, but whoever comes again goes on
    /// from there (WHATWG HTML, section 9.2.6).
    fn place(&self) -> Bytes {
        match self.question.form {
            Form::SentEvents => {
                let id = self.seat.feed().id_before(self.next);
                format!(":\nid: {id}\n\n").into()
            }
            Form::JsonLines => Bytes::from_static(b"\n"),
        }
    }

    fn greet(&self, greeting: Greeting) -> Bytes {
        let mut piece = BytesMut::new();
        if greeting == Greeting::Gap {
            let id = self.seat.feed().id_before(self.next);
            self.write(&Entry::gap(id, None), &mut piece);
            return piece.freeze();
        }
        self.place()
    }
}

impl Pieces for EventListener {
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let listener = &mut *self;
        if let Some(greeting) = listener.greeting.take() {
            return Poll::Ready(Some(listener.greet(greeting)));
        }
        match listener.read() {
            Some(piece) if piece.is_empty() => {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(piece) => {
                listener.heartbeat = heartbeat();
                return Poll::Ready(Some(piece));
            }
            None if listener.shard.sessions.is_draining() => return Poll::Ready(None),
            None => {}
        }
        let shard = &listener.shard;
        shard.news.wake_at_next(listener.news, context.waker());
        if listener.heartbeat.as_mut().poll(context).is_ready() {
            listener.heartbeat = heartbeat();
            return Poll::Ready(Some(listener.place()));
        }
        Poll::Pending
    }
}

impl Drop for EventListener {
    fn drop(&mut self) {
        self.shard.news.leave(self.news);
    }
}

fn heartbeat() -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(shardcast_platform::sleep(HEARTBEAT_INTERVAL))
}
