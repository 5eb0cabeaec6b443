//! What publishers send: frames of a made-up stream or of a file, cut into RTP packets that carry the moment at which they
//! were due, and the other end of that, the count of what a reader has got of them.

mod bits;
pub mod cutter;
pub mod file;
mod h264;
mod key_watch;
pub mod packets;
pub mod probe;
pub mod source;
mod synthetic;
pub mod tally;

pub use cutter::{Cut, FrameCutter};
pub use key_watch::KeyWatch;
pub use packets::Packets;
pub use probe::{Carrier, PROBE_BYTES, Probe};
pub use source::Source;
pub use tally::{Tally, TallyCounts};
