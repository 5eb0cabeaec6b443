//! The options of `shardcast soak`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::options::{parse_duration, parse_size};

/// Has readers and publishers misbehave on a Shardcast of its own, and checks that everything comes back to what it was.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Readers join, leave, stall, crawl, reset their connection in mid-frame, vanish and come back at once, over TCP and UDP; \
publishers leave, break off in mid-frame, fall silent and take over from each other. Meanwhile readers that nobody disturbs \
have to be sent every packet. After each round, when all who misbehave have gone, descriptors, tasks and sessions of the \
server have to be exactly those of the baseline, which is taken after a round that does everything once; its rings have to \
be empty, and its memory within the tolerance. Nothing may have panicked or stalled.\n\n\
Exit status: 0 when all came back; 1 when not, or after an error; 2 for wrong options; 3 when the load generator was itself \
too slow for a reader that was not to lose anything.\n\n\
Examples:\n  \
shardcast soak\n  \
shardcast soak --duration 10m --readers 100 --seed 7\n  \
shardcast soak --set gatherReaders=8 --json=soak.json")]
pub struct SoakOptions {
    /// How long they misbehave, after the baseline was taken
    #[arg(long, value_parser = parse_duration, default_value = "2m")]
    pub duration: Duration,
    /// All that they do follows from this number [default: by chance; it is printed]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Paths that are published all the time, each with a reader over TCP and one over UDP that nobody disturbs
    #[arg(long, default_value_t = 4)]
    pub paths: usize,
    /// Readers that misbehave at a time
    #[arg(long, default_value_t = 32)]
    pub readers: usize,
    /// Publishers that misbehave at a time, on other paths
    #[arg(long, default_value_t = 4)]
    pub publishers: usize,
    /// Bit rate of each path, in Mbit/s
    #[arg(long, default_value_t = 1.0)]
    pub mbit: f64,
    /// A configuration key of the server, for example coalesce=5ms
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// By how much the server's memory may be larger than at first: an allocator keeps some of what was free once, in pages
    /// that others still use a part of
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "8M")]
    pub memory_tolerance: u64,
    /// After each round, how long everything may take to come back: a session that has vanished is noticed within the
    /// timeouts of its connection, ten seconds by default
    #[arg(long, value_parser = parse_duration, default_value = "30s")]
    pub patience: Duration,
    /// Print the result as JSON instead of a table, or write it to FILE beside the table
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub json: Option<PathBuf>,
    /// No progress while it runs
    #[arg(long, short)]
    pub quiet: bool,
    /// Connections that are opened after the baseline and stay: they must be found
    #[arg(long, hide = true, default_value_t = 0)]
    pub companions: usize,
}
