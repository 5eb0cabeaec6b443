//! What a server's sites keep to their users over HTTP, and what hostile input gets there.
//!
//! A server runs in this process, or as a child where its memory or its descriptors are the matter. Requests are written as
//! bytes on raw sockets. While something comes that is hostile, a stream plays and loses nothing (an `Ordeal`): nobody
//! panics, refusals are counted under their reasons and no others, and everything is back at its baseline 5 s after the last
//! connection has ended. What this suite cannot catch: what browsers and proxies really send, and the handlers' answers,
//! which have tests of their own.

mod authorisation;
mod bodies;
mod descriptors;
mod encryption;
mod frames;
mod idle;
mod limits;
mod origins;
mod proxies;
mod serving;
mod slow;
mod smuggling;
mod streams;
#[cfg(unix)]
mod unix;
mod wire;

/// The three sites on ports of the system's choice.
const SITES: &str = "api: yes\napiAddress: 127.0.0.1:0\n\
    metrics: yes\nmetricsAddress: 127.0.0.1:0\n\
    pprof: yes\npprofAddress: 127.0.0.1:0\n";

/// The sites' names, and a target that each has.
const TARGETS: [(&str, &str); 3] = [
    ("API", "/v3/info"),
    ("metrics", "/metrics"),
    ("pprof", "/debug/pprof/"),
];
