//! A publisher that keeps time: frames at their rate, whole or packet by packet, each packet with the moment at which it was
//! due. A publisher that is late counts as latency, so that a server that holds it up gains nothing by that.

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
    /// From one packet of a frame to the next; none sends each frame at once.
    pub gap: Option<Duration>,
    /// Bytes of a packet on the wire, interleaved header included.
    pub packet_bytes: usize,
}

impl Rhythm {
    /// Whole frames at this rate, of packets of the usual size.
    #[must_use]
    pub fn of_bits_per_second(bits_per_second: f64) -> Self {
        Self {
            bits_per_second,
            gap: None,
            packet_bytes: PACKET_BYTES,
        }
    }
}

/// A stream under way.
#[derive(Debug)]
pub struct Broadcast {
    publisher: Publisher,
    source: Source,
    pace: Pace,
    rhythm: Rhythm,
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
            source: Source::new(GOP_FRAMES, rhythm.packet_bytes),
            pace: Pace::new(
                rhythm.bits_per_second,
                f64::from(FRAMES_PER_SECOND),
                rhythm.packet_bytes,
            ),
            rhythm,
            frame: Vec::new(),
        })
    }

    /// Sends for so long, on this thread; how many packets.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send_for(&mut self, duration: Duration) -> Result<u64, BenchError> {
        let frames = (duration.as_secs_f64() * f64::from(FRAMES_PER_SECOND)).round() as u32;
        let (begin, mut packets, mut free) = (Instant::now(), 0, Instant::now());
        for frame in 0..frames {
            let due = begin + Duration::from_secs(1) * frame / FRAMES_PER_SECOND;
            packets += self.next_frame();
            free = self.send_frame(due.max(free))?;
        }
        wait_until(begin + duration);
        Ok(packets as u64)
    }

    /// Ends the stream in order.
    ///
    /// # Errors
    /// When the server refuses or is gone.
    pub fn teardown(self) -> Result<(), BenchError> {
        self.publisher.teardown()
    }

    fn next_frame(&mut self) -> usize {
        let packets = self
            .pace
            .next_packets(self.source.is_key_next(), GOP_FRAMES);
        self.frame.clear();
        self.source.write_frame(packets, &mut self.frame);
        packets
    }

    /// Sends the frame from `due` on; when the next packet may leave.
    fn send_frame(&mut self, mut due: Instant) -> Result<Instant, BenchError> {
        let Some(gap) = self.rhythm.gap else {
            stamp(&mut self.frame, self.rhythm.packet_bytes, due);
            wait_until(due);
            self.publisher.send(&self.frame)?;
            return Ok(due);
        };
        for packet in self.frame.chunks_mut(self.rhythm.packet_bytes) {
            stamp(packet, self.rhythm.packet_bytes, due);
            wait_until(due);
            self.publisher.send(packet)?;
            due += gap;
        }
        Ok(due)
    }
}

fn stamp(packets: &mut [u8], packet_bytes: usize, due: Instant) {
    let stamp = Stamp::of(due);
    let packets = packets.chunks_mut(packet_bytes);
    packets.for_each(|packet| stamp.write_to(packet));
}

/// Sleeps until then; not at all when it has passed.
pub(crate) fn wait_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(Instant::now()));
}
