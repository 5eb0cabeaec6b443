//! What all readers have seen together: the figures of their threads, taken together when the run is over.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::window::{ThreadFigures, Throughout};
use crate::measured::{All, Sampled, nanos_histogram};
use crate::stream::TallyCounts;

/// Whoever has a smaller part than this of what those of the same path have is short.
const SHORT_PART: f64 = 0.98;

/// What all readers have seen.
#[derive(Debug)]
pub(crate) struct ReaderFigures {
    /// Those that are looked at.
    pub(crate) sampled: Sampled,
    /// All well-behaved ones.
    pub(crate) all: All,
    /// How long joins took.
    pub(crate) joins: Histogram<u64>,
    /// How long it took from PLAY to the end of a key frame.
    pub(crate) starts: Histogram<u64>,
    /// CPU time of their threads while it was measured.
    pub(crate) readers_cpu: Duration,
    /// The busiest second of the busiest of them.
    pub(crate) busiest_share: f64,
}

impl ReaderFigures {
    /// Takes the threads' figures together.
    pub(super) fn of(threads: &[ThreadFigures]) -> Self {
        let mut latency = nanos_histogram();
        let (mut joins, mut starts) = (nanos_histogram(), nanos_histogram());
        for thread in threads {
            // All of them have the same range.
            let _added = (latency.add(&thread.latency), joins.add(&thread.joins));
            let _added = starts.add(&thread.starts);
        }
        let shares = threads.iter().map(|thread| thread.busiest_share);
        Self {
            sampled: sampled(threads, latency),
            all: all(threads),
            joins,
            starts,
            readers_cpu: threads.iter().map(|thread| thread.cpu).sum(),
            busiest_share: shares.fold(0.0, f64::max),
        }
    }
}

fn sampled(threads: &[ThreadFigures], latency: Histogram<u64>) -> Sampled {
    let mut tally = TallyCounts::default();
    threads.iter().for_each(|thread| tally += thread.tally);
    Sampled {
        readers: threads.iter().map(|thread| thread.sampled).sum(),
        packets: threads.iter().map(|it| it.counts.timely_packets).sum(),
        bytes: threads.iter().map(|it| it.counts.timely_bytes).sum(),
        lost: tally.lost,
        duplicates: tally.duplicates,
        reordered: tally.reordered,
        skipped: tally.skipped,
        broken: threads.iter().map(|thread| thread.broken).sum(),
        latency,
    }
}

fn all(threads: &[ThreadFigures]) -> All {
    let sum = |of: fn(&ThreadFigures) -> usize| threads.iter().map(of).sum();
    let throughout = threads.iter().flat_map(|thread| &thread.throughout);
    All {
        readers: sum(|thread| thread.playing),
        bytes: threads.iter().map(|thread| thread.counts.bytes).sum(),
        deliveries: deliveries(threads),
        short: short(throughout.copied()),
        refused: sum(|thread| thread.counts.refused),
        failed: sum(|thread| thread.counts.failed),
        closed: sum(|thread| thread.counts.closed),
    }
}

/// Packets times readers. Where bytes of a connection are only counted, they are divided by what a packet takes on the
/// connections that are looked at; with none of those nothing is known.
fn deliveries(threads: &[ThreadFigures]) -> f64 {
    let sum = |of: fn(&ThreadFigures) -> u64| threads.iter().map(of).sum::<u64>();
    let looked_at = sum(|thread| thread.tally.packets);
    let looked_at_bytes = sum(|thread| thread.counts.sampled_bytes);
    let datagrams = sum(|thread| thread.counts.datagrams);
    let counted_bytes = sum(|thread| thread.counts.bytes) - looked_at_bytes;
    let known = (looked_at + datagrams) as f64;
    if datagrams > 0 || looked_at_bytes == 0 {
        return known;
    }
    known + counted_bytes as f64 * looked_at as f64 / looked_at_bytes as f64
}

/// How many of those that are only counted lack something, by the median of those of the same path that are looked at, or
/// where there is none, of all.
fn short(throughout: impl Iterator<Item = Throughout>) -> usize {
    let mut paths: BTreeMap<usize, (Vec<u64>, Vec<u64>)> = BTreeMap::new();
    for reader in throughout {
        let (counted, looked_at) = paths.entry(reader.path).or_default();
        let list = if reader.is_sampled {
            looked_at
        } else {
            counted
        };
        list.push(reader.bytes);
    }
    let short = paths.into_values().map(|(mut counted, mut looked_at)| {
        let whole = median(&mut looked_at).or_else(|| median(&mut counted));
        let least = whole.unwrap_or(0) as f64 * SHORT_PART;
        counted
            .iter()
            .filter(|bytes| (**bytes as f64) < least)
            .count()
    });
    short.sum()
}

fn median(values: &mut [u64]) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readers(path: usize, is_sampled: bool, bytes: &[u64]) -> Vec<Throughout> {
        let bytes = bytes.iter();
        bytes
            .map(|bytes| Throughout {
                path,
                is_sampled,
                bytes: *bytes,
            })
            .collect()
    }

    #[test]
    fn whoever_lacks_two_percent_of_what_its_path_has_is_short() {
        let counted = readers(0, false, &[1000, 981, 979, 500]);
        let looked_at = readers(0, true, &[1000, 1000, 10]);
        let all = [counted, looked_at].concat();
        assert_eq!(short(all.into_iter()), 2);
    }

    #[test]
    fn paths_are_judged_by_themselves_and_without_looked_at_readers_by_all() {
        let one = readers(0, false, &[1000, 1000, 900]);
        let other = readers(1, false, &[100, 100, 100]);
        assert_eq!(short([one, other].concat().into_iter()), 1);
        assert_eq!(short(std::iter::empty()), 0);
    }
}
