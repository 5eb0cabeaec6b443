//! Streams: what a publisher sends, in the form in which it is handed round.
//!
//! A stream has tracks ([`StreamInfo`]), a numbering that goes on over publishers ([`Numbering`]), a clock that ties the
//! tracks together ([`StreamClock`]), and batches of packets in their native wire image ([`Batch`]). Ingest makes the
//! batches, the owner numbers them, and the fan-out keeps them in logs. Deliberately absent: derived images, which come
//! with the protocols that need them.

mod batch;
mod clock;
mod info;
mod numbering;
mod report;

pub use batch::{
    Batch, BatchBuilder, Packet, PacketFlags, RUNS_MAX, StartPoint, WIRE_HEADER_BYTES,
};
pub use clock::{StreamClock, TrackClock};
pub use info::{Generation, StreamInfo};
pub use numbering::{Numbering, Standing, TrackBase};
pub use report::{compound_goodbye, compound_reception, compound_report, wire_report};
