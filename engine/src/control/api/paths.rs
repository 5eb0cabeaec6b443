//! The paths that are there.

use crate::control::Route;

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    Vec::new()
}
