//! The options of `shardcast bench`, and the plan that they make.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// Loads a server with publishers and readers, and measures what the readers see.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Without --target a Shardcast is started on a free port of this machine, in a process of its own.\n\
Exit status: 0 when all is within its bounds; 1 above a bound, or after an error; 2 for wrong options; 3 when the load \
generator was itself the bottleneck, so that the figures say nothing about the server.\n\n\
Examples:\n  \
shardcast bench --readers 1000 --mbit 2\n  \
shardcast bench --target rtsp://media:8554/bench --readers 500 --transport udp --plot run.svg\n  \
shardcast bench --find-limit --max-p99 100ms --max-loss 0\n  \
shardcast bench --readers 500 --against floor --cpu-at-most 1.2\n  \
shardcast bench --readers 500 --stalled 50 --baseline \"--stalled 0\" --p99-at-most 1.25 --lost-at-most 0\n  \
shardcast bench --find-limit --against floor --limit-at-least 0.85")]
pub struct Options {
    /// The server to load, and the path to publish and read; with several paths, their numbers are put behind it
    #[arg(long, value_name = "URL", help_heading = "Server")]
    pub target: Option<String>,
    /// The process of the target, on this machine: its CPU time, memory and threads are read
    #[arg(long, requires = "target", help_heading = "Server")]
    pub pid: Option<u32>,
    /// A configuration key of the server that is started here, for example coalesce=5ms
    #[arg(
        long = "set",
        value_name = "KEY=VALUE",
        conflicts_with = "target",
        help_heading = "Server"
    )]
    pub set: Vec<String>,
    /// CPUs of the server that is started here, for example 0,2-3 [default: the first half]
    #[arg(
        long,
        value_name = "LIST",
        conflicts_with = "target",
        help_heading = "Server"
    )]
    pub server_cpus: Option<String>,
    /// CPUs of the load [default: those that the server does not have; with --target, all]
    #[arg(long, value_name = "LIST", help_heading = "Server")]
    pub load_cpus: Option<String>,
    /// A file with a user in each line, USER:PASSWORD, as whom readers log in, one after the other
    #[arg(
        long,
        value_name = "FILE",
        requires = "target",
        help_heading = "Server"
    )]
    pub users: Option<PathBuf>,

    /// Readers, of all paths together [default: 100]
    #[arg(long, conflicts_with = "readers_per_path", help_heading = "Load")]
    pub readers: Option<usize>,
    /// Paths that are published and read
    #[arg(long, default_value_t = 1, help_heading = "Load")]
    pub paths: usize,
    /// Readers of each path, instead of --readers
    #[arg(long, help_heading = "Load")]
    pub readers_per_path: Option<usize>,
    /// How packets come to the readers
    #[arg(long, value_enum, default_value_t = TransportOption::Tcp, help_heading = "Load")]
    pub transport: TransportOption,
    /// How the publishers' packets go to the server
    #[arg(long, value_enum, default_value_t = TransportOption::Tcp, help_heading = "Load")]
    pub publisher_transport: TransportOption,
    /// Bit rate of the video, in Mbit/s
    #[arg(long, default_value_t = 2.0, help_heading = "Load")]
    pub mbit: f64,
    /// Frames per second
    #[arg(long, default_value_t = 30.0, help_heading = "Load")]
    pub fps: f64,
    /// Frames from one key frame to the next
    #[arg(
        long,
        value_name = "FRAMES",
        default_value_t = 60,
        help_heading = "Load"
    )]
    pub gop: u64,
    /// Bytes of a full RTP packet
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 1400,
        help_heading = "Load"
    )]
    pub packet_bytes: usize,
    /// AAC audio beside the video
    #[arg(long, help_heading = "Load")]
    pub audio: bool,
    /// Publish this file, over and over, instead of a made-up stream: MP4 or H.264 byte stream
    #[arg(long, conflicts_with_all = ["mbit", "fps", "gop", "audio", "no_publish"], help_heading = "Load")]
    pub file: Option<PathBuf>,
    /// Only read: somebody else publishes at the target
    #[arg(long, requires = "target", help_heading = "Load")]
    pub no_publish: bool,
    /// Time from one packet of a frame to the next, for example 600us; without it each frame leaves at once
    #[arg(long, value_parser = parse_duration, help_heading = "Load")]
    pub gap: Option<Duration>,

    /// Time in which the readers join [default: a second for every 1000]
    #[arg(long, value_parser = parse_duration, help_heading = "Course")]
    pub ramp: Option<Duration>,
    /// After that, time before anything counts [default: 2s, or a little more than from one key frame to the next]
    #[arg(long, value_parser = parse_duration, help_heading = "Course")]
    pub warm_up: Option<Duration>,
    /// Time that is measured [default: 10s; 5s for each trial of --find-limit]
    #[arg(long, value_parser = parse_duration, help_heading = "Course")]
    pub duration: Option<Duration>,
    /// Readers that are looked at packet by packet, spread over the order in which they join; the others are counted
    /// [default: one in 50, at least 10, at most 100]
    #[arg(long, help_heading = "Course")]
    pub sampled: Option<usize>,
    /// What is left to chance follows from this number [default: by chance; it is printed]
    #[arg(long, help_heading = "Course")]
    pub seed: Option<u64>,

    /// Readers that join while the others are measured
    #[arg(
        long,
        value_name = "READERS",
        default_value_t = 0,
        help_heading = "Disturbance"
    )]
    pub storm: usize,
    /// From the first of them to the last
    #[arg(long, value_parser = parse_duration, default_value = "5s", requires = "storm", help_heading = "Disturbance")]
    pub storm_within: Duration,
    /// They stay; otherwise each leaves in order once it plays
    #[arg(long, requires = "storm", help_heading = "Disturbance")]
    pub storm_stays: bool,
    /// Readers, beside the others, that stop reading once they play
    #[arg(
        long,
        value_name = "READERS",
        default_value_t = 0,
        help_heading = "Disturbance"
    )]
    pub stalled: usize,
    /// Readers, beside the others, that read too slowly
    #[arg(
        long,
        value_name = "READERS",
        default_value_t = 0,
        help_heading = "Disturbance"
    )]
    pub crawling: usize,
    /// What each of these reads, in Mbit/s [default: a quarter of --mbit]
    #[arg(
        long,
        value_name = "MBIT",
        requires = "crawling",
        help_heading = "Disturbance"
    )]
    pub crawl_mbit: Option<f64>,
    /// Readers, beside the others, that vanish without a word and come back
    #[arg(
        long,
        value_name = "READERS",
        default_value_t = 0,
        help_heading = "Disturbance"
    )]
    pub vanishing: usize,
    /// Publishers that leave and come back
    #[arg(
        long,
        value_name = "PUBLISHERS",
        default_value_t = 0,
        help_heading = "Disturbance"
    )]
    pub flapping: usize,
    /// From one leave to the next
    #[arg(long, value_parser = parse_duration, default_value = "5s", requires = "flapping", help_heading = "Disturbance")]
    pub flap_every: Duration,
    /// How long each is away
    #[arg(long, value_parser = parse_duration, default_value = "1s", requires = "flapping", help_heading = "Disturbance")]
    pub flap_away: Duration,

    /// Take turns with the bare relay, or find its limit too, and print ratios
    #[arg(long, value_enum, group = "other", help_heading = "Comparison")]
    pub against: Option<Yardstick>,
    /// Take turns with this server, or find its limit too, and print ratios
    #[arg(long, value_name = "URL", group = "other", help_heading = "Comparison")]
    pub compare: Option<String>,
    /// The process of that server, on this machine
    #[arg(
        long,
        value_name = "PID",
        requires = "compare",
        help_heading = "Comparison"
    )]
    pub compare_pid: Option<u32>,
    /// Take turns with the same server under another load, or other keys of it: these options, separated by spaces, in the
    /// place of those given. For example "--stalled 0"
    #[arg(
        long,
        value_name = "OPTIONS",
        group = "other",
        conflicts_with = "find_limit",
        allow_hyphen_values = true,
        help_heading = "Comparison"
    )]
    pub baseline: Option<String>,
    /// Turns
    #[arg(
        long,
        default_value_t = 5,
        requires = "other",
        conflicts_with = "find_limit",
        help_heading = "Comparison"
    )]
    pub turns: usize,
    /// Exit with status 1 when the ratio of CPU time per packet and reader is above this
    #[arg(
        long,
        value_name = "RATIO",
        requires = "other",
        conflicts_with = "find_limit",
        help_heading = "Comparison"
    )]
    pub cpu_at_most: Option<f64>,
    /// Exit with status 1 when the ratio of the 99th percentiles of latency is above this
    #[arg(
        long,
        value_name = "RATIO",
        requires = "other",
        conflicts_with = "find_limit",
        help_heading = "Comparison"
    )]
    pub p99_at_most: Option<f64>,
    /// Exit with status 1 when the server's memory, with what its connections' send queues take, is at its most larger than
    /// the other's by more than this, for example 24M
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = parse_size,
        requires = "other",
        conflicts_with = "find_limit",
        help_heading = "Comparison"
    )]
    pub memory_grows_at_most: Option<u64>,
    /// With --find-limit: exit with status 1 when our limit is below this part of theirs
    #[arg(
        long,
        value_name = "RATIO",
        requires_all = ["other", "find_limit"],
        help_heading = "Comparison"
    )]
    pub limit_at_least: Option<f64>,

    /// Exit with status 1 when more packets than this are known to be missing: those that readers lack who are looked at,
    /// and one for each reader that lacks bytes or was sent away. Of several turns, all of ours together
    #[arg(
        long,
        value_name = "PACKETS",
        conflicts_with = "find_limit",
        help_heading = "Bounds"
    )]
    pub lost_at_most: Option<u64>,
    /// Exit with status 1 when the 99th percentile of starts is above this: from the request PLAY to the last packet
    /// of the first whole key frame
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = parse_duration,
        conflicts_with = "find_limit",
        help_heading = "Bounds"
    )]
    pub start_at_most: Option<Duration>,

    /// Find how many readers the server can serve
    #[arg(long, help_heading = "Limit")]
    pub find_limit: bool,
    /// The 99th percentile of latency may be so high
    #[arg(long, value_parser = parse_duration, default_value = "100ms", requires = "find_limit", help_heading = "Limit")]
    pub max_p99: Duration,
    /// So many percent of the packets may be missing
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 0.0,
        requires = "find_limit",
        help_heading = "Limit"
    )]
    pub max_loss: f64,
    /// Do not try more readers than this
    #[arg(
        long,
        default_value_t = 100_000,
        requires = "find_limit",
        help_heading = "Limit"
    )]
    pub max_readers: usize,
    /// Stop when the limit is known to so many percent
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 5.0,
        requires = "find_limit",
        help_heading = "Limit"
    )]
    pub precision: f64,

    /// Print the result as JSON instead of a table, or write it to FILE beside the table
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-", help_heading = "Output")]
    pub json: Option<PathBuf>,
    /// Draw the result
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub plot: Option<PathBuf>,
    /// No progress while it runs
    #[arg(long, short, help_heading = "Output")]
    pub quiet: bool,
}

