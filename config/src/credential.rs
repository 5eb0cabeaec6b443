//! User names and passwords of a configuration: plain, or as hashes of them.
//!
//! Read by `kind`, which checks that a hash is one; kept by users; compared with what a peer
//! offers by the engine. No credential is ever printed: not by `Debug`, not in an error.
//! Deliberately absent: the comparison itself.

use std::fmt;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Params};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a peer's user name or password has to be equal to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Credential {
    /// The text itself.
    Plain(String),
    /// The SHA-256 hash of the text.
    Sha256([u8; 32]),
    /// An Argon2 hash of the text as a PHC string: `$argon2id$v=19$m=4096,t=3,p=1$…$…`.
    Argon2(String),
}

/// Memory that one Argon2 hash may need: what RFC 9106, section 4, recommends first.
const ARGON2_MEMORY_KIB_MAX: u32 = 2 << 20;

/// Passes that one Argon2 hash may need: over a memory of 64 MiB, some seconds.
const ARGON2_PASSES_MAX: u32 = 100;

/// The shortest salt that an Argon2 hash may have (RFC 9106, section 3.1).
const ARGON2_SALT_BYTES_MIN: usize = 8;

/// The longest plain credential, and the longest hash with its parameters: some times what
/// anybody types or any tool writes.
const CREDENTIAL_BYTES_MAX: usize = 1024;

/// What a plain credential may have beside ASCII letters and digits: MediaMTX's set.
const PLAIN_SIGNS: &[u8] = b"!$()*+.;<=>[]^_-{}@#&";

/// What stands in the place of a password where it is shown: MediaMTX's word. Who sends it back means no password by it.
pub(crate) const REDACTED: &str = "<redacted>";

const SHA256_PREFIX: &str = "sha256:";
const ARGON2_PREFIX: &str = "argon2:";

impl Credential {
    /// Reads `text` as MediaMTX writes credentials. `None`: it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > CREDENTIAL_BYTES_MAX || text == REDACTED {
            return None;
        }
        if let Some(hash) = text.strip_prefix(SHA256_PREFIX) {
            let hash = STANDARD.decode(hash).ok()?;
            return Some(Self::Sha256(hash.try_into().ok()?));
        }
        if let Some(hash) = text.strip_prefix(ARGON2_PREFIX) {
            return is_argon2(hash).then(|| Self::Argon2(hash.to_owned()));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || PLAIN_SIGNS.contains(&byte);
        text.bytes()
            .all(allowed)
            .then(|| Self::Plain(text.to_owned()))
    }

    /// What was expected instead of `text`, which is no credential.
    pub(crate) fn expected(text: &str) -> &'static str {
        if text == REDACTED {
            "the password, found what is shown in its place"
        } else if text.starts_with(SHA256_PREFIX) {
            "a SHA-256 hash in base64 after 'sha256:'"
        } else if text.starts_with(ARGON2_PREFIX) {
            "an encoded Argon2 hash ($argon2id$…) of at most 2 GiB and 100 passes after 'argon2:'"
        } else {
            "letters, digits and !$()*+.;<=>[]^_-{}@#&, or a hash after 'sha256:' or 'argon2:'"
        }
    }

    /// Whether only a hash of it is known, so that it cannot serve digest authentication.
    #[must_use]
    pub fn is_hashed(&self) -> bool {
        !matches!(self, Self::Plain(_))
    }
}

/// Says how it is kept, never what it is.
impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Plain(_) => "plain",
            Self::Sha256(_) => "sha256",
            Self::Argon2(_) => "argon2",
        })
    }
}

fn is_argon2(text: &str) -> bool {
    let Ok(hash) = PasswordHash::new(text) else {
        return false;
    };
    let Ok(params) = Params::try_from(&hash) else {
        return false;
    };
    let salt = hash.salt.as_ref().map_or(0, |salt| salt.len());
    Algorithm::try_from(hash.algorithm.as_str()).is_ok()
        && hash.hash.is_some()
        && salt >= ARGON2_SALT_BYTES_MIN
        && params.m_cost() <= ARGON2_MEMORY_KIB_MAX
        && params.t_cost() <= ARGON2_PASSES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA256: &str = "sha256:j1tsRqDEw9xvq/D7/9tMx6Jh/jMhk3UfjwIB2f1zgMo=";
    const SALT_AND_HASH: &str = "MTIzNDU2Nzg$OGGO0eCMN0ievb4YGSzvS/H+Vajx1pcbUmtLp2tRqRU";

    fn argon2(head: &str) -> String {
        format!("argon2:${head}${SALT_AND_HASH}")
    }

    #[test]
    fn credentials_are_plain_or_hashes() {
        let hidden = |text: &str| Credential::parse(text).map(|read| format!("{read:?}"));
        assert_eq!(hidden("my-Pass.1!$()*+;<=>[]^_{}@#&").unwrap(), "plain");
        assert_eq!(hidden(SHA256).unwrap(), "sha256");
        for head in [
            "argon2id$v=19$m=4096,t=3,p=1",
            "argon2i$v=19$m=4096,t=3,p=1",
            "argon2id$v=19$m=2097152,t=100,p=4",
        ] {
            assert_eq!(hidden(&argon2(head)).unwrap(), "argon2", "{head}");
        }
    }

    #[test]
    fn what_is_no_hash_or_has_other_signs_is_refused() {
        for text in ["", "a b", "a:b", "ä", "a/b", "a\"b", "sha256:", "argon2:"] {
            assert_eq!(Credential::parse(text), None, "{text}");
        }
        for text in [
            SHA256.trim_end_matches('='),
            "sha256:AAAA",
            "sha256:not base64",
            "argon2:$argon2id$v=19$m=4096,t=3,p=1$MTIzNDU2Nzg",
            "argon2:$argon2id$v=19$m=4096,t=3,p=1$MTIz$OGGO0eCMN0ievb4YGSzvS/H+Vajx1pcbUmtLp2tRqRU",
            "argon2:$argon2id$v=19$m=4096,t=3,p=1$MTIzNDU2Nzg$%%",
            &argon2("scrypt$v=19$m=4096,t=3,p=1"),
            &argon2("argon2id$v=19$m=1,t=3,p=1"),
            &argon2("argon2id$v=19$m=4096,t=0,p=1"),
        ] {
            assert_eq!(Credential::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_hash_that_would_need_all_memory_or_time_is_refused() {
        for head in [
            "argon2id$v=19$m=2097153,t=1,p=1",
            "argon2id$v=19$m=4096,t=101,p=1",
        ] {
            assert_eq!(Credential::parse(&argon2(head)), None, "{head}");
        }
        let longest = "a".repeat(CREDENTIAL_BYTES_MAX);
        assert!(Credential::parse(&longest).is_some());
        assert_eq!(Credential::parse(&(longest + "a")), None);
    }
}
