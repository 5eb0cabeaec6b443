//! A publisher that keeps time: whole frames at their rate, each packet with the moment at which it was due. A publisher that is late counts as latency, so that a server that holds it up gains nothing by that.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::BenchError;
use crate::peer::Publisher;
use crate::stamp::Stamp;
use crate::synthetic::{PACKET_BYTES, Pace, Source};

/// Frames per second, and frames of a group of pictures: two seconds.
const FRAMES_PER_SECOND: u32 = 30;
const GOP_FRAMES: u64 = 60;

/// How the stream flows.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// Bit rate on the wire.
    pub bits_per_second: f64,
}

impl Rhythm {
    /// At this rate.
    #[must_use]
    pub fn of_bits_per_second(bits_per_second: f64) -> Self {
        Self { bits_per_second }
    }
}

/// A stream under way.
#[derive(Debug)]
pub struct Broadcast {
    publisher: Publisher,
    source: Source,
    pace: Pace,
    frame: Vec<u8>,
}

impl Broadcast {
    /// Publishes at `url`; nothing is sent yet.
    ///
    /// # Errors
    /// When the server is not there or refuses.
    pub fn start(address: SocketAddr, url: &str, rhythm: Rhythm) -> Result<Self, BenchError> {
        Ok(Self {
            publisher: Publisher::start(address, url)?,
            source: Source::new(GOP_FRAMES, PACKET_BYTES),
            pace: Pace::new(
                rhythm.bits_per_second,
                f64::from(FRAMES_PER_SECOND),
                PACKET_BYTES,
            ),
            frame: Vec::new(),
        })
    }

    /// Sends for so long, on this thread; how many packets.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send_for(&mut self, duration: Duration) -> Result<u64, BenchError> {
        let frames = (duration.as_secs_f64() * f64::from(FRAMES_PER_SECOND)).round() as u32;
        let (begin, mut packets) = (Instant::now(), 0);
        for frame in 0..frames {
            let due = begin + Duration::from_secs(1) * frame / FRAMES_PER_SECOND;
            packets += self.next_frame();
            self.send_frame(due)?;
        }
        wait_until(begin + duration);
        Ok(packets as u64)
    }

    fn next_frame(&mut self) -> usize {
        let packets = self
            .pace
            .next_packets(self.source.is_key_next(), GOP_FRAMES);
        self.frame.clear();
        self.source.write_frame(packets, &mut self.frame);
        packets
    }

    /// Sends the frame when it is due.
    fn send_frame(&mut self, due: Instant) -> Result<(), BenchError> {
        let stamp = Stamp::of(due);
        let packets = self.frame.chunks_mut(PACKET_BYTES);
        packets.for_each(|packet| stamp.write_to(packet));
        wait_until(due);
        self.publisher.send(&self.frame)
    }
}

/// Sleeps until then; not at all when it has passed.
pub(crate) fn wait_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(Instant::now()));
}
