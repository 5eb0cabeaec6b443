//! What a run has shown: figures of the readers, of the server's process, and of ourselves. Made by the run, printed and
//! compared by reports.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::validity::Validity;

/// Latencies are kept up to a minute, to a tenth of a percent.
pub const LATENCY_MAX: Duration = Duration::from_secs(60);
const LATENCY_DIGITS: u8 = 3;

/// What a run has shown while it was measured.
#[derive(Clone, Debug)]
pub struct Measured {
    /// When it began to be measured, by the wall clock: nanoseconds since the Unix epoch. None when it never did.
    pub begin_unix_nanos: Option<u64>,
    /// How long was measured.
    pub wall: Duration,
    /// The readers that are looked at packet by packet.
    pub sampled: Sampled,
    /// All well-behaved readers.
    pub all: All,
    /// From the first byte of a join to the answer to PLAY, of all readers that came to play: nanoseconds.
    pub joins: Histogram<u64>,
    /// From the request PLAY to the last packet of the first whole key frame, of the readers that are looked at and of as
    /// many of a storm that stays: nanoseconds. Who has not begun yet when it is over counts with how long it has waited.
    pub starts: Histogram<u64>,
    /// What publishers did.
    pub published: Published,
    /// What the server's process used, where it can be seen.
    pub server: Option<Usage>,
    /// What we used ourselves.
    pub own: OwnUse,
    /// One per second, from the first join to the end.
    pub intervals: Vec<Interval>,
    /// Whether the figures are the server's, or ours.
    pub validity: Validity,
    /// Whether it was broken off.
    pub is_partial: bool,
}

/// What the readers that are looked at have received.
#[derive(Clone, Debug)]
pub struct Sampled {
    /// How many they are.
    pub readers: usize,
    /// RTP packets, of all tracks.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets that sequence numbers leave out.
    pub lost: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
    /// Packets of the publisher that never came, although no sequence number is missing: the server has left them out.
    pub skipped: u64,
    /// Readers that were sent what is no packet.
    pub broken: usize,
    /// From the moment at which a packet was due at the publisher to that at which the kernel had it for the reader:
    /// nanoseconds. Empty when the stream carries no moments.
    pub latency: Histogram<u64>,
}

/// What all well-behaved readers have received, looked at or only counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct All {
    /// Readers that played at the end.
    pub readers: usize,
    /// Bytes, with what frames them on the connection.
    pub bytes: u64,
    /// Packets times readers: counted where packets are looked at, by their mean size elsewhere.
    pub deliveries: f64,
    /// Readers that were only counted, and have less than 98 % of the bytes that looked-at readers of their path have.
    pub short: usize,
    /// Joins that the server refused.
    pub refused: usize,
    /// Joins that failed otherwise.
    pub failed: usize,
    /// Connections that the server ended.
    pub closed: usize,
}

/// What publishers did.
#[derive(Clone, Debug)]
pub struct Published {
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// From the moment at which packets were due to that at which we sent them, unless the server held the publisher up:
    /// nanoseconds.
    pub lateness: Histogram<u64>,
    /// Times that a publisher has left and come back.
    pub flaps: u64,
}

/// What a process used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// CPU time while it was measured.
    pub cpu: Duration,
    /// Memory in RAM at the end.
    pub resident_bytes: u64,
    /// Threads at the end.
    pub threads: usize,
    /// Memory in RAM, and what the send queues of its connections take in the kernel, at the most of all seconds of the
    /// run; none where nobody has asked for it, or it cannot be seen.
    pub peak_bytes: Option<u64>,
}

/// What we used ourselves.
#[derive(Clone, Debug, Default)]
pub struct OwnUse {
    /// CPU time of the whole process while it was measured.
    pub cpu: Duration,
    /// CPU time of the threads that read, while it was measured.
    pub readers_cpu: Duration,
    /// The busiest second of the busiest thread, as a share of that second.
    pub busiest_share: f64,
}

/// One second of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interval {
    /// From the run's begin to its end.
    pub until: Duration,
    /// Whether it counts.
    pub is_measured: bool,
    /// Readers that play.
    pub readers: usize,
    /// Bytes of all readers.
    pub bytes: u64,
    /// Packets that looked-at readers lack: left out by sequence numbers, or skipped.
    pub lost: u64,
    /// The median and the 99th percentile of latency, where moments are known.
    pub latency_p50: Option<Duration>,
    /// See above.
    pub latency_p99: Option<Duration>,
    /// CPU time of the server's process.
    pub server_cpu: Option<Duration>,
    /// The share that our busiest thread worked.
    pub own_share: f64,
}

impl Measured {
    /// CPU time of the server's process per packet and reader, in nanoseconds, where it can be seen.
    #[must_use]
    pub fn server_nanos(&self) -> Option<f64> {
        let server = self.server.filter(|_| self.all.deliveries > 0.0)?;
        Some(server.cpu.as_nanos() as f64 / self.all.deliveries)
    }

    /// The share of a CPU that the server's process had, where it can be seen.
    #[must_use]
    pub fn server_share(&self) -> Option<f64> {
        let server = self.server.filter(|_| !self.wall.is_zero())?;
        Some(server.cpu.as_secs_f64() / self.wall.as_secs_f64())
    }

