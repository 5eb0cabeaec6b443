//! The number of a shard, and how many shards a process runs. `shards: auto` is decided here from
//! the CPU budget that the platform reads; everything else only passes the number on.

use std::fmt;
use std::num::NonZeroUsize;

use shardcast_platform::CpuBudget;

/// Most shards in one process. Rings exist per ordered pair, so their memory grows with the square
/// of it; 256 is more cores than one media path can be spread over, and lets a shard's number fit a
/// byte-sized bitmap of four words.
pub const SHARDS_MAX: usize = 256;

/// One shard of this process: `0 .. shards`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShardId(u16);

impl ShardId {
    /// The shard at `index`, or `None` beyond [`SHARDS_MAX`].
    #[must_use]
    pub const fn from_index(index: usize) -> Option<Self> {
        if index < SHARDS_MAX {
            // SHARDS_MAX fits u16, so nothing is cut off.
            Some(Self(index as u16))
        } else {
            None
        }
    }

    /// Position of this shard in every per-shard table.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Every shard of a process that runs `shards` of them.
    pub(crate) fn all(shards: usize) -> impl Iterator<Item = Self> {
        (0..shards).filter_map(Self::from_index)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How many shards to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ShardCount {
    /// One per CPU that this process may use: affinity and cgroup quota.
    #[default]
    Auto,
    /// Exactly so many, however many CPUs there are.
    Count(NonZeroUsize),
}

impl ShardCount {
    /// The number of shards and the reason for it, as the log shall print it. The number may exceed
    /// [`SHARDS_MAX`] only if the operator asked for it; the caller refuses that.
    #[must_use]
    pub fn decide(self, budget: &CpuBudget) -> (usize, String) {
        match self {
            Self::Count(count) => (count.get(), String::from("as configured")),
            Self::Auto => {
                let shards = budget.shards().clamp(1, SHARDS_MAX);
                (shards, auto_reason(budget))
            }
        }
    }
}

fn auto_reason(budget: &CpuBudget) -> String {
    let cpus = budget.cpus.len();
    let noun = if cpus == 1 { "CPU" } else { "CPUs" };
    match budget.quota {
        Some(quota) => format!("{cpus} {noun} by affinity, cgroup quota {quota:.2}"),
        None => format!("{cpus} {noun} by affinity, no cgroup quota"),
    }
}

const _: () = assert!(SHARDS_MAX <= u16::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(cpus: usize, quota: Option<f64>) -> CpuBudget {
        CpuBudget {
            cpus: (0..cpus).collect(),
            quota,
        }
    }

    #[test]
    fn shards_auto_is_the_affinity_without_a_quota() {
        assert_eq!(ShardCount::Auto.decide(&budget(6, None)).0, 6);
    }

    #[test]
    fn shards_auto_honours_a_cgroup_quota() {
        let (shards, reason) = ShardCount::Auto.decide(&budget(8, Some(2.5)));
        assert_eq!(shards, 3);
        assert_eq!(reason, "8 CPUs by affinity, cgroup quota 2.50");
    }

    #[test]
    fn shards_auto_is_never_zero_and_never_over_the_maximum() {
        assert_eq!(ShardCount::Auto.decide(&budget(1, Some(0.1))).0, 1);
        assert_eq!(
            ShardCount::Auto.decide(&budget(SHARDS_MAX + 1, None)).0,
            SHARDS_MAX
        );
    }

    #[test]
    fn a_configured_count_is_taken_as_it_is() {
        let four = NonZeroUsize::new(4).expect("four is not zero");
        assert_eq!(ShardCount::Count(four).decide(&budget(1, None)).0, 4);
    }

    #[test]
    fn a_shard_number_ends_at_the_maximum() {
        assert_eq!(
            ShardId::from_index(SHARDS_MAX - 1).map(ShardId::index),
            Some(SHARDS_MAX - 1)
        );
        assert_eq!(ShardId::from_index(SHARDS_MAX), None);
    }
}
