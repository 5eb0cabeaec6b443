//! The one look at the wall clock: streams are tied to it when they begin. Everything else counts from there by the
//! monotonic clock, so a wall clock that is set meanwhile moves no stream.

use std::time::{Duration, SystemTime};

use shardcast_protocol::container::rtp::NtpTime;

/// Now, as NTP counts it.
#[must_use]
pub(crate) fn ntp_now() -> NtpTime {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    NtpTime::from_unix(since_epoch.unwrap_or(Duration::ZERO))
}
