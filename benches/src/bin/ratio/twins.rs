//! The yardsticks themselves against other programs that do the same, for example written in another language: a yardstick
//! counts only while it costs no more than its twin.
//!
//! The other sender is called as `PROGRAM READERS PACKETS ROUNDS MODE` and prints `cpu=<ns per packet>` last; the other relay
//! as `PROGRAM PORT epoll|uring`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Args;
use shardcast_benches::BenchError;
use shardcast_benches::broadcast::Rhythm;
use shardcast_benches::fanout::{Cpus, FanoutShape};
use shardcast_benches::limit::LimitProcess;
use shardcast_benches::readers::{Readers, Wait};
use shardcast_benches::relay::{RelayShape, measure};
use shardcast_benches::server::{Program, ServerOptions, Transport};
use shardcast_benches::summary::Runs;
use shardcast_benches::synthetic::PACKET_BYTES;
use shardcast_platform::bare::{FloorDriver, LimitMode};

use crate::table::{judge, print_side};

/// The relays that are compared. Over UDP the driver makes no difference.
const RELAYS: [(FloorDriver, Transport); 3] = [
    (FloorDriver::Epoll, Transport::Tcp),
    (FloorDriver::Uring, Transport::Tcp),
    (FloorDriver::Epoll, Transport::Udp),
];

/// The yardsticks against other programs.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The other bare sender
    #[arg(long)]
    limit: Option<PathBuf>,
    /// The other bare relay
    #[arg(long)]
    floor: Option<PathBuf>,
    /// Readers
    #[arg(long, default_value_t = 500)]
    readers: usize,
    /// Packets of a batch of the senders; may be given several times
    #[arg(long, default_values_t = [1, 10, 40])]
    packets: Vec<usize>,
    /// Packets times readers of one run of the senders
    #[arg(long, default_value_t = 10_000_000)]
    deliveries: u64,
    /// Turns
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// How long each run of the relays is measured
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Exit with status 1 above this ratio
    #[arg(long)]
    at_most: Option<f64>,
}

/// Whether each yardstick is within its bound.
pub(crate) fn compare(options: &Options) -> Result<bool, BenchError> {
    let (cpus, mut is_within) = (Cpus::choose(), true);
    if let Some(program) = &options.limit {
        for &packets in &options.packets {
            for mode in LimitMode::ALL {
                is_within &=
                    compare_senders(cpus, options, program, shape(options, packets), mode)?;
            }
        }
    }
    if let Some(program) = &options.floor {
        for (driver, transport) in RELAYS {
            is_within &= compare_relays(cpus, options, program, driver, transport)?;
        }
    }
    Ok(is_within)
}

fn shape(options: &Options, packets: usize) -> FanoutShape {
    FanoutShape {
        readers: options.readers,
        packets,
        packet_bytes: PACKET_BYTES,
        gap: None,
        wait: Wait::Asleep,
    }
}

fn compare_senders(
    cpus: Cpus,
    options: &Options,
    program: &Path,
    shape: FanoutShape,
    mode: LimitMode,
) -> Result<bool, BenchError> {
    let rounds = options.deliveries / (shape.packets * shape.readers).max(1) as u64;
    let (mut ours, mut other) = (Runs::default(), Runs::default());
    for _ in 0..options.turns {
        other.push(other_sender(program, shape, rounds, mode)?);
        ours.push(own_sender(cpus, shape, rounds, mode)?);
    }
    println!(
        "{} packets per batch, bare {}, CPU time per packet and reader",
        shape.packets,
        mode.name()
    );
    print_side("other", "ns", &other);
    print_side("own", "ns", &ours);
    Ok(judge("own to other", &ours, &other, options.at_most))
}

/// All rounds at once: the other sender does not wait for its readers either.
fn own_sender(
    cpus: Cpus,
    shape: FanoutShape,
    rounds: u64,
    mode: LimitMode,
) -> Result<f64, BenchError> {
    let mut limit = cpus.beside(|| LimitProcess::start(mode, shape))?;
    let mut readers = Readers::connect_bare(limit.address(), shape.readers)?;
    limit.send(rounds)?;
    readers.read_bytes(rounds * (shape.packets * shape.packet_bytes) as u64)?;
    let deliveries = rounds * (shape.packets * shape.readers) as u64;
    Ok(limit.cpu_time()?.as_nanos() as f64 / deliveries as f64)
}

fn other_sender(
    program: &Path,
    shape: FanoutShape,
    rounds: u64,
    mode: LimitMode,
) -> Result<f64, BenchError> {
    let output = Command::new(program)
        .args([shape.readers.to_string(), shape.packets.to_string()])
        .args([rounds.to_string(), mode.name().to_owned()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    // It prints the CPU time in seconds under the same name first.
    let figure = text.split("cpu=").last();
    let figure = figure.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok());
    figure.ok_or_else(|| BenchError::Limit(text.trim().to_owned()))
}

fn compare_relays(
    cpus: Cpus,
    options: &Options,
    program: &Path,
    driver: FloorDriver,
    transport: Transport,
) -> Result<bool, BenchError> {
    let shape = RelayShape {
        readers: options.readers,
        rhythm: Rhythm::of_bits_per_second(2e6),
        duration: Duration::from_secs(options.seconds),
    };
    let relay = |program| ServerOptions {
        program,
        transport,
        ..ServerOptions::default()
    };
    let (own, foreign) = (
        relay(Program::Floor(driver)),
        relay(Program::OtherFloor(program.to_owned(), driver)),
    );
    let (mut ours, mut other, mut lost) = (Runs::default(), Runs::default(), 0);
    for _ in 0..options.turns {
        other.push(measure(cpus, &foreign, shape)?.nanos());
        let cost = measure(cpus, &own, shape)?;
        ours.push(cost.nanos());
        lost += cost.lost;
    }
    println!(
        "bare relay, {driver:?}, over {transport:?}, {} readers x 2 Mbit/s, CPU time per packet and reader",
        options.readers
    );
    print_side("other", "ns", &other);
    print_side("own", "ns", &ours);
    println!("  {:<34} {lost}", "own: packets lost");
    Ok(judge("own to other", &ours, &other, options.at_most))
}
