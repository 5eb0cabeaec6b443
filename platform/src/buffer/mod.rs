//! The buffers that pass through a socket: a [`Slab`] is read into, [`Slice`]s are written from,
//! and a [`Gather`] holds the slices of one vectored write.
//!
//! Chunks are `bytes::BytesMut` while they fill and `bytes::Bytes` once they are shared; that type
//! crosses shards. On a shard it becomes a [`Slice`], whose clones touch no atomic.

mod gather;
#[cfg(test)]
mod lifetimes;
mod slab;
mod slice;

pub use gather::{GATHER_SLICES_MAX, Gather};
pub use slab::Slab;
pub use slice::Slice;
