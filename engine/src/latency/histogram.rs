//! The histograms' shape, and the buckets in which Prometheus is shown them.

use hdrhistogram::Histogram;

/// From a microsecond to a good 16 s; what is longer counts as that. With two digits that makes 18 halves of 128 counters
/// each, of 32 bits: 9 KiB.
const LATENCY_MAX_US: u64 = (1 << 24) - 1;

/// Two: a figure is off by less than a hundredth.
const DIGITS: u8 = 2;

/// Upper bounds of the buckets, in microseconds: three to a decade where frames and players' buffers are. One more bucket
/// holds the rest.
pub const BOUNDS_US: [u64; 15] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000,
];

/// An empty histogram.
///
/// # Panics
/// Never: its bounds are good.
#[must_use]
pub fn new_histogram() -> Histogram<u32> {
    Histogram::new_with_bounds(1, LATENCY_MAX_US, DIGITS).expect("the bounds are in order")
}

/// How many packets were at most so late, bucket by bucket, the last for what is over all bounds. None counts twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buckets([u64; BOUNDS_US.len() + 1]);

impl Buckets {
    /// Adds all that a histogram holds.
    pub fn add_histogram(&mut self, histogram: &Histogram<u32>) {
        for step in histogram.iter_recorded() {
            let bucket = BOUNDS_US.partition_point(|bound| *bound < step.value_iterated_to());
            self.0[bucket] += step.count_since_last_iteration();
        }
    }

    /// Adds other buckets.
    pub fn add(&mut self, other: &Self) {
        let pairs = self.0.iter_mut().zip(other.0);
        pairs.for_each(|(sum, more)| *sum += more);
    }

    /// Packets up to each bound, and last all of them, as Prometheus counts.
    pub fn cumulative(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_takes_less_than_ten_kibibytes() {
        let counters = new_histogram().distinct_values();
        assert!(counters * size_of::<u32>() <= 10 * 1024, "{counters}");
    }

    #[test]
    fn the_shortest_and_the_longest_are_counted() {
        let mut histogram = new_histogram();
        for latency_us in [0, 1, 16_000_000, u64::MAX] {
            histogram.saturating_record(latency_us);
        }
        assert_eq!(histogram.len(), 4);
        assert!(histogram.max() >= 16_000_000);
    }

    #[test]
    fn each_packet_lies_in_the_first_bucket_that_is_large_enough() {
        let mut histogram = new_histogram();
        for latency_us in [40, 99, 101, 4_900, 6_000_000] {
            histogram.saturating_record(latency_us);
        }
        let mut buckets = Buckets::default();
        buckets.add_histogram(&histogram);
        let cumulative: Vec<u64> = buckets.cumulative().collect();
        assert_eq!(cumulative[..6], [2, 3, 3, 3, 3, 4]);
        assert_eq!(cumulative[BOUNDS_US.len() - 1..], [4, 5]);
    }
}
