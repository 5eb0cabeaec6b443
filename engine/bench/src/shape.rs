//! The shape of a load: who publishes and who reads, what flows, for how long, and who misbehaves. Options become one of
//! these; the threads that make the load are driven by it, and a report prints it.

use std::path::PathBuf;
use std::time::Duration;

/// How packets travel between us and the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Between the messages of the connection (RFC 2326, section 10.12).
    #[default]
    Tcp,
    /// As datagrams.
    Udp,
}

/// A load, whole.
#[derive(Clone, Debug)]
pub struct Load {
    /// Paths that are published and read; reader `n` reads path `n % paths`.
    pub paths: usize,
    /// Readers of all paths together, those that misbehave not counted.
    pub readers: usize,
    /// Of them, how many are looked at packet by packet, spread over the order in which they join.
    pub sampled: usize,
    /// How packets come to the readers.
    pub reader_transport: Transport,
    /// How the publishers' packets go to the server.
    pub publisher_transport: Transport,
    /// What is published.
    pub source: SourceShape,
    /// From one packet of a frame to the next; none sends each frame at once.
    pub gap: Option<Duration>,
    /// The course of a run.
    pub course: Course,
    /// Readers that join while the others are measured.
    pub storm: Option<Storm>,
    /// Readers, beside the others, that misbehave.
    pub misbehaving: Misbehaving,
    /// Publishers that leave and come back.
    pub flapping: Option<Flapping>,
    /// Whatever is left to chance follows from it.
    pub seed: u64,
}

/// The course of a run: the readers join, the stream flows unmeasured, then it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// From the first reader's joining to the last one's.
    pub ramp: Duration,
    /// After that, before anything counts.
    pub warm_up: Duration,
    /// How long is measured.
    pub duration: Duration,
}

/// What is published.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceShape {
    /// A made-up stream.
    Synthetic(Synthetic),
    /// The video and audio of this file, over and over.
    File(PathBuf),
    /// Nothing: somebody else publishes.
    Nothing,
}

/// A made-up stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Synthetic {
    /// Bit rate of the video, RTP headers included.
    pub bits_per_second: f64,
    /// Pictures per second.
    pub frames_per_second: f64,
    /// Frames from one key frame to the next.
    pub gop_frames: u64,
    /// Bytes of a full RTP packet, its header included.
    pub packet_bytes: usize,
    /// Whether there is AAC audio beside it.
    pub has_audio: bool,
}

/// Readers that join while the others are measured.
#[derive(Clone, Copy, Debug)]
pub struct Storm {
    /// How many.
    pub joins: usize,
    /// From the first to the last.
    pub within: Duration,
    /// Whether they stay to the end. Otherwise each leaves, in order, once it plays: waiting for a
    /// packet, all of a group of pictures would leave at its end together.
    pub stays: bool,
}

/// Readers, beside the others, that misbehave. They join in the ramp.
#[derive(Clone, Copy, Debug, Default)]
pub struct Misbehaving {
    /// Play, and never read again.
    pub stalled: usize,
    /// Read less than the stream has.
    pub crawling: usize,
    /// What each crawling reader reads.
    pub crawl_bits_per_second: f64,
    /// Vanish without a word after a while, by chance two seconds on average, and come back as somebody else.
    pub vanishing: usize,
}

/// Publishers that leave, in order or not by turns, and come back.
#[derive(Clone, Copy, Debug)]
pub struct Flapping {
    /// How many of the paths' publishers.
    pub publishers: usize,
    /// From one leave to the next.
    pub every: Duration,
    /// How long each is away.
    pub away: Duration,
}
