//! What carries messages: the ring that the mailbox is made of, beside a queue behind a lock. Without wake-ups.

use std::collections::VecDeque;
use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use rtrb::{Consumer, Producer, RingBuffer};
use shardcast_benches::thread_time::ThreadTime;

use crate::{BURSTS, Message, TWO_CPUS, message, on_cpus, queue_messages_max, spent};

/// Looks at an empty queue before the CPU is given to somebody else: far longer than another CPU takes for a burst, and
/// short enough that two threads on one CPU get on.
const LOOKS_MAX: u32 = 10_000;

/// The end where messages go in.
pub(crate) trait Sender: Send {
    /// Puts one in. There is room: a burst is answered before the next.
    fn push(&mut self, message: Message);
}

/// The end where they come out.
pub(crate) trait Receiver: Send {
    /// Takes what is there now, and says how many that were.
    fn take_all(&mut self, deliver: impl FnMut(Message)) -> usize;
}

/// A ring as between two shards.
pub(crate) fn ring() -> (Producer<Message>, Consumer<Message>) {
    RingBuffer::new(queue_messages_max())
}

impl Sender for Producer<Message> {
    fn push(&mut self, message: Message) {
        Producer::push(self, message).expect("there is room");
    }
}

impl Receiver for Consumer<Message> {
    /// As the inbox does: the depth is asked for once, then so many are taken.
    fn take_all(&mut self, mut deliver: impl FnMut(Message)) -> usize {
        let depth = self.slots();
        for _ in 0..depth {
            if let Ok(message) = self.pop() {
                deliver(message);
            }
        }
        depth
    }
}

/// A queue behind a lock, as well as it can be had: to look at it takes no lock, and to empty it takes one.
#[derive(Clone, Default)]
pub(crate) struct Locked {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    messages: Mutex<VecDeque<Message>>,
    len: AtomicUsize,
}

/// Its two ends.
pub(crate) fn locked() -> (Locked, Locked) {
    let queue = Locked::default();
    let mut messages = queue.shared.messages.lock().expect("nobody panics");
    messages.reserve(queue_messages_max());
    drop(messages);
    (queue.clone(), queue)
}

impl Sender for Locked {
    fn push(&mut self, message: Message) {
        let mut messages = self.shared.messages.lock().expect("nobody panics");
        assert!(messages.len() < queue_messages_max(), "there is room");
        messages.push_back(message);
        self.shared.len.store(messages.len(), Ordering::Release);
    }
}

impl Receiver for Locked {
    fn take_all(&mut self, deliver: impl FnMut(Message)) -> usize {
        if self.shared.len.load(Ordering::Acquire) == 0 {
            return 0;
        }
        let mut messages = self.shared.messages.lock().expect("nobody panics");
        let taken = messages.len();
        messages.drain(..).for_each(deliver);
        self.shared.len.store(0, Ordering::Release);
        taken
    }
}

/// Puts in and takes out on one thread: what the queue costs when nobody else touches it.
pub(crate) fn one_thread(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("queue");
    for burst in BURSTS {
        group.throughput(Throughput::Elements(burst as u64));
        let (mut sender, mut receiver) = ring();
        group.bench_function(BenchmarkId::new("ring", burst), |bencher| {
            bencher.iter(|| through(&mut sender, &mut receiver, burst));
        });
        let (mut sender, mut receiver) = locked();
        group.bench_function(BenchmarkId::new("mutex", burst), |bencher| {
            bencher.iter(|| through(&mut sender, &mut receiver, burst));
        });
    }
    group.finish();
}

fn through(sender: &mut impl Sender, receiver: &mut impl Receiver, burst: usize) {
    send(sender, burst);
    let taken = receiver.take_all(|message| {
        black_box(message);
    });
    assert_eq!(taken, burst);
}

/// Bursts over and answers back, between two threads that look and look again.
pub(crate) fn two_threads(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("hop");
    group.sampling_mode(SamplingMode::Flat);
    for burst in BURSTS {
        group.throughput(Throughput::Elements(burst as u64));
        group.bench_function(BenchmarkId::new("ring", burst), |bencher| {
            bencher.iter_custom(|bursts| hop(ring(), ring(), burst, bursts));
        });
        group.bench_function(BenchmarkId::new("mutex", burst), |bencher| {
            bencher.iter_custom(|bursts| hop(locked(), locked(), burst, bursts));
        });
    }
    group.finish();
}

fn hop<S: Sender, R: Receiver>(over: (S, R), back: (S, R), burst: usize, bursts: u64) -> Duration {
    let (mut sender, mut receiver) = over;
    let (mut answers, mut answered) = back;
    let call = || {
        for _ in 0..bursts {
            send(&mut sender, burst);
            receive(&mut answered, 1);
        }
    };
    let answer = || {
        for _ in 0..bursts {
            receive(&mut receiver, burst);
            send(&mut answers, 1);
        }
    };
    on_cpus(TWO_CPUS, || spent(call), || spent(answer))
}

/// Puts a burst in, one by one, as tasks of a shard do.
pub(crate) fn send(sender: &mut impl Sender, burst: usize) {
    for number in 0..burst as u64 {
        sender.push(message(black_box(number)));
    }
}

fn receive(receiver: &mut impl Receiver, burst: usize) {
    let (mut received, mut looks) = (0, 0);
    while received < burst {
        let taken = receiver.take_all(|message| {
            black_box(message);
        });
        received += taken;
        looks += 1;
        match taken {
            0 if looks % LOOKS_MAX == 0 => thread::yield_now(),
            _ => spin_loop(),
        }
    }
}
