//! Credentials of a request, and the challenge that asks for them (RFC 2326, section 14, by way of
//! RFC 7617 and RFC 7616).
//!
//! Input are the headers and the URL of a request, as `reader` found them; output is who the peer
//! says that it is, and whether it knows a password. The other side's answer to a challenge is made
//! in `login`. Nonces come from the caller's random source.
//!
//! Nothing here shows a user's name or password: not `Debug`, not an error.
//!
//! Deliberately absent: who exists and may do what; sessions of a digest (`MD5-sess`) and the
//! protection of bodies (`auth-int`), which nobody is asked for.

mod digest;
mod login;

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

pub use digest::DigestResponse;
pub(super) use login::Answers;
pub use login::Login;

use super::{Headers, Request};

/// Some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A way to authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthScheme {
    /// The password itself (RFC 7617).
    Basic,
    /// A hash of it (RFC 7616).
    Digest(DigestAlgorithm),
}

/// What a digest is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// MD5, which every client knows.
    Md5,
    /// SHA-256, which few do.
    Sha256,
}

/// What a request says about who sends it.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A password in the clear.
    Basic {
        /// Whose.
        user: String,
        /// The password.
        pass: String,
    },
    /// The answer to a challenge.
    Digest(DigestResponse),
}

/// Why credentials cannot be read. The peer is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The header names another scheme, an algorithm or a quality of protection that is not known.
    #[error("an unknown way to authenticate")]
    Unsupported,
    /// Something is missing or cannot be decoded.
    #[error("unreadable credentials")]
    Malformed,
}

impl Credentials {
    /// The credentials of a request, if it has any: those of its `Authorization` header, else those
    /// in its URL, where some clients leave them.
    ///
    /// # Errors
    /// [`AuthError`] when there is an `Authorization` header, and none can be read.
    pub fn of_request(request: &Request) -> Result<Option<Self>, AuthError> {
        let mut failure = None;
        for value in request.headers.all("Authorization") {
            match Self::parse(value) {
                Ok(credentials) => return Ok(Some(credentials)),
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(Self::of_url(&request.target)),
        }
    }

    /// Reads an `Authorization` header.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn parse(value: &str) -> Result<Self, AuthError> {
        let value = value.trim();
        let (scheme, rest) = value.split_once([' ', '\t']).ok_or(AuthError::Malformed)?;
        if scheme.eq_ignore_ascii_case("Basic") {
            Self::parse_basic(rest.trim())
        } else if scheme.eq_ignore_ascii_case("Digest") {
            DigestResponse::parse(rest).map(Self::Digest)
        } else {
            Err(AuthError::Unsupported)
        }
    }

    /// The first colon ends the name; the password may hold others (RFC 7617, section 2).
    fn parse_basic(encoded: &str) -> Result<Self, AuthError> {
        let bytes = BASE64.decode(encoded).map_err(|_| AuthError::Malformed)?;
        let text = String::from_utf8(bytes).map_err(|_| AuthError::Malformed)?;
        let (user, pass) = text.split_once(':').ok_or(AuthError::Malformed)?;
        let (user, pass) = (user.to_owned(), pass.to_owned());
        Ok(Self::Basic { user, pass })
    }

    /// The credentials in a URL, `rtsp://user:pass@host/path`, percent-decoded.
    fn of_url(url: &str) -> Option<Self> {
        let Login { user, pass, .. } = Login::of_url(url, "")?;
        Some(Self::Basic { user, pass })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { .. } => formatter.write_str("Basic(hidden)"),
            Self::Digest(response) => response.fmt(formatter),
        }
    }
}

/// The headers that ask for credentials, one per way and in this order: clients take the first that
/// they know, or the last. `realm` and `nonce` hold no quotes and no backslashes.
pub fn challenges(schemes: &[AuthScheme], realm: &str, nonce: &str) -> Headers {
    let mut headers = Headers::new();
    for scheme in schemes {
        headers.put("WWW-Authenticate", scheme.challenge(realm, nonce));
    }
    headers
}

impl AuthScheme {
    /// live555 insists on this order of realm and nonce; no algorithm is quoted (RFC 7616, 3.3).
    fn challenge(self, realm: &str, nonce: &str) -> String {
        let algorithm = match self {
            Self::Basic => return format!("Basic realm=\"{realm}\""),
            Self::Digest(algorithm) => algorithm.name(),
        };
        format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={algorithm}")
    }
}

impl DigestAlgorithm {
    const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }
}

#[cfg(test)]
mod tests;
