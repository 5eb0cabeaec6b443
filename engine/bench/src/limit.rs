//! How many readers a server can serve: trials with more and more of them until one shows too much latency or loss, then
//! bisection between the last that was within and the first that was not.
//!
//! Machines are noisy. A trial that is above or near a bound, and the two that decide at the end, are made again until two of
//! at most three agree, so that two searches end close to each other: one trial that something else on the machine has
//! spoiled would cut off all that lies beyond it. A trial in which the load generator was itself the bottleneck says
//! nothing about the server: where the search ends at one, its result is "at least", and not valid.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use crate::BenchError;
use crate::measured::{Measured, quantile_of};
use crate::report::{Progress, words};
use crate::validity::Invalid;

/// Trials with one number of readers.
const TRIES_MAX: usize = 3;
/// So many trials that agree settle it.
const TRIES_AGREED: usize = 2;
/// Trials in all. A search from 100 to 100 000 readers at 1 % needs about 20 numbers of readers.
const TRIALS_MAX: usize = 64;
/// Within this part of a bound, a trial may fall on either side of it by chance.
const NEAR: f64 = 0.3;
/// Loss that chance may bring, in percent: a packet or two of a short trial.
const LOSS_NEAR_PERCENT: f64 = 0.1;

/// When readers are too many, and how the search goes.
#[derive(Clone, Debug)]
pub struct Criteria {
    /// Readers of the first trial.
    pub start: usize,
    /// The 99th percentile of latency may be so high.
    pub max_p99: Duration,
    /// So many percent of the packets may be missing.
    pub max_loss_percent: f64,
    /// Do not try more readers than this.
    pub max_readers: usize,
    /// Stop when the limit is known to so many percent.
    pub precision_percent: f64,
}

/// What more readers would break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Latency is too high.
    P99,
    /// Packets are missing.
    Loss,
    /// Readers do not come to play, or are sent away.
    Missing,
    /// The load generator is the bottleneck, not the server.
    Generator,
    /// No more readers were to be tried.
    MaxReaders,
}

/// What a trial, or several with one number of readers, came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is within its bounds.
    Within,
    /// Not so; [`Bound::Generator`] says nothing about the server.
    Above(Bound),
}

/// One trial.
#[derive(Clone, Debug)]
pub struct Try {
    /// Readers that played at the end.
    pub playing: usize,
    /// The share of a CPU that the server had.
    pub server_share: Option<f64>,
    /// CPU time of the server per packet and reader, in nanoseconds.
    pub server_nanos: Option<f64>,
    /// The median of latency.
    pub p50: Option<Duration>,
    /// Its 99th percentile.
    pub p99: Option<Duration>,
    /// Packets that are missing, in percent.
    pub loss_percent: Option<f64>,
    /// What it comes to.
    pub verdict: Verdict,
    /// In words: why it is above.
    pub reason: Option<String>,
    /// Whether chance may have decided it.
    is_doubtful: bool,
}

/// All trials with one number of readers.
#[derive(Clone, Debug)]
pub struct Point {
    /// Readers that were asked for.
    pub readers: usize,
    /// In the order in which they were made; at least one.
    pub tries: Vec<Try>,
    /// What most of them came to.
    pub verdict: Verdict,
}

/// What a search has found.
#[derive(Debug)]
pub struct LimitFound {
    /// What was searched for.
    pub criteria: Criteria,
    /// The most readers that were within; none at all when even one reader is too many.
    pub readers: usize,
    /// What more would break; unknown when the search was broken off.
    pub bound_by: Option<Bound>,
    /// The trials, from few readers to many.
    pub curve: Vec<Point>,
    /// What ended the search.
    pub failure: Option<BenchError>,
}

