//! A whole server under a stream, against the bare relay.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use shardcast_benches::BenchError;
use shardcast_benches::broadcast::Rhythm;
use shardcast_benches::fanout::Cpus;
use shardcast_benches::relay::{RelayCost, RelayShape, measure};
use shardcast_benches::server::{Program, ServerOptions, Transport};
use shardcast_benches::summary::Runs;
use shardcast_benches::synthetic::PACKET_BYTES;
use shardcast_platform::bare::FloorDriver;

use crate::table::{judge, print_side};

/// A whole server against a bare relay.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The daemon to start instead of this program's own server
    #[arg(long)]
    server: Option<PathBuf>,
    /// The driver of the server
    #[arg(long, default_value = "auto")]
    driver: String,
    /// Readers
    #[arg(long, default_value_t = 500)]
    readers: usize,
    /// Bit rate of the stream on the wire, in Mbit/s
    #[arg(long, default_value_t = 2.0)]
    mbit: f64,
    /// From one packet of a frame to the next, in microseconds; 0 sends each frame at once
    #[arg(long, default_value_t = 0)]
    gap: u64,
    /// Bytes of a packet on the wire over TCP; a datagram has four less
    #[arg(long, default_value_t = PACKET_BYTES)]
    packet_bytes: usize,
    /// How readers are sent to
    #[arg(long, value_enum, default_value_t = Way::Tcp)]
    transport: Way,
    /// Turns
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// How long each run is measured
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Exit with status 1 when CPU time is above this ratio
    #[arg(long)]
    cpu_at_most: Option<f64>,
    /// Exit with status 1 when the 99th percentile of latency is above this ratio
    #[arg(long)]
    p99_at_most: Option<f64>,
    /// Exit with status 1 when the median latency is more milliseconds above the bare relay's
    #[arg(long)]
    added_at_most: Option<f64>,
    /// Exit with status 1 when the server's readers lack more packets
    #[arg(long)]
    lost_at_most: Option<u64>,
}

/// How readers are sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    /// Between the messages of their connections
    Tcp,
    /// As datagrams
    Udp,
}

/// The runs of one side.
#[derive(Default)]
struct Side {
    nanos: Runs,
    core_percent: Runs,
    p50_micros: Runs,
    p99_micros: Runs,
    lost: u64,
}

impl Side {
    fn push(&mut self, cost: &RelayCost, duration: Duration) {
        self.nanos.push(cost.nanos());
        self.core_percent
            .push(cost.cpu.as_secs_f64() / duration.as_secs_f64() * 100.0);
        self.p50_micros.push(cost.latency_p50.as_secs_f64() * 1e6);
        self.p99_micros.push(cost.latency_p99.as_secs_f64() * 1e6);
        self.lost += cost.lost;
    }

    fn print(&self, name: &str) {
        print_side(
            &format!("{name}: CPU per packet and reader"),
            "ns",
            &self.nanos,
        );
        print_side(&format!("{name}: CPU"), "% of a core", &self.core_percent);
        print_side(&format!("{name}: latency p50"), "us", &self.p50_micros);
        print_side(&format!("{name}: latency p99"), "us", &self.p99_micros);
        println!("  {:<34} {}", format!("{name}: packets lost"), self.lost);
    }
}

/// Whether the server is within its bounds.
pub(crate) fn compare(options: &Options) -> Result<bool, BenchError> {
    let (cpus, duration) = (Cpus::choose(), Duration::from_secs(options.seconds));
    let shape = RelayShape {
        readers: options.readers,
        rhythm: Rhythm {
            bits_per_second: options.mbit * 1e6,
            gap: (options.gap > 0).then(|| Duration::from_micros(options.gap)),
            packet_bytes: options.packet_bytes,
        },
        duration,
    };
    println!(
        "{} readers x {} Mbit/s over {:?}, packets of {} bytes, {} us between them, {} turns of {} s, median (smallest-largest)",
        options.readers,
        options.mbit,
        options.transport,
        options.packet_bytes,
        options.gap,
        options.turns,
        options.seconds
    );
    let [mut floor, mut server] = [Side::default(), Side::default()];
    for _ in 0..options.turns {
        floor.push(&measure(cpus, &bare_relay(options), shape)?, duration);
        server.push(&measure(cpus, &server_of(options), shape)?, duration);
    }
    floor.print("bare relay");
    server.print("server");
    Ok(judge_all(options, &server, &floor))
}

fn bare_relay(options: &Options) -> ServerOptions {
    ServerOptions {
        program: Program::Floor(FloorDriver::Epoll),
        transport: options.transport.into(),
        ..ServerOptions::default()
    }
}

fn server_of(options: &Options) -> ServerOptions {
    ServerOptions {
        program: options.server.clone().map_or(Program::Own, Program::Daemon),
        driver: options.driver.clone(),
        transport: options.transport.into(),
        ..ServerOptions::default()
    }
}

impl From<Way> for Transport {
    fn from(way: Way) -> Self {
        match way {
            Way::Tcp => Self::Tcp,
            Way::Udp => Self::Udp,
        }
    }
}

fn judge_all(options: &Options, server: &Side, floor: &Side) -> bool {
    let cpu = judge("CPU", &server.nanos, &floor.nanos, options.cpu_at_most);
    let p99 = judge(
        "p99",
        &server.p99_micros,
        &floor.p99_micros,
        options.p99_at_most,
    );
    let added = (server.p50_micros.median() - floor.p50_micros.median()) / 1e3;
    println!("  {:<34} {added:.2} ms", "median latency added");
    let is_whole = options
        .lost_at_most
        .is_none_or(|bound| server.lost <= bound);
    cpu && p99 && is_whole && options.added_at_most.is_none_or(|bound| added <= bound)
}
