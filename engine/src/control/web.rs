//! What handlers see of HTTP: a request whose body was read whole, and the response that they give.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use http_body::{Frame, SizeHint};
use serde_json::Value;

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Its target, as the peer wrote it.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, at most as long as the site allows.
    pub body: Bytes,
    /// Who asks: the connection's peer, or whom a trusted proxy names.
    pub peer: SocketAddr,
    /// What the route's pattern captured, decoded (RFC 3986, section 2.1), by name.
    pub captures: Vec<(String, String)>,
}

impl Request {
    /// What the route's pattern captured under `name`; empty when it has no such part.
    #[must_use]
    pub fn capture(&self, name: &str) -> &str {
        let found = self.captures.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// The query's pairs, decoded.
    pub fn query(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let query = self.uri.query().unwrap_or_default();
        form_urlencoded::parse(query.as_bytes()).into_owned()
    }
}

/// What a handler on the clerk's thread gives: a response that is whole.
pub type Answer = http::Response<Bytes>;

/// What goes to the peer.
pub type Response = http::Response<Body>;

/// A response's body.
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// Piece by piece, for as long as `next` has more: asked again only when the connection has taken what came before, so
    /// that a slow peer holds no more than one piece.
    Pieces(Pin<Box<dyn Pieces>>),
}

/// A body that comes in pieces.
pub trait Pieces {
    /// The next piece, `None` at the end.
    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>>;
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Pieces(pieces) => {
                let next = pieces.as_mut().poll_next(context);
                next.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(bytes) => write!(f, "Whole({} bytes)", bytes.len()),
            Self::Pieces(_) => f.write_str("Pieces"),
        }
    }
}

/// A response with this JSON.
#[must_use]
pub fn json(status: StatusCode, value: &Value) -> Answer {
    json_text(status, value.to_string())
}

/// A response with this text, which is JSON.
#[must_use]
pub(super) fn json_text(status: StatusCode, text: String) -> Answer {
    let mut answer = Answer::new(text.into());
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

/// A refusal as MediaMTX's API writes it: `{"status":"error","error":"…"}`.
#[must_use]
pub fn error(status: StatusCode, message: &str) -> Answer {
    json(
        status,
        &serde_json::json!({ "status": "error", "error": message }),
    )
}

/// A refusal in one line of text, for what is no API.
#[must_use]
pub fn refusal(status: StatusCode) -> Answer {
    line(status, status.canonical_reason().unwrap_or_default())
}

/// One line of text.
#[must_use]
pub fn line(status: StatusCode, message: &str) -> Answer {
    let mut answer = Answer::new(format!("{message}\n").into());
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}
