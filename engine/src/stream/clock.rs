//! The clock of a stream: what the timestamps of its tracks mean in one common time.
//!
//! Each track has references, pairs of RTP timestamp and time on this machine's wall clock: the publisher's begin, from which
//! its first packets are numbered, and later its latest sender report (RFC 3550 section 6.4.1), moved to this machine's time.
//! Reports tie the tracks together more exactly, so they count once every track has one. RTP-Info and the reports that
//! readers are sent are made from it.

use shardcast_protocol::container::rtp::{ClockMap, NtpTime, RtpTimestamp};
use shardcast_protocol::sdp::TrackDescription;
use smallvec::SmallVec;

use super::{Standing, StreamInfo, TrackBase};

/// A reference this far from a track's timestamps is moved on to them: RTP time wraps, and only within half of a turn (6.6
/// hours at 90 kHz) does a reference know before from after.
const REFERENCE_TICKS_MAX: u32 = 1 << 30;

/// The references of one track, and how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackClock {
    /// The publisher's begin.
    pub begin: ClockMap,
    /// Its latest sender report.
    pub report: Option<ClockMap>,
    /// What of the track has been sent.
    pub standing: Standing,
}

/// The references of all tracks.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StreamClock {
    /// In the order of the tracks.
    pub tracks: SmallVec<[TrackClock; 2]>,
}

impl StreamClock {
    /// The clock of a stream whose tracks stand at `bases`.
    #[must_use]
    pub fn begin(info: &StreamInfo, bases: &[TrackBase]) -> Self {
        let tracks = info.tracks().iter().zip(bases);
        let clock = |(track, base): (&TrackDescription, &TrackBase)| TrackClock {
            begin: ClockMap {
                ntp: base.ntp,
                rtp: base.standing.timestamp,
                clock_rate: track.clock_rate,
            },
            report: None,
            standing: base.standing,
        };
        Self {
            tracks: tracks.map(clock).collect(),
        }
    }

    /// The track has come so far. References that are left far behind move on with it.
    pub fn note_standing(&mut self, track: usize, standing: Standing) {
        if let Some(clock) = self.tracks.get_mut(track) {
            clock.standing = standing;
            let references = [Some(&mut clock.begin), clock.report.as_mut()];
            for reference in references.into_iter().flatten() {
                let ahead = standing.timestamp.distance_from(reference.rtp);
                if ahead.unsigned_abs() > REFERENCE_TICKS_MAX {
                    reference.ntp = reference.ntp_at(standing.timestamp);
                    reference.rtp = standing.timestamp;
                }
            }
        }
    }

    /// The time at which `track` stands at `timestamp`.
    #[must_use]
    pub fn ntp(&self, track: usize, timestamp: RtpTimestamp) -> Option<NtpTime> {
        let clock = self.tracks.get(track)?;
        Some(clock.map(self.is_reported()).ntp_at(timestamp))
    }

    /// The timestamps of all tracks at the time at which `track` stands at `timestamp`; empty without that track.
    #[must_use]
    pub fn at_same_time(&self, track: usize, timestamp: RtpTimestamp) -> Vec<RtpTimestamp> {
        let Some(ntp) = self.ntp(track, timestamp) else {
            return Vec::new();
        };
        let is_reported = self.is_reported();
        let tracks = self.tracks.iter().enumerate();
        let at = |(index, clock): (usize, &TrackClock)| match index == track {
            true => timestamp,
            false => clock.map(is_reported).rtp_at(ntp),
        };
        tracks.map(at).collect()
    }

    fn is_reported(&self) -> bool {
        self.tracks.iter().all(|track| track.report.is_some())
    }
}

impl TrackClock {
    fn map(&self, is_reported: bool) -> ClockMap {
        self.report.filter(|_| is_reported).unwrap_or(self.begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shardcast_protocol::container::rtp::SequenceNumber;
    use std::time::Instant;

    fn point(seconds: u64, rtp: u32, clock_rate: u32) -> ClockMap {
        ClockMap {
            ntp: NtpTime(seconds << 32),
            rtp: RtpTimestamp(rtp),
            clock_rate,
        }
    }

    fn standing(timestamp: RtpTimestamp) -> Standing {
        Standing::begin(SequenceNumber(0), timestamp, Instant::now())
    }

    fn clock(begins: [ClockMap; 2]) -> StreamClock {
        let track = |begin: ClockMap| TrackClock {
            begin,
            report: None,
            standing: standing(begin.rtp),
        };
        StreamClock {
            tracks: begins.into_iter().map(track).collect(),
        }
    }

    #[test]
    fn tracks_are_tied_by_their_begin_until_all_have_a_report() {
        let mut clock = clock([point(100, 1000, 90_000), point(101, 7, 48_000)]);
        let audio = |clock: &StreamClock| clock.at_same_time(0, RtpTimestamp(1000 + 180_000))[1];
        assert_eq!(audio(&clock), RtpTimestamp(48_007));
        clock.tracks[0].report = Some(point(102, 181_000, 90_000));
        assert_eq!(audio(&clock), RtpTimestamp(48_007));
        clock.tracks[1].report = Some(point(102, 96_007, 48_000));
        assert_eq!(audio(&clock), RtpTimestamp(96_007));
    }

    #[test]
    fn timestamps_wrap_without_a_jump() {
        let clock = clock([point(100, u32::MAX - 9, 90_000), point(100, 5, 90_000)]);
        assert_eq!(clock.ntp(0, RtpTimestamp(89_990)), Some(NtpTime(101 << 32)));
        assert_eq!(
            clock.at_same_time(0, RtpTimestamp(89_990))[1],
            RtpTimestamp(90_005)
        );
        assert_eq!(
            clock.at_same_time(1, RtpTimestamp(90_005))[0],
            RtpTimestamp(89_990)
        );
    }

    #[test]
    fn days_of_timestamps_are_days_of_the_wall_clock() {
        const HOUR_SECONDS: u64 = 3600;
        let mut clock = clock([point(100, u32::MAX - 9, 90_000), point(100, 5, 48_000)]);
        clock.tracks[1].report = Some(point(100, 5, 48_000));
        for hours in 1..=72 {
            for (track, begin, clock_rate) in [(0, u32::MAX - 9, 90_000), (1, 5, 48_000)] {
                let ticks = (hours * HOUR_SECONDS * clock_rate) & u64::from(u32::MAX);
                let now = RtpTimestamp(begin).wrapping_add(u32::try_from(ticks).unwrap());
                clock.note_standing(track, standing(now));
                let ntp = clock.ntp(track, now).unwrap();
                let expected = (100 + hours * HOUR_SECONDS) << 32;
                assert!(
                    ntp.0.abs_diff(expected) < 1 << 20,
                    "track {track} after {hours} h"
                );
            }
        }
    }

    #[test]
    fn a_track_that_is_not_there_has_no_time() {
        assert_eq!(StreamClock::default().ntp(0, RtpTimestamp(0)), None);
        assert!(
            StreamClock::default()
                .at_same_time(0, RtpTimestamp(0))
                .is_empty()
        );
    }
}
