//! The configuration: looked at, and changed while the server runs.

use crate::control::Route;

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    Vec::new()
}
