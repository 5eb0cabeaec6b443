//! Fan-out, batch by batch, against the bare sender and against itself on one shard.

use clap::{Args, ValueEnum};
use shardcast_benches::BenchError;
use shardcast_benches::fanout::{Cpus, Fanout, FanoutShape, Sender};
use shardcast_benches::readers::Wait;
use shardcast_benches::server::ServerOptions;
use shardcast_benches::summary::Runs;
use shardcast_benches::synthetic::PACKET_BYTES;
use shardcast_platform::bare::LimitMode;

use crate::table::{judge, print_side};

/// Fan-out against a bare sender.
#[derive(Args, Debug)]
pub(crate) struct LimitOptions {
    /// Packets of a batch; may be given several times
    #[arg(long, default_values_t = [1, 10, 40])]
    packets: Vec<usize>,
    /// Drivers of the server; may be given several times
    #[arg(long, default_values_t = ["io_uring".to_owned(), "epoll".to_owned()])]
    driver: Vec<String>,
    /// How the readers' thread waits
    #[arg(long, value_enum, default_value_t = Rest::Apart)]
    readers_wait: Rest,
    #[command(flatten)]
    run: RunOptions,
}

/// Readers spread over two shards against all on the owner's.
#[derive(Args, Debug)]
pub(crate) struct ShardsOptions {
    /// Packets of a batch; may be given several times
    #[arg(long, default_values_t = [10])]
    packets: Vec<usize>,
    /// Drivers of the server; may be given several times
    #[arg(long, default_values_t = ["io_uring".to_owned(), "epoll".to_owned()])]
    driver: Vec<String>,
    /// How the readers' thread waits
    #[arg(long, value_enum, default_value_t = Rest::Awake)]
    readers_wait: Rest,
    #[command(flatten)]
    run: RunOptions,
}

#[derive(Args, Debug)]
struct RunOptions {
    /// Readers
    #[arg(long, default_value_t = 500)]
    readers: usize,
    /// Bytes of a packet on the wire
    #[arg(long, default_value_t = PACKET_BYTES)]
    packet_bytes: usize,
    /// Turns
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Packets times readers of one run
    #[arg(long, default_value_t = 10_000_000)]
    deliveries: u64,
    /// Exit with status 1 above this ratio
    #[arg(long)]
    at_most: Option<f64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Rest {
    /// It sleeps until something comes, and the sender wakes it
    Asleep,
    /// It asks again and again while the sender sends
    Awake,
    /// It reads when something has come for every reader
    Apart,
}

impl RunOptions {
    fn shape(&self, packets: usize, rest: Rest) -> FanoutShape {
        FanoutShape {
            readers: self.readers,
            packets,
            packet_bytes: self.packet_bytes,
            gap: None,
            wait: match rest {
                Rest::Asleep => Wait::Asleep,
                Rest::Awake => Wait::Awake,
                Rest::Apart => Wait::Apart,
            },
        }
    }

    fn print_heading(&self, shape: FanoutShape) {
        println!(
            "{} readers, {} packets of {} bytes per batch, {} turns: CPU time per packet and reader, median (smallest-largest)",
            shape.readers, shape.packets, shape.packet_bytes, self.turns
        );
    }

    /// One run of a sender: its CPU time per packet and reader, in nanoseconds.
    fn measure(&self, cpus: Cpus, sender: &Sender, shape: FanoutShape) -> Result<f64, BenchError> {
        let batches = self.deliveries / (shape.packets * shape.readers).max(1) as u64;
        Ok(Fanout::start(cpus, sender, shape)?
            .run(batches.max(1))?
            .shard_nanos())
    }
}

/// Whether the server is within its bound for every batch size and driver.
pub(crate) fn compare_with_limit(options: &LimitOptions) -> Result<bool, BenchError> {
    let cpus = Cpus::choose();
    let mut is_within = true;
    for &packets in &options.packets {
        let shape = options.run.shape(packets, options.readers_wait);
        options.run.print_heading(shape);
        let limits = LimitMode::ALL.map(Sender::Limit);
        let servers = options
            .driver
            .iter()
            .map(|driver| Sender::Server(server(driver)));
        let senders: Vec<Sender> = limits.into_iter().chain(servers).collect();
        let runs = alternate(&senders, options.run.turns, |sender| {
            options.run.measure(cpus, sender, shape)
        })?;
        is_within &= judge_limit(options, &runs);
    }
    Ok(is_within)
}

/// The best of the bare ways is the limit.
fn judge_limit(options: &LimitOptions, runs: &[Runs]) -> bool {
    let (limits, servers) = runs.split_at(LimitMode::ALL.len());
    for (mode, runs) in LimitMode::ALL.iter().zip(limits) {
        print_side(&format!("bare {}", mode.name()), "ns", runs);
    }
    let best = limits
        .iter()
        .min_by(|one, other| one.median().total_cmp(&other.median()));
    let mut is_within = true;
    for (driver, runs) in options.driver.iter().zip(servers) {
        print_side(&format!("server, {driver}"), "ns", runs);
        if let Some(limit) = best {
            is_within &= judge(
                &format!("{driver} to limit"),
                runs,
                limit,
                options.run.at_most,
            );
        }
    }
    is_within
}

/// Whether spreading is within its bound for every batch size and driver.
pub(crate) fn compare_shards(options: &ShardsOptions) -> Result<bool, BenchError> {
    let cpus = Cpus::choose();
    let mut is_within = true;
    for &packets in &options.packets {
        let shape = options.run.shape(packets, options.readers_wait);
        options.run.print_heading(shape);
        for driver in &options.driver {
            let gathered = Sender::Server(two_shards(driver, options.run.readers + 1));
            let spread = Sender::Server(two_shards(driver, 0));
            let runs = alternate(&[gathered, spread], options.run.turns, |sender| {
                options.run.measure(cpus, sender, shape)
            })?;
            if let [gathered, spread] = &*runs {
                print_side(
                    &format!("{driver}, all on the owner's shard"),
                    "ns",
                    gathered,
                );
                print_side(&format!("{driver}, over two shards"), "ns", spread);
                is_within &= judge("two shards to one", spread, gathered, options.run.at_most);
            }
        }
    }
    Ok(is_within)
}

fn server(driver: &str) -> ServerOptions {
    ServerOptions {
        driver: driver.to_owned(),
        ..ServerOptions::default()
    }
}

/// Two shards, with so many readers gathered on the owner's.
fn two_shards(driver: &str, gather_readers: usize) -> ServerOptions {
    ServerOptions {
        shards: 2,
        gather_readers: Some(gather_readers),
        ..server(driver)
    }
}

/// Measures each side once per turn, so that a change of the machine hits all of them.
fn alternate<T>(
    sides: &[T],
    turns: usize,
    measure: impl Fn(&T) -> Result<f64, BenchError>,
) -> Result<Vec<Runs>, BenchError> {
    let mut runs = vec![Runs::default(); sides.len()];
    for _ in 0..turns {
        for (side, runs) in sides.iter().zip(&mut runs) {
            runs.push(measure(side)?);
        }
    }
    Ok(runs)
}
