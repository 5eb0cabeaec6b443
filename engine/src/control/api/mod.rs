//! The Control API: MediaMTX's `/v3`, and what Shardcast adds to it.

mod config;
mod info;
mod paths;
mod rtsp;

use super::Route;

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    let parts = [
        info::routes(),
        config::routes(),
        paths::routes(),
        rtsp::routes(),
    ];
    parts.into_iter().flatten().collect()
}
