//! The clock of a stream: what the timestamps of its tracks mean in one common time.
//!
//! Each track has a reference, a pair of RTP timestamp and time: the publisher's latest sender report (RFC 3550 section
//! 6.4.1), else the publisher's begin, from which its first packets are numbered. RTP-Info is made from it: one instant for all tracks.

use std::time::Instant;

use shardcast_protocol::container::rtp::{NtpTime, RtpTimestamp};
use shardcast_protocol::sdp::TrackDescription;
use smallvec::SmallVec;

use super::{StreamInfo, TrackBase};

/// The references of one track, timestamps in the stream's numbering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TrackClock {
    /// Hz.
    pub clock_rate: u32,
    /// The publisher's latest sender report.
    pub report: Option<(NtpTime, RtpTimestamp)>,
    /// When the publisher began, and the timestamp that stands for that: its first packet is numbered from there.
    pub begin: Option<(Instant, RtpTimestamp)>,
}

/// The references of all tracks.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StreamClock {
    /// In the order of the tracks.
    pub tracks: SmallVec<[TrackClock; 2]>,
}

impl StreamClock {
    /// The timestamps of every track at the instant at which `track` stands at `timestamp`. A track without any packet
    /// has none.
    #[must_use]
    pub fn at_same_instant(
        &self,
        track: usize,
        timestamp: RtpTimestamp,
    ) -> Vec<Option<RtpTimestamp>> {
        let Some(origin) = self.tracks.get(track) else {
            return vec![None; self.tracks.len()];
        };
        let by_report = self
            .tracks
            .iter()
            .all(|track| track.report.is_some() || track.begin.is_none());
        let map = |other: &TrackClock| match by_report {
            true => shift_by_report(origin, timestamp, other),
            false => shift_by_begin(origin, timestamp, other),
        };
        let mapped = self.tracks.iter().enumerate();
        mapped
            .map(|(index, other)| {
                if index == track {
                    Some(timestamp)
                } else {
                    map(other)
                }
            })
            .collect()
    }

    /// The clock of a stream whose tracks stand at `bases`.
    #[must_use]
    pub fn begin(info: &StreamInfo, bases: &[TrackBase]) -> Self {
        let tracks = info.tracks().iter().zip(bases);
        let clock = |(track, base): (&TrackDescription, &TrackBase)| TrackClock {
            clock_rate: track.clock_rate,
            report: None,
            begin: Some((base.at, base.timestamp)),
        };
        Self {
            tracks: tracks.map(clock).collect(),
        }
    }

    /// The timestamp of `track` at `now`, if its publisher keeps the time of this machine.
    #[must_use]
    pub fn at(&self, track: usize, now: Instant) -> Option<RtpTimestamp> {
        let clock = self.tracks.get(track)?;
        let (begin, timestamp) = clock.begin?;
        let elapsed = now.saturating_duration_since(begin).as_secs_f64();
        Some(advance(timestamp, elapsed, clock.clock_rate))
    }
}

fn shift_by_report(
    origin: &TrackClock,
    timestamp: RtpTimestamp,
    other: &TrackClock,
) -> Option<RtpTimestamp> {
    let ((origin_ntp, origin_rtp), (other_ntp, other_rtp)) = (origin.report?, other.report?);
    let between_reports =
        origin_ntp.0.wrapping_sub(other_ntp.0).cast_signed() as f64 / 2f64.powi(32);
    let seconds = between_reports + elapsed_seconds(origin_rtp, timestamp, origin.clock_rate);
    Some(advance(other_rtp, seconds, other.clock_rate))
}

fn shift_by_begin(
    origin: &TrackClock,
    timestamp: RtpTimestamp,
    other: &TrackClock,
) -> Option<RtpTimestamp> {
    let ((origin_at, origin_rtp), (other_at, other_rtp)) = (origin.begin?, other.begin?);
    let later = origin_at.saturating_duration_since(other_at).as_secs_f64();
    let earlier = other_at.saturating_duration_since(origin_at).as_secs_f64();
    let seconds = later - earlier + elapsed_seconds(origin_rtp, timestamp, origin.clock_rate);
    Some(advance(other_rtp, seconds, other.clock_rate))
}

/// The shorter way round the 32-bit circle is the right one: references are renewed long before half of it has passed.
fn elapsed_seconds(from: RtpTimestamp, to: RtpTimestamp, clock_rate: u32) -> f64 {
    f64::from(to.0.wrapping_sub(from.0).cast_signed()) / f64::from(clock_rate.max(1))
}

fn advance(timestamp: RtpTimestamp, seconds: f64, clock_rate: u32) -> RtpTimestamp {
    let ticks = (seconds * f64::from(clock_rate)).round() as i64;
    RtpTimestamp(timestamp.0.wrapping_add(ticks as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn track(clock_rate: u32, begin: Instant, timestamp: u32) -> TrackClock {
        TrackClock {
            clock_rate,
            report: None,
            begin: Some((begin, RtpTimestamp(timestamp))),
        }
    }

    #[test]
    fn tracks_are_tied_by_begin_until_all_have_a_report() {
        let at = Instant::now();
        let mut clock = StreamClock::default();
        clock.tracks.push(track(90_000, at, 1000));
        clock
            .tracks
            .push(track(48_000, at + Duration::from_millis(500), 7));
        assert_eq!(
            clock.at_same_instant(0, RtpTimestamp(1000 + 90_000)),
            [Some(RtpTimestamp(91_000)), Some(RtpTimestamp(24_007))]
        );
        clock.tracks[0].report = Some((NtpTime(10 << 32), RtpTimestamp(0)));
        assert_eq!(
            clock.at_same_instant(0, RtpTimestamp(91_000))[1],
            Some(RtpTimestamp(24_007))
        );
        clock.tracks[1].report = Some((NtpTime(9 << 32), RtpTimestamp(100)));
        assert_eq!(
            clock.at_same_instant(0, RtpTimestamp(90_000))[1],
            Some(RtpTimestamp(96_100))
        );
    }

    #[test]
    fn timestamps_wrap_without_a_jump() {
        let at = Instant::now();
        let mut clock = StreamClock::default();
        clock.tracks.push(track(90_000, at, u32::MAX - 9));
        assert_eq!(
            clock.at(0, at + Duration::from_secs(1)),
            Some(RtpTimestamp(89_990))
        );
    }

    #[test]
    fn a_track_that_is_not_there_has_no_time() {
        assert_eq!(StreamClock::default().at(0, Instant::now()), None);
    }
}
