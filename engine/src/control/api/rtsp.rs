//! Connections and sessions over RTSP.

use crate::control::Route;

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    Vec::new()
}
