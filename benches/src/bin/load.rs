//! The load generator: one publisher and many readers of one path, at a bit rate, for a while. It counts every packet of
//! every reader, prints a table, and fails when one was lost or a reader was closed.

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use shardcast_benches::BenchError;
use shardcast_benches::broadcast::{Broadcast, Rhythm};
use shardcast_benches::fanout::Cpus;
use shardcast_benches::peer;
use shardcast_benches::readers::{Check, Readers, Received};
use shardcast_benches::role;
use shardcast_benches::server::{Program, ServerOptions, ServerProcess};
use shardcast_benches::synthetic::PACKET_BYTES;

/// After the last packet is due, for what is under way.
const DRAIN: Duration = Duration::from_millis(300);

/// Publishes a stream and reads it many times.
#[derive(Debug, Parser)]
struct Options {
    /// Where to publish (rtsp://host:port/path); without it, a server is started
    #[arg(long)]
    target: Option<String>,
    /// The daemon to start instead of this program's own server
    #[arg(long)]
    server: Option<PathBuf>,
    /// The driver of the server that is started
    #[arg(long, default_value = "auto")]
    driver: String,
    /// The shards of the server that is started
    #[arg(long, default_value_t = 1)]
    shards: usize,
    /// Readers
    #[arg(long, default_value_t = 500)]
    readers: usize,
    /// Bit rate of the stream on the wire, in Mbit/s
    #[arg(long, default_value_t = 2.0)]
    mbit: f64,
    /// From one packet of a frame to the next, in microseconds; 0 sends each frame at once
    #[arg(long, default_value_t = 0)]
    gap: u64,
    /// Bytes of a packet on the wire
    #[arg(long, default_value_t = PACKET_BYTES)]
    packet_bytes: usize,
    /// How long to publish
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

fn main() -> ExitCode {
    role::play_if_asked();
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing was lost and nobody closed.
fn run(options: &Options) -> Result<bool, BenchError> {
    let _limit = shardcast_platform::raise_descriptor_limit()?;
    let server = start_server(options)?;
    let url = match (&options.target, &server) {
        (Some(target), _) => target.clone(),
        (None, Some(server)) => format!("rtsp://{}/load", server.address()),
        (None, None) => return Err(BenchError::NotListening),
    };
    let address = peer::address_of(&url)?;
    let rhythm = Rhythm {
        bits_per_second: options.mbit * 1e6,
        gap: (options.gap > 0).then(|| Duration::from_micros(options.gap)),
        packet_bytes: options.packet_bytes,
    };
    let broadcast = Broadcast::start(address, &url, rhythm)?;
    let check = Check::Packets { one_in: 1 };
    let mut readers = Readers::connect(address, &url, options.readers, check)?;
    println!("{} readers play {url}", options.readers);
    let before = server.as_ref().map(ServerProcess::cpu_time).transpose()?;
    let begin = Instant::now();
    let (published, closed) = publish(options, broadcast, &mut readers)?;
    let received = readers.received();
    report(&received, published, closed, begin.elapsed());
    report_latency(&readers);
    if let (Some(server), Some(before)) = (&server, before) {
        let cpu = server.cpu_time()? - before;
        report_cost(server, cpu.shards, received.packets, begin.elapsed())?;
    }
    let is_whole = received.lost == 0 && received.repeated == 0 && received.broken == 0;
    Ok(is_whole && closed == 0 && received.packets_min == published)
}

fn start_server(options: &Options) -> Result<Option<ServerProcess>, BenchError> {
    if options.target.is_some() {
        return Ok(None);
    }
    let server = ServerOptions {
        program: options.server.clone().map_or(Program::Own, Program::Daemon),
        driver: options.driver.clone(),
        shards: options.shards,
        ..ServerOptions::default()
    };
    let server = Cpus::choose().start_server(&server)?;
    println!(
        "start to listening {:.1} ms, resident memory at rest {:.1} MiB",
        server.started_in.as_secs_f64() * 1e3,
        mebibytes(server.resident_bytes),
    );
    Ok(Some(server))
}

/// Publishes at the stream's pace while the readers read; packets published, and readers closed before the stream's end.
fn publish(
    options: &Options,
    mut broadcast: Broadcast,
    readers: &mut Readers,
) -> Result<(u64, usize), BenchError> {
    let duration = Duration::from_secs(options.seconds);
    let published = thread::scope(|scope| {
        let end = Instant::now() + duration + DRAIN;
        let sending = scope.spawn(|| broadcast.send_for(duration));
        readers.read_until(end)?;
        sending.join().map_err(|_| BenchError::Panicked)?
    })?;
    let closed = readers.received().closed;
    broadcast.teardown()?;
    readers.read_to_end()?;
    Ok((published, closed))
}

fn report(received: &Received, published: u64, closed: usize, took: Duration) {
    println!("published packets      {published}");
    println!("received packets       {}", received.packets);
    println!("fewest of a reader     {}", received.packets_min);
    println!("lost by sequence       {}", received.lost);
    println!("repeated               {}", received.repeated);
    println!("readers with garbage   {}", received.broken);
    println!("closed before the end  {closed}");
    println!("seconds                {:.1}", took.as_secs_f64());
}

fn report_latency(readers: &Readers) {
    let latency = |quantile| readers.latency().value_at_quantile(quantile) as f64 / 1e6;
    println!(
        "latency in ms          p50 {:.2}, p99 {:.2}, p99.9 {:.2}, max {:.2}",
        latency(0.5),
        latency(0.99),
        latency(0.999),
        latency(1.0)
    );
}

fn report_cost(
    server: &ServerProcess,
    cpu: Duration,
    packets: u64,
    took: Duration,
) -> Result<(), BenchError> {
    let share = cpu.as_secs_f64() / took.as_secs_f64() * 100.0;
    let nanos = cpu.as_nanos() as f64 / packets as f64;
    println!("CPU of the shards      {share:.1} % of a core, {nanos:.0} ns per packet and reader");
    let resident = mebibytes(server.resident_bytes_now()?);
    println!("resident memory        {resident:.1} MiB");
    Ok(())
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
