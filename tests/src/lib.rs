//! What the tests of the whole share: a daemon to start, a raw RTSP peer that owes nothing to the code under test,
//! and the programs from outside with the clips that they carry.
//!
//! The peer speaks over blocking `std` sockets and builds and reads its messages by itself, so that a mistake in
//! Shardcast's own protocol code cannot hide in both ends. Nothing here is shipped.
#![forbid(unsafe_code)]

pub mod alone;
pub mod daemon;
pub mod interop;
pub mod peer;
pub mod port;
pub mod procfs;
pub mod sandbox;
pub mod scene;
pub mod server;
pub mod tidy;
pub mod wait;
