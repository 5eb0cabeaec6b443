//! Control: what operators, dashboards and scripts see of a running server, and what they change.
//!
//! Each *site* is what one listener offers: the Control API, the metrics, the profiler. A site is a table of routes; a
//! route is answered by the clerk, a thread of its own that no stream waits for, or on the shard whose connection asked,
//! where an answer has no end. `session/http` brings the requests. Whatever is asked here is read from what shards count
//! and publish anyway; orders reach a shard as errands, through its door.
//!
//! Deliberately absent: sockets, HTTP's wire format, who may ask (the session asks `admit` by the site's action).

mod api;
mod clerk;
mod configuration;
mod counters;
mod events;
mod health;
mod metrics;
mod profile;
mod site;
mod state;
mod web;

pub use clerk::{Clerk, ClerkCounters, JOBS_WAITING_MAX};
pub use configuration::{ConfigHook, Configuration};
pub use events::{EVENT_LISTENERS_MAX, EventFeed, EventKind};
pub use site::{Answering, BODY_BYTES_MAX, Found, Handler, Route, Site, SiteKind};
pub use state::ControlState;
pub use web::{Answer, Body, Request, Response, error, json, line, refusal};
