//! A ring that loses nothing: what does not fit waits in a *spill list* at the sender, which goes
//! first and in order. Messages come from one shard's sessions and leave to the ring's reader on
//! another shard.
//!
//! Nobody polls a spill list. The sender asks (`Appetite`) to be woken once the reader has made
//! room, and tries once more after asking, so that room made in between is not missed.
//!
//! Deliberately absent: any waiting. A send never blocks and never fails.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ring::RingWriter;
use super::sync::{AtomicBool, Ordering, fence};

/// Most messages in one spill list. A session has at most 4 control messages outstanding and a
/// process at most a million descriptors, so a longer list is a bug of ours (a loop of messages),
/// not load; the context makes it a shard's panic, before it takes the machine's memory.
pub(crate) const SPILL_MESSAGES_MAX: usize = 4 << 20;

/// Slots of a spill list that are kept once it is empty again; what a rare burst took beyond is
/// given back.
const SPILL_KEPT: usize = 1024;

/// Set by the sender of a full ring, taken by its reader when that has made room.
#[derive(Debug, Default)]
struct Appetite {
    hungry: AtomicBool,
}

impl Appetite {
    /// After this, either the caller sees the room that the reader has made, or the reader sees the
    /// request.
    fn ask(&self) {
        self.hungry.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// True while an earlier request stands: the reader has not taken it, so it will still answer.
    fn is_asked(&self) -> bool {
        self.hungry.load(Ordering::Relaxed)
    }

    /// The reader's side, after it has taken items: whether the sender waits for that news.
    fn take(&self) -> bool {
        fence(Ordering::SeqCst);
        self.hungry.load(Ordering::Relaxed) && self.hungry.swap(false, Ordering::Relaxed)
    }
}

/// Both ends of a lossless ring around the two ends of a bounded one.
pub(crate) fn lossless<T, W, R>(ring: (W, R)) -> (LosslessWriter<T, W>, LosslessReader<R>) {
    let appetite = Arc::new(Appetite::default());
    let writer = LosslessWriter {
        ring: ring.0,
        spill: VecDeque::new(),
        appetite: Arc::clone(&appetite),
    };
    let reader = LosslessReader {
        ring: ring.1,
        appetite,
    };
    (writer, reader)
}

/// The sender's end, with its spill list.
pub(crate) struct LosslessWriter<T, W> {
    ring: W,
    spill: VecDeque<T>,
    appetite: Arc<Appetite>,
}

impl<T, W: RingWriter<T>> LosslessWriter<T, W> {
    /// Sends `item` after everything that was sent before it. It is in the ring or in the spill
    /// list afterwards.
    pub(crate) fn send(&mut self, item: T) {
        if self.spill.is_empty() {
            match self.ring.push(item) {
                Ok(()) => return,
                Err(item) => self.spill.push_back(item),
            }
        } else {
            self.spill.push_back(item);
        }
        if !self.appetite.is_asked() {
            self.flush();
        }
    }

    /// Moves what fits from the spill list into the ring and, if something is left, asks to be
    /// woken for it. Returns how many went.
    pub(crate) fn flush(&mut self) -> usize {
        let mut moved = self.refill();
        if !self.spill.is_empty() {
            self.appetite.ask();
            moved += self.refill();
        }
        moved
    }

    /// Whether [`flush`](Self::flush) has something to do: messages to move, or a request to
    /// repeat.
    ///
    /// The reader may take a request for room that the sender has used up already. Nobody will wake
    /// the sender then, so it must not sleep before it has asked again.
    pub(crate) fn wants_flush(&self) -> bool {
        !self.spill.is_empty() && (self.ring.has_room() || !self.appetite.is_asked())
    }

    /// Messages in the spill list.
    pub(crate) fn spilled(&self) -> usize {
        self.spill.len()
    }

    fn refill(&mut self) -> usize {
        let before = self.spill.len();
        while let Some(item) = self.spill.pop_front() {
            if let Err(item) = self.ring.push(item) {
                self.spill.push_front(item);
                break;
            }
        }
        let moved = before - self.spill.len();
        if self.spill.is_empty() && moved > 0 {
            self.spill.shrink_to(SPILL_KEPT);
        }
        moved
    }
}

/// The receiver's end.
pub(crate) struct LosslessReader<R> {
    ring: R,
    appetite: Arc<Appetite>,
}

impl<R> LosslessReader<R> {
    /// The ring itself, to look at.
    pub(crate) fn ring(&self) -> &R {
        &self.ring
    }

    /// The ring itself, to take from.
    pub(crate) fn ring_mut(&mut self) -> &mut R {
        &mut self.ring
    }

    /// To be called once after taking items: true when the sender waits for room, and must be
    /// woken.
    pub(crate) fn sender_waits(&self) -> bool {
        self.appetite.take()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn pair(
        capacity: usize,
    ) -> (
        LosslessWriter<u32, rtrb::Producer<u32>>,
        LosslessReader<rtrb::Consumer<u32>>,
    ) {
        lossless(rtrb::RingBuffer::new(capacity))
    }

    #[test]
    fn an_overflow_keeps_order_and_loses_nothing() {
        let (mut writer, mut reader) = pair(4);
        let mut received = Vec::new();
        for item in 0..100 {
            writer.send(item);
            if item % 7 == 0 {
                received.extend(reader.ring_mut().pop());
            }
        }
        assert!(writer.spilled() > 80);
        while writer.spilled() > 0 || reader.ring().slots() > 0 {
            received.extend(std::iter::from_fn(|| reader.ring_mut().pop().ok()));
            writer.flush();
        }
        assert_eq!(received, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn the_reader_learns_that_a_sender_waits_exactly_when_it_spilled() {
        let (mut writer, mut reader) = pair(2);
        writer.send(0);
        writer.send(1);
        assert!(!reader.sender_waits());
        writer.send(2);
        assert_eq!(writer.spilled(), 1);
        assert!(!writer.wants_flush());
        assert_eq!(reader.ring_mut().pop(), Ok(0));
        assert!(reader.sender_waits());
        assert!(!reader.sender_waits());
        assert!(writer.wants_flush());
        assert_eq!(writer.flush(), 1);
        assert_eq!(writer.spilled(), 0);
    }

    #[test]
    fn a_sender_that_still_has_a_spill_list_after_a_flush_asks_again() {
        let (mut writer, mut reader) = pair(1);
        for item in 0..3 {
            writer.send(item);
        }
        for expected in 0..2 {
            assert_eq!(reader.ring_mut().pop(), Ok(expected));
            assert!(reader.sender_waits());
            assert_eq!(writer.flush(), 1);
        }
        assert_eq!(reader.ring_mut().pop(), Ok(2));
    }

    #[test]
    fn a_request_that_was_answered_too_late_is_repeated_before_the_sender_sleeps() {
        let (mut writer, mut reader) = pair(1);
        for item in 0..3 {
            writer.send(item);
        }
        assert_eq!(reader.ring_mut().pop(), Ok(0));
        // The sender sees the room by itself, and only then the reader takes the request.
        assert_eq!(writer.flush(), 1);
        assert!(reader.sender_waits());
        assert!(
            writer.wants_flush(),
            "nobody will wake it for the last message"
        );
        assert_eq!(writer.flush(), 0);
        assert!(!writer.wants_flush());
        assert_eq!(reader.ring_mut().pop(), Ok(1));
        assert!(reader.sender_waits());
    }
}
