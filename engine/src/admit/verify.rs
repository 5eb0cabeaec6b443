//! Is what a peer offers equal to a credential of the configuration? Asked by `weigh` on the shards, where a slow hash may
//! not be computed, and by `hasher`, where it may.
//!
//! Comparisons take as long for a wrong text as for a right one of its length.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordVerifier};
use sha2::{Digest as _, Sha256};
use shardcast_config::Credential;
use subtle::ConstantTimeEq as _;

/// What is known without a slow hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    Wrong,
    /// Only a slow hash can tell.
    Unknown,
}

impl From<bool> for Verdict {
    fn from(is_right: bool) -> Self {
        if is_right { Self::Right } else { Self::Wrong }
    }
}

/// Compares without a slow hash.
pub(super) fn compare(credential: &Credential, offered: &str) -> Verdict {
    match credential {
        Credential::Plain(text) => bool::from(text.as_bytes().ct_eq(offered.as_bytes())).into(),
        Credential::Sha256(hash) => {
            let offered: [u8; 32] = Sha256::digest(offered.as_bytes()).into();
            bool::from(hash.ct_eq(&offered)).into()
        }
        Credential::Argon2(_) => Verdict::Unknown,
    }
}

/// Computes the Argon2 hash that `encoded` describes, and compares. This takes as long, and as much memory, as the operator
/// has chosen; the configuration bounds both.
pub(super) fn compare_slowly(encoded: &str, offered: &str) -> bool {
    let Ok(hash) = PasswordHash::new(encoded) else {
        return false;
    };
    let argon2 = Argon2::default();
    argon2.verify_password(offered.as_bytes(), &hash).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_text_and_a_quick_hash_are_compared_at_once() {
        let plain = Credential::Plain("testpass".into());
        let hashed: [u8; 32] = Sha256::digest(b"testpass").into();
        for credential in [plain, Credential::Sha256(hashed)] {
            assert_eq!(compare(&credential, "testpass"), Verdict::Right);
            for wrong in ["", "testpas", "testpass1", "Testpass"] {
                assert_eq!(compare(&credential, wrong), Verdict::Wrong, "{wrong}");
            }
        }
    }

    /// Of MediaMTX's own tests, made by Argon2's reference program.
    #[test]
    fn hashes_that_other_programs_have_made_are_understood() {
        for (encoded, text) in [
            (
                "$argon2id$v=19$m=4096,t=3,p=1$MTIzNDU2Nzg$Ux/LWeTgJQPyfMMJo1myR64+o8rALHoPmlE1i/TR+58",
                "testuser",
            ),
            (
                "$argon2i$v=19$m=4096,t=3,p=1$MTIzNDU2Nzg$/mrZ42TiTv1mcPnpMUera5oi0SFYbbyueAbdx5sUvWo",
                "testpass",
            ),
        ] {
            assert_eq!(
                compare(&Credential::Argon2(encoded.into()), text),
                Verdict::Unknown
            );
            assert!(compare_slowly(encoded, text));
            assert!(!compare_slowly(encoded, "wrong"));
            assert!(!compare_slowly("no hash", text));
        }
    }
}
