//! Containers: how coded media lies in packets, and later in files.
//!
//! Input are packets as a publisher sent them; output are views over their bytes, in place. Each
//! container has a folder of its own.

pub mod rtp;
