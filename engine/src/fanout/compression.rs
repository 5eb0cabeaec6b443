//! Timestamps of a group of pictures that is sent at once to a reader who has just come, pressed together so that they
//! end where the live pictures go on: a player that shows pictures at their time shows these at once, and is not late for
//! ever by the age of the group.
//!
//! Order is kept, that of showing and that of sending, and every picture keeps a timestamp of its own. Sequence numbers
//! are not touched.

use shardcast_protocol::container::rtp::RtpTimestamp;

/// The pressed part lasts a twentieth of a second: shorter than three pictures of ordinary video, so that nobody sees it
/// as motion, and long enough to keep the pictures of any ordinary group apart, 4500 of them at 90 kHz.
const SPAN_DIVISOR: u32 = 20;

/// Where each timestamp goes.
#[derive(Debug)]
pub(super) struct Compression {
    /// What is at or after it stays as it is.
    anchor: RtpTimestamp,
    /// How long before it the earlier ones are, ascending, each once. Bounded by the access units of a log.
    ago: Vec<u32>,
    /// From one to the next afterwards.
    step: u32,
}

impl Compression {
    /// For access units with these timestamps, in the order in which they are sent. Nothing if they are no longer apart
    /// than they would be afterwards.
    pub(super) fn new(units: &[RtpTimestamp], clock_rate: u32) -> Option<Self> {
        let anchor = anchor(units)?;
        let before = |unit: &RtpTimestamp| u32::try_from(anchor.distance_from(*unit)).ok();
        let mut ago: Vec<u32> = units.iter().filter_map(before).collect();
        ago.sort_unstable();
        ago.dedup();
        // The anchor itself stays.
        ago.retain(|ago| *ago > 0);
        let (span, farthest) = (clock_rate / SPAN_DIVISOR, *ago.last()?);
        let step = (span / u32::try_from(ago.len()).ok()?).max(1);
        (farthest > span).then_some(Self { anchor, ago, step })
    }

    /// Where a timestamp of one of the units goes.
    pub(super) fn map(&self, timestamp: RtpTimestamp) -> RtpTimestamp {
        let Ok(ago @ 1..) = u32::try_from(self.anchor.distance_from(timestamp)) else {
            return timestamp;
        };
        let nearer = self.ago.partition_point(|nearer| *nearer < ago);
        let steps = u32::try_from(nearer).unwrap_or(u32::MAX).saturating_add(1);
        let ago = steps.saturating_mul(self.step);
        self.anchor.wrapping_add(ago.wrapping_neg())
    }
}

/// Pictures that are sent after others but shown before them have timestamps that step back. What follows may step back as
/// far as what came, so everything that is pressed has to end before that: the latest timestamp, less the widest step back.
fn anchor(units: &[RtpTimestamp]) -> Option<RtpTimestamp> {
    let (mut latest, mut step_back) = (*units.first()?, 0);
    for timestamp in units {
        match timestamp.distance_from(latest) {
            1.. => latest = *timestamp,
            ahead => step_back = step_back.max(ahead.unsigned_abs()),
        }
    }
    Some(latest.wrapping_add(u32::wrapping_neg(step_back)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: u32 = 90_000;
    const SPAN: i32 = 4500;

    fn compression(units: &[u32]) -> Option<Compression> {
        let units: Vec<_> = units.iter().copied().map(RtpTimestamp).collect();
        Compression::new(&units, RATE)
    }

    fn mapped(units: &[u32]) -> Vec<u32> {
        let compression = compression(units).unwrap();
        let units = units.iter();
        units
            .map(|unit| compression.map(RtpTimestamp(*unit)).0)
            .collect()
    }

    #[test]
    fn pictures_are_pressed_into_the_span_before_the_last_one_which_stays() {
        let group: Vec<u32> = (0..=300).map(|nth| nth * 3000).collect();
        let mapped = mapped(&group);
        assert_eq!(mapped[300], 900_000);
        assert_eq!(
            (mapped[0], mapped[1], mapped[299]),
            (895_500, 895_515, 899_985)
        );
    }

    #[test]
    fn pictures_that_are_shown_before_those_sent_earlier_stay_so_over_the_edge() {
        // I0 P3 B1 B2 P6: B4 and B5 follow live.
        let [i0, p3, b1, b2, p6] = [0, 9000, 3000, 6000, 18_000];
        let mapped = mapped(&[i0, p3, b1, b2, p6]);
        assert_eq!(mapped, [7500, 10_875, 8625, 9750, p6]);
        let live = [12_000, 15_000];
        assert!(
            live.iter()
                .all(|live| mapped[..4].iter().all(|mapped| mapped < live))
        );
    }

    #[test]
    fn a_group_that_is_shorter_than_the_span_stays_as_it_is() {
        assert!(compression(&[0, 1500, 3000, 4500]).is_none());
        assert!(compression(&[7]).is_none());
        assert!(compression(&[]).is_none());
        assert!(compression(&[0, 1500, 3000, 4501]).is_some());
    }

    #[test]
    fn more_pictures_than_ticks_stay_apart() {
        let group: Vec<u32> = (0..10_000).map(|nth| nth * 100).collect();
        let mapped = mapped(&group);
        assert!(mapped.is_sorted_by(|before, after| before < after));
    }

    proptest! {
        /// Whatever a group looks like: its order and its distinctness stay, none comes after what follows live, and with
        /// fewer pictures than ticks all are within the span.
        #[test]
        fn the_order_of_pictures_stays(
            begin in any::<u32>(),
            intervals in prop::collection::vec(1u32..6000, 2..400),
            depth in 1usize..5,
        ) {
            let mut at = begin;
            let shown: Vec<u32> = intervals.iter().map(|interval| {
                at = at.wrapping_add(*interval);
                at
            }).collect();
            // Of so many pictures, the last is sent first.
            let mut sent = shown.clone();
            sent.chunks_mut(depth).skip(1).for_each(|chunk| chunk.rotate_right(1));
            let Some(compression) = compression(&sent) else { return Ok(()) };
            let map = |unit: &u32| compression.map(RtpTimestamp(*unit));
            for pair in shown.windows(2) {
                prop_assert!(map(&pair[1]).distance_from(map(&pair[0])) > 0);
            }
            let anchor = compression.anchor;
            for unit in &shown {
                let from_anchor = anchor.distance_from(map(unit));
                prop_assert!(from_anchor <= SPAN);
                if RtpTimestamp(*unit).distance_from(anchor) >= 0 {
                    prop_assert_eq!(map(unit).0, *unit);
                }
            }
        }
    }
}
