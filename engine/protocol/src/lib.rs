//! Wire formats and protocol state machines of Shardcast, both the server's side and the client's.
//!
//! Everything here is sans-IO. Bytes and `now` come in as arguments; bytes, events and answers go
//! out. `engine/src/session` owns the sockets and feeds these machines; tests and the load generator
//! feed them too.
//!
//! Invariants:
//! - Nothing that a peer sends can panic: no indexing, no `unwrap`, no narrowing `as` outside tests.
//! - Memory follows bytes *received*, never a length *declared*; every limit is a named constant
//!   beside its parser.
//!
//! Deliberately absent: sockets, `async`, clocks, randomness, threads (`clippy.toml` beside this
//! package disallows them, and `tests/sans_io.rs` looks at the dependencies).
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::unreachable,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_possible_wrap
    )
)]

pub mod codec;
pub mod container;
pub mod http;
pub mod rtsp;
pub mod sdp;
