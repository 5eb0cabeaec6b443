//! RTP and RTCP (RFC 3550), and how both are framed inside an RTSP connection (RFC 2326 §10.12).
//!
//! Bytes come from a publisher's connection and stay where they are: everything here is a view over
//! them, or rewrites a few header fields in place. Reports of our own are built anew, and so are the few
//! header bytes of payloads that are cut to a datagram's size.
//!
//! Deliberately absent: jitter buffers that wait for a packet's time, and depacketisers. A packet
//! goes to readers as it came, datagrams in their order (`reorder`).

pub mod clock;
pub mod cut;
pub mod framing;
pub mod header;
pub mod reception;
pub mod reorder;
pub mod rtcp;

pub use clock::{ClockMap, NtpTime};
pub use cut::{Cut, CutError, Piece, Pieces};
pub use framing::{Frame, Frames, INTERLEAVED_HEADER_BYTES};
pub use header::{
    HeaderError, HeaderView, HeaderViewMut, PayloadType, RtpTimestamp, SequenceNumber, Ssrc,
};
pub use reception::Reception;
pub use reorder::{ReorderCounts, ReorderWindow};
