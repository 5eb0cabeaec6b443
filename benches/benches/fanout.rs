//! Criterion benchmark of the fan-out: one iteration is a batch that every reader has received, measured in CPU time of
//! the sending threads. The server is a process of its own; so is the bare sender that has its turn after each of the
//! server's, with the same readers. The ratios of the two are printed at the end.
//!
//! `SHARDCAST_FANOUT_READERS`, `_PACKETS`, `_PACKET_BYTES`, `_GAP`, `_DRIVERS`, `_SHARDS` and `_SET` say what is measured
//! instead of the usual (`shardcast_benches::parameters`). All but the last are part of a benchmark's name, so that criterion
//! compares like with like; `_SET` is not, because two settings are what its baselines are to compare.

use std::process::ExitCode;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use shardcast_benches::fanout::{Cpus, Fanout, FanoutShape, Sender};
use shardcast_benches::parameters::FanoutParameters;
use shardcast_benches::readers::Wait;
use shardcast_benches::role;
use shardcast_benches::server::ServerOptions;
use shardcast_benches::settings::Settings;
use shardcast_benches::summary::Runs;
use shardcast_benches::synthetic::PACKET_BYTES;
use shardcast_benches::thread_time::ThreadTime;
use shardcast_platform::bare::LimitMode;

const READERS: usize = 500;
/// Packets of a batch, and bytes of a packet: ours, and those of ffmpeg's largest packets.
const SHAPES: [(usize, usize); 4] = [
    (1, PACKET_BYTES),
    (10, PACKET_BYTES),
    (40, PACKET_BYTES),
    (10, 1472),
];
const DRIVERS: &[&str] = &[
    "io_uring",
    "epoll",
    #[cfg(feature = "glommio")]
    "glommio",
];
const SHARDS: [usize; 2] = [1, 2];

/// A server and a bare sender that have their turns one after the other.
struct Pair {
    server: Fanout,
    limit: Fanout,
    ratios: Runs,
}

impl Pair {
    fn start(cpus: Cpus, server: ServerOptions, shape: FanoutShape) -> Self {
        let start = |sender: Sender| {
            Fanout::start(cpus, &sender, shape)
                .unwrap_or_else(|error| panic!("{sender:?}: {error}"))
        };
        Self {
            limit: start(Sender::Limit(LimitMode::Uring)),
            server: start(Sender::Server(server)),
            ratios: Runs::default(),
        }
    }

    /// What so many batches have cost the server.
    fn run(&mut self, batches: u64) -> Duration {
        let cost = |fanout: &mut Fanout| {
            let cost = fanout.run(batches);
            cost.unwrap_or_else(|error| panic!("fan-out: {error}"))
                .cpu
                .shards
        };
        let (server, limit) = (cost(&mut self.server), cost(&mut self.limit));
        self.ratios
            .push(100.0 * server.as_secs_f64() / limit.as_secs_f64());
        server
    }
}

/// Measures one shape; the line for the end.
fn fanout(
    criterion: &mut Criterion<ThreadTime>,
    cpus: Cpus,
    server: &ServerOptions,
    shape: FanoutShape,
) -> Option<String> {
    let mut group = criterion.benchmark_group("fanout");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.throughput(Throughput::Elements((shape.readers * shape.packets) as u64));
    let name = format!(
        "{}/{} shards/{} readers",
        server.driver, server.shards, shape.readers
    );
    let parameter = parameter(shape);
    let mut pair = None;
    group.bench_function(BenchmarkId::new(&name, &parameter), |bencher| {
        let pair = pair.get_or_insert_with(|| Pair::start(cpus, server.clone(), shape));
        bencher.iter_custom(|batches| pair.run(batches));
    });
    group.finish();
    let ratios = pair?.ratios;
    Some(format!(
        "{name}/{parameter}: {ratios} % of the bare io_uring sender"
    ))
}

/// `10x1400`, or `10x1400 every 600us`.
fn parameter(shape: FanoutShape) -> String {
    let batch = format!("{}x{}", shape.packets, shape.packet_bytes);
    match shape.gap {
        Some(gap) => format!("{batch} every {}us", gap.as_micros()),
        None => batch,
    }
}

fn usual() -> FanoutParameters {
    FanoutParameters {
        readers: vec![READERS],
        batches: SHAPES.to_vec(),
        gap: None,
        drivers: DRIVERS.iter().map(|driver| (*driver).to_owned()).collect(),
        shards: SHARDS.to_vec(),
        settings: Settings::default(),
    }
}

/// Every load that is asked for.
fn shapes(parameters: &FanoutParameters) -> impl Iterator<Item = FanoutShape> {
    let readers = parameters.readers.iter();
    readers.flat_map(|readers| {
        let batches = parameters.batches.iter();
        batches.map(|(packets, packet_bytes)| FanoutShape {
            readers: *readers,
            packets: *packets,
            packet_bytes: *packet_bytes,
            gap: parameters.gap,
            wait: Wait::Apart,
        })
    })
}

/// Every server that is asked for.
fn servers(parameters: &FanoutParameters) -> impl Iterator<Item = ServerOptions> {
    let drivers = parameters.drivers.iter();
    drivers.flat_map(|driver| {
        let shards = parameters.shards.iter();
        shards.map(|shards| ServerOptions {
            driver: driver.clone(),
            shards: *shards,
            // With several shards, the readers are spread from the first on.
            gather_readers: Some(0),
            settings: parameters.settings.clone(),
            ..ServerOptions::default()
        })
    })
}

fn measure(parameters: &FanoutParameters) {
    let cpus = Cpus::choose();
    let mut criterion = Criterion::default()
        .with_measurement(ThreadTime)
        .configure_from_args();
    println!("set besides the defaults: [{}]", parameters.settings);
    let mut lines = Vec::new();
    for shape in shapes(parameters) {
        for server in servers(parameters) {
            lines.extend(fanout(&mut criterion, cpus, &server, shape));
        }
    }
    criterion.final_summary();
    lines.iter().for_each(|line| println!("{line}"));
}

fn main() -> ExitCode {
    role::play_if_asked();
    match FanoutParameters::of(shardcast_config::environment(), usual()) {
        Ok(parameters) => {
            measure(&parameters);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("fanout: {error}");
            ExitCode::FAILURE
        }
    }
}
