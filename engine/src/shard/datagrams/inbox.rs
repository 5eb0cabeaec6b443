//! Where a publisher's datagrams wait for its session: each in the wire frame that it would have on the control connection,
//! one behind the other in chunks. This is the one copy that a datagram costs; from here on it is read in place.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use bytes::BytesMut;
use shardcast_platform::Slab;
use shardcast_runtime::local::Notify;

use super::ports::DatagramTaker;
use crate::shard::SessionHandle;
use crate::stream::WIRE_HEADER_BYTES;

/// Datagrams that wait for a session take at most so many bytes: a tenth of a second of 80 Mbit/s. More are dropped and
/// counted; the session sees a gap.
pub(super) const INBOX_BYTES_MAX: usize = 1 << 20;

/// Bytes of a chunk; one more is allocated when it is full.
const CHUNK_BYTES: usize = 64 * 1024;

/// A publisher's datagrams that have come and were not looked at yet.
#[derive(Debug)]
pub struct DatagramInbox {
    session: Rc<SessionHandle>,
    open: RefCell<Slab>,
    /// Chunks that are full.
    full: RefCell<Vec<BytesMut>>,
    waiting_bytes: Cell<usize>,
    /// When the first of those that wait was read.
    read_at: Cell<Option<Instant>>,
    /// Datagrams that found no room.
    dropped: Cell<u64>,
    /// Something has come; the session waits for it.
    pub news: Notify,
}

impl DatagramInbox {
    /// An empty inbox of a session.
    #[must_use]
    pub fn new(session: &Rc<SessionHandle>) -> Rc<Self> {
        Rc::new(Self {
            session: session.clone(),
            open: RefCell::new(Slab::with_capacity(CHUNK_BYTES)),
            full: RefCell::default(),
            waiting_bytes: Cell::new(0),
            read_at: Cell::new(None),
            dropped: Cell::new(0),
            news: Notify::new(),
        })
    }

    /// All that has come, in order: chunks of whole frames.
    pub fn take(&self) -> Vec<BytesMut> {
        let mut chunks = std::mem::take(&mut *self.full.borrow_mut());
        let mut open = self.open.borrow_mut();
        let filled = open.len();
        if filled > 0 {
            chunks.push(open.split_to(filled));
        }
        self.waiting_bytes.set(0);
        chunks
    }

    /// When the first of those was read that [`Self::take`] gives next, if there are any.
    pub fn take_read_time(&self) -> Option<Instant> {
        self.read_at.take()
    }

    /// Datagrams that were dropped since it was last asked.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.replace(0)
    }

    fn push(&self, header: [u8; WIRE_HEADER_BYTES], bytes: &[u8]) {
        let frame_bytes = WIRE_HEADER_BYTES + bytes.len();
        let mut open = self.open.borrow_mut();
        if open.spare() < frame_bytes {
            let next = Slab::with_capacity(CHUNK_BYTES.max(frame_bytes));
            let full = std::mem::replace(&mut *open, next);
            if !full.is_empty() {
                self.full.borrow_mut().push(full.into_bytes_mut());
            }
        }
        open.extend_from_slice(&header);
        open.extend_from_slice(bytes);
        self.waiting_bytes
            .set(self.waiting_bytes.get() + frame_bytes);
    }
}

impl DatagramTaker for DatagramInbox {
    fn take_datagram(&self, track: u8, is_rtcp: bool, bytes: &[u8]) {
        let channel = track.checked_mul(2).map(|rtp| rtp + u8::from(is_rtcp));
        let (Some(channel), Ok(len)) = (channel, u16::try_from(bytes.len())) else {
            return;
        };
        if self.waiting_bytes.get() + bytes.len() > INBOX_BYTES_MAX {
            self.dropped.set(self.dropped.get() + 1);
            return;
        }
        let [high, low] = len.to_be_bytes();
        self.push([b'$', channel, high, low], bytes);
        let now = shardcast_platform::now();
        self.read_at.set(self.read_at.get().or(Some(now)));
        self.session.note_media(now);
        self.news.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session_id::SessionId;

    fn inbox() -> Rc<DatagramInbox> {
        let peer = ([127, 0, 0, 1], 1).into();
        let session = SessionHandle::new(SessionId::new(1), peer, Instant::now());
        DatagramInbox::new(&Rc::new(session))
    }

    #[test]
    fn datagrams_wait_in_order_as_frames() {
        let inbox = inbox();
        inbox.take_datagram(0, false, b"one");
        inbox.take_datagram(1, true, b"two");
        let chunks = inbox.take();
        assert_eq!(chunks.concat(), b"$\0\0\x03one$\x03\0\x03two");
        assert!(inbox.take().is_empty());
    }

    #[test]
    fn a_frame_lies_in_one_chunk_and_what_is_over_the_maximum_is_dropped() {
        let inbox = inbox();
        let datagram = [7; 1400];
        let fitting = INBOX_BYTES_MAX / (datagram.len() + WIRE_HEADER_BYTES);
        for _ in 0..fitting + 10 {
            inbox.take_datagram(0, false, &datagram);
        }
        let chunks = inbox.take();
        let frame_bytes = datagram.len() + WIRE_HEADER_BYTES;
        assert!(chunks.iter().all(|chunk| chunk.len() % frame_bytes == 0));
        let kept: usize = chunks.iter().map(|chunk| chunk.len() / frame_bytes).sum();
        assert_eq!(kept as u64 + inbox.take_dropped(), fitting as u64 + 10);
        assert!((9..=11).contains(&(fitting + 10 - kept)), "{kept}");
        inbox.take_datagram(0, false, &datagram);
        assert_eq!(inbox.take().len(), 1);
    }
}