/// Searches. `trial` makes a run with so many readers.
pub fn find_limit(
    criteria: &Criteria,
    progress: &Progress,
    mut trial: impl FnMut(usize) -> Result<Measured, BenchError>,
) -> LimitFound {
    let mut search = Search::new(criteria);
    for _ in 0..TRIALS_MAX {
        let Some(readers) = search.next() else {
            return search.found(true, None);
        };
        progress.heading(&format!("trial: {readers} readers"));
        let outcome = trial(readers);
        let is_partial = matches!(&outcome, Ok(measured) if measured.is_partial);
        match search.judge(outcome) {
            Ok(_) if is_partial => break,
            Ok(tried) => {
                progress.heading(&tried.sentence(readers));
                search.tries.entry(readers).or_default().push(tried);
            }
            Err(error) => return search.found(false, Some(error)),
        }
    }
    search.found(false, None)
}

/// A search under way.
struct Search<'a> {
    criteria: &'a Criteria,
    tries: BTreeMap<usize, Vec<Try>>,
}

impl<'a> Search<'a> {
    fn new(criteria: &'a Criteria) -> Self {
        Self {
            criteria,
            tries: BTreeMap::new(),
        }
    }

    /// The next trial's readers; none when the limit is known well enough.
    fn next(&self) -> Option<usize> {
        if let Some((readers, _)) = self.tries.iter().find(|(_, tries)| is_in_doubt(tries)) {
            return Some(*readers);
        }
        let max = self.criteria.max_readers.max(1);
        let (within, above) = self.ends();
        match above {
            None if within == 0 => Some(self.criteria.start.clamp(1, max)),
            None if within >= max => self.unsettled(within),
            None => Some(within.saturating_mul(2).min(max)),
            Some(above) if self.is_precise(within, above) => {
                self.unsettled(within).or_else(|| self.unsettled(above))
            }
            Some(above) => Some(within + (above - within) / 2),
        }
    }

    /// The fewest readers that are not within, and below them the most that are (0: none).
    fn ends(&self) -> (usize, Option<usize>) {
        let mut within = 0;
        for (readers, tries) in &self.tries {
            match verdict_of(tries) {
                Verdict::Within => within = *readers,
                Verdict::Above(_) => return (within, Some(*readers)),
            }
        }
        (within, None)
    }

    fn is_precise(&self, within: usize, above: usize) -> bool {
        let apart = above - within;
        apart <= 1 || apart as f64 <= above as f64 * self.criteria.precision_percent / 100.0
    }

    /// These readers, if a further trial with them may turn the verdict.
    fn unsettled(&self, readers: usize) -> Option<usize> {
        let tries = self.tries.get(&readers)?;
        (!is_settled(tries)).then_some(readers)
    }

    /// What a trial's outcome comes to.
    ///
    /// # Errors
    /// The trial's own, when it says nothing about how many readers there may be: nothing has worked so far, or it failed
    /// for a reason that lies here.
    fn judge(&self, outcome: Result<Measured, BenchError>) -> Result<Try, BenchError> {
        let has_worked = !self.tries.is_empty();
        match outcome {
            Ok(measured) => Ok(Try::of(self.criteria, &measured)),
            Err(error) if !has_worked => Err(error),
            Err(error) => match bound_of(&error) {
                Some(bound) => Ok(Try::failed(bound, &error)),
                None => Err(error),
            },
        }
    }

    fn found(self, is_whole: bool, failure: Option<BenchError>) -> LimitFound {
        let (readers, above) = self.ends();
        let bound_by =
            above
                .and_then(|above| self.tries.get(&above))
                .map(|tries| match verdict_of(tries) {
                    Verdict::Above(bound) => bound,
                    Verdict::Within => Bound::MaxReaders,
                });
        let points = self.tries.into_iter().map(|(readers, tries)| Point {
            readers,
            verdict: verdict_of(&tries),
            tries,
        });
        LimitFound {
            criteria: self.criteria.clone(),
            readers,
            bound_by: is_whole.then(|| bound_by.unwrap_or(Bound::MaxReaders)),
            curve: points.collect(),
            failure,
        }
    }
}

/// What most of these trials came to. Those that say nothing about the server do not count while others do; where as many
/// are within as above, it is above.
fn verdict_of(tries: &[Try]) -> Verdict {
    let within = count(tries, |verdict| verdict == Verdict::Within);
    let above = count(tries, is_above);
    if within > above {
        return Verdict::Within;
    }
    let mut verdicts = tries.iter().map(|it| it.verdict).rev();
    let by_server = verdicts.find(|verdict| is_above(*verdict));
    by_server.unwrap_or(Verdict::Above(Bound::Generator))
}

