//! The load generator: one publisher and many readers of one path, at a bit rate, for a while. It counts every packet of
//! every reader, prints a table, and fails when one was lost or a reader was closed.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use shardcast_benches::BenchError;
use shardcast_benches::fanout::Cpus;
use shardcast_benches::peer::{self, Publisher};
use shardcast_benches::readers::{Check, Readers, Received};
use shardcast_benches::server::{ServerOptions, ServerProcess, serve_if_asked};
use shardcast_benches::synthetic::{Pace, Source};

/// Frames per second, and frames of a group of pictures: two seconds.
const FRAMES_PER_SECOND: u32 = 30;
const GOP_FRAMES: u64 = 60;

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
    /// How long to publish
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

fn main() -> ExitCode {
    serve_if_asked();
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
    let publisher = Publisher::start(address, &url)?;
    let mut readers = Readers::connect(address, &url, options.readers, Check::Sequence)?;
    println!("{} readers play {url}", options.readers);
    let before = server.as_ref().map(ServerProcess::cpu_time).transpose()?;
    let begin = Instant::now();
    let (published, closed) = publish(options, publisher, &mut readers)?;
    let received = readers.received();
    report(&received, published, closed, begin.elapsed());
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
        program: options.server.clone(),
        driver: options.driver.clone(),
        shards: options.shards,
    };
    let server = match options.shards {
        1 => Cpus::choose().start_server(&server)?,
        _ => ServerProcess::start(&server)?,
    };
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
    mut publisher: Publisher,
    readers: &mut Readers,
) -> Result<(u64, usize), BenchError> {
    let frames = options.seconds * FRAMES_PER_SECOND;
    let mut source = Source::new(GOP_FRAMES);
    let mut pace = Pace::new(options.mbit * 1e6, f64::from(FRAMES_PER_SECOND));
    let (mut published, mut out, begin) = (0, Vec::new(), Instant::now());
    for frame in 0..frames {
        let packets = pace.next_packets(source.is_key_next(), GOP_FRAMES);
        out.clear();
        source.write_frame(packets, &mut out);
        publisher.send(&out)?;
        published += packets as u64;
        let next = Duration::from_secs(1) * (frame + 1) / FRAMES_PER_SECOND;
        readers.read_until(begin + next)?;
    }
    let closed = readers.received().closed;
    publisher.teardown()?;
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
