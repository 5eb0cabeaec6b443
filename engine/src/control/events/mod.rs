//! What happens, as a stream of events.

use super::Route;

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    Vec::new()
}
