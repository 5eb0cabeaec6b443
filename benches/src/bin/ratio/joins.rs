//! A stream while readers join with hashed passwords, beside the same stream while nobody does.

use std::time::Duration;

use clap::Args;
use shardcast_benches::BenchError;
use shardcast_benches::fanout::Cpus;
use shardcast_benches::joins::{HashedUser, Joined, JoinsShape, measure};
use shardcast_benches::server::ServerOptions;
use shardcast_benches::summary::Runs;

use crate::table::{judge, print_side};

/// A stream while readers join with hashed passwords.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The driver of the server
    #[arg(long, default_value = "auto")]
    driver: String,
    /// Readers of the stream
    #[arg(long, default_value_t = 200)]
    readers: usize,
    /// Bit rate of the stream on the wire, in Mbit/s
    #[arg(long, default_value_t = 2.0)]
    mbit: f64,
    /// Readers that join
    #[arg(long, default_value_t = 500)]
    joins: usize,
    /// From the first of them to the last, in seconds
    #[arg(long, default_value_t = 5)]
    within: u64,
    /// Users as whom they do
    #[arg(long, default_value_t = 20)]
    users: usize,
    /// Turns
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// How long each run is measured
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// Exit with status 1 when the stream's 99th percentile is above so many times that without joins
    #[arg(long)]
    at_most: Option<f64>,
    /// Exit with status 1 when a join takes longer than so many seconds, or is refused
    #[arg(long)]
    longest: Option<f64>,
}

/// What the turns have shown.
#[derive(Default)]
struct Seen {
    quiet: Runs,
    busy: Runs,
    longest: Runs,
    slowest: Duration,
    refused: usize,
    lost: u64,
}

/// Whether the stream and those who join wait no longer than they may.
pub(crate) fn compare(options: &Options) -> Result<bool, BenchError> {
    let server = ServerOptions {
        driver: options.driver.clone(),
        users: HashedUser::make(options.users)?,
        ..ServerOptions::default()
    };
    let shape = |joins| JoinsShape {
        readers: options.readers,
        mbit: options.mbit,
        duration: Duration::from_secs(options.seconds),
        joins,
        within: Duration::from_secs(options.within),
    };
    println!(
        "{} joins in {} s as {} users beside {} readers, {} Mbit/s, {} turns of {} s: median (smallest-largest)",
        options.joins,
        options.within,
        options.users,
        options.readers,
        options.mbit,
        options.turns,
        options.seconds
    );
    let (cpus, mut seen) = (Cpus::choose(), Seen::default());
    for _ in 0..options.turns {
        let alone = measure(cpus, &server, shape(0))?;
        let joined = measure(cpus, &server, shape(options.joins))?;
        seen.add(alone, joined);
    }
    Ok(seen.judge(options))
}

impl Seen {
    fn add(&mut self, alone: Joined, joined: Joined) {
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        self.quiet.push(millis(alone.media_p99) * 1e3);
        self.busy.push(millis(joined.media_p99) * 1e3);
        self.longest.push(millis(joined.longest));
        self.slowest = self.slowest.max(joined.longest);
        self.refused += joined.refused;
        self.lost += alone.lost + joined.lost;
    }

    fn judge(&self, options: &Options) -> bool {
        print_side("media p99 without joins", "us", &self.quiet);
        print_side("media p99 with joins", "us", &self.busy);
        print_side("longest join", "ms", &self.longest);
        println!("  {:<34} {}", "joins refused", self.refused);
        println!("  {:<34} {}", "packets lost", self.lost);
        let is_quick = |most: f64| self.refused == 0 && self.slowest.as_secs_f64() <= most;
        let is_within = judge("with to without", &self.busy, &self.quiet, options.at_most);
        is_within && options.longest.is_none_or(is_quick)
    }
}
