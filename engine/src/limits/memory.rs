//! The budget of memory: what is in use, what logs will grow by, and what has been promised since it was last measured.
//!
//! In use is the resident set of the process, or what logs and sessions add up to as the server counts them, whichever is
//! more. A log grows until it holds `logAge` of its stream, or `logBytes`: that is known beforehand, so a session is
//! refused that would not fit later. Where the allocator keeps memory that is free, the budget is on the safe side.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shardcast_config::LimitsConfig;

use super::Reached;

/// The part of the memory that can be had that `auto` takes, in percent: the rest is the kernel's, for sockets.
const AUTO_PERCENT: u64 = 70;

/// What one more playing reader takes: its session (8 KiB), what a write of it holds fast on average, and the allocator's
/// share.
const READER_BYTES: u64 = 16 << 10;

/// The part of the budget that is not promised to anybody: between two measurements streams may become faster than was
/// known.
const SPARE_PART: u64 = 16;

/// Of memory that can be had where the system does not say.
const UNKNOWN_BYTES: u64 = 1 << 30;

/// The budget. A reservation counts until a measurement has surely seen what it was for.
#[derive(Debug)]
pub struct MemoryBudget {
    /// What the process can have.
    available_bytes: u64,
    resident_bytes: AtomicU64,
    counted_bytes: AtomicU64,
    reserved_bytes: AtomicU64,
    /// The part of it that was reserved before the last measurement.
    reserved_before_bytes: AtomicU64,
    /// What the logs of each shard will grow by.
    growth_bytes: Vec<AtomicU64>,
}

/// What is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// The process's resident set.
    pub resident_bytes: u64,
    /// Logs and sessions, as the server counts them.
    pub counted_bytes: u64,
    /// What logs will grow by, and what was promised of late.
    pub expected_bytes: u64,
}

impl MemoryUse {
    /// All of it.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.present_bytes().saturating_add(self.expected_bytes)
    }

    /// What is there already.
    #[must_use]
    pub fn present_bytes(&self) -> u64 {
        self.resident_bytes.max(self.counted_bytes)
    }
}

impl MemoryBudget {
    pub(super) fn new(shards: usize) -> Self {
        Self::with_available(
            shards,
            shardcast_platform::memory_bytes().unwrap_or(UNKNOWN_BYTES),
        )
    }

