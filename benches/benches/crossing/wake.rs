//! What wakes a shard: the platform's doorbell on each driver, beside a condition variable.

use std::hint::black_box;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use rtrb::{Consumer, Producer};
use shardcast_benches::thread_time::ThreadTime;
use shardcast_platform::{
    Doorbell, DoorbellSeat, DoorbellWaiter, Driver, DriverRequest, block_on, choose_driver,
};

use crate::queue::{Receiver, ring, send};
use crate::{BURSTS, Message, message, on_cpus, spent};

/// All drivers there are, to be tried here.
const DRIVERS: [DriverRequest; 5] = [
    DriverRequest::IoUring,
    DriverRequest::Epoll,
    DriverRequest::Kqueue,
    DriverRequest::Iocp,
    DriverRequest::Glommio,
];

/// The drivers that work here, by name.
pub(crate) fn drivers() -> impl Iterator<Item = (DriverRequest, Driver)> {
    DRIVERS.into_iter().filter_map(|request| {
        let choice = choose_driver(request).ok()?;
        Some((request, choice.driver))
    })
}

/// A ring for somebody who is awake: what each burst costs its sender while the receiver has work.
pub(crate) fn awake(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("bell");
    group.throughput(Throughput::Elements(1));
    let (doorbell, _seat) = Doorbell::pair().expect("descriptors are left");
    group.bench_function(BenchmarkId::new("doorbell", "awake"), |bencher| {
        bencher.iter(|| black_box(&doorbell).ring());
    });
    let condvar = Condvar::new();
    group.bench_function(BenchmarkId::new("condvar", "awake"), |bencher| {
        bencher.iter(|| black_box(&condvar).notify_one());
    });
    group.finish();
}

/// Bursts over and answers back, between two threads that sleep in between.
pub(crate) fn asleep(criterion: &mut Criterion<ThreadTime>, name: &str, cpus: [usize; 2]) {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    for burst in BURSTS {
        group.throughput(Throughput::Elements(burst as u64));
        for (request, driver) in drivers() {
            group.bench_function(BenchmarkId::new(request.name(), burst), |bencher| {
                bencher.iter_custom(|bursts| by_doorbell(cpus, driver, burst, bursts));
            });
        }
        group.bench_function(BenchmarkId::new("condvar", burst), |bencher| {
            bencher.iter_custom(|bursts| by_condvar(cpus, burst, bursts));
        });
    }
    group.finish();
}

fn by_doorbell(cpus: [usize; 2], driver: Driver, burst: usize, bursts: u64) -> Duration {
    let (over, back) = (ring(), ring());
    let (caller, answerer) = (Doorbell::pair(), Doorbell::pair());
    let (caller_bell, caller_seat) = caller.expect("descriptors are left");
    let (answerer_bell, answerer_seat) = answerer.expect("descriptors are left");
    let mut caller = End {
        outbox: over.0,
        bell: answerer_bell,
        inbox: back.1,
    };
    let mut answerer = End {
        outbox: back.0,
        bell: caller_bell,
        inbox: over.1,
    };
    let call = async |mut waiter: DoorbellWaiter| {
        for _ in 0..bursts {
            caller.send(burst);
            caller.receive(&mut waiter, 1).await;
        }
    };
    let answer = async |mut waiter: DoorbellWaiter| {
        for _ in 0..bursts {
            answerer.receive(&mut waiter, burst).await;
            answerer.send(1);
        }
    };
    on_cpus(
        cpus,
        || spent_on_a_loop(driver, caller_seat, call),
        || spent_on_a_loop(driver, answerer_seat, answer),
    )
}

/// CPU time of this thread for `work` on an event loop, whose making and end do not count.
fn spent_on_a_loop(
    driver: Driver,
    seat: DoorbellSeat,
    work: impl AsyncFnOnce(DoorbellWaiter),
) -> Duration {
    let time = block_on(driver, async {
        let waiter = seat.attach().expect("it is attached");
        let begun = ThreadTime::now();
        work(waiter).await;
        ThreadTime::now() - begun
    });
    time.expect("the driver starts")
}

/// One shard's end of the two rings between it and another.
struct End {
    outbox: Producer<Message>,
    bell: Doorbell,
    inbox: Consumer<Message>,
}

impl End {
    /// Rings once for all.
    fn send(&mut self, messages: usize) {
        send(&mut self.outbox, messages);
        self.bell.ring();
    }

    async fn receive(&mut self, waiter: &mut DoorbellWaiter, messages: usize) {
        let mut missing = messages;
        while missing > 0 {
            waiter.wait(|| !self.inbox.is_empty()).await;
            missing -= self.inbox.take_all(|message| {
                black_box(message);
            });
        }
    }
}

fn by_condvar(cpus: [usize; 2], burst: usize, bursts: u64) -> Duration {
    let (over, back) = (Mailbox::default(), Mailbox::default());
    let call = || {
        for _ in 0..bursts {
            over.send(burst);
            back.receive(1);
        }
    };
    let answer = || {
        for _ in 0..bursts {
            over.receive(burst);
            back.send(1);
        }
    };
    on_cpus(cpus, || spent(call), || spent(answer))
}

/// A queue behind a lock, whose receiver sleeps on a condition variable.
#[derive(Default)]
struct Mailbox {
    messages: Mutex<Vec<Message>>,
    news: Condvar,
}

impl Mailbox {
    /// Locks once per message, as tasks that know nothing of each other do, and notifies once for all.
    fn send(&self, messages: usize) {
        for number in 0..messages as u64 {
            let mut queue = self.messages.lock().expect("nobody panics");
            queue.push(message(black_box(number)));
        }
        self.news.notify_one();
    }

    fn receive(&self, messages: usize) {
        let mut queue = self.messages.lock().expect("nobody panics");
        let mut missing = messages;
        while missing > 0 {
            while queue.is_empty() {
                queue = self.news.wait(queue).expect("nobody panics");
            }
            missing -= queue.len();
            queue.drain(..).for_each(|message| {
                black_box(message);
            });
        }
    }
}
