//! Criterion benchmarks of the way from one shard to another: its parts one by one, each beside what the standard library
//! offers in its place.
//!
//! | group | what happens |
//! |---|---|
//! | `queue` | one thread puts so many messages in and takes them out |
//! | `hop` | two threads on two CPUs, neither of which sleeps: a burst goes over, one message answers it |
//! | `bell` | one thread rings for somebody who is awake |
//! | `wake` | two threads on two CPUs that sleep until they are rung: a burst, one ring, an answer, one ring |
//! | `wake_on_one_cpu` | the same on one CPU: what software costs in it, without interrupts from CPU to CPU |
//! | `shards` | two shards on two CPUs as they ship: a burst of media, and a control message that answers it |
//!
//! `SHARDCAST_CROSSING_RING` is the size of the rings, for `mediaRing`'s default.
//!
//! Measured is CPU time of the thread; where there are two, that of both together, what they spend on waiting included.

mod queue;
mod shards;
mod wake;

use std::process::ExitCode;
use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::Duration;

use criterion::Criterion;
use shardcast_benches::parameters::{ParameterError, crossing_ring_of_environment};
use shardcast_benches::thread_time::ThreadTime;
use shardcast_platform::{cpu_budget, pin_current_thread};

/// Messages that go over together.
const BURSTS: [usize; 3] = [1, 8, 64];
/// What is asked for, once it is known.
static QUEUE_MESSAGES_MAX: OnceLock<usize> = OnceLock::new();
/// Where two threads run: indexes into the CPUs that are ours. On a machine with one CPU both are on that.
const TWO_CPUS: [usize; 2] = [0, 1];
/// As above.
const ONE_CPU: [usize; 2] = [0, 0];
/// As large as the messages that carry batches between shards.
type Message = [u64; size_of::<shardcast::shard::Media>() / size_of::<u64>()];

/// A message that says `number`.
fn message(number: u64) -> Message {
    let mut message = Message::default();
    message[0] = number;
    message
}

/// Runs both at the same time, each on a thread of its own. Each tells its CPU time, and this is their sum.
fn on_cpus(
    cpus: [usize; 2],
    one: impl FnOnce() -> Duration + Send,
    other: impl FnOnce() -> Duration + Send,
) -> Duration {
    let start = Barrier::new(2);
    let pinned = |index| {
        pin(index);
        start.wait();
    };
    thread::scope(|scope| {
        // This thread is not pinned, for whatever it starts later would be, too.
        let one = scope.spawn(|| {
            pinned(cpus[0]);
            one()
        });
        let other = scope.spawn(|| {
            pinned(cpus[1]);
            other()
        });
        let spent = [one.join(), other.join()];
        spent.map(|time| time.expect("no panic")).iter().sum()
    })
}

/// Keeps this thread on one of the CPUs that are ours.
fn pin(index: usize) {
    let cpus = cpu_budget().cpus;
    if let Some(cpu) = cpus.get(index % cpus.len().max(1)) {
        // Where threads cannot be pinned, figures vary more, and that is all.
        let _ = pin_current_thread(*cpu);
    }
}

/// CPU time of this thread for `work`.
fn spent(work: impl FnOnce()) -> Duration {
    let begun = ThreadTime::now();
    work();
    ThreadTime::now() - begun
}

/// Room in each queue, as in a media ring.
fn queue_messages_max() -> usize {
    *QUEUE_MESSAGES_MAX.get().expect("main has set it first")
}

fn measure() -> Result<(), ParameterError> {
    let ring = crossing_ring_of_environment()?;
    println!(
        "rings of {} messages",
        QUEUE_MESSAGES_MAX.get_or_init(|| ring)
    );
    let mut criterion = Criterion::default()
        .with_measurement(ThreadTime)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .configure_from_args();
    queue::one_thread(&mut criterion);
    queue::two_threads(&mut criterion);
    wake::awake(&mut criterion);
    wake::asleep(&mut criterion, "wake", TWO_CPUS);
    wake::asleep(&mut criterion, "wake_on_one_cpu", ONE_CPU);
    shards::asleep(&mut criterion);
    criterion.final_summary();
    Ok(())
}

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crossing: {error}");
            ExitCode::FAILURE
        }
    }
}
