//! All latencies of the process: which paths have histograms of their own, and what their shards have published. Locked
//! when a path's first reader on a shard comes, when it has had none for minutes, and when somebody looks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::histogram::{Buckets, new_histogram};
use super::shared::SharedLatency;
use crate::path::PathName;

/// Paths with histograms of their own: a shard keeps three of 9 KiB for each, and a scrape has 18 lines. The others share
/// one.
pub const PATHS_MAX: usize = 100;

/// What shards have published, by path.
#[derive(Debug)]
pub struct LatencyBoard(Mutex<Board>);

#[derive(Debug, Default)]
struct Board {
    /// At most [`PATHS_MAX`].
    paths: HashMap<PathName, Place>,
    others: Published,
    /// Counts the seats that were left.
    departures: u64,
}

/// By shard.
type Published = Vec<Option<Arc<SharedLatency>>>;

/// A path with histograms of its own. It keeps them when nobody reads it any more, until another path needs the place.
#[derive(Debug, Default)]
struct Place {
    published: Published,
    /// Shards that record.
    seats: usize,
    /// The number of the last departure.
    left: u64,
}

/// The latency of one path on all shards.
#[derive(Debug)]
pub struct LatencyReport {
    /// Whose; nothing for all that have no histograms of their own.
    pub path: Option<PathName>,
    /// Of all packets since the begin.
    pub buckets: Buckets,
    /// Sum of all packets' latencies since the begin.
    pub sum_us: u64,
    /// Of the packets of the last minute or two.
    recent: Histogram<u32>,
}

impl LatencyReport {
    /// What this share of the last minute's packets was not later than; nothing without packets.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let latency_us = self.recent.value_at_quantile(quantile);
        (!self.recent.is_empty()).then(|| Duration::from_micros(latency_us))
    }

    /// The latest of the last minute's packets.
    #[must_use]
    pub fn max(&self) -> Option<Duration> {
        (!self.recent.is_empty()).then(|| Duration::from_micros(self.recent.max()))
    }
}

impl LatencyBoard {
    /// For a process with so many shards.
    #[must_use]
    pub fn new(shards: usize) -> Arc<Self> {
        let others = vec![None; shards];
        Arc::new(Self(Mutex::new(Board {
            others,
            ..Board::default()
        })))
    }

    /// Where a shard publishes this path's latency, until it leaves the seat; nothing when too many others have theirs.
    #[must_use]
    pub fn take_seat(
        &self,
        path: &PathName,
        shard: usize,
        now: Instant,
    ) -> Option<Arc<SharedLatency>> {
        let mut board = self.lock();
        if !board.paths.contains_key(path) {
            board.make_room(now)?;
        }
        let shards = board.others.len();
        let place = board.paths.entry(path.clone()).or_default();
        place.seats += 1;
        place.published.resize(shards, None);
        Some(published(&mut place.published, shard, now))
    }

    /// A shard has nothing to publish of this path any more.
    pub fn leave_seat(&self, path: &PathName) {
        let mut board = self.lock();
        board.departures += 1;
        let left = board.departures;
        if let Some(place) = board.paths.get_mut(path) {
            place.seats = place.seats.saturating_sub(1);
            place.left = left;
        }
    }

    /// Where a shard publishes the latency of all paths that have no seat.
    #[must_use]
    pub fn others(&self, shard: usize, now: Instant) -> Arc<SharedLatency> {
        published(&mut self.lock().others, shard, now)
    }

    /// All latencies, ordered by path, those of the others last.
    #[must_use]
    pub fn reports(&self, now: Instant) -> Vec<LatencyReport> {
        let board = self.lock();
        let paths = board.paths.iter();
        let mut reports: Vec<_> = paths
            .map(|(path, place)| report(Some(path.clone()), &place.published, now))
            .collect();
        reports.sort_by(|a, b| a.path.cmp(&b.path));
        if board.others.iter().any(Option::is_some) {
            reports.push(report(None, &board.others, now));
        }
        reports
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    /// Makes room for one more path: whoever has had no reader for longest gives its place up, and what was counted of it
    /// to the others, so that no sum ever falls.
    fn make_room(&mut self, now: Instant) -> Option<()> {
        if self.paths.len() < PATHS_MAX {
            return Some(());
        }
        let free = self.paths.iter().filter(|(_, place)| place.seats == 0);
        let longest = free.min_by_key(|(_, place)| place.left);
        let path = longest.map(|(path, _)| path.clone())?;
        let place = self.paths.remove(&path)?;
        for (shard, left) in place.published.iter().enumerate() {
            if let Some(left) = left {
                let others = published(&mut self.others, shard, now);
                left.lock().move_to(&mut others.lock(), now);
            }
        }
        Some(())
    }
}

fn published(all: &mut Published, shard: usize, now: Instant) -> Arc<SharedLatency> {
    if all.len() <= shard {
        all.resize(shard + 1, None);
    }
    let published = &mut all[shard];
    let new = || Arc::new(SharedLatency::new(now));
    published.get_or_insert_with(new).clone()
}

fn report(path: Option<PathName>, published: &Published, now: Instant) -> LatencyReport {
    let mut report = LatencyReport {
        path,
        buckets: Buckets::default(),
        sum_us: 0,
        recent: new_histogram(),
    };
    for shard in published.iter().flatten() {
        let published = shard.lock();
        published.add_all_to(&mut report.buckets, &mut report.sum_us);
        published.add_recent_to(&mut report.recent, now);
    }
    report
}

#[cfg(test)]
mod tests {
    use super::super::{PathLatency, ShardLatencies};
    use super::*;

