//! What is answered instead of what was asked for, and under which reason it is counted.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use shardcast_protocol::http::origins::{Foreign, allow_methods};
use shardcast_protocol::http::target::TargetError;

use crate::control::{Answer, Site, error};
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
    /// Who asks has to say who it is first.
    CredentialsMissing,
    /// Who asks is not who may.
    AuthenticationFailed,
    /// So many attempts of its address have failed that nothing more of it is looked at for now.
    TooManyFailures,
    /// Its password could not be looked at in time.
    HashOverdue,
    /// A page of another origin has sent it.
    Foreign(Foreign),
}

/// How browsers and scripts of MediaMTX's users know what they are asked for. It goes with a failure too (RFC 9110, section
/// 15.5.2), so that a browser asks again.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"mediamtx\"");

/// When an address that has failed too often may ask again: as many seconds as its attempts wait.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

impl From<TargetError> for Refused {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::TooLong => Self::UriTooLong,
            TargetError::Bad(what) => Self::BadRequest(what),
        }
    }
}

impl From<Foreign> for Refused {
    fn from(foreign: Foreign) -> Self {
        Self::Foreign(foreign)
    }
}

impl Refused {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyUnfinished => StatusCode::REQUEST_TIMEOUT,
            Self::Busy | Self::HashOverdue => StatusCode::SERVICE_UNAVAILABLE,
            Self::CredentialsMissing | Self::AuthenticationFailed => StatusCode::UNAUTHORIZED,
            Self::TooManyFailures => StatusCode::TOO_MANY_REQUESTS,
            Self::Foreign(Foreign::Page) => StatusCode::FORBIDDEN,
            Self::Foreign(Foreign::Form) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
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
            // That a hash is overdue is counted where it is waited for.
            Self::Busy | Self::HashOverdue => RefusalReason::Unavailable,
            Self::CredentialsMissing => RefusalReason::Unauthorized,
            Self::AuthenticationFailed => RefusalReason::AuthenticationFailed,
            Self::TooManyFailures => RefusalReason::TooManyFailures,
            Self::Foreign(Foreign::Page) => RefusalReason::Forbidden,
            Self::Foreign(Foreign::Form) => RefusalReason::UnsupportedMediaType,
        }
    }

    /// Nothing that comes behind it on the connection can be understood, or is worth waiting for.
    pub(super) fn ends_connection(&self) -> bool {
        matches!(
            self,
            Self::UriTooLong | Self::BadRequest(_) | Self::BodyTooLarge | Self::BodyUnfinished
        )
    }

    /// In the words of the site.
    pub(super) fn answer(&self, site: &Site) -> Answer {
        let status = self.status();
        let message = match self {
            Self::BadRequest(what) => what,
            // In MediaMTX's words.
            Self::CredentialsMissing | Self::AuthenticationFailed => "authentication error",
            Self::TooManyFailures => "too many attempts of this address have failed",
            Self::HashOverdue => "too many passwords wait to be looked at",
            Self::Foreign(why) => &why.to_string(),
            _ => status.canonical_reason().unwrap_or_default(),
        };
        let mut answer = match self {
            // MediaMTX asks and refuses in JSON on every site.
            Self::CredentialsMissing | Self::AuthenticationFailed => error(status, message),
            _ => site.refusal(status, message),
        };
        if let Some((name, value)) = self.header() {
            answer.headers_mut().insert(name, value);
        }
        answer
    }

    /// What belongs to its status.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::MethodNotAllowed(methods) => {
                let allowed = HeaderValue::from_str(&allowed(methods)).ok()?;
                Some((header::ALLOW, allowed))
            }
            Self::CredentialsMissing | Self::AuthenticationFailed => {
                Some((header::WWW_AUTHENTICATE, CHALLENGE))
            }
            Self::TooManyFailures => Some((header::RETRY_AFTER, RETRY_AFTER)),
            _ => None,
        }
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

/// An answer as it stands on the wire of HTTP/1.1, for those whom hyper does not answer. It is the connection's last.
pub(super) fn raw(answer: &Answer) -> Vec<u8> {
    let kind = answer.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let (status, length) = (answer.status(), answer.body().len());
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), answer.body()].concat()
}

/// The answer to OPTIONS of a route with these methods: what there is, and to a browser that asks for one of its pages, what
/// such a page may do.
pub(super) fn answer_options(asked: &HeaderMap, methods: &[Method]) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let Ok(methods) = HeaderValue::from_str(&allowed(methods)) else {
        return answer;
    };
    let headers = answer.headers_mut();
    if asked.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        allow_methods(methods, headers);
    } else {
        headers.insert(header::ALLOW, methods);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_that_asks_is_told_and_a_plain_question_has_a_plain_answer() {
        let (mut asked, methods) = (HeaderMap::new(), [Method::GET, Method::PATCH]);
        let answer = answer_options(&asked, &methods);
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(answer.headers()[header::ALLOW], "OPTIONS, GET, HEAD, PATCH");
        let asks = HeaderValue::from_static("PATCH");
        asked.insert(header::ACCESS_CONTROL_REQUEST_METHOD, asks);
        let answer = answer_options(&asked, &methods);
        let told = &answer.headers()[header::ACCESS_CONTROL_ALLOW_METHODS];
        assert_eq!(told, "OPTIONS, GET, HEAD, PATCH");
        assert!(!answer.headers().contains_key(header::ALLOW));
    }
}
