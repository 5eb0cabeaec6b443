//! What goes back: a response's body, watched from its request on, so that a connection knows what is under way on it.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use crate::control::Body;
use crate::event::SessionEnd;
use crate::refusal::RefusalReason;
use crate::shard::{Exchanges, SessionHandle};

/// Requests of a connection that their peer has abandoned before they were answered, beyond those that were answered. A
/// player that seeks abandons a few; who opens streams to reset them at once abandons nothing else.
const ABANDONED_MAX: u32 = 100;

/// A request that is being answered, until it is dropped.
#[derive(Debug)]
pub(super) struct Exchange {
    session: Rc<SessionHandle>,
    number: u64,
    is_answered: bool,
}

impl Exchange {
    /// A request has come.
    pub(super) fn begin(session: &Rc<SessionHandle>) -> Self {
        session.note_request(shardcast_platform::now());
        session.note_message_end();
        let exchanges = session.exchanges.as_deref();
        Self {
            session: session.clone(),
            number: exchanges.map(Exchanges::begin).unwrap_or_default(),
            is_answered: false,
        }
    }

    /// There is a response, whose body goes out as long as this lives.
    pub(super) fn respond(mut self, response: http::Response<Body>) -> http::Response<Watched> {
        self.is_answered = true;
        // Over HTTP/2 a body is not asked for while its peer has no window for it.
        if !response.body().is_end_stream() {
            self.note_piece();
        }
        response.map(|body| {
            let draining = matches!(body, Body::Pieces(_)).then(|| until_draining(&self.session));
            Watched {
                body,
                draining,
                exchange: self,
            }
        })
    }

    fn note_piece(&self) {
        let exchanges = self.session.exchanges.as_deref();
        exchanges.inspect(|them| them.note_piece(self.number, shardcast_platform::now()));
    }

    fn note_piece_taken(&self) {
        let exchanges = self.session.exchanges.as_deref();
        exchanges.inspect(|them| them.note_piece_taken(self.number));
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(exchanges) = &self.session.exchanges else {
            return;
        };
        self.session.note_request(shardcast_platform::now());
        exchanges.note_piece_taken(self.number);
        if exchanges.end(self.is_answered) > ABANDONED_MAX {
            let why = "one request after the other was abandoned".into();
            let end = SessionEnd::Protocol(RefusalReason::Http2Flood, why);
            self.session.end(end);
        }
    }
}

type Draining = Pin<Box<dyn Future<Output = ()>>>;

/// A body on its way.
pub(super) struct Watched {
    body: Body,
    /// Resolves when a body without end has to come to one.
    draining: Option<Draining>,
    exchange: Exchange,
}

fn until_draining(session: &Rc<SessionHandle>) -> Draining {
    let session = session.clone();
    Box::pin(async move {
        match &session.exchanges {
            Some(exchanges) => exchanges.winding_down.cancelled().await,
            None => std::future::pending().await,
        }
    })
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        this.exchange.note_piece_taken();
        let draining = this.draining.as_mut();
        if draining.is_some_and(|draining| draining.as_mut().poll(context).is_ready()) {
            return Poll::Ready(None);
        }
        let frame = Pin::new(&mut this.body).poll_frame(context);
        if let Poll::Ready(Some(_)) = &frame {
            this.exchange.note_piece();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
