//! What the server costs as a multiple of something else that does the same in the same run: bare system calls, or itself
//! in another shape. A whole server under a load is compared by `shardcast bench`.
//!
//! Every comparison alternates between its two sides, prints the median of each with the spread, and the ratio of the
//! medians. With bounds given, a ratio beyond its bound makes the exit status 1.

mod beside;
mod fanout;
mod http;
mod joins;
mod neighbours;
mod table;
mod twins;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shardcast_benches::{BenchError, role};

/// Takes the server's cost as a multiple of something else that does the same.
#[derive(Debug, Parser)]
struct Options {
    #[command(subcommand)]
    comparison: Comparison,
}

#[derive(Debug, Subcommand)]
enum Comparison {
    /// Fan-out against a bare sender: CPU time per packet and reader
    Limit(fanout::LimitOptions),
    /// Readers spread over two shards against all on the owner's: CPU time per packet and reader
    Shards(fanout::ShardsOptions),
    /// A path with few readers beside one with many on the same shard: latency
    Neighbours(neighbours::Options),
    /// A stream while readers join with hashed passwords against the same without: latency
    Joins(joins::Options),
    /// Streams while somebody scrapes the metrics against the same without: latency and CPU time
    Scrape(beside::Options),
    /// Streams while somebody asks the API against the same without: latency and CPU time
    Requests(beside::Options),
    /// hyper over the platform's streams against hyper on tokio: requests per CPU second
    Http(http::Options),
    /// The bare sender and the bare relay against other programs that do the same
    Twins(twins::Options),
}

fn main() -> ExitCode {
    role::play_if_asked();
    match run(&Options::parse().comparison) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("ratio: beyond the bound");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("ratio: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is within its bounds.
fn run(comparison: &Comparison) -> Result<bool, BenchError> {
    let _limit = shardcast_platform::raise_descriptor_limit()?;
    match comparison {
        Comparison::Limit(options) => fanout::compare_with_limit(options),
        Comparison::Shards(options) => fanout::compare_shards(options),
        Comparison::Neighbours(options) => neighbours::compare(options),
        Comparison::Joins(options) => joins::compare(options),
        Comparison::Scrape(options) => beside::compare_scrapes(options),
        Comparison::Requests(options) => beside::compare_requests(options),
        Comparison::Http(options) => http::compare(options),
        Comparison::Twins(options) => twins::compare(options),
    }
}
