//! A stream's present bit rate, from what its log has been given: measured by the path's owner, a few times a second.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::stream::StreamInfo;

/// Time between two samples that are kept.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// Samples that are kept: so many seconds hold a group of pictures of most cameras, so that a key frame does not look like
/// a higher rate.
const SAMPLES_MAX: usize = 6;

/// A stream that is younger is taken to have the rate that it was announced with, if that is more.
const YOUNG: Duration = Duration::from_secs(2);

/// The bit rate of a stream that was announced without one, until it is measured: a camera's.
const ASSUMED_BIT_RATE: u64 = 2_000_000;

/// The bit rate with which a stream was announced: what its tracks say by `b=AS`, in kbit/s (RFC 8866 section 5.8), or
/// what most have.
#[must_use]
pub fn announced_bit_rate(info: &StreamInfo) -> u64 {
    let lines = info.tracks().iter().flat_map(|track| &track.bandwidth);
    let said = lines.filter_map(|line| line.strip_prefix("AS:")?.trim().parse::<u64>().ok());
    match said.fold(0, u64::saturating_add).saturating_mul(1000) {
        0 => ASSUMED_BIT_RATE,
        said => said,
    }
}

/// Measures one stream.
#[derive(Debug)]
pub struct RateMeter {
    begun: Instant,
    /// What is known before anything was measured, in bits per second.
    announced: u64,
    /// Moments, oldest first, and the bytes so far.
    samples: VecDeque<(Instant, u64)>,
}

impl RateMeter {
    /// Of a stream that begins now and was announced with this bit rate.
    #[must_use]
    pub fn new(announced: u64, now: Instant) -> Self {
        let mut samples = VecDeque::with_capacity(SAMPLES_MAX);
        samples.push_back((now, 0));
        Self {
            begun: now,
            announced,
            samples,
        }
    }

    /// So many bytes have come by now; the bit rate of the last seconds.
    pub fn note(&mut self, bytes: u64, now: Instant) -> u64 {
        let measured = self.measured(bytes, now);
        let last = self.samples.back().map_or(self.begun, |(at, _)| *at);
        if now.saturating_duration_since(last) >= SAMPLE_INTERVAL {
            if self.samples.len() >= SAMPLES_MAX {
                self.samples.pop_front();
            }
            self.samples.push_back((now, bytes));
        }
        match now.saturating_duration_since(self.begun) < YOUNG {
            true => measured.max(self.announced),
            false => measured,
        }
    }

    /// What came in less than a second counts as that of a second.
    fn measured(&self, bytes: u64, now: Instant) -> u64 {
        let (since, then) = self.samples.front().copied().unwrap_or((self.begun, 0));
        let passed = now.saturating_duration_since(since).max(SAMPLE_INTERVAL);
        let bits = u128::from(bytes.saturating_sub(then)) * 8_000;
        let bit_rate = bits.checked_div(passed.as_millis()).unwrap_or(0);
        u64::try_from(bit_rate).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let begin = Instant::now();
        let mut meter = RateMeter::new(0, begin);
        let at = |ms| begin + Duration::from_millis(ms);
        assert_eq!(meter.note(1000, at(100)), 8_000, "a burst is a second's");
        for second in 1..=10 {
            assert_eq!(meter.note(second * 1000, at(second * 1000)), 8_000);
        }
        for second in 11..=17 {
            meter.note(10_000, at(second * 1000));
        }
        assert_eq!(meter.note(10_000, at(18_000)), 0, "nothing comes any more");
        assert!(meter.samples.len() <= SAMPLES_MAX);
    }

    #[test]
    fn a_young_stream_has_the_rate_that_it_was_announced_with() {
        let begin = Instant::now();
        let mut meter = RateMeter::new(2_000_000, begin);
        assert_eq!(meter.note(0, begin), 2_000_000);
        let second = begin + Duration::from_secs(1);
        assert_eq!(meter.note(500_000, second), 4_000_000);
        assert_eq!(meter.note(500_000, begin + YOUNG), 2_000_000);
        assert_eq!(meter.note(500_000, begin + 2 * YOUNG), 1_000_000);
    }
}
