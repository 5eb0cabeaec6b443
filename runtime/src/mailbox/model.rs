//! The mailbox under loom: the lossless ring as it ships, around a stand-in for `rtrb` whose every
//! access loom sees. Run with `RUSTFLAGS="--cfg loom" cargo test -p shardcast-runtime --lib model`.
//!
//! What it cannot catch: mistakes of the real ring (miri runs that) and of the doorbell (the
//! platform's own model).

use std::sync::Arc;

use loom::sync::Notify;
use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use loom::thread;

use super::lossless::lossless;
use super::ring::{RingReader, RingWriter};

/// A ring of numbers with the memory orderings of `rtrb`: indexes run on and on, slots are taken
/// modulo capacity.
struct Ring {
    slots: Vec<AtomicU64>,
    head: AtomicUsize,
    tail: AtomicUsize,
}

struct Writer(Arc<Ring>);
struct Reader(Arc<Ring>);

fn ring(capacity: usize) -> (Writer, Reader) {
    let ring = Arc::new(Ring {
        slots: (0..capacity).map(|_| AtomicU64::new(0)).collect(),
        head: AtomicUsize::new(0),
        tail: AtomicUsize::new(0),
    });
    (Writer(Arc::clone(&ring)), Reader(ring))
}

impl RingWriter<u64> for Writer {
    fn push(&mut self, item: u64) -> Result<(), u64> {
        if !self.has_room() {
            return Err(item);
        }
        let tail = self.0.tail.load(Ordering::Relaxed);
        self.0.slots[tail % self.0.slots.len()].store(item, Ordering::Relaxed);
        self.0.tail.store(tail + 1, Ordering::Release);
        Ok(())
    }

    fn has_room(&self) -> bool {
        let head = self.0.head.load(Ordering::Acquire);
        self.0.tail.load(Ordering::Relaxed) - head < self.0.slots.len()
    }
}

impl RingReader<u64> for Reader {
    fn pop(&mut self) -> Option<u64> {
        if self.is_empty() {
            return None;
        }
        let head = self.0.head.load(Ordering::Relaxed);
        let item = self.0.slots[head % self.0.slots.len()].load(Ordering::Relaxed);
        self.0.head.store(head + 1, Ordering::Release);
        Some(item)
    }

    fn len(&self) -> usize {
        self.0.tail.load(Ordering::Acquire) - self.0.head.load(Ordering::Relaxed)
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Switches between the two threads that are tried in one run, beside those where one has to wait.
/// A lost wake needs two; three keep the search within seconds.
const PREEMPTIONS_MAX: usize = 3;

/// The sender sleeps while its spill list cannot move; only the reader's word wakes it. A word that
/// is never given is a deadlock, and loom reports it.
fn everything_arrives(messages: u64, capacity: usize) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(PREEMPTIONS_MAX);
    model.check(move || {
        let (mut writer, mut reader) = lossless(ring(capacity));
        let bell = Arc::new(Notify::new());
        let waits = Arc::clone(&bell);
        let sender = thread::spawn(move || {
            for number in 0..messages {
                writer.send(number);
            }
            // As a shard does: flush if that is wanted, else sleep until somebody rings.
            while writer.spilled() > 0 {
                if writer.wants_flush() {
                    writer.flush();
                } else {
                    waits.wait();
                }
            }
        });
        let mut expected = 0;
        while expected < messages {
            match reader.ring_mut().pop() {
                Some(number) => {
                    assert_eq!(number, expected, "in order");
                    expected += 1;
                    if reader.sender_waits() {
                        bell.notify();
                    }
                }
                None => thread::yield_now(),
            }
        }
        sender.join().expect("the sender ends");
    });
}

#[test]
fn a_sender_with_a_spill_list_is_always_woken() {
    everything_arrives(2, 1);
}

#[test]
fn a_sender_that_is_still_hungry_after_a_wake_is_woken_again() {
    everything_arrives(3, 1);
}
