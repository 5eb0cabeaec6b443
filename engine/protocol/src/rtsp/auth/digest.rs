//! The response to a digest challenge (RFC 7616, section 3.4; without a quality of protection as RFC
//! 2069 had it, which is what RTSP clients send): read and checked for `server`, made for `login`.

use std::fmt;

use md5::Md5;
use sha2::Sha256;
use sha2::digest::Digest;
use subtle::ConstantTimeEq as _;

use super::login::{Challenge, Login};
use super::{AuthError, DigestAlgorithm};
use crate::rtsp::{Method, RtspUrl};

/// What a peer has answered to a challenge.
#[derive(Clone, PartialEq, Eq)]
pub struct DigestResponse {
    user: String,
    realm: String,
    nonce: String,
    /// What the peer says that its request is about, as it was sent.
    uri: String,
    algorithm: DigestAlgorithm,
    /// In lower case.
    response: String,
    protection: Option<Protection>,
}

/// What the quality of protection `auth` adds.
#[derive(Clone, PartialEq, Eq)]
struct Protection {
    client_nonce: String,
    count: String,
}

impl DigestResponse {
    /// Reads what follows `Digest` in the header.
    pub(super) fn parse(parameters: &str) -> Result<Self, AuthError> {
        let value = |wanted: &str| parameter(parameters, wanted);
        let needed = |name: &str| value(name).ok_or(AuthError::Malformed);
        Ok(Self {
            user: needed("username")?,
            realm: needed("realm")?,
            nonce: needed("nonce")?,
            uri: needed("uri")?,
            algorithm: algorithm(value("algorithm").as_deref())?,
            response: needed("response")?.to_ascii_lowercase(),
            protection: match value("qop").as_deref() {
                None | Some("") => None,
                Some(quality) if quality.eq_ignore_ascii_case("auth") => Some(Protection {
                    client_nonce: needed("cnonce")?,
                    count: needed("nc")?,
                }),
                Some(_) => return Err(AuthError::Unsupported),
            },
        })
    }

    /// The `Authorization` header of the `count`-th request that answers this challenge.
    pub(super) fn answer(
        challenge: &Challenge,
        algorithm: DigestAlgorithm,
        login: &Login,
        count: u32,
        method: &Method,
        uri: &str,
    ) -> String {
        let mut response = Self {
            user: login.user.clone(),
            realm: challenge.realm.clone(),
            nonce: challenge.nonce.clone(),
            uri: uri.to_owned(),
            algorithm,
            response: String::new(),
            protection: challenge.has_protection.then(|| Protection {
                client_nonce: login.client_nonce.clone(),
                count: format!("{count:08x}"),
            }),
        };
        response.response = response.expected_of(&login.pass, method);
        response.header(challenge.opaque.as_deref())
    }

