//! Whether a run's figures are the server's. A load generator that was itself too slow says so instead of blaming the
//! server.

use std::fmt;
use std::time::Duration;

/// Above this share of a second, a thread of ours was the bottleneck.
pub const OWN_SHARE_MAX: f64 = 0.9;
/// Publishing may be so late, at the 99th percentile, before latencies are ours.
pub const LATENESS_P99_MAX: Duration = Duration::from_millis(5);

/// Whether the figures are to be trusted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Validity {
    /// Why not; none when they are.
    pub reasons: Vec<Invalid>,
}

/// Why figures are not the server's.
#[derive(Clone, Debug, PartialEq)]
pub enum Invalid {
    /// A thread of ours had no time left.
    OwnCpu {
        /// The share of its busiest second.
        share: f64,
    },
    /// Packets left later than they were due.
    LatePublishing {
        /// 99 % left within this.
        p99: Duration,
    },
    /// The wall clock was set while the run was measured.
    ClockStepped {
        /// By so much.
        by: Duration,
    },
    /// Not as many readers as were asked for came to play.
    ReadersMissing {
        /// Those who play.
        playing: usize,
        /// Those who were to.
        asked: usize,
    },
    /// Nothing arrived at the readers that are looked at.
    NothingArrived,
}

impl Validity {
    /// Whether they are to be trusted.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.reasons.is_empty()
    }
}

impl Invalid {
    /// Whether the fault lies with the load generator or its machine, and not with the server.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        match self {
            Self::OwnCpu { .. } | Self::LatePublishing { .. } | Self::ClockStepped { .. } => true,
            Self::ReadersMissing { .. } | Self::NothingArrived => false,
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnCpu { share } => {
                let percent = share * 100.0;
                write!(
                    f,
                    "a thread of the load generator was busy for {percent:.0} % of a second"
                )
            }
            Self::LatePublishing { p99 } => {
                let millis = p99.as_secs_f64() * 1e3;
                write!(
                    f,
                    "the load generator published late: 1 % of packets by more than {millis:.1} ms"
                )
            }
            Self::ClockStepped { by } => {
                write!(
                    f,
                    "the system's clock was set by {:.1} ms meanwhile",
                    by.as_secs_f64() * 1e3
                )
            }
            Self::ReadersMissing { playing, asked } => {
                write!(f, "{playing} of {asked} readers played")
            }
            Self::NothingArrived => {
                f.write_str("nothing arrived at the readers that are looked at")
            }
        }
    }
}
