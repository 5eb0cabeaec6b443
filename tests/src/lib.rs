//! What the tests of the whole share: a daemon to start, its load generator to run, a raw RTSP peer that owes nothing to
//! the code under test, networks that are good or bad as they are told, and the programs from outside with the clips that
//! they carry.
//!
//! The peer speaks over blocking `std` sockets and builds and reads its messages by itself, so that a mistake in
//! Shardcast's own protocol code cannot hide in both ends. Nothing here is shipped.
#![deny(unsafe_code)]

pub mod alone;
pub mod bench;
pub mod daemon;
pub mod event_stream;
pub mod http;
pub mod interop;
#[cfg(target_os = "linux")]
pub mod netlab;
pub mod operators;
pub mod peer;
pub mod players;
pub mod port;
pub mod procfs;
pub mod sandbox;
pub mod scene;
pub mod scrape;
pub mod tidy;
pub mod wait;