/// How packets travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TransportOption {
    /// Between the messages of the connection
    Tcp,
    /// As datagrams
    Udp,
}

/// What a server is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Yardstick {
    /// A relay that does the least possible
    Floor,
}

/// Nothing is waited for longer than a month: moments so far off can always be told.
const DURATION_MAX: Duration = Duration::from_hours(30 * 24);

/// `600us`, `1.5ms`, `10s`, `2m`; a number alone is seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 6] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("ms", 1e-3),
        ("s", 1.0),
        ("m", 60.0),
    ];
    let unit = UNITS
        .iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)));
    let (number, seconds) = unit.unwrap_or((text, 1.0));
    let number: f64 = number
        .trim()
        .parse()
        .map_err(|_| "no duration, as 600us, 10s or 2m are")?;
    let duration = Duration::try_from_secs_f64(number * seconds);
    let duration = duration.map_err(|error| error.to_string())?;
    match duration <= DURATION_MAX {
        true => Ok(duration),
        false => Err("more than a month".to_owned()),
    }
}

/// `300K`, `24M`, `1G`, in multiples of 1024; a number alone is bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 3] = [("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30)];
    let unit = UNITS
        .iter()
        .find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (number, bytes) = unit.unwrap_or((text, 1));
    let number: u64 = number
        .trim()
        .parse()
        .map_err(|_| "no size, as 300K or 24M are")?;
    number
        .checked_mul(bytes)
        .ok_or_else(|| "more than there is".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches as _};

    use super::*;

    fn parse(line: &str) -> Result<Options, clap::Error> {
        let command = Options::augment_args(Command::new("bench")).no_binary_name(true);
        Options::from_arg_matches(&command.try_get_matches_from(line.split_whitespace())?)
    }

    #[test]
    fn durations_have_units_and_an_end() {
        let parsed = |text| parse_duration(text).ok();
        assert_eq!(parsed("600us"), Some(Duration::from_micros(600)));
        assert_eq!(parsed("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(parsed("2m"), Some(Duration::from_secs(120)));
        assert_eq!(parsed("720h"), None);
        assert_eq!(parsed("43200m"), Some(DURATION_MAX));
        for text in ["", "s", "-1s", "NaN", "inf", "43201m", "1e300s"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_have_units_and_an_end() {
        let parsed = |text| parse_size(text).ok();
        assert_eq!(parsed("4096"), Some(4096));
        assert_eq!(parsed("24M"), Some(24 << 20));
        for text in ["", "M", "-1K", "1.5M", "1T", "99999999999G"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn options_that_mean_nothing_without_another_are_refused() {
        for line in [
            "--cpu-at-most 1.2",
            "--p99-at-most 1.2",
            "--turns 3",
            "--memory-grows-at-most 1M",
            "--limit-at-least 0.9",
            "--limit-at-least 0.9 --against floor",
            "--limit-at-least 0.9 --find-limit",
            "--max-p99 1s",
            "--max-loss 1",
            "--max-readers 100",
            "--precision 5",
            "--compare-pid 1",
            "--storm-within 1s",
            "--storm-stays",
            "--crawl-mbit 1",
            "--flap-every 3s",
            "--flap-away 2s",
        ] {
            let error = parse(line).map(drop).unwrap_err();
            let kind = error.kind();
            assert_eq!(
                kind,
                clap::error::ErrorKind::MissingRequiredArgument,
                "{line}"
            );
        }
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        for line in [
            "--against floor --compare rtsp://127.0.0.1/a",
            "--against floor --baseline=--audio",
            "--find-limit --baseline=--audio",
            "--find-limit --lost-at-most 0",
            "--find-limit --start-at-most 1s",
            "--find-limit --against floor --turns 3",
            "--find-limit --against floor --cpu-at-most 1.2",
            "--find-limit --against floor --p99-at-most 1.2",
        ] {
            let error = parse(line).map(drop).unwrap_err();
            assert_eq!(
                error.kind(),
                clap::error::ErrorKind::ArgumentConflict,
                "{line}"
            );
        }
    }

    #[test]
    fn limits_can_be_compared() {
        let options = parse("--find-limit --against floor --limit-at-least 0.85 --max-p99 1s");
        let options = options.expect("it makes sense");
        assert!(options.find_limit && options.against.is_some());
        assert_eq!(options.limit_at_least, Some(0.85));
    }
}
