//! The protocol-neutral door for publishers. A session hands in packets in their wire frames; what it lets in is numbered
//! anew in place, described, and gathered into batches for the path's owner.
//!
//! Invariants: each packet is parsed once; nothing is copied; what is refused is refused before it is part of a batch.
//! Deliberately absent: reordering (packets come over one connection, in order) and parameter sets of our own.

mod publication;

pub use publication::Publication;
