//! What is answered instead of what was asked for, and under which reason it is counted.

use http::{HeaderValue, Method, StatusCode, header};

use crate::control::{Answer, Site};
use crate::refusal::RefusalReason;

/// Why a request is not answered as it was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The target is too long.
    UriTooLong,
    /// It makes no sense, for this reason.
    BadRequest(&'static str),
    /// There is no such route.
    NotFound,
    /// The route has other methods.
    MethodNotAllowed(Vec<Method>),
    /// Its body is longer than the route takes.
    BodyTooLarge,
    /// Its body did not come within `readTimeout`.
    BodyUnfinished,
    /// Too much waits for an answer.
    Busy,
}

impl Refused {
    fn status(&self) -> StatusCode {
        match self {
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyUnfinished => StatusCode::REQUEST_TIMEOUT,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Under which it is counted.
    pub(super) fn reason(&self) -> RefusalReason {
        match self {
            Self::UriTooLong => RefusalReason::UriTooLong,
            Self::BadRequest(_) => RefusalReason::BadRequest,
            Self::NotFound => RefusalReason::NotFound,
            Self::MethodNotAllowed(_) => RefusalReason::MethodNotAllowed,
            Self::BodyTooLarge => RefusalReason::BodyTooLarge,
            Self::BodyUnfinished => RefusalReason::MessageUnfinished,
            Self::Busy => RefusalReason::Unavailable,
        }
    }

    /// Nothing that comes behind it on the connection can be understood, or is worth waiting for.
    pub(super) fn ends_connection(&self) -> bool {
        let is_understood = matches!(
            self,
            Self::NotFound | Self::MethodNotAllowed(_) | Self::Busy
        );
        !is_understood
    }

    /// In the words of the site.
    pub(super) fn answer(&self, site: &Site) -> Answer {
        let status = self.status();
        let message = match self {
            Self::BadRequest(what) => what,
            _ => status.canonical_reason().unwrap_or_default(),
        };
        let mut answer = site.refusal(status, message);
        if let Self::MethodNotAllowed(methods) = self
            && let Ok(allowed) = HeaderValue::from_str(&allowed(methods))
        {
            answer.headers_mut().insert(header::ALLOW, allowed);
        }
        answer
    }
}

/// As `Allow` lists them (RFC 9110, section 10.2.1): HEAD comes with GET, and OPTIONS is the site's.
pub(super) fn allowed(methods: &[Method]) -> String {
    let mut names = vec!["OPTIONS"];
    for method in methods {
        names.push(method.as_str());
        if method == Method::GET {
            names.push("HEAD");
        }
    }
    names.join(", ")
}
