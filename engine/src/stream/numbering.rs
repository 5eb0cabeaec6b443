//! Numbering: how a publisher's SSRC, sequence numbers and timestamps become the stream's, so that readers see one
//! stream without a jump when another publisher goes on with it, and none where a packet of our own is put in between.

use std::time::{Duration, Instant};

use shardcast_protocol::container::rtp::{HeaderView, NtpTime, RtpTimestamp, SequenceNumber, Ssrc};

/// Where a track's numbering stands, told to the publisher that goes on with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackBase {
    /// The stream's SSRC of this track.
    pub ssrc: Ssrc,
    /// What of it has been sent.
    pub standing: Standing,
    /// The time of `standing.timestamp` on the wall clock.
    pub ntp: NtpTime,
}

/// How far a track has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The last packet's number; random before the first one (RFC 3550 section 5.1).
    pub sequence: SequenceNumber,
    /// The furthest timestamp, which pictures that others refer back to have before the last one; random before the first.
    pub timestamp: RtpTimestamp,
    /// When the packet with that timestamp was read, or the stream began.
    pub at: Instant,
    /// Packets of the stream's life, modulo 2³² as sender reports count them (RFC 3550 section 6.4.1).
    pub packets: u32,
    /// Bytes of their payloads, likewise.
    pub octets: u32,
}

/// A timestamp that lies further back than pictures are reordered is a clock that was set anew.
const REORDERED_SECONDS_MAX: u32 = 10;

/// Rewrites one track's packets.
#[derive(Clone, Debug)]
pub struct Numbering {
    base: TrackBase,
    clock_rate: u32,
    standing: Standing,
    publisher: Option<PublisherNumbering>,
}

#[derive(Clone, Copy, Debug)]
struct PublisherNumbering {
    ssrc: Ssrc,
    timestamp_delta: u32,
    /// A packet has come, not only a report: from now on the track is this source alone.
    is_settled: bool,
    /// Known from the first packet on that is let in.
    sequence_delta: Option<u16>,
}

impl Numbering {
    /// Goes on from `base`; `clock_rate` in Hz.
    #[must_use]
    pub fn new(base: TrackBase, clock_rate: u32) -> Self {
        Self {
            base,
            clock_rate,
            standing: base.standing,
            publisher: None,
        }
    }

    /// Whether a packet is of the source that this track takes: a track is one SSRC, that of its first packet. The time of
    /// that packet is fixed, its number is not: it may yet be left out.
    pub fn accepts(&mut self, header: &HeaderView<'_>, now: Instant) -> bool {
        let ssrc = header.ssrc();
        match &mut self.publisher {
            Some(publisher) if publisher.is_settled || publisher.ssrc == ssrc => {
                publisher.is_settled = true;
            }
            _ => self.join(ssrc, header.timestamp(), now).is_settled = true,
        }
        self.publisher
            .is_some_and(|publisher| publisher.ssrc == ssrc)
    }

    /// Whether the track is another source's for good.
    #[must_use]
    pub fn is_settled_on_another(&self, ssrc: Ssrc) -> bool {
        self.publisher
            .is_some_and(|publisher| publisher.is_settled && publisher.ssrc != ssrc)
    }

    /// The number and timestamp that an accepted packet gets in the stream.
    pub fn number(
        &mut self,
        header: &HeaderView<'_>,
        now: Instant,
    ) -> (SequenceNumber, RtpTimestamp) {
        let (number, timestamp) = self.place(header, now);
        self.note(number, timestamp, now, header.payload().len());
        (number, timestamp)
    }

    /// The number and timestamp of a packet of our own in front of an accepted one, which then comes after it.
    pub fn insert_before(
        &mut self,
        header: &HeaderView<'_>,
        payload_bytes: usize,
        now: Instant,
    ) -> (SequenceNumber, RtpTimestamp) {
        let (number, timestamp) = self.place(header, now);
        self.note(number, timestamp, now, payload_bytes);
        if let Some(PublisherNumbering {
            sequence_delta: Some(delta),
            ..
        }) = &mut self.publisher
        {
            *delta = delta.wrapping_add(1);
        }
        (number, timestamp)
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
            None => *self.join(ssrc, timestamp, now),
        };
        let mapped = timestamp.wrapping_add(publisher.timestamp_delta);
        (ssrc == publisher.ssrc).then_some(mapped)
    }

    /// The stream's SSRC of this track.
    #[must_use]
    pub fn ssrc(&self) -> Ssrc {
        self.base.ssrc
    }

    /// The publisher's SSRC of this track, once it is known.
    #[must_use]
    pub fn publisher(&self) -> Option<Ssrc> {
        self.publisher.map(|publisher| publisher.ssrc)
    }

    /// How far the track has come.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// The first packet of a publisher has the number after the last of the one before.
    fn place(&mut self, header: &HeaderView<'_>, now: Instant) -> (SequenceNumber, RtpTimestamp) {
        let (ssrc, timestamp) = (header.ssrc(), header.timestamp());
        let (next, number) = (self.standing.sequence.next(), header.sequence_number());
        let publisher = match &mut self.publisher {
            Some(publisher) => publisher,
            None => self.join(ssrc, timestamp, now),
        };
        let delta = *publisher
            .sequence_delta
            .get_or_insert(next.0.wrapping_sub(number.0));
        let timestamp = timestamp.wrapping_add(publisher.timestamp_delta);
        (number.wrapping_add(delta), timestamp)
    }

    fn note(
        &mut self,
        number: SequenceNumber,
        timestamp: RtpTimestamp,
        now: Instant,
        payload_bytes: usize,
    ) {
        let standing = &mut self.standing;
        standing.sequence = number;
        standing.packets = standing.packets.wrapping_add(1);
        let octets = u32::try_from(payload_bytes).unwrap_or(u32::MAX);
        standing.octets = standing.octets.wrapping_add(octets);
        let ahead = timestamp.distance_from(standing.timestamp);
        let reordered_ticks_max = self.clock_rate.saturating_mul(REORDERED_SECONDS_MAX);
        if ahead >= 0 || ahead.unsigned_abs() > reordered_ticks_max {
            (standing.timestamp, standing.at) = (timestamp, now);
        }
    }

    /// A publisher begins as much later than the one before has come, or than the stream's begin, as time has passed. So the
    /// time of a track is known before its first packet comes.
    fn join(
        &mut self,
        ssrc: Ssrc,
        timestamp: RtpTimestamp,
        now: Instant,
    ) -> &mut PublisherNumbering {
        let last = self.base.standing;
        let elapsed = ticks(now.saturating_duration_since(last.at), self.clock_rate).max(1);
        let wanted = last.timestamp.wrapping_add(elapsed);
        self.publisher.insert(PublisherNumbering {
            ssrc,
            timestamp_delta: wanted.0.wrapping_sub(timestamp.0),
            is_settled: false,
            sequence_delta: None,
        })
    }
}

