//! Streams while somebody scrapes the metrics or asks the API, beside the same streams while nobody does.

use std::time::Duration;

use clap::Args;
use shardcast_benches::BenchError;
use shardcast_benches::beside::{Asking, BesideFigures, BesideShape, measure};
use shardcast_benches::fanout::Cpus;
use shardcast_benches::server::ServerOptions;
use shardcast_benches::summary::Runs;

use crate::table::{judge, print_side};

/// Streams while somebody asks over HTTP.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The driver of the server
    #[arg(long, default_value = "auto")]
    driver: String,
    /// Readers in all: by default 2000 beside scrapes, 1000 beside requests
    #[arg(long)]
    readers: Option<usize>,
    /// Paths that they are spread over
    #[arg(long, default_value_t = 10)]
    paths: usize,
    /// Bit rate of each path on the wire, in Mbit/s
    #[arg(long, default_value_t = 0.5)]
    mbit: f64,
    /// Scrapes or requests a second: by default 1 or 500
    #[arg(long)]
    rate: Option<f64>,
    /// Turns
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// How long each run is measured
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Exit with status 1 when the media's 99th percentile is above so many times that without, or a packet is lost
    #[arg(long)]
    p99_at_most: Option<f64>,
    /// Exit with status 1 when half of the answers take longer than so many milliseconds
    #[arg(long)]
    millis_at_most: Option<f64>,
    /// Exit with status 1 when an answer has more KiB
    #[arg(long)]
    kib_at_most: Option<usize>,
}

/// What the turns have shown.
#[derive(Default)]
struct Seen {
    quiet: Runs,
    busy: Runs,
    quiet_cpu: Runs,
    busy_cpu: Runs,
    answers: Runs,
    body_bytes: usize,
    refused: usize,
    lost: u64,
}

/// A scrape every second.
pub(crate) fn compare_scrapes(options: &Options) -> Result<bool, BenchError> {
    let rate = options.rate.unwrap_or(1.0);
    compare(options, 2000, Asking::Scrapes(rate), "scrapes")
}

/// Requests to the API.
pub(crate) fn compare_requests(options: &Options) -> Result<bool, BenchError> {
    let rate = options.rate.unwrap_or(500.0);
    compare(options, 1000, Asking::Requests(rate), "requests")
}

fn compare(
    options: &Options,
    readers: usize,
    asking: Asking,
    what: &str,
) -> Result<bool, BenchError> {
    let server = ServerOptions {
        driver: options.driver.clone(),
        ..ServerOptions::default()
    };
    let shape = BesideShape {
        readers: options.readers.unwrap_or(readers),
        paths: options.paths,
        mbit: options.mbit,
        duration: Duration::from_secs(options.seconds),
    };
    println!(
        "{what} ({} a second) beside {} readers on {} paths, {} Mbit/s each, {} turns of {} s: median (smallest-largest)",
        asking.per_second(),
        shape.readers,
        shape.paths,
        shape.mbit,
        options.turns,
        options.seconds
    );
    let (cpus, mut seen) = (Cpus::choose(), Seen::default());
    for turn in 0..options.turns {
        // Each is first in turn: what a run leaves behind is the other's every second time.
        let quiet = || measure(cpus, &server, shape, Asking::Nothing);
        let busy = || measure(cpus, &server, shape, asking);
        let (quiet, busy) = match turn % 2 {
            0 => (quiet()?, busy()?),
            _ => {
                let busy = busy()?;
                (quiet()?, busy)
            }
        };
        seen.add(&quiet, &busy);
    }
    Ok(seen.judge(options, what))
}

impl Seen {
    fn add(&mut self, quiet: &BesideFigures, busy: &BesideFigures) {
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        self.quiet.push(millis(quiet.media_p99));
        self.busy.push(millis(busy.media_p99));
        self.quiet_cpu.push(quiet.server_nanos);
        self.busy_cpu.push(busy.server_nanos);
        for answer in &busy.answers {
            self.answers.push(millis(*answer));
        }
        self.body_bytes = self.body_bytes.max(busy.body_bytes);
        self.refused += busy.refused;
        self.lost += quiet.lost + busy.lost;
    }

    fn judge(&self, options: &Options, what: &str) -> bool {
        print_side("media p99 without", "ms", &self.quiet);
        print_side(&format!("media p99 with {what}"), "ms", &self.busy);
        print_side("CPU per packet and reader without", "ns", &self.quiet_cpu);
        print_side("CPU per packet and reader with", "ns", &self.busy_cpu);
        print_side("an answer", "ms", &self.answers);
        println!("  {:<34} {} B", "largest answer", self.body_bytes);
        println!("  {:<34} {}", "answers refused", self.refused);
        println!("  {:<34} {}", "packets lost", self.lost);
        let _for_the_record = judge("CPU with to without", &self.busy_cpu, &self.quiet_cpu, None);
        let most = options.p99_at_most;
        let is_media_well = judge("media p99 with to without", &self.busy, &self.quiet, most);
        let is_whole = most.is_none() || (self.lost == 0 && self.refused == 0);
        let is_quick = |most: f64| self.answers.median() <= most;
        let is_small = |most: usize| self.body_bytes <= most * 1024;
        is_media_well
            && is_whole
            && options.millis_at_most.is_none_or(is_quick)
            && options.kib_at_most.is_none_or(is_small)
    }
}
