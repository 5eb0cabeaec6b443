//! What is answered instead of what was asked for, and under which reason it is counted.

use http::{HeaderName, HeaderValue, Method, StatusCode, header};

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
    /// A page of another origin has sent it, which is not allowed to.
    ForeignPage,
    /// Such a page has sent a body in a form for which its browser has not asked.
    ForeignForm,
}

/// How browsers and scripts of MediaMTX's users know what they are asked for. It goes with a failure too (RFC 9110, section
/// 15.5.2), so that a browser asks again.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"mediamtx\"");

/// When an address that has failed too often may ask again: as many seconds as its attempts wait.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("2");

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
            Self::ForeignPage => StatusCode::FORBIDDEN,
            Self::ForeignForm => StatusCode::UNSUPPORTED_MEDIA_TYPE,
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
            Self::ForeignPage => RefusalReason::Forbidden,
            Self::ForeignForm => RefusalReason::UnsupportedMediaType,
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
            Self::ForeignPage => "pages of this origin are not allowed",
            Self::ForeignForm => {
                "pages of other origins have to send 'Content-Type: application/json'"
            }
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