    fn with_available(shards: usize, available_bytes: u64) -> Self {
        Self {
            available_bytes,
            resident_bytes: AtomicU64::new(0),
            counted_bytes: AtomicU64::new(0),
            reserved_bytes: AtomicU64::new(0),
            reserved_before_bytes: AtomicU64::new(0),
            growth_bytes: (0..shards).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The limit in bytes.
    #[must_use]
    pub fn limit_bytes(&self, limits: &LimitsConfig) -> u64 {
        let configured = limits.memory_bytes.map(|bytes| bytes.get() as u64);
        configured.unwrap_or(self.available_bytes / 100 * AUTO_PERCENT)
    }

    /// What is in use.
    #[must_use]
    pub fn in_use(&self) -> MemoryUse {
        let reserved_bytes = self.reserved_bytes.load(Ordering::Relaxed);
        self.in_use_beside(reserved_bytes)
    }

    fn in_use_beside(&self, reserved_bytes: u64) -> MemoryUse {
        let growth = self.growth_bytes.iter();
        let growth_bytes: u64 = growth.map(|bytes| bytes.load(Ordering::Relaxed)).sum();
        MemoryUse {
            resident_bytes: self.resident_bytes.load(Ordering::Relaxed),
            counted_bytes: self.counted_bytes.load(Ordering::Relaxed),
            expected_bytes: growth_bytes.saturating_add(reserved_bytes),
        }
    }

    /// Whether another connection may be had: only what is there already counts against it.
    ///
    /// # Errors
    /// [`Reached::Memory`].
    pub fn look_for_connection(&self, limits: &LimitsConfig) -> Result<(), Reached> {
        let limit_bytes = self.limit_bytes(limits);
        match self.in_use().present_bytes() > limit_bytes {
            true => Err(Reached::Memory(limit_bytes)),
            false => Ok(()),
        }
    }

    /// Whether there would be room for one more reader now.
    ///
    /// # Errors
    /// [`Reached::Memory`].
    pub fn look_for_reader(&self, limits: &LimitsConfig) -> Result<(), Reached> {
        self.look(READER_BYTES, limits)
    }

    /// Takes what one more reader needs.
    ///
    /// # Errors
    /// [`Reached::Memory`].
    pub fn reserve_reader(&self, limits: &LimitsConfig) -> Result<(), Reached> {
        self.reserve(READER_BYTES, limits)
    }

    /// Whether there would be room for so much now.
    ///
    /// # Errors
    /// [`Reached::Memory`].
    pub fn look(&self, bytes: u64, limits: &LimitsConfig) -> Result<(), Reached> {
        let limit_bytes = self.limit_bytes(limits);
        match self.in_use().total_bytes().saturating_add(bytes) > taken_up_to(limit_bytes) {
            true => Err(Reached::Memory(limit_bytes)),
            false => Ok(()),
        }
    }

    /// Takes so much, until it was measured.
    ///
    /// # Errors
    /// [`Reached::Memory`].
    pub fn reserve(&self, bytes: u64, limits: &LimitsConfig) -> Result<(), Reached> {
        let limit_bytes = self.limit_bytes(limits);
        let fits = |reserved: u64| {
            let reserved = reserved.saturating_add(bytes);
            let in_use = self.in_use_beside(reserved);
            (in_use.total_bytes() <= taken_up_to(limit_bytes)).then_some(reserved)
        };
        let reserved = &self.reserved_bytes;
        match reserved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => Ok(()),
            Err(_) => Err(Reached::Memory(limit_bytes)),
        }
    }

    /// The logs of this shard will grow by so much; said by the shard.
    pub fn set_growth(&self, shard: usize, bytes: u64) {
        if let Some(growth) = self.growth_bytes.get(shard) {
            growth.store(bytes, Ordering::Relaxed);
        }
    }

    /// So much was measured; said by the gauge. What was reserved before the last time is among it.
    pub fn set_measured(&self, resident_bytes: u64, counted_bytes: u64) {
        self.resident_bytes.store(resident_bytes, Ordering::Relaxed);
        self.counted_bytes.store(counted_bytes, Ordering::Relaxed);
        let before = self.reserved_before_bytes.load(Ordering::Relaxed);
        let reserved = self.reserved_bytes.fetch_sub(before, Ordering::Relaxed);
        self.reserved_before_bytes
            .store(reserved.saturating_sub(before), Ordering::Relaxed);
    }
}

/// What sessions may have of the limit.
fn taken_up_to(limit_bytes: u64) -> u64 {
    limit_bytes - limit_bytes / SPARE_PART
}

/// What a log that holds `held` bytes will grow by with a stream of this bit rate: until it holds `age` of it or `most`
/// bytes, and a quarter more for what lies around them.
#[must_use]
pub fn log_growth(bit_rate: u64, most: usize, age: Duration, held: u64) -> u64 {
    let bytes = u128::from(bit_rate) / 8 * age.as_millis() / 1000;
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).min(most as u64);
    let growth = bytes.saturating_sub(held);
    growth.saturating_add(growth / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroUsize;

    fn limits(bytes: usize) -> LimitsConfig {
        LimitsConfig {
            memory_bytes: NonZeroUsize::new(bytes),
            ..LimitsConfig::default()
        }
    }

    #[test]
    fn what_is_reserved_fits_to_the_last_byte_and_no_further() {
        let (budget, limits) = (MemoryBudget::with_available(1, 0), limits(1066));
        budget.set_measured(400, 500);
        budget.set_growth(0, 300);
        assert_eq!(budget.reserve(200, &limits), Ok(()));
        assert_eq!(budget.reserve(1, &limits), Err(Reached::Memory(1066)));
        assert_eq!(budget.look(1, &limits), Err(Reached::Memory(1066)));
        assert_eq!(budget.look(0, &limits), Ok(()));
        assert_eq!(budget.in_use().total_bytes(), 1000);
    }

    #[test]
    fn a_reservation_lasts_until_a_whole_interval_has_passed() {
        let (budget, limits) = (MemoryBudget::with_available(1, 0), limits(1000));
        budget.reserve(600, &limits).unwrap();
        budget.set_measured(0, 0);
        assert_eq!(budget.in_use().expected_bytes, 600);
        budget.reserve(300, &limits).unwrap();
        budget.set_measured(600, 0);
        assert_eq!(budget.in_use().expected_bytes, 300);
        budget.set_measured(900, 0);
        assert_eq!(budget.in_use().expected_bytes, 0);
    }

    #[test]
    fn growth_keeps_no_connection_away_that_asks_for_nothing() {
        let (budget, limits) = (MemoryBudget::with_available(1, 0), limits(1000));
        budget.set_growth(0, 5000);
        assert_eq!(budget.look_for_connection(&limits), Ok(()));
        budget.set_measured(1001, 0);
        let reached = Err(Reached::Memory(1000));
        assert_eq!(budget.look_for_connection(&limits), reached);
    }

    #[test]
    fn auto_is_a_share_of_what_can_be_had() {
        let budget = MemoryBudget::with_available(1, 1_000_000);
        assert_eq!(budget.limit_bytes(&LimitsConfig::default()), 700_000);
    }

    #[test]
    fn a_log_holds_its_age_or_its_bytes() {
        let second = Duration::from_secs(1);
        assert_eq!(log_growth(8_000, 10_000, 5 * second, 0), 6_250);
        assert_eq!(log_growth(8_000, 10_000, 5 * second, 4_000), 1_250);
        assert_eq!(log_growth(8_000, 1_000, 5 * second, 0), 1_250);
        assert_eq!(log_growth(0, 1 << 20, second, 0), 0);
    }
}
