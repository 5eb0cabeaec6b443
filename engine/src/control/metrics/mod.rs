//! Metrics for Prometheus.

use super::Route;

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    Vec::new()
}
