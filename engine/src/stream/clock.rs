//! The clock of a stream: what the timestamps of its tracks mean in one common time.
//!
//! Each track has references, pairs of RTP timestamp and time on this machine's wall clock: the publisher's begin, from which
//! its first packets are numbered, and later its latest sender report (RFC 3550 section 6.4.1), moved to this machine's time.
//! Reports tie the tracks together more exactly, so they count once every track has one. RTP-Info and the reports that
//! readers are sent are made from it.

use shardcast_protocol::container::rtp::{NtpTime, RtpTimestamp};
use shardcast_protocol::sdp::TrackDescription;
use smallvec::SmallVec;

use super::{StreamInfo, TrackBase};

/// A timestamp and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ClockPoint {
    /// The time.
    pub ntp: NtpTime,
    /// The timestamp, in the stream's numbering.
    pub rtp: RtpTimestamp,
}

/// The references of one track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TrackClock {
    /// Hz.
    pub clock_rate: u32,
    /// The publisher's begin.
    pub begin: ClockPoint,
    /// Its latest sender report.
    pub report: Option<ClockPoint>,
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
            clock_rate: track.clock_rate,
            begin: ClockPoint {
                ntp: base.ntp,
                rtp: base.timestamp,
            },
            report: None,
        };
        Self {
            tracks: tracks.map(clock).collect(),
        }
    }

    /// The time at which `track` stands at `timestamp`.
    #[must_use]
    pub fn ntp(&self, track: usize, timestamp: RtpTimestamp) -> Option<NtpTime> {
        let clock = self.tracks.get(track)?;
        let point = clock.point(self.is_reported());
        let elapsed = timestamp.0.wrapping_sub(point.rtp.0).cast_signed();
        // The shorter way round the 32-bit circle is the right one: references are renewed long before half has passed.
        Some(
            point
                .ntp
                .plus_seconds(f64::from(elapsed) / f64::from(clock.clock_rate.max(1))),
        )
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
            false => clock.at(ntp, is_reported),
        };
        tracks.map(at).collect()
    }

    fn is_reported(&self) -> bool {
        self.tracks.iter().all(|track| track.report.is_some())
    }
}

impl TrackClock {
    fn point(&self, is_reported: bool) -> ClockPoint {
        self.report.filter(|_| is_reported).unwrap_or(self.begin)
    }

    fn at(&self, ntp: NtpTime, is_reported: bool) -> RtpTimestamp {
        let point = self.point(is_reported);
        let ticks = (ntp.seconds_from(point.ntp) * f64::from(self.clock_rate)).round() as i64;
        RtpTimestamp(point.rtp.0.wrapping_add(ticks as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(seconds: u64, rtp: u32) -> ClockPoint {
        ClockPoint {
            ntp: NtpTime(seconds << 32),
            rtp: RtpTimestamp(rtp),
        }
    }

    fn clock(tracks: [(u32, ClockPoint); 2]) -> StreamClock {
        let track = |(clock_rate, begin)| TrackClock {
            clock_rate,
            begin,
            report: None,
        };
        StreamClock {
            tracks: tracks.into_iter().map(track).collect(),
        }
    }

    #[test]
    fn tracks_are_tied_by_their_begin_until_all_have_a_report() {
        let mut clock = clock([(90_000, point(100, 1000)), (48_000, point(101, 7))]);
        let audio = |clock: &StreamClock| clock.at_same_time(0, RtpTimestamp(1000 + 180_000))[1];
        assert_eq!(audio(&clock), RtpTimestamp(48_007));
        clock.tracks[0].report = Some(point(102, 181_000));
        assert_eq!(audio(&clock), RtpTimestamp(48_007));
        clock.tracks[1].report = Some(point(102, 96_007));
        assert_eq!(audio(&clock), RtpTimestamp(96_007));
    }

    #[test]
    fn timestamps_wrap_without_a_jump() {
        let clock = clock([(90_000, point(100, u32::MAX - 9)), (90_000, point(100, 5))]);
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
    fn a_track_that_is_not_there_has_no_time() {
        assert_eq!(StreamClock::default().ntp(0, RtpTimestamp(0)), None);
        assert!(
            StreamClock::default()
                .at_same_time(0, RtpTimestamp(0))
                .is_empty()
        );
    }
}
