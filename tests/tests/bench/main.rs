//! What `shardcast bench` and `soak` promise at their command lines: figures that add up, verdicts that its exit status tells, and, where
//! something is wrong, one line that names the cause.
//!
//! It loads the Shardcast that it starts itself, daemons, and made-up servers that answer oddly. Loads are small and short,
//! so no figure of speed is judged here. What a capture says of its latencies, and what it makes of real files, is in
//! `bench_interop`.

mod disturbances;
mod failures;
mod loads;
mod odd_server;
mod soak;
mod verdicts;
