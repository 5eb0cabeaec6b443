//! A track's clock: how RTP timestamps relate to wall time.
//!
//! Input are the NTP/RTP pairs of sender reports (RFC 3550 §6.4.1); output are instants on the other
//! scale. Wall time is always the caller's: nothing here reads a clock.

use std::time::Duration;

use super::header::RtpTimestamp;

/// Seconds from 1900 (NTP) to 1970 (Unix): RFC 868's well-known constant.
const NTP_UNIX_OFFSET_SECONDS: u64 = 2_208_988_800;

/// Wall time as sender reports carry it: seconds since 1900 in the upper half, a binary fraction in
/// the lower (RFC 3550 §4). It wraps in 2036; differences stay right over the wrap.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// The instant that lies `since_epoch` after 1970.
    #[must_use]
    pub const fn from_unix(since_epoch: Duration) -> Self {
        let seconds = since_epoch.as_secs().wrapping_add(NTP_UNIX_OFFSET_SECONDS);
        let fraction = ((since_epoch.subsec_nanos() as u64) << 32) / 1_000_000_000;
        Self((seconds << 32) | fraction)
    }

    /// The middle 32 bits, as report blocks refer to a report (RFC 3550 §6.4.1, LSR).
    #[must_use]
    pub const fn middle(self) -> u32 {
        let [_, _, a, b, c, d, _, _] = self.0.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// How far `self` lies after `earlier`, in units of 2⁻³² s; negative when before.
    #[must_use]
    const fn fraction_from(self, earlier: Self) -> i64 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }
}

/// One known pair of wall time and RTP time of a track: relates any instant near it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockMap {
    /// Wall time of the pair.
    pub ntp: NtpTime,
    /// RTP time of the pair.
    pub rtp: RtpTimestamp,
    /// The track's ticks per second.
    pub clock_rate: u32,
}

impl ClockMap {
    /// The RTP time at the wall time `ntp`, rounded to the nearest tick.
    #[must_use]
    pub fn rtp_at(&self, ntp: NtpTime) -> RtpTimestamp {
        let fraction = i128::from(ntp.fraction_from(self.ntp));
        let ticks = (fraction * i128::from(self.clock_rate) + (1 << 31)) >> 32;
        RtpTimestamp(self.rtp.0.wrapping_add(low_32_bits(ticks)))
    }

    /// The wall time at the RTP time `rtp`, or the pair's own when the clock rate is zero.
    #[must_use]
    pub fn ntp_at(&self, rtp: RtpTimestamp) -> NtpTime {
        if self.clock_rate == 0 {
            return self.ntp;
        }
        let ticks = i64::from(rtp.distance_from(self.rtp)) << 32;
        let fraction = ticks.div_euclid(i64::from(self.clock_rate));
        NtpTime(self.ntp.0.wrapping_add(fraction.cast_unsigned()))
    }
}

/// What remains of a signed count on a circle of 2³².
const fn low_32_bits(value: i128) -> u32 {
    let [.., a, b, c, d] = value.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unix_time_becomes_ntp_time() {
        let time = NtpTime::from_unix(Duration::from_millis(1500));
        assert_eq!(time.0 >> 32, 2_208_988_801);
        assert_eq!(time.0 & 0xffff_ffff, 1 << 31);
        assert_eq!(NtpTime(0x1122_3344_5566_7788).middle(), 0x3344_5566);
    }

    #[test]
    fn a_pair_relates_both_scales() {
        let map = ClockMap {
            ntp: NtpTime::from_unix(Duration::from_secs(1_700_000_000)),
            rtp: RtpTimestamp(u32::MAX - 10),
            clock_rate: 90_000,
        };
        let later = NtpTime::from_unix(Duration::from_millis(1_700_000_000_500));
        assert_eq!(map.rtp_at(later), map.rtp.wrapping_add(45_000));
        assert_eq!(map.ntp_at(map.rtp.wrapping_add(45_000)), later);
        let earlier = NtpTime::from_unix(Duration::from_secs(1_699_999_999));
        assert_eq!(map.rtp_at(earlier).distance_from(map.rtp), -90_000);
    }

    proptest! {
        #[test]
        fn there_and_back_is_the_same_tick(
            ntp: u64, rtp: u32, step in -1_000_000_000i32..1_000_000_000, rate in 1u32..400_000,
        ) {
            let map = ClockMap { ntp: NtpTime(ntp), rtp: RtpTimestamp(rtp), clock_rate: rate };
            let other = RtpTimestamp(rtp.wrapping_add(step.cast_unsigned()));
            // Beyond 68 years the fraction no longer fits, and no report lies there.
            prop_assume!(i64::from(step).abs() / i64::from(rate) < 1 << 30);
            prop_assert_eq!(map.rtp_at(map.ntp_at(other)), other);
        }
    }
}
