//! Criterion benchmark of the fan-out: one iteration is a batch that every reader has received, measured in CPU time of
//! the server's shard. The server is a process of its own, on a CPU of its own.

use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use shardcast_benches::fanout::{Cpus, Fanout, FanoutShape};
use shardcast_benches::readers::Wait;
use shardcast_benches::server::{ServerOptions, serve_if_asked};

const READERS: usize = 500;
const PACKETS: [usize; 3] = [1, 10, 40];
const DRIVERS: [&str; 2] = ["io_uring", "epoll"];

/// CPU time of the shard's thread. The benchmark takes it itself, from the server; criterion adds and formats.
struct ShardTime;

impl Measurement for ShardTime {
    type Intermediate = ();
    type Value = Duration;

    fn start(&self) {}

    fn end(&self, (): ()) -> Duration {
        unreachable!("every benchmark here measures by itself")
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

fn fanout(criterion: &mut Criterion<ShardTime>, cpus: Cpus) {
    let mut group = criterion.benchmark_group("fanout");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    for packets in PACKETS {
        let shape = FanoutShape {
            readers: READERS,
            packets,
            wait: Wait::Awake,
        };
        group.throughput(Throughput::Elements((READERS * packets) as u64));
        for driver in DRIVERS {
            let options = ServerOptions {
                program: None,
                driver: driver.to_owned(),
                shards: 1,
            };
            let mut rig = None;
            group.bench_function(BenchmarkId::new(driver, packets), |bencher| {
                let rig = rig.get_or_insert_with(|| start(cpus, &options, shape));
                bencher.iter_custom(|batches| run(rig, batches));
            });
        }
    }
    group.finish();
}

fn start(cpus: Cpus, options: &ServerOptions, shape: FanoutShape) -> Fanout {
    Fanout::start(cpus, options, shape).unwrap_or_else(|error| panic!("the server: {error}"))
}

fn run(rig: &mut Fanout, batches: u64) -> Duration {
    let cost = rig.run(batches);
    cost.unwrap_or_else(|error| panic!("the fan-out: {error}"))
        .cpu
        .shards
}

fn main() {
    serve_if_asked();
    let cpus = Cpus::choose();
    let mut criterion = Criterion::default()
        .with_measurement(ShardTime)
        .configure_from_args();
    fanout(&mut criterion, cpus);
    criterion.final_summary();
}
