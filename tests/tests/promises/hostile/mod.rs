//! What hostile and broken input gets: the answer that the protocol defines, and nothing else.
//!
//! In every case a stream plays all the while and loses nothing, nobody panics, each refusal is counted under its reason,
//! and in the end sessions, tasks, sockets and rings are back at their baseline. That memory follows what has come, and
//! never what was declared, is shown on a process of its own ([`floods`]).

mod datagrams;
mod floods;
mod messages;
mod numbers;
mod packets;
mod requests;
mod units;
