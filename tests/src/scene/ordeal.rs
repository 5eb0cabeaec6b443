//! A server under attack or with a fault, and what holds in every such case: no panic, a bystander's stream that loses
//! nothing, refusals that are counted for what they are, and in the end nothing left of those that came.

use std::time::Duration;

use shardcast::RefusalReason;
use shardcast::event::{Event, SessionEnd};

use super::PATIENCE;
use super::baseline::Baseline;
use super::bystander::Bystander;
use super::house::House;
use super::rig::Rig;
use crate::wait::poll_until;

/// A server with a bystander.
#[derive(Debug)]
pub struct Ordeal {
    /// The server.
    pub rig: Rig,
    /// A stream that plays all the while.
    pub bystander: Bystander,
    baseline: Baseline,
}

impl Ordeal {
    /// Starts a server, see [`Rig::start`], with a bystander.
    pub fn begin(house: House, configuration: &str) -> Self {
        Self::begin_with(Rig::start(house, configuration))
    }

    /// Of a server that serves nobody yet.
    pub fn begin_with(rig: Rig) -> Self {
        let baseline = Baseline::take(&rig);
        let bystander = Bystander::begin(rig.address());
        Self {
            rig,
            bystander,
            baseline,
        }
    }

    /// What was refused so far, by reason.
    pub fn refused(&self) -> Vec<(RefusalReason, u64)> {
        self.rig.snapshot().refusals.counted().collect()
    }

    /// Waits until so much was refused, by reason, and nothing else.
    ///
    /// # Panics
    /// When it was not.
    pub fn wait_refused(&self, due: &[(RefusalReason, u64)]) {
        self.rig
            .wait_counters(&format!("refusals {due:?}"), |seen| {
                seen.refusals
                    .counted()
                    .eq(due.iter().copied())
                    .then_some(())
            });
    }

    /// Waits until the bystander's reader has been given so many access units.
    ///
    /// # Panics
    /// When it is not in time.
    pub fn wait_units(&self, units: u64) {
        let given = poll_until(PATIENCE, || (self.bystander.units() >= units).then_some(()));
        assert!(given.is_some(), "the bystander's stream stands still");
    }

    /// Ends it, when the case's own connections have ended: the bystander has lost nothing, nobody has panicked, and
    /// the server is back at its baseline.
    ///
    /// # Panics
    /// When one of these does not hold.
    pub fn finish(self) {
        assert_no_panic(&self.finish_with_panics());
    }

    /// As [`Self::finish`], where panics are the case at hand. Gives the server back.
    ///
    /// # Panics
    /// As [`Self::finish`].
    pub fn finish_with_panics(self) -> Rig {
        self.bystander.finish();
        self.baseline.assert_restored(&self.rig);
        self.rig
    }
}

/// No session has ended by a mistake of the server's own.
///
/// # Panics
/// When one has.
pub fn assert_no_panic(rig: &Rig) {
    let happened = rig.watch(Duration::ZERO);
    let panics = |event: &&Event| {
        let reason = match event {
            Event::SessionPanicked { .. } => return true,
            Event::ConnectionClosed { reason, .. } => reason,
            _ => return false,
        };
        *reason == SessionEnd::Panicked
    };
    assert_eq!(happened.iter().find(panics), None);
    let snapshot = rig.snapshot();
    let panics: u64 = snapshot
        .shards
        .iter()
        .map(|shard| shard.session_panics)
        .sum();
    assert_eq!(panics, 0);
}

/// How often each of these reasons is there, in the order of the server's own counters.
pub fn tally(reasons: impl IntoIterator<Item = RefusalReason>) -> Vec<(RefusalReason, u64)> {
    let reasons: Vec<RefusalReason> = reasons.into_iter().collect();
    let times = |of: RefusalReason| reasons.iter().filter(|reason| **reason == of).count() as u64;
    let all = RefusalReason::ALL
        .iter()
        .map(|reason| (*reason, times(*reason)));
    all.filter(|(_, times)| *times > 0).collect()
}
