//! The stall detector: a thread of its own that looks at every shard's pulse and reports a shard
//! whose event loop has not come round for too long, naming what it polled last. It reports once
//! when that begins and once when it is over.
//!
//! Deliberately absent: any remedy. A stuck task cannot be taken from its thread; an operator or a
//! supervisor decides.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::ShardId;
use crate::counters::ShardRecord;
use crate::mark::Mark;
use crate::options::Hooks;

/// Shortest and longest time between two heartbeats. Below, heartbeats of an idle shard would cost
/// CPU for nothing; above, a stall would be reported late by that much.
const HEARTBEAT_MIN: Duration = Duration::from_millis(50);
const HEARTBEAT_MAX: Duration = Duration::from_millis(250);

/// Shortest sleep of the detector between two looks.
const LOOK_MIN: Duration = Duration::from_millis(5);

/// Smallest `stall_after`: what a loaded machine's scheduler alone may take away from a thread.
pub const STALL_AFTER_MIN: Duration = Duration::from_millis(100);

/// A shard that did not poll, as the hook `on_stall` gets it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stall {
    /// Which shard.
    pub shard: ShardId,
    /// Whether it has come round again; then `busy_for` is the stall's whole length.
    pub over: bool,
    /// Time since its last heartbeat.
    pub busy_for: Duration,
    /// What it polled last.
    pub mark: Mark,
    /// The stage's name.
    pub stage: &'static str,
    /// Path and session by name, as the hook `describe` gives them.
    pub subject: String,
}

/// Time between two heartbeats of a shard.
pub(crate) fn heartbeat_period(stall_after: Duration) -> Duration {
    (stall_after / 4).clamp(HEARTBEAT_MIN, HEARTBEAT_MAX)
}

/// Looks at the shards until `stop` hangs up. The thread's whole life.
pub(crate) fn watch(mut detector: Detector, epoch: Instant, hooks: &Hooks, stop: &Receiver<()>) {
    let mut pause = Duration::ZERO;
    while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(pause) {
        let look = detector.look(shardcast_platform::now().saturating_duration_since(epoch));
        pause = look.pause;
        for finding in look.findings {
            (hooks.on_stall)(finding.describe(hooks));
        }
    }
}

/// What the detector found at one shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Finding {
    shard: ShardId,
    over: bool,
    busy_for: Duration,
    mark: Mark,
}

impl Finding {
    fn describe(self, hooks: &Hooks) -> Stall {
        Stall {
            shard: self.shard,
            over: self.over,
            busy_for: self.busy_for,
            mark: self.mark,
            stage: self.mark.stage.name(hooks.stages),
            subject: (hooks.describe)(self.mark),
        }
    }
}

/// One look at all shards.
#[derive(Debug)]
pub(crate) struct Look {
    findings: Vec<Finding>,
    /// When to look again.
    pause: Duration,
}

/// A stall that goes on.
#[derive(Clone, Copy, Debug)]
struct Episode {
    last_tick: Duration,
    mark: Mark,
}

/// The detector's state; times are since the runtime's start.
pub(crate) struct Detector {
    stall_after: Duration,
    shards: Vec<(Arc<ShardRecord>, Option<Episode>)>,
    /// No silence before this moment counts.
    forgiven_until: Duration,
    due: Option<Duration>,
}

impl Detector {
    /// Watches shards by their records, in order.
    pub(crate) fn new(stall_after: Duration, records: Vec<Arc<ShardRecord>>) -> Self {
        Self {
            stall_after,
            shards: records.into_iter().map(|record| (record, None)).collect(),
            forgiven_until: Duration::ZERO,
            due: None,
        }
    }

    fn look(&mut self, now: Duration) -> Look {
        self.forgive_a_pause_of_the_whole_process(now);
        let mut findings = Vec::new();
        let mut pause = heartbeat_period(self.stall_after);
        for (index, (record, episode)) in self.shards.iter_mut().enumerate() {
            let Some(shard) = ShardId::from_index(index) else {
                break;
            };
            if !record.pulse.is_alive() {
                *episode = None;
                continue;
            }
            let begins = record.pulse.last_tick().max(self.forgiven_until) + self.stall_after;
            if episode.is_none() && now < begins {
                pause = pause.min(begins - now);
            }
            findings.extend(inspect(shard, record, episode, now >= begins, now));
        }
        let pause = pause.max(LOOK_MIN);
        self.due = Some(now + pause);
        Look { findings, pause }
    }

