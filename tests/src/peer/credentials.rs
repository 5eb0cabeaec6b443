//! Who the raw peer says that it is: `Authorization` headers, made apart from the server's own code.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use super::message::Response;

/// A user with a password.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    /// The name.
    pub user: &'a str,
    /// The password.
    pub pass: &'a str,
}

impl Credentials<'_> {
    /// The password itself (RFC 7617).
    pub fn basic(&self) -> String {
        let text = format!("{}:{}", self.user, self.pass);
        format!("Basic {}", STANDARD.encode(text))
    }

    /// The answer to the digest challenge of `refusal`, for a request (RFC 2069, as RTSP clients do it).
    ///
    /// # Panics
    /// When there is no such challenge.
    pub fn digest(&self, refusal: &Response, method: &str, uri: &str) -> String {
        let is_digest = |(name, value): &&(String, String)| {
            name.eq_ignore_ascii_case("WWW-Authenticate") && value.starts_with("Digest")
        };
        let found = refusal.headers.iter().find(is_digest);
        let (_, challenge) = found.expect("a digest is asked for");
        let (user, pass) = (self.user, self.pass);
        let (realm, nonce) = (parameter(challenge, "realm"), parameter(challenge, "nonce"));
        let secret = hash(&format!("{user}:{realm}:{pass}"));
        let request = hash(&format!("{method}:{uri}"));
        let response = hash(&format!("{secret}:{nonce}:{request}"));
        format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{response}\""
        )
    }
}

/// A quoted parameter of a challenge.
fn parameter<'text>(challenge: &'text str, name: &str) -> &'text str {
    let begin = format!("{name}=\"");
    let rest = challenge.split_once(&begin).map(|(_, rest)| rest);
    let value = rest.and_then(|rest| rest.split_once('"'));
    value
        .map(|(value, _)| value)
        .expect("it is in the challenge")
}

fn hash(text: &str) -> String {
    let bytes = Md5::digest(text);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
