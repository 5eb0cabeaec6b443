//! Numbering: how a publisher's SSRC, sequence numbers and timestamps become the stream's, so that readers see one
//! stream without a jump when another publisher goes on with it.

use std::time::{Duration, Instant};

use shardcast_protocol::container::rtp::{HeaderView, RtpTimestamp, SequenceNumber, Ssrc, rtcp};

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
    sequence_delta: u16,
    timestamp_delta: u32,
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
    /// not take: a track is one SSRC, the first one seen.
    pub fn map(
        &mut self,
        header: &HeaderView<'_>,
        now: Instant,
    ) -> Option<(SequenceNumber, RtpTimestamp)> {
        let publisher = match self.publisher {
            Some(publisher) => publisher,
            None => *self.publisher.insert(self.join(header, now)),
        };
        let sequence = SequenceNumber(
            header
                .sequence_number()
                .0
                .wrapping_add(publisher.sequence_delta),
        );
        let timestamp = RtpTimestamp(header.timestamp().0.wrapping_add(publisher.timestamp_delta));
        (header.ssrc() == publisher.ssrc).then_some((sequence, timestamp))
    }

    /// The stream's SSRC of this track.
    #[must_use]
    pub fn ssrc(&self) -> Ssrc {
        self.base.ssrc
    }

    /// How a report of the publisher is rewritten; nothing before its first packet or from another source.
    #[must_use]
    pub fn report_rewrite(&self, ssrc: Ssrc) -> Option<rtcp::Rewrite> {
        let publisher = self.publisher.filter(|publisher| publisher.ssrc == ssrc)?;
        Some(rtcp::Rewrite {
            ssrc: self.base.ssrc,
            timestamp_offset: publisher.timestamp_delta,
            packet_count_offset: 0,
            octet_count_offset: 0,
        })
    }

    /// The first packet of a publisher follows the last of the one before, or the stream's begin: next number, and as much
    /// later as time has passed. So the time of a track is known before its first packet comes.
    fn join(&self, header: &HeaderView<'_>, now: Instant) -> PublisherNumbering {
        let TrackBase {
            sequence,
            timestamp,
            at,
            ..
        } = self.base;
        let elapsed = ticks(now.saturating_duration_since(at), self.clock_rate).max(1);
        let wanted = (
            sequence.0.wrapping_add(1),
            timestamp.0.wrapping_add(elapsed),
        );
        PublisherNumbering {
            ssrc: header.ssrc(),
            sequence_delta: wanted.0.wrapping_sub(header.sequence_number().0),
            timestamp_delta: wanted.1.wrapping_sub(header.timestamp().0),
        }
    }
}

/// A duration in ticks of an RTP clock, modulo 2³² as RTP timestamps are.
pub(super) fn ticks(duration: Duration, clock_rate: u32) -> u32 {
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
        }
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