impl TrackBase {
    /// The track's timestamp at `now`.
    #[must_use]
    pub fn timestamp_at(&self, now: Instant, clock_rate: u32) -> RtpTimestamp {
        let elapsed = ticks(now.saturating_duration_since(self.standing.at), clock_rate);
        self.standing.timestamp.wrapping_add(elapsed)
    }
}

impl Standing {
    /// Of a track that begins at `at` with these numbers and has sent nothing.
    #[must_use]
    pub fn begin(sequence: SequenceNumber, timestamp: RtpTimestamp, at: Instant) -> Self {
        Self {
            sequence,
            timestamp,
            at,
            packets: 0,
            octets: 0,
        }
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
        let header = HeaderView::parse(bytes).unwrap();
        let (sequence, timestamp) = numbering
            .accepts(&header, now)
            .then(|| numbering.number(&header, now))?;
        Some((sequence.0, timestamp.0))
    }

    fn base(sequence: u16, timestamp: u32, at: Instant) -> TrackBase {
        TrackBase {
            ssrc: Ssrc(9),
            standing: Standing::begin(SequenceNumber(sequence), RtpTimestamp(timestamp), at),
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
        assert!(!numbering.is_settled_on_another(Ssrc(2)));
        assert!(rewritten(&mut numbering, &packet(1, 1, 1), now).is_some());
        assert!(
            numbering.is_settled_on_another(Ssrc(2)) && !numbering.is_settled_on_another(Ssrc(1))
        );
        assert_eq!(rewritten(&mut numbering, &packet(1, 1, 2), now), None);
    }

    #[test]
    fn a_packet_of_our_own_shifts_those_after_it() {
        let now = Instant::now();
        let mut numbering = Numbering::new(base(65_533, 999, now), 90_000);
        assert_eq!(
            rewritten(&mut numbering, &packet(7, 1, 1), now),
            Some((65_534, 1000))
        );
        let bytes = packet(8, 11, 1);
        let header = HeaderView::parse(&bytes).unwrap();
        let inserted = numbering.insert_before(&header, 30, now);
        assert_eq!(inserted, (SequenceNumber(65_535), RtpTimestamp(1010)));
        assert_eq!(rewritten(&mut numbering, &bytes, now), Some((0, 1010)));
        let standing = numbering.standing();
        assert_eq!((standing.packets, standing.octets), (3, 30));
    }

    #[test]
    fn packets_that_are_left_out_leave_no_gap_in_the_numbers_and_keep_their_time() {
        let now = Instant::now();
        let mut numbering = Numbering::new(base(10, 0, now), 90_000);
        let left_out = packet(500, 100, 1);
        assert!(numbering.accepts(&HeaderView::parse(&left_out).unwrap(), now));
        assert_eq!(
            rewritten(&mut numbering, &packet(502, 3100, 1), now),
            Some((11, 3001))
        );
        let other = packet(503, 3100, 2);
        assert!(!numbering.accepts(&HeaderView::parse(&other).unwrap(), now));
    }

    #[test]
    fn the_next_publisher_begins_after_the_furthest_picture_not_after_the_last() {
        let now = Instant::now();
        let mut first = Numbering::new(base(0, 0, now), 90_000);
        for (number, timestamp) in [(1, 0), (2, 9000), (3, 3000), (4, 6000)] {
            rewritten(&mut first, &packet(number, timestamp, 1), now);
        }
        let base = TrackBase {
            standing: first.standing(),
            ..base(0, 0, now)
        };
        assert_eq!(base.standing.timestamp, RtpTimestamp(9001));
        let mut second = Numbering::new(base, 90_000);
        assert_eq!(
            rewritten(&mut second, &packet(77, 5, 2), now),
            Some((5, 9002))
        );
    }

    #[test]
    fn a_clock_that_is_set_back_is_followed() {
        let now = Instant::now();
        let mut numbering = Numbering::new(base(0, 0, now), 90_000);
        for timestamp in [2_000_000, 5] {
            rewritten(&mut numbering, &packet(1, timestamp, 1), now);
        }
        let back = RtpTimestamp(1).wrapping_add(5u32.wrapping_sub(2_000_000));
        assert_eq!(numbering.standing().timestamp, back);
    }
}