    /// When the detector itself overslept, the process was stopped or starved, and no shard is to
    /// blame.
    fn forgive_a_pause_of_the_whole_process(&mut self, now: Duration) {
        if self.due.is_some_and(|due| now > due + self.stall_after / 2) {
            self.forgiven_until = now;
        }
    }
}

fn inspect(
    shard: ShardId,
    record: &ShardRecord,
    episode: &mut Option<Episode>,
    silent: bool,
    now: Duration,
) -> Option<Finding> {
    let last_tick = record.pulse.last_tick();
    match *episode {
        None if silent => {
            let mark = record.pulse.mark();
            *episode = Some(Episode { last_tick, mark });
            record.stalls.add(1);
            Some(Finding {
                shard,
                over: false,
                busy_for: now.saturating_sub(last_tick),
                mark,
            })
        }
        Some(began) if last_tick > began.last_tick => {
            *episode = None;
            Some(Finding {
                shard,
                over: true,
                busy_for: last_tick - began.last_tick,
                mark: began.mark,
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mark::Stage;

    const MARK: Mark = Mark {
        stage: Stage::engine(0),
        path: 7,
        session: 9,
    };

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn detector(shards: usize) -> (Detector, Vec<Arc<ShardRecord>>) {
        let records: Vec<Arc<ShardRecord>> = (0..shards).map(|_| Arc::default()).collect();
        for record in &records {
            record.pulse.tick(ms(0));
        }
        (Detector::new(ms(1000), records.clone()), records)
    }

    /// Looks whenever the detector wants to, up to `until`, and returns what it found and when.
    fn run(detector: &mut Detector, from: u64, until: u64) -> Vec<(Duration, Finding)> {
        let mut now = ms(from);
        let mut all = Vec::new();
        while now <= ms(until) {
            let look = detector.look(now);
            all.extend(look.findings.into_iter().map(|finding| (now, finding)));
            now += look.pause;
        }
        all
    }

    #[test]
    fn a_stall_is_reported_on_time_once_and_names_the_mark() {
        let (mut detector, records) = detector(2);
        records[1].pulse.set_mark(MARK);
        records[0].pulse.tick(ms(700));
        records[1].pulse.tick(ms(10));
        let found = run(&mut detector, 100, 1500);
        assert_eq!(found.len(), 1);
        let (at, finding) = found[0];
        assert!(at >= ms(1010) && at < ms(1020), "{at:?}");
        assert_eq!(
            (finding.shard.index(), finding.mark, finding.over),
            (1, MARK, false)
        );
        assert_eq!(records[1].stalls.value(), 1);
    }

    #[test]
    fn the_end_of_a_stall_is_reported_with_its_whole_length_and_first_mark() {
        let (mut detector, records) = detector(1);
        records[0].pulse.set_mark(MARK);
        assert_eq!(run(&mut detector, 0, 5000).len(), 1);
        records[0].pulse.set_mark(Mark::stage(Stage::INBOX));
        records[0].pulse.tick(ms(5000));
        let found = run(&mut detector, 5100, 5200);
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].1.over, found[0].1.busy_for, found[0].1.mark),
            (true, ms(5000), MARK)
        );
    }

    #[test]
    fn a_shard_that_ticks_is_never_reported() {
        let (mut detector, records) = detector(1);
        for now in (0..5000).step_by(250) {
            records[0].pulse.tick(ms(now));
            assert_eq!(run(&mut detector, now, now + 240), []);
        }
    }

    #[test]
    fn a_pause_of_the_whole_process_blames_no_shard() {
        let (mut detector, _records) = detector(1);
        assert_eq!(run(&mut detector, 0, 500), []);
        assert_eq!(run(&mut detector, 9000, 9900), []);
        assert_eq!(run(&mut detector, 9900, 10_100).len(), 1);
    }

    #[test]
    fn a_shard_that_has_ended_is_not_reported() {
        let (mut detector, records) = detector(1);
        records[0].pulse.end();
        assert_eq!(run(&mut detector, 0, 5000), []);
    }

    #[test]
    fn heartbeats_stay_within_their_bounds() {
        assert_eq!(heartbeat_period(ms(1000)), ms(250));
        assert_eq!(heartbeat_period(ms(400)), ms(100));
        assert_eq!(heartbeat_period(STALL_AFTER_MIN), ms(50));
        assert_eq!(heartbeat_period(ms(60_000)), ms(250));
        assert!(heartbeat_period(STALL_AFTER_MIN) < STALL_AFTER_MIN);
    }
}
