//! Every limit of the server, with what is taken of it, for API, metrics and commands.

use shardcast_config::LimitsConfig;

use super::Limits;
use crate::refusal::RefusalReason;

/// How many limits there are.
pub const LIMITS: usize = 6;

/// A limit, and what is taken of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitReport {
    /// Its key.
    pub name: &'static str,
    /// In what it is measured.
    pub unit: &'static str,
    /// Its value, worked out where it is `auto`; nothing where there is no limit.
    pub limit: Option<u64>,
    /// Whether the server has worked it out.
    pub is_auto: bool,
    /// What is taken now.
    pub used: u64,
    /// What is counted when it stands in the way.
    pub reason: RefusalReason,
}

/// What is taken that [`Limits`] does not know.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByAddress {
    /// The connections of the address that has most.
    pub connections: usize,
    /// The idle sessions of the address that has most.
    pub sessions: usize,
}

impl Limits {
    /// All of them.
    #[must_use]
    pub fn report(&self, limits: &LimitsConfig, by_address: ByAddress) -> [LimitReport; LIMITS] {
        let taken = self.ledger.taken();
        let report = |name, unit, limit: u64, used, reason| LimitReport {
            name,
            unit,
            limit: Some(limit).filter(|limit| *limit > 0),
            is_auto: false,
            used,
            reason,
        };
        let busiest = self.busy.highest_permille() / 10;
        let cpu = Some(limits.cpu_percent as u64).filter(|percent| *percent < 100);
        let memory = self.memory.limit_bytes(limits);
        let in_use = self.memory.in_use().total_bytes();
        [
            report(
                "readers",
                "readers",
                limits.readers as u64,
                taken.readers as u64,
                RefusalReason::TooManyReaders,
            ),
            report(
                "egress",
                "bits per second",
                limits.egress_bit_rate,
                taken.bit_rate,
                RefusalReason::EgressTaken,
            ),
            LimitReport {
                is_auto: limits.memory_bytes.is_none(),
                ..report(
                    "memory",
                    "bytes",
                    memory,
                    in_use,
                    RefusalReason::MemoryTaken,
                )
            },
            report(
                "cpu",
                "percent",
                cpu.unwrap_or(0),
                busiest,
                RefusalReason::ShardsBusy,
            ),
            report(
                "connectionsPerAddress",
                "connections",
                limits.connections_per_address as u64,
                by_address.connections as u64,
                RefusalReason::TooManyOfAddress,
            ),
            report(
                "sessionsPerAddress",
                "sessions",
                limits.sessions_per_address as u64,
                by_address.sessions as u64,
                RefusalReason::TooManySessions,
            ),
        ]
    }
}