    /// What is a number or a word of the protocol is not quoted (RFC 7616, section 3.4).
    fn header(&self, opaque: Option<&str>) -> String {
        let quoted = |name: &str, value: &str| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            format!("{name}=\"{value}\"")
        };
        let mut parameters = vec![
            quoted("username", &self.user),
            quoted("realm", &self.realm),
            quoted("nonce", &self.nonce),
            quoted("uri", &self.uri),
            format!("algorithm={}", self.algorithm.name()),
            quoted("response", &self.response),
        ];
        parameters.extend(opaque.map(|opaque| quoted("opaque", opaque)));
        if let Some(protection) = &self.protection {
            parameters.push(format!("qop=auth, nc={}", protection.count));
            parameters.push(quoted("cnonce", &protection.client_nonce));
        }
        format!("Digest {}", parameters.join(", "))
    }

    /// Who the peer says that it is.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// What the response was made with.
    pub fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    /// Whether the challenge that it answers had this nonce.
    pub fn answers(&self, nonce: &str) -> bool {
        self.nonce == nonce
    }

    /// Whether the peer knows `pass` and answers the challenge with this nonce and realm, for a request
    /// with this method. How long that takes says nothing about the password.
    pub fn is_valid_for(&self, pass: &str, method: &Method, nonce: &str, realm: &str) -> bool {
        let expected = self.expected_of(pass, method);
        let is_known = expected.as_bytes().ct_eq(self.response.as_bytes());
        self.nonce == nonce && self.realm == realm && bool::from(is_known)
    }

    fn expected_of(&self, pass: &str, method: &Method) -> String {
        match self.algorithm {
            DigestAlgorithm::Md5 => self.expected::<Md5>(pass, method),
            DigestAlgorithm::Sha256 => self.expected::<Sha256>(pass, method),
        }
    }

    fn expected<D: Digest>(&self, pass: &str, method: &Method) -> String {
        let secret = hash::<D>(&[&self.user, &self.realm, pass]);
        let request = hash::<D>(&[method.name(), &self.uri]);
        match &self.protection {
            None => hash::<D>(&[&secret, &self.nonce, &request]),
            Some(Protection {
                client_nonce,
                count,
            }) => hash::<D>(&[&secret, &self.nonce, count, client_nonce, "auth", &request]),
        }
    }

    /// Whether the response was made for a request to `target`. Not every client says what it asks for:
    ///
    /// - a path alone (Bosch BVMS), or another name of this host;
    /// - with or without a slash at the end;
    /// - in `SETUP` the URL of the stream (VLC; HappyTime NVR without its slash).
    ///
    /// gortsplib's `auth.Verify` knows the same clients. It is the user who is authenticated: what that
    /// one may do is decided by the request's own URL.
    pub fn is_about(&self, target: &str, method: &Method) -> bool {
        let (target, said) = (path_and_query(target), path_and_query(&self.uri));
        let (target, said) = (without_slash(&target), without_slash(&said));
        let is_above = || {
            let rest = target.strip_prefix(said);
            !said.is_empty() && rest.is_some_and(|rest| rest.starts_with('/'))
        };
        target == said || (*method == Method::Setup && is_above())
    }
}

impl fmt::Debug for DigestResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Digest(hidden)")
    }
}

/// Of an absolute URL what follows the host; of anything else all of it.
fn path_and_query(url: &str) -> String {
    RtspUrl::parse(url).map_or_else(|_| url.to_owned(), |url| url.path_and_query())
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// The hash of the parts with colons between them, in hexadecimal digits.
fn hash<D: Digest>(parts: &[&str]) -> String {
    let mut hash = D::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hash.update(":");
        }
        hash.update(part);
    }
    let bytes = hash.finalize();
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// MD5 when none is named (RFC 7616, section 3.3).
pub(super) fn algorithm(name: Option<&str>) -> Result<DigestAlgorithm, AuthError> {
    let Some(name) = name else {
        return Ok(DigestAlgorithm::Md5);
    };
    let mut known = [DigestAlgorithm::Md5, DigestAlgorithm::Sha256].into_iter();
    known
        .find(|known| name.eq_ignore_ascii_case(known.name()))
        .ok_or(AuthError::Unsupported)
}

/// The value of this name, if there is one.
pub(super) fn parameter(parameters: &str, wanted: &str) -> Option<String> {
    let mut found = Parameters(parameters).filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
    found.next().map(|(_, value)| value)
}

/// `name=value` or `name="value"`, with commas between them, and blanks wherever clients put them.
struct Parameters<'a>(&'a str);

impl Iterator for Parameters<'_> {
    type Item = (String, String);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.split_once('=')?;
        let name = name.trim_matches(|c: char| c == ',' || c.is_whitespace());
        let rest = rest.trim_start();
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let (value, rest) = rest.split_once(',').unwrap_or((rest, ""));
                (value.trim().to_owned(), rest)
            }
        };
        self.0 = rest;
        Some((name.to_owned(), value))
    }
}

/// A quoted string from behind its opening quote, and what follows it. A backslash stands for the
/// quote or backslash behind it, and otherwise, as in the name of a Windows domain, for itself.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, text.get(at + 1..).unwrap_or_default()),
            '\\' => {
                let escaped = characters.next_if(|(_, next)| matches!(next, '"' | '\\'));
                value.push(escaped.map_or('\\', |(_, escaped)| escaped));
            }
            other => value.push(other),
        }
    }
    (value, "")
}
