//! Bodies of requests, read whole before anybody works on them.

use std::pin::Pin;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body as _;
use hyper::body::Incoming;
use shardcast_runtime::local::{Either, race};

use super::refused::Refused;

/// Reads a body of at most so many bytes, until the deadline. Memory is taken for what has come, not for what is declared.
///
/// # Errors
/// Why there is none.
pub(super) async fn read_whole(
    headers: &HeaderMap,
    mut body: Incoming,
    bytes_max: usize,
    deadline: Instant,
) -> Result<Bytes, Refused> {
    if declared(headers).is_some_and(|bytes| bytes > bytes_max as u64) {
        return Err(Refused::BodyTooLarge);
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let read = std::pin::pin!(collect(&mut body, bytes_max));
    match race(read, shardcast_platform::sleep_until(deadline)).await {
        Either::First(whole) => whole,
        Either::Second(()) => Err(Refused::BodyUnfinished),
    }
}

async fn collect(body: &mut Incoming, bytes_max: usize) -> Result<Bytes, Refused> {
    let mut whole = BytesMut::new();
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        let data = match frame {
            None => return Ok(whole.freeze()),
            Some(Err(_)) => return Err(Refused::BadRequest("the body is cut short")),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        };
        if whole.len() + data.len() > bytes_max {
            return Err(Refused::BodyTooLarge);
        }
        if whole.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        whole.extend_from_slice(&data);
    }
}

/// `Content-Length`, if there is a sensible one.
fn declared(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}
