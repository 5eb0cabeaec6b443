//! HTTP: what the head of a request says of where it goes and whom it comes from.
//!
//! Framing, and everything that has state, is hyper's. `engine/src/session/http` asks here, before
//! and after a request is served. Deliberately absent: bodies, and what is at the end of a path.

pub mod credentials;
pub mod origins;
pub mod proxies;
pub mod target;