/// Above, for a reason that is the server's.
fn is_above(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Above(bound) if bound != Bound::Generator)
}

fn count(tries: &[Try], is_it: impl Fn(Verdict) -> bool) -> usize {
    tries.iter().filter(|it| is_it(it.verdict)).count()
}

/// Whether no further trial is to be made.
fn is_settled(tries: &[Try]) -> bool {
    let within = count(tries, |verdict| verdict == Verdict::Within);
    let above = count(tries, is_above);
    tries.len() >= TRIES_MAX || within.max(above) >= TRIES_AGREED
}

/// Whether a trial was near a bound, and further ones are to decide.
fn is_in_doubt(tries: &[Try]) -> bool {
    !is_settled(tries) && tries.iter().any(|it| it.is_doubtful)
}

/// What a trial has run into that failed with this error; none when it is not about the number of readers.
fn bound_of(error: &BenchError) -> Option<Bound> {
    match error {
        BenchError::Descriptors { .. } => Some(Bound::Generator),
        // The ports of this machine towards one address have run out.
        BenchError::Unreachable { error, .. }
            if error.kind() == io::ErrorKind::AddrNotAvailable =>
        {
            Some(Bound::Generator)
        }
        BenchError::Unreachable { .. } | BenchError::Session { .. } | BenchError::Server(_) => {
            Some(Bound::Missing)
        }
        _ => None,
    }
}

impl Try {
    fn of(criteria: &Criteria, measured: &Measured) -> Self {
        let loss_percent = (measured.sampled.packets > 0).then(|| measured.loss() * 100.0);
        let p99 = measured.latency(0.99);
        let (verdict, reason) = match reason_above(criteria, measured) {
            Some((bound, reason)) => (Verdict::Above(bound), Some(reason)),
            None => (Verdict::Within, None),
        };
        let is_near = p99.is_some_and(|p99| is_near_p99(criteria, p99))
            || loss_percent.is_some_and(|percent| is_near_loss(criteria, percent));
        Self {
            playing: measured.all.readers,
            server_share: measured.server_share(),
            server_nanos: measured.server_nanos(),
            p50: measured.latency(0.5),
            p99,
            loss_percent,
            verdict,
            reason,
            is_doubtful: is_near || verdict != Verdict::Within,
        }
    }

    fn failed(bound: Bound, error: &BenchError) -> Self {
        Self {
            playing: 0,
            server_share: None,
            server_nanos: None,
            p50: None,
            p99: None,
            loss_percent: None,
            verdict: Verdict::Above(bound),
            reason: Some(error.to_string()),
            is_doubtful: false,
        }
    }

    /// What it came to.
    fn sentence(&self, readers: usize) -> String {
        let p99 = self.p99.map_or("unknown".to_owned(), words::duration);
        let loss = self
            .loss_percent
            .map_or("unknown".to_owned(), words::percent);
        let verdict = self.reason.as_deref().unwrap_or("within the bounds");
        format!("  {readers} readers: p99 {p99}, loss {loss}: {verdict}")
    }
}

/// Why a trial is above the limit, if it is, in words.
///
/// That packets left late is our fault only as far as it explains the latency: a server that does not keep up holds its
/// publisher up as well, once the buffers between them are full, and what those hold is latency beyond that lateness. Where
/// latency is within its bound all the same, it is so beside a lateness that it contains, and nobody is to blame.
fn reason_above(criteria: &Criteria, measured: &Measured) -> Option<(Bound, String)> {
    let reasons = &measured.validity.reasons;
    let is_late = |reason: &&Invalid| matches!(reason, Invalid::LatePublishing { .. });
    let mut own_faults = reasons.iter().filter(|reason| reason.is_ours());
    let late = reasons.iter().find(is_late);
    if let Some(own) = own_faults.find(|reason| !is_late(reason)) {
        return Some((Bound::Generator, own.to_string()));
    }
    let missing = reason_missing(measured).map(|reason| (Bound::Missing, reason));
    let lost = || Some((Bound::Loss, reason_lost(criteria, measured)?));
    let slow = || {
        let lateness = late.and_then(|_| quantile_of(&measured.published.lateness, 0.99));
        let p99 = measured.latency(0.99)?;
        let is_over = p99.saturating_sub(lateness.unwrap_or_default()) > criteria.max_p99;
        let bound = words::duration(criteria.max_p99);
        is_over.then(|| (Bound::P99, format!("p99 is above {bound}")))
    };
    let own = || {
        let is_within = measured
            .latency(0.99)
            .is_some_and(|p99| p99 <= criteria.max_p99);
        let late = late.filter(|_| !is_within);
        late.map(|reason| (Bound::Generator, reason.to_string()))
    };
    missing.or_else(lost).or_else(slow).or_else(own)
}

