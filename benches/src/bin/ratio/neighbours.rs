//! A path with few readers beside one with many, on one shard.

use std::time::Duration;

use clap::Args;
use shardcast_benches::BenchError;
use shardcast_benches::broadcast::Rhythm;
use shardcast_benches::fanout::Cpus;
use shardcast_benches::neighbours::measure;
use shardcast_benches::relay::RelayShape;
use shardcast_benches::server::ServerOptions;
use shardcast_benches::settings::Settings;
use shardcast_benches::summary::Runs;

use crate::table::{judge, print_side};

/// A path with few readers beside one with many.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The driver of the server
    #[arg(long, default_value = "auto")]
    driver: String,
    /// Configuration keys of the server, for example wakeReaders=64,wakeBytes=1M
    #[arg(long, default_value_t)]
    set: Settings,
    /// Readers of the one path
    #[arg(long, default_value_t = 10)]
    few: usize,
    /// Readers of the other
    #[arg(long, default_value_t = 2000)]
    many: usize,
    /// Bit rate of each stream on the wire, in Mbit/s
    #[arg(long, default_value_t = 2.0)]
    mbit: f64,
    /// Turns
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// How long each run is measured
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Exit with status 1 when the 99th percentile of the few is above this part of the many's
    #[arg(long)]
    at_most: Option<f64>,
}

/// Whether the few wait for no more than their part.
pub(crate) fn compare(options: &Options) -> Result<bool, BenchError> {
    let server = ServerOptions {
        driver: options.driver.clone(),
        settings: options.set.clone(),
        ..ServerOptions::default()
    };
    let shape = RelayShape {
        readers: options.many,
        rhythm: Rhythm::of_bits_per_second(options.mbit * 1e6),
        duration: Duration::from_secs(options.seconds),
    };
    println!(
        "{} readers beside {}, {} Mbit/s each, {} turns of {} s: latency p99, median (smallest-largest)",
        options.few, options.many, options.mbit, options.turns, options.seconds
    );
    let cpus = Cpus::choose();
    let (mut few, mut many, mut lost) = (Runs::default(), Runs::default(), 0);
    for _ in 0..options.turns {
        let beside = measure(cpus, &server, shape, options.few)?;
        few.push(beside.few_p99.as_secs_f64() * 1e6);
        many.push(beside.many_p99.as_secs_f64() * 1e6);
        lost += beside.lost;
    }
    print_side("the few", "us", &few);
    print_side("the many", "us", &many);
    println!("  {:<34} {lost}", "packets lost");
    Ok(judge("few to many", &few, &many, options.at_most))
}