    fn name(number: usize) -> PathName {
        PathName::new(&format!("cam{number}")).unwrap()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn packets(report: &LatencyReport) -> u64 {
        report.buckets.cumulative().last().unwrap()
    }

    #[test]
    fn what_shards_record_is_seen_together_within_a_second() {
        let (board, begin) = (LatencyBoard::new(2), Instant::now());
        for shard in 0..2 {
            let latencies = ShardLatencies::new(shard, board.clone(), begin);
            latencies.of(&name(1), begin).record(2_000, 10);
            latencies.publish(begin + seconds(1));
        }
        let reports = board.reports(begin + seconds(1));
        assert_eq!(reports.len(), 1);
        assert_eq!((packets(&reports[0]), reports[0].sum_us), (20, 40_000));
        let median = reports[0].quantile(0.5).unwrap();
        assert!(median.abs_diff(Duration::from_millis(2)) < Duration::from_micros(20));
    }

    #[test]
    fn figures_of_the_window_forget_and_counters_do_not() {
        let (board, begin) = (LatencyBoard::new(1), Instant::now());
        let latencies = ShardLatencies::new(0, board.clone(), begin);
        let path = latencies.of(&name(1), begin);
        path.record(7_000, 3);
        for second in [1, 61, 122] {
            latencies.publish(begin + seconds(second));
        }
        path.record(90, 1);
        latencies.publish(begin + seconds(183));
        let report = &board.reports(begin + seconds(183))[0];
        assert_eq!((packets(report), report.sum_us), (4, 21_090));
        assert!(report.max().unwrap() < Duration::from_millis(1));
    }

    #[test]
    fn a_shard_that_publishes_no_more_is_shown_no_more() {
        let (board, begin) = (LatencyBoard::new(1), Instant::now());
        let latencies = ShardLatencies::new(0, board.clone(), begin);
        latencies.of(&name(1), begin).record(7_000, 3);
        latencies.publish(begin + seconds(1));
        assert!(board.reports(begin + seconds(60))[0].max().is_some());
        assert!(board.reports(begin + seconds(300))[0].max().is_none());
    }

    #[test]
    fn a_shard_does_not_wait_for_who_looks() {
        let (board, begin) = (LatencyBoard::new(1), Instant::now());
        let shared = board.take_seat(&name(1), 0, begin).unwrap();
        let latencies = ShardLatencies::new(0, board.clone(), begin);
        let path = latencies.of(&name(1), begin);
        path.record(50, 1);
        let looking = shared.lock();
        latencies.publish(begin + seconds(1));
        drop(looking);
        assert_eq!(packets(&board.reports(begin)[0]), 0);
        latencies.publish(begin + seconds(2));
        assert_eq!(packets(&board.reports(begin)[0]), 1);
    }

    #[test]
    fn a_hundred_paths_have_histograms_and_the_rest_share_one() {
        let (board, begin) = (LatencyBoard::new(1), Instant::now());
        let latencies = ShardLatencies::new(0, board.clone(), begin);
        let paths: Vec<_> = (0..PATHS_MAX + 2)
            .map(|number| latencies.of(&name(number), begin))
            .collect();
        paths.iter().for_each(|path| path.record(100, 1));
        latencies.publish(begin + seconds(1));
        let reports = board.reports(begin + seconds(1));
        assert_eq!(reports.len(), PATHS_MAX + 1);
        let others = reports.last().unwrap();
        assert_eq!((others.path.is_none(), packets(others)), (true, 2));
    }

    #[test]
    fn a_path_that_nobody_reads_gives_its_place_up_and_no_sum_falls() {
        let (board, begin) = (LatencyBoard::new(1), Instant::now());
        let latencies = ShardLatencies::new(0, board.clone(), begin);
        let mut paths: Vec<Option<std::rc::Rc<PathLatency>>> = (0..PATHS_MAX)
            .map(|number| Some(latencies.of(&name(number), begin)))
            .collect();
        paths.iter().flatten().for_each(|path| path.record(100, 1));
        paths[0] = None;
        for window in 0..5 {
            latencies.publish(begin + seconds(1 + 61 * window));
        }
        let now = begin + seconds(400);
        latencies.of(&name(1000), now).record(100, 1);
        latencies.publish(now + seconds(1));
        let reports = board.reports(now);
        let all: u64 = reports.iter().map(packets).sum();
        assert_eq!(all, PATHS_MAX as u64 + 1);
        let named = |path: &PathName| reports.iter().any(|r| r.path.as_ref() == Some(path));
        assert!(named(&name(1000)) && !named(&name(0)));
    }
}