fn reason_missing(measured: &Measured) -> Option<String> {
    let all = &measured.all;
    let sent_away = [
        (all.refused, "refused"),
        (all.failed, "failed"),
        (all.closed, "closed"),
    ];
    let missing = measured.validity.reasons.iter().find(|it| !it.is_ours());
    let counted = || {
        let (count, what) = sent_away.into_iter().find(|(count, _)| *count > 0)?;
        Some(format!("{count} connections of readers {what}"))
    };
    missing.map(Invalid::to_string).or_else(counted)
}

fn reason_lost(criteria: &Criteria, measured: &Measured) -> Option<String> {
    let percent = measured.loss() * 100.0;
    let max = words::percent(criteria.max_loss_percent);
    if percent > criteria.max_loss_percent {
        return Some(format!("loss is above {max}"));
    }
    match (measured.all.short, measured.sampled.broken) {
        (0, 0) => None,
        (0, broken) => Some(format!("{broken} readers were sent what is no packet")),
        (short, _) => Some(format!("{short} readers have less than the others")),
    }
}

fn is_near_p99(criteria: &Criteria, p99: Duration) -> bool {
    let max = criteria.max_p99.as_secs_f64();
    (p99.as_secs_f64() - max).abs() <= max * NEAR
}

fn is_near_loss(criteria: &Criteria, percent: f64) -> bool {
    let max = criteria.max_loss_percent;
    percent > 0.0 && (percent - max).abs() <= (max * NEAR).max(LOSS_NEAR_PERCENT)
}

impl Bound {
    /// In words, after "because": what more readers would break.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::P99 => "with more, the 99th percentile of latency is too high",
            Self::Loss => "with more, too many packets are missing",
            Self::Missing => "with more, readers do not come to play or are sent away",
            Self::Generator => "with more, the load generator is the bottleneck",
            Self::MaxReaders => "more were not to be tried",
        }
    }
}

