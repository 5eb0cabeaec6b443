//! Numbering: how a publisher's SSRC, sequence numbers and timestamps become the stream's, so that readers see one
//! stream without a jump when another publisher goes on with it.

use std::time::{Duration, Instant};

use shardcast_protocol::container::rtp::{HeaderView, NtpTime, RtpTimestamp, SequenceNumber, Ssrc};

/// Where a track's numbering stands, told to the publisher that goes on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackBase {
    /// The stream's SSRC of this track.
    pub ssrc: Ssrc,
    /// The last packet's number; random before the first one (RFC 3550 section 5.1).
    pub sequence: SequenceNumber,
    /// The last packet's timestamp; random before the first one.
    pub timestamp: RtpTimestamp,
    /// When that packet was read, or the stream began.
    pub at: Instant,
    /// The same instant on the wall clock.
    pub ntp: NtpTime,
}

/// Rewrites one track's packets.
#[derive(Clone, Debug)]
pub struct Numbering {
    base: TrackBase,
    clock_rate: u32,
    publisher: Option<PublisherNumbering>,
}

#[derive(Clone, Copy, Debug)]
struct PublisherNumbering {
    ssrc: Ssrc,
    timestamp_delta: u32,
    /// Known from the first packet on; a report may have come before.
    sequence_delta: Option<u16>,
}

impl Numbering {
    /// Goes on from `base`; `clock_rate` in Hz.
    #[must_use]
    pub fn new(base: TrackBase, clock_rate: u32) -> Self {
        Self {
            base,
            clock_rate,
            publisher: None,
        }
    }

    /// The number and timestamp that a packet gets in the stream. None if the packet is of a source that this track does
    /// not take: a track is one SSRC, that of its first packet.
    pub fn map(
        &mut self,
        header: &HeaderView<'_>,
        now: Instant,
    ) -> Option<(SequenceNumber, RtpTimestamp)> {
        let (ssrc, number, timestamp) =
            (header.ssrc(), header.sequence_number(), header.timestamp());
        let (known_ssrc, sequence_delta, timestamp_delta) = match self.publisher {
            Some(PublisherNumbering {
                ssrc,
                timestamp_delta,
                sequence_delta: Some(delta),
            }) => (ssrc, delta, timestamp_delta),
            _ => self.join(ssrc, number, timestamp, now),
        };
        let number = SequenceNumber(number.0.wrapping_add(sequence_delta));
        let timestamp = RtpTimestamp(timestamp.0.wrapping_add(timestamp_delta));
        (ssrc == known_ssrc).then_some((number, timestamp))
    }

    /// A timestamp of the publisher's report in the stream's numbering; none if the report is of another source. ffmpeg sends
    /// one before its first packet.
    pub fn map_report(
        &mut self,
        ssrc: Ssrc,
        timestamp: RtpTimestamp,
        now: Instant,
    ) -> Option<RtpTimestamp> {
        let publisher = match self.publisher {
            Some(publisher) => publisher,
            None => self.join_time(ssrc, timestamp, now),
        };
        let mapped = RtpTimestamp(timestamp.0.wrapping_add(publisher.timestamp_delta));
        (ssrc == publisher.ssrc).then_some(mapped)
    }

    /// The stream's SSRC of this track.
    #[must_use]
    pub fn ssrc(&self) -> Ssrc {
        self.base.ssrc
    }

    /// The first packet of a publisher has the number after the last of the one before.
    fn join(
        &mut self,
        ssrc: Ssrc,
        number: SequenceNumber,
        timestamp: RtpTimestamp,
        now: Instant,
    ) -> (Ssrc, u16, u32) {
        let reported = self.publisher.filter(|reported| reported.ssrc == ssrc);
        let publisher = reported.unwrap_or_else(|| self.join_time(ssrc, timestamp, now));
        let sequence_delta = self.base.sequence.0.wrapping_add(1).wrapping_sub(number.0);
        self.publisher = Some(PublisherNumbering {
            sequence_delta: Some(sequence_delta),
            ..publisher
        });
        (ssrc, sequence_delta, publisher.timestamp_delta)
    }

