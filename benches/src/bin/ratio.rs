//! The server's fan-out against bare system calls: CPU time per packet and reader of both, in turns, and their ratio.
//!
//! The bare sender is a program of its own. It is called with readers, packets of a batch, rounds, and one of the modes
//! `send`, `writev` and `uring`, sends that batch to so many TCP sockets, and prints `cpu=<ns per packet>`. The best mode
//! of a batch size is the limit.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;
use shardcast_benches::BenchError;
use shardcast_benches::fanout::{Cpus, Fanout, FanoutShape};
use shardcast_benches::readers::Wait;
use shardcast_benches::server::{ServerOptions, serve_if_asked};
use shardcast_benches::summary::Runs;

const MODES: [&str; 3] = ["send", "writev", "uring"];
const DRIVERS: [&str; 2] = ["io_uring", "epoll"];

/// Compares the server's fan-out with a bare sender.
#[derive(Debug, Parser)]
struct Options {
    /// The bare sender
    #[arg(long)]
    limit: PathBuf,
    /// The daemon to start instead of this program's own server
    #[arg(long)]
    server: Option<PathBuf>,
    /// Readers
    #[arg(long, default_value_t = 500)]
    readers: usize,
    /// Packets of a batch; may be given several times
    #[arg(long, default_values_t = [1, 10, 40])]
    packets: Vec<usize>,
    /// Turns
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Packets times readers of one run
    #[arg(long, default_value_t = 10_000_000)]
    deliveries: u64,
    /// The readers never sleep; for a bare sender whose readers do not either
    #[arg(long)]
    awake: bool,
}

/// All runs of one batch size.
#[derive(Default)]
struct Comparison {
    limits: [Runs; MODES.len()],
    shards: [Runs; DRIVERS.len()],
    processes: [Runs; DRIVERS.len()],
}

fn main() -> ExitCode {
    serve_if_asked();
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ratio: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), BenchError> {
    let _limit = shardcast_platform::raise_descriptor_limit()?;
    let cpus = Cpus::choose();
    println!(
        "CPU ns per packet and reader, median (smallest-largest), {} turns",
        options.turns
    );
    for &packets in &options.packets {
        let comparison = compare(cpus, options, packets)?;
        report(packets, &comparison);
    }
    Ok(())
}

fn compare(cpus: Cpus, options: &Options, packets: usize) -> Result<Comparison, BenchError> {
    let shape = FanoutShape {
        readers: options.readers,
        packets,
        wait: if options.awake {
            Wait::Awake
        } else {
            Wait::Asleep
        },
    };
    let rounds = options.deliveries / (packets * options.readers) as u64;
    let mut comparison = Comparison::default();
    for _ in 0..options.turns {
        for (mode, runs) in MODES.iter().zip(&mut comparison.limits) {
            runs.push(limit(&options.limit, shape, rounds, mode)?);
        }
        let costs = comparison.shards.iter_mut().zip(&mut comparison.processes);
        for (driver, (shards, processes)) in DRIVERS.iter().zip(costs) {
            let server = ServerOptions {
                program: options.server.clone(),
                driver: (*driver).to_owned(),
                shards: 1,
            };
            let cost = Fanout::start(cpus, &server, shape)?.run(rounds)?;
            shards.push(cost.shard_nanos());
            processes.push(cost.process_nanos());
        }
    }
    Ok(comparison)
}

/// One run of the bare sender.
fn limit(program: &Path, shape: FanoutShape, rounds: u64, mode: &str) -> Result<f64, BenchError> {
    let output = Command::new(program)
        .args([shape.readers.to_string(), shape.packets.to_string()])
        .args([rounds.to_string(), mode.to_owned()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    // It prints the CPU time in seconds under the same name first.
    let figure = text.split("cpu=").last();
    let figure = figure.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok());
    figure.ok_or_else(|| BenchError::Limit(text.trim().to_owned()))
}

fn report(packets: usize, comparison: &Comparison) {
    println!("\n{packets} packets per batch");
    for (mode, runs) in MODES.iter().zip(&comparison.limits) {
        println!("  bare {mode:<18} {runs}");
    }
    let medians = comparison.limits.iter().map(Runs::median);
    let best = medians.fold(f64::INFINITY, f64::min);
    let costs = comparison.shards.iter().zip(&comparison.processes);
    for (driver, (shards, processes)) in DRIVERS.iter().zip(costs) {
        println!(
            "  server {driver:<16} {shards}, whole process {processes}: {:.2} x the limit",
            shards.median() / best
        );
    }
}
