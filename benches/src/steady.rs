//! The load of comparisons that have a whole server serve streams: what all of them have in common.

use std::time::Duration;

use shardcast_bench::shape::{Course, Load, Misbehaving, SourceShape, Synthetic, Transport};

/// One in so many readers looks at its packets.
const LOOKING_ONE_IN: usize = 10;
/// After the readers have joined, before anything counts: a group of pictures.
const WARM_UP: Duration = Duration::from_secs(2);

/// Streams over TCP to readers that stay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steady {
    /// Readers in all.
    pub(crate) readers: usize,
    /// Paths that they are spread over.
    pub(crate) paths: usize,
    /// Bit rate of each path in Mbit/s.
    pub(crate) mbit: f64,
    /// Time in which the readers join.
    pub(crate) ramp: Duration,
    /// How long is measured.
    pub(crate) duration: Duration,
}

impl Steady {
    /// The load, without disturbances.
    pub(crate) fn load(self) -> Load {
        Load {
            paths: self.paths,
            readers: self.readers,
            sampled: (self.readers / LOOKING_ONE_IN).max(1),
            reader_transport: Transport::Tcp,
            publisher_transport: Transport::Tcp,
            source: SourceShape::Synthetic(Synthetic {
                bits_per_second: self.mbit * 1e6,
                frames_per_second: 30.0,
                gop_frames: 60,
                packet_bytes: 1400,
                has_audio: false,
            }),
            gap: None,
            course: Course {
                ramp: self.ramp,
                warm_up: WARM_UP,
                duration: self.duration,
            },
            storm: None,
            misbehaving: Misbehaving::default(),
            flapping: None,
            seed: 1,
        }
    }
}
