//! The protocol-neutral door for publishers. A session hands in packets in their wire frames, in order; what it lets in is
//! numbered anew in place, described, and gathered into batches for the path's owner.
//!
//! Invariants: each packet is parsed once; nothing is copied; what is refused is refused before it is part of a batch; what
//! readers see of a publisher that takes over begins where a decoder can start.
//! Deliberately absent: reordering, which the protocols that need it do before.

mod door;
mod publication;

pub use publication::{Opening, Publication, REPORT_INTERVAL};
