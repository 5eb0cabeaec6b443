//! Cross-origin requests (Fetch standard, section 3.2): which pages of other sites a browser may have it asked by.

use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use shardcast_config::HttpConfig;

use crate::control::{Answer, refusal};

/// The answer to a question before the request itself, if this is one. `methods` are those of the route.
pub(super) fn preflight(head: &Parts, _config: &HttpConfig, _methods: &[Method]) -> Option<Answer> {
    (head.method == Method::OPTIONS).then(|| refusal(StatusCode::NO_CONTENT))
}

/// The refusal of a request that another site's page must not have made.
pub(super) fn refuse(_head: &Parts, _config: &HttpConfig) -> Option<Answer> {
    None
}

/// Says in a response which pages may read it.
pub(super) fn allow(_asked: &HeaderMap, _config: &HttpConfig, _headers: &mut HeaderMap) {}
