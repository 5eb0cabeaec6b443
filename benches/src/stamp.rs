//! Moments that packets carry, from the publisher to the readers of the same process.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use shardcast_protocol::container::rtp::framing::INTERLEAVED_HEADER_BYTES;

use crate::synthetic::RTP_HEADER_BYTES;

/// Where in an interleaved frame the moment stands: behind the NAL unit's or the fragment's two bytes.
pub(crate) const STAMP_OFFSET: usize = INTERLEAVED_HEADER_BYTES + RTP_HEADER_BYTES + 2;
/// Nanoseconds as 64 bits.
pub(crate) const STAMP_BYTES: usize = 8;

/// A moment of this process, in nanoseconds since its first one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp(u64);

impl Stamp {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self::of(Instant::now())
    }

    /// That moment.
    #[must_use]
    pub fn of(moment: Instant) -> Self {
        static BEGIN: OnceLock<Instant> = OnceLock::new();
        let begin = *BEGIN.get_or_init(|| moment);
        let nanos = moment.saturating_duration_since(begin).as_nanos();
        Self(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Writes it into an interleaved packet of the made-up stream.
    pub fn write_to(self, packet: &mut [u8]) {
        let place = packet.iter_mut().skip(STAMP_OFFSET);
        place
            .zip(self.to_bytes())
            .for_each(|(place, byte)| *place = byte);
    }

    /// From `earlier` to this; nothing if that was later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    pub(crate) fn from_bytes(bytes: [u8; STAMP_BYTES]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }

    pub(crate) fn to_bytes(self) -> [u8; STAMP_BYTES] {
        self.0.to_be_bytes()
    }
}
