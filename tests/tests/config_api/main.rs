//! The configuration over the Control API: what is shown, what a change does to whoever publishes and reads, what lasts,
//! and what a reload does.
//!
//! Most servers run in this process; where a file, a signal or a restart matters, a daemon does. What this suite cannot
//! catch: a disk that fails.

mod ends;
#[cfg(unix)]
mod files;
mod load;
mod routes;
mod shown;
mod stage;
