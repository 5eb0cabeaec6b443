//! How far a run has come: set by the coordinator, seen by every thread that makes the load; and what those threads tell
//! it each second.

use std::ops::Range;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use hdrhistogram::Histogram;

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Readers join.
    Ramp,
    /// The stream flows, and nothing counts yet.
    WarmUp,
    /// What happens counts.
    Measured,
    /// Nothing counts any more, and readers leave.
    Ending,
    /// Publishers leave, too: not before, for a server ends the readers of a publisher that has left, and that would count as
    /// its doing.
    Over,
}

const STAGES: [Stage; 5] = [
    Stage::Ramp,
    Stage::WarmUp,
    Stage::Measured,
    Stage::Ending,
    Stage::Over,
];

impl Stage {
    /// As progress is told.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ramp => "joining",
            Self::WarmUp => "warm-up",
            Self::Measured => "measured",
            Self::Ending | Self::Over => "ending",
        }
    }
}

/// The stage that all threads see, and from when to when packets count by their stamps: threads hear of a stage one after
/// the other, while a packet comes at the same moment for all of them.
#[derive(Debug, Default)]
pub(crate) struct SharedStage {
    stage: AtomicU8,
    begin_unix_nanos: AtomicU64,
    end_unix_nanos: AtomicU64,
}

impl SharedStage {
    /// Goes on to this stage.
    pub(crate) fn set(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    /// Where we are.
    pub(crate) fn now(&self) -> Stage {
        let place = usize::from(self.stage.load(Ordering::Acquire));
        STAGES.get(place).copied().unwrap_or(Stage::Over)
    }

    /// Packets that come between these moments count. Said before the first of them, they are all seen.
    pub(crate) fn count_between(&self, unix_nanos: Range<u64>) {
        self.begin_unix_nanos
            .store(unix_nanos.start, Ordering::Relaxed);
        self.end_unix_nanos.store(unix_nanos.end, Ordering::Release);
    }

    /// From when to when packets count, in nanoseconds since the Unix epoch; empty while that is not known.
    pub(crate) fn counted_between(&self) -> Range<u64> {
        let end = self.end_unix_nanos.load(Ordering::Acquire);
        self.begin_unix_nanos.load(Ordering::Relaxed)..end
    }
}

/// What a thread has seen in about a second.
#[derive(Clone, Debug)]
pub(crate) struct Tick {
    /// Which thread.
    pub(crate) thread: String,
    /// Well-behaved readers that play on it now.
    pub(crate) playing: usize,
    /// Bytes that came to them.
    pub(crate) bytes: u64,
    /// Packets that looked-at readers lack.
    pub(crate) lost: u64,
    /// Latencies of looked-at readers.
    pub(crate) latency: Histogram<u64>,
    /// The share of the time that the thread worked.
    pub(crate) share: f64,
}