    /// A publisher begins as much later than the last packet of the one before, or than the stream's begin, as time has
    /// passed. So the time of a track is known before its first packet comes.
    fn join_time(
        &mut self,
        ssrc: Ssrc,
        timestamp: RtpTimestamp,
        now: Instant,
    ) -> PublisherNumbering {
        let elapsed = ticks(now.saturating_duration_since(self.base.at), self.clock_rate).max(1);
        let wanted = self.base.timestamp.0.wrapping_add(elapsed);
        let timestamp_delta = wanted.wrapping_sub(timestamp.0);
        *self.publisher.insert(PublisherNumbering {
            ssrc,
            timestamp_delta,
            sequence_delta: None,
        })
    }
}

impl TrackBase {
    /// The track's timestamp at `now`.
    #[must_use]
    pub fn timestamp_at(&self, now: Instant, clock_rate: u32) -> RtpTimestamp {
        let elapsed = ticks(now.saturating_duration_since(self.at), clock_rate);
        RtpTimestamp(self.timestamp.0.wrapping_add(elapsed))
    }
}

/// A duration in ticks of an RTP clock, modulo 2³² as RTP timestamps are.
fn ticks(duration: Duration, clock_rate: u32) -> u32 {
    let ticks = duration.as_nanos() * u128::from(clock_rate) / 1_000_000_000;
    (ticks & u128::from(u32::MAX)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16, timestamp: u32, ssrc: u32) -> Vec<u8> {
        let mut packet = vec![0x80, 96];
        packet.extend(sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(ssrc.to_be_bytes());
        packet
    }

    fn rewritten(numbering: &mut Numbering, bytes: &[u8], now: Instant) -> Option<(u16, u32)> {
        let (sequence, timestamp) = numbering.map(&HeaderView::parse(bytes).unwrap(), now)?;
        Some((sequence.0, timestamp.0))
    }

    fn base(sequence: u16, timestamp: u32, at: Instant) -> TrackBase {
        TrackBase {
            ssrc: Ssrc(9),
            sequence: SequenceNumber(sequence),
            timestamp: RtpTimestamp(timestamp),
            at,
            ntp: NtpTime::default(),
        }
    }

    #[test]
    fn a_report_before_the_first_packet_fixes_the_time_and_not_the_number() {
        let begin = Instant::now();
        let mut numbering = Numbering::new(base(10, 1000, begin), 90_000);
        let later = begin + Duration::from_secs(1);
        assert_eq!(
            numbering.map_report(Ssrc(1), RtpTimestamp(5), later),
            Some(RtpTimestamp(91_000))
        );
        assert_eq!(
            rewritten(&mut numbering, &packet(77, 8, 1), later),
            Some((11, 91_003))
        );
        assert_eq!(numbering.map_report(Ssrc(2), RtpTimestamp(5), later), None);
    }

    #[test]
    fn the_next_publisher_goes_on_without_a_jump() {
        let left = Instant::now();
        let mut numbering = Numbering::new(base(65_535, u32::MAX, left), 90_000);
        let now = left + Duration::from_millis(100);
        assert_eq!(
            rewritten(&mut numbering, &packet(17, 1000, 1), now),
            Some((0, 8999))
        );
        assert_eq!(
            rewritten(&mut numbering, &packet(18, 1010, 1), now),
            Some((1, 9009))
        );
    }

    #[test]
    fn a_publishers_own_wraps_stay_wraps() {
        let now = Instant::now();
        let mut numbering = Numbering::new(base(99, 999, now), 90_000);
        assert_eq!(
            rewritten(&mut numbering, &packet(65_535, u32::MAX, 1), now),
            Some((100, 1000))
        );
        assert_eq!(
            rewritten(&mut numbering, &packet(0, 2999, 1), now),
            Some((101, 4000))
        );
    }

    #[test]
    fn packets_of_a_second_source_are_not_taken() {
        let now = Instant::now();
        let mut numbering = Numbering::new(base(0, 0, now), 90_000);
        assert!(rewritten(&mut numbering, &packet(1, 1, 1), now).is_some());
        assert_eq!(rewritten(&mut numbering, &packet(1, 1, 2), now), None);
    }
}
