//! The promises that a whole server keeps to its peers over loopback: what readers are given, how streams end, how long
//! anybody is waited for, what a slow reader costs, and what hostile input gets.
//!
//! A server runs in this process, or as a child where the process itself is the matter. Raw peers publish packets with
//! counters and check every one that comes back. What this suite cannot catch: what real programs make of the stream,
//! what a real network does to it, and faults of the machine.

mod admission;
mod deadlines;
mod ends;
mod faults;
mod hostile;
mod process;
mod reads;
mod sessions;
mod slow_readers;
mod succession;
