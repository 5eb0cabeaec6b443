//! The one look at the wall clock: streams are tied to it when they begin. Everything else counts from there by the
//! monotonic clock, so a wall clock that is set meanwhile moves no stream. Moments that one thread tells another are
//! microseconds of that clock.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use shardcast_protocol::container::rtp::NtpTime;

/// Now, as NTP counts it.
#[must_use]
pub(crate) fn ntp_now() -> NtpTime {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    NtpTime::from_unix(since_epoch.unwrap_or(Duration::ZERO))
}

/// From which moments are counted that shards tell other threads: the first one that was asked for.
static EPOCH: OnceLock<Instant> = OnceLock::new();

/// A moment as a number that fits a counter: microseconds since the first time that this was asked.
#[must_use]
pub(crate) fn micros_at(moment: Instant) -> u64 {
    let epoch = *EPOCH.get_or_init(|| moment);
    micros(moment.saturating_duration_since(epoch))
}

/// A duration in microseconds.
#[must_use]
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