impl LimitFound {
    /// Whether the limit is the server's.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.bound_by.is_some_and(|bound| bound != Bound::Generator)
    }

    /// Whether the search was broken off, or failed.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.bound_by.is_none()
    }

    /// Whether the server may serve more than was tried.
    #[must_use]
    pub fn is_at_least(&self) -> bool {
        matches!(
            self.bound_by,
            None | Some(Bound::Generator | Bound::MaxReaders)
        )
    }

    /// Whether any trial has known latencies; else loss alone has decided.
    #[must_use]
    pub fn is_latency_known(&self) -> bool {
        let mut tries = self.curve.iter().flat_map(|point| &point.tries);
        tries.any(|it| it.p99.is_some())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::measured::{example, nanos_histogram, record};

    /// What a search has found that ended so, without its trials.
    pub(crate) fn found(readers: usize, bound_by: Option<Bound>) -> LimitFound {
        LimitFound {
            criteria: criteria(),
            readers,
            bound_by,
            curve: Vec::new(),
            failure: None,
        }
    }

    fn criteria() -> Criteria {
        Criteria {
            start: 100,
            max_p99: Duration::from_millis(100),
            max_loss_percent: 0.0,
            max_readers: 100_000,
            precision_percent: 5.0,
        }
    }

    /// A run whose 99th percentile is this.
    fn run(readers: usize, p99: Duration) -> Measured {
        let mut measured = example();
        let mut latency = nanos_histogram();
        record(&mut latency, p99);
        measured.sampled.latency = latency;
        measured.all.readers = readers;
        measured
    }

    /// A server whose latency explodes at so many readers.
    fn steep(limit: usize, readers: usize) -> Measured {
        let millis = if readers <= limit { 8 } else { 4000 };
        run(readers, Duration::from_millis(millis))
    }

    fn search(
        criteria: &Criteria,
        trial: impl FnMut(usize) -> Result<Measured, BenchError>,
    ) -> LimitFound {
        find_limit(criteria, &Progress::quiet(), trial)
    }

    fn refusal() -> BenchError {
        BenchError::Session {
            whose: "reader",
            url: "rtsp://127.0.0.1/bench".to_owned(),
            reason: "453 Not Enough Bandwidth".to_owned(),
        }
    }

    fn verdict_at(found: &LimitFound, readers: usize) -> Option<Verdict> {
        let mut points = found.curve.iter();
        let point = points.find(|point| point.readers == readers)?;
        Some(point.verdict)
    }

    #[test]
    fn a_steep_limit_is_found_to_the_precision() {
        for limit in [1, 2, 37, 100, 1234, 5600] {
            let found = search(&criteria(), |readers| Ok(steep(limit, readers)));
            assert!(found.readers <= limit, "{} of {limit}", found.readers);
            let next = limit + 1;
            assert!(found.readers * 100 >= next * 94 || found.readers == limit);
            assert_eq!(found.bound_by, Some(Bound::P99));
            assert!(found.is_valid() && !found.is_partial());
        }
    }

    #[test]
    fn the_two_trials_that_decide_are_made_twice() {
        let found = search(&criteria(), |readers| Ok(steep(1234, readers)));
        let is_within = |point: &&Point| point.verdict == Verdict::Within;
        let within = found.curve.iter().rfind(is_within);
        let above = found.curve.iter().find(|point| !is_within(point));
        assert_eq!(within.map(|point| point.tries.len()), Some(2));
        assert_eq!(above.map(|point| point.tries.len()), Some(2));
    }

    #[test]
    fn a_limit_that_no_trial_shows_ends_at_the_most_readers() {
        let few = Criteria {
            max_readers: 3000,
            ..criteria()
        };
        let found = search(&few, |readers| Ok(steep(usize::MAX, readers)));
        assert_eq!(found.readers, 3000);
        assert_eq!(found.bound_by, Some(Bound::MaxReaders));
        assert!(found.is_at_least() && found.is_valid());
    }

    #[test]
    fn a_server_that_cannot_serve_one_reader_has_the_limit_none() {
        let found = search(&criteria(), |readers| Ok(steep(0, readers)));
        assert_eq!((found.readers, found.bound_by), (0, Some(Bound::P99)));
        assert_eq!(found.curve.first().map(|point| point.readers), Some(1));
    }

    #[test]
    fn what_never_worked_ends_the_search_with_its_error() {
        let mut trials = 0;
        let found = search(&criteria(), |_| {
            trials += 1;
            Err(refusal())
        });
        assert_eq!((trials, found.readers, found.bound_by), (1, 0, None));
        assert!(found.failure.is_some() && found.is_partial());
    }

    #[test]
    fn a_server_that_refuses_is_above_its_limit() {
        let found = search(&criteria(), |readers| match readers {
            0..=700 => Ok(steep(700, readers)),
            _ => Err(refusal()),
        });
        assert!((650..=700).contains(&found.readers), "{}", found.readers);
        assert_eq!(found.bound_by, Some(Bound::Missing));
        assert!(found.failure.is_none());
    }

    #[test]
    fn an_error_of_ours_keeps_the_trials_before_it() {
        let found = search(&criteria(), |readers| match readers {
            100 => Ok(steep(1000, readers)),
            _ => Err(BenchError::Panicked("readers")),
        });
        assert_eq!((found.readers, found.curve.len()), (100, 1));
        assert!(found.is_partial() && !found.is_valid());
    }

    #[test]
    fn a_run_that_is_broken_off_ends_the_search() {
        let found = search(&criteria(), |readers| {
            let mut measured = steep(5000, readers);
            measured.is_partial = readers > 400;
            Ok(measured)
        });
        assert_eq!((found.readers, found.bound_by), (400, None));
    }

    #[test]
    fn a_generator_that_is_the_bottleneck_makes_the_result_at_least() {
        let found = search(&criteria(), |readers| {
            let mut measured = steep(usize::MAX, readers);
            if readers > 900 {
                let reasons = &mut measured.validity.reasons;
                reasons.push(Invalid::OwnCpu { share: 0.97 });
            }
            Ok(measured)
        });
        assert!((850..=900).contains(&found.readers), "{}", found.readers);
        assert_eq!(found.bound_by, Some(Bound::Generator));
        assert!(!found.is_valid() && found.is_at_least());
        let tried = found.curve.iter().map(|point| point.tries.len()).max();
        assert_eq!(tried, Some(TRIES_MAX), "it may have been a hiccup");
    }

    #[test]
    fn a_limit_below_that_of_the_generator_is_found_all_the_same() {
        let found = search(&criteria(), |readers| {
            let mut measured = steep(1000, readers);
            if readers > 1500 {
                let reasons = &mut measured.validity.reasons;
                reasons.push(Invalid::OwnCpu { share: 0.97 });
            }
            Ok(measured)
        });
        assert!((940..=1000).contains(&found.readers), "{}", found.readers);
        assert!(found.is_valid());
    }

    #[test]
    fn a_server_that_holds_its_publisher_up_is_above_its_limit() {
        let late = |readers, lateness: u64, p99| {
            let mut measured = run(readers, Duration::from_millis(p99));
            let lateness = Duration::from_millis(lateness);
            let reasons = &mut measured.validity.reasons;
            reasons.push(Invalid::LatePublishing { p99: lateness });
            measured.published.lateness = nanos_histogram();
            record(&mut measured.published.lateness, lateness);
            Try::of(&criteria(), &measured).verdict
        };
        assert_eq!(late(1, 2000, 2600), Verdict::Above(Bound::P99));
        assert_eq!(late(1, 150, 170), Verdict::Above(Bound::Generator));
        assert_eq!(late(1, 10, 50), Verdict::Within);
    }

    #[test]
    fn loss_and_closed_connections_are_above() {
        let mut lossy = steep(10, 5);
        lossy.sampled.skipped = 500;
        let verdict = |measured| Try::of(&criteria(), measured).verdict;
        assert_eq!(verdict(&lossy), Verdict::Above(Bound::Loss));
        let mut closing = steep(10, 5);
        closing.all.closed = 1;
        assert_eq!(verdict(&closing), Verdict::Above(Bound::Missing));
    }

    #[test]
    fn one_bad_trial_does_not_decide() {
        for bad_millis in [120, 4000] {
            let mut trials = 0;
            let found = search(&criteria(), |readers| {
                trials += 1;
                let millis = if trials == 2 { bad_millis } else { 8 };
                Ok(match readers {
                    200 => run(readers, Duration::from_millis(millis)),
                    _ => steep(800, readers),
                })
            });
            assert_eq!(verdict_at(&found, 200), Some(Verdict::Within));
            assert!((760..=800).contains(&found.readers), "{}", found.readers);
        }
    }

    #[test]
    fn searches_under_noise_end_close_to_each_other() {
        // Latency rises with load as a queue's does, and each trial is off by up to a fifth.
        let noisy = |seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            search(&criteria(), move |readers| {
                let load = readers as f64 / 2500.0;
                let seconds = if load < 1.0 {
                    0.008 / (1.0 - load)
                } else {
                    5.0
                };
                let noise = 0.8 + 0.4 * random.f64();
                Ok(run(readers, Duration::from_secs_f64(seconds * noise)))
            })
            .readers as f64
        };
        let ends: Vec<f64> = (0..100).map(noisy).collect();
        let least = ends.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ends.iter().copied().fold(0.0, f64::max);
        assert!(most <= least * 1.15, "from {least} to {most}");
    }
}