    /// Our own CPU time as readers per packet and reader, in nanoseconds.
    #[must_use]
    pub fn own_nanos(&self) -> Option<f64> {
        let deliveries = Some(self.all.deliveries).filter(|it| *it > 0.0)?;
        Some(self.own.readers_cpu.as_nanos() as f64 / deliveries)
    }

    /// The packets that are missing as a part of those that should have come to the readers that are looked at.
    #[must_use]
    pub fn loss(&self) -> f64 {
        let lost = self.sampled.lost + self.sampled.skipped;
        match self.sampled.packets + lost {
            0 => 0.0,
            due => lost as f64 / due as f64,
        }
    }

    /// Packets of which it is known that they are missing. A reader that lacks bytes, or whose connection was ended, lacks one
    /// at least.
    #[must_use]
    pub fn known_missing(&self) -> u64 {
        let readers = self.all.short + self.all.closed;
        self.sampled.lost + self.sampled.skipped + readers as u64
    }

    /// A quantile of latency; none when the stream carries no moments.
    #[must_use]
    pub fn latency(&self, quantile: f64) -> Option<Duration> {
        quantile_of(&self.sampled.latency, quantile)
    }
}

/// A quantile; none of an empty histogram.
#[must_use]
pub fn quantile_of(histogram: &Histogram<u64>, quantile: f64) -> Option<Duration> {
    let is_known = !histogram.is_empty();
    is_known.then(|| Duration::from_nanos(histogram.value_at_quantile(quantile)))
}

/// An empty histogram of nanoseconds.
///
/// # Panics
/// Never: its range is one that histograms have.
#[must_use]
pub fn nanos_histogram() -> Histogram<u64> {
    Histogram::new_with_max(LATENCY_MAX.as_nanos() as u64, LATENCY_DIGITS)
        .expect("a minute in nanoseconds to three digits")
}

/// Adds a duration; one over [`LATENCY_MAX`] counts as that.
pub fn record(histogram: &mut Histogram<u64>, duration: Duration) {
    histogram.saturating_record(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
}

/// A run that went well: ten seconds of 1000 readers, for tests of what is made of runs.
#[cfg(test)]
pub(crate) fn example() -> Measured {
    let mut latency = nanos_histogram();
    for micros in (1..=1000).map(|step| step * 20) {
        record(&mut latency, Duration::from_micros(micros));
    }
    let mut lateness = nanos_histogram();
    record(&mut lateness, Duration::from_micros(80));
    Measured {
        begin_unix_nanos: Some(1_800_000_000_000_000_000),
        wall: Duration::from_secs(10),
        sampled: Sampled {
            readers: 50,
            packets: 100_000,
            bytes: 140_000_000,
            lost: 0,
            duplicates: 0,
            reordered: 0,
            skipped: 0,
            broken: 0,
            latency: latency.clone(),
        },
        all: All {
            readers: 1000,
            bytes: 2_500_000_000,
            deliveries: 2e6,
            ..All::default()
        },
        joins: latency.clone(),
        starts: latency,
        published: Published {
            packets: 2000,
            bytes: 2_500_000,
            lateness,
            flaps: 0,
        },
        server: Some(Usage {
            cpu: Duration::from_secs(2),
            resident_bytes: 64 << 20,
            threads: 3,
            peak_bytes: Some(80 << 20),
        }),
        own: OwnUse {
            cpu: Duration::from_secs(1),
            readers_cpu: Duration::from_millis(800),
            busiest_share: 0.3,
        },
        intervals: (1..=13).map(example_interval).collect(),
        validity: Validity::default(),
        is_partial: false,
    }
}

#[cfg(test)]
fn example_interval(second: u32) -> Interval {
    Interval {
        until: Duration::from_secs(1) * second,
        is_measured: second > 3,
        readers: if second > 1 { 1000 } else { 400 },
        bytes: 250_000_000,
        lost: 0,
        latency_p50: Some(Duration::from_millis(10)),
        latency_p99: Some(Duration::from_millis(20)),
        server_cpu: Some(Duration::from_millis(200)),
        own_share: 0.3,
    }
}

/// The load of that run.
#[cfg(test)]
pub(crate) fn example_load() -> crate::shape::Load {
    use crate::shape::{Course, Load, Misbehaving, SourceShape, Synthetic, Transport};
    Load {
        paths: 1,
        readers: 1000,
        sampled: 50,
        reader_transport: Transport::Tcp,
        publisher_transport: Transport::Tcp,
        source: SourceShape::Synthetic(Synthetic {
            bits_per_second: 2e6,
            frames_per_second: 30.0,
            gop_frames: 60,
            packet_bytes: 1400,
            has_audio: false,
        }),
        gap: None,
        course: Course {
            ramp: Duration::from_secs(1),
            warm_up: Duration::from_secs(2),
            duration: Duration::from_secs(10),
        },
        storm: None,
        misbehaving: Misbehaving::default(),
        flapping: None,
        seed: 42,
    }
}
