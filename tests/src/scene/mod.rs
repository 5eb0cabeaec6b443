//! A whole server within the test's process, and peers with several tracks and with habits of their own.
//!
//! The server is told by its configuration's text, as an operator does it, and is watched by its events and counters.
//! The peers are the raw ones of `peer` with more to say. Every wait has a deadline and panics with what was seen, so a
//! broken promise reads as a sentence.

pub mod baseline;
pub mod broadcast;
pub mod bystander;
pub mod house;
pub mod ordeal;
pub mod player;
pub mod rig;
pub mod rtp;
pub mod saboteur;
pub mod sound;

use std::time::Duration;

/// Longest wait for anything that a test expects: far above what it takes, far below a test runner's patience.
pub const PATIENCE: Duration = Duration::from_secs(15);
