//! The decision, as far as it can be made at once.
//!
//! A request is admitted when one user of the configuration admits it: by action, path and address first, then by what the
//! peer offers. Users of whom only a slow hash can tell are left over for the hasher.

use std::sync::Arc;
use std::time::Instant;

use shardcast_config::{Config, Credential, User, UserName};

use super::known::KnownHashes;
use super::verify::{Verdict, compare};
use super::{Admission, AdmitRequest, Offered};

/// What is known at once.
#[derive(Debug)]
pub(crate) enum Weighed {
    /// Everybody may.
    Open,
    /// This peer may.
    Proven,
    /// Somebody may, perhaps this peer, who has not said who it is.
    CredentialsMissing,
    /// Nothing that this address offers is looked at for now.
    TooManyFailures,
    /// What it offered is wrong, or does not suffice.
    Failed,
    /// It depends on these hashes.
    Hash(HashWork),
}

/// What a slow hash has to be computed for.
pub(crate) struct HashWork {
    config: Arc<Config>,
    /// Users by number, of whom one may admit the peer.
    candidates: Vec<usize>,
    user: String,
    pass: String,
}

/// Says how much, never what.
impl std::fmt::Debug for HashWork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HashWork({} users)", self.candidates.len())
    }
}

impl Admission {
    /// Decides what can be decided at `now`.
    pub(crate) fn weigh(
        &self,
        config: &Arc<Config>,
        request: AdmitRequest<'_>,
        now: Instant,
    ) -> Weighed {
        let address = request.peer.ip();
        let place = request.path.map(|path| {
            let entry = config.paths.find(path.as_str()).map(|(entry, _)| entry);
            (path.as_str(), entry)
        });
        let users = config.access.users.iter().enumerate();
        let may = users.filter(|(_, user)| user.may(request.action, place, address));
        let may: Vec<(usize, &User)> = may.collect();
        if may.iter().any(|(_, user)| user.name == UserName::Any) {
            return Weighed::Open;
        }
        if let Offered::Nothing = request.offered {
            return Weighed::CredentialsMissing;
        }
        if self.failures().is_full(address) {
            return Weighed::TooManyFailures;
        }
        match request.offered {
            Offered::Nothing => Weighed::CredentialsMissing,
            Offered::Proof { user, is_made_with } => weigh_proof(&may, user, is_made_with),
            Offered::Password { user, pass } => {
                let compare = |credential: &Credential, offered: &str| {
                    quick(self.known(), credential, offered, now)
                };
                match weigh_password(&may, user, pass, compare) {
                    Ok(weighed) => weighed,
                    Err(candidates) => Weighed::Hash(HashWork {
                        config: config.clone(),
                        candidates,
                        user: user.to_owned(),
                        pass: pass.to_owned(),
                    }),
                }
            }
        }
    }
}

/// Whether one of the users admits the peer; `Err`: those of whom a hash has to tell.
fn weigh_password(
    may: &[(usize, &User)],
    user: &str,
    pass: &str,
    compare: impl Fn(&Credential, &str) -> Verdict,
) -> Result<Weighed, Vec<usize>> {
    let mut candidates = Vec::new();
    for (number, entry) in may {
        match verdict(entry, user, pass, &compare) {
            Verdict::Right => return Ok(Weighed::Proven),
            Verdict::Wrong => {}
            Verdict::Unknown => candidates.push(*number),
        }
    }
    match candidates.is_empty() {
        true => Ok(Weighed::Failed),
        false => Err(candidates),
    }
}

/// A proof can be checked against plain credentials alone.
fn weigh_proof(may: &[(usize, &User)], user: &str, is_made_with: &dyn Fn(&str) -> bool) -> Weighed {
    let proves = |entry: &User| {
        let UserName::Named(name) = &entry.name else {
            return true;
        };
        let is_pass_right = || match &entry.pass {
            None => true,
            Some(Credential::Plain(pass)) => is_made_with(pass),
            Some(_) => false,
        };
        compare(name, user) == Verdict::Right && is_pass_right()
    };
    match may.iter().any(|(_, entry)| proves(entry)) {
        true => Weighed::Proven,
        false => Weighed::Failed,
    }
}

/// Whether `user` and `pass` are this entry's; `compare` tells of one credential.
fn verdict(
    entry: &User,
    user: &str,
    pass: &str,
    compare: impl Fn(&Credential, &str) -> Verdict,
) -> Verdict {
    let name = match &entry.name {
        UserName::Any => Verdict::Right,
        UserName::Named(name) => compare(name, user),
    };
    if name == Verdict::Wrong {
        return Verdict::Wrong;
    }
    let pass = match &entry.pass {
        None => Verdict::Right,
        Some(expected) => compare(expected, pass),
    };
    match (name, pass) {
        (_, Verdict::Wrong) => Verdict::Wrong,
        (Verdict::Right, Verdict::Right) => Verdict::Right,
        _ => Verdict::Unknown,
    }
}

/// Without a slow hash, but with those that are known.
fn quick(known: &KnownHashes, credential: &Credential, offered: &str, now: Instant) -> Verdict {
    match credential {
        Credential::Argon2(encoded) if known.contains(encoded, offered, now) => Verdict::Right,
        credential => compare(credential, offered),
    }
}

impl HashWork {
    /// Whether one of the users admits the peer. `compare_slowly` computes a hash; once it has no time left it says
    /// `Unknown`, and so does this.
    pub(super) fn verdict(
        &self,
        mut compare_slowly: impl FnMut(&Credential, &str) -> Verdict,
    ) -> Verdict {
        let users = &self.config.access.users;
        let candidates = self
            .candidates
            .iter()
            .filter_map(|number| users.get(*number));
        for entry in candidates {
            match self.verdict_of(entry, &mut compare_slowly) {
                Verdict::Wrong => {}
                told => return told,
            }
        }
        Verdict::Wrong
    }

    /// The password's hash is computed only for the right user.
    fn verdict_of(
        &self,
        entry: &User,
        compare_slowly: &mut impl FnMut(&Credential, &str) -> Verdict,
    ) -> Verdict {
        let name = match &entry.name {
            UserName::Any => Verdict::Right,
            UserName::Named(name) => compare_slowly(name, &self.user),
        };
        match (name, &entry.pass) {
            (Verdict::Right, Some(pass)) => compare_slowly(pass, &self.pass),
            (name, _) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::admit::Action;
    use crate::path::PathName;

    const SLOW: &str = "argon2:$argon2i$v=19$m=4096,t=3,p=1$MTIzNDU2Nzg$/mrZ42TiTv1mcPnpMUera5oi0SFYbbyueAbdx5sUvWo";

    fn config(users: &str) -> Arc<Config> {
        let text = format!("authInternalUsers: [{users}]\npaths: {{all_others: }}\n");
        let loaded =
            shardcast_config::parse(Some(Path::new("test.yml")), &text, std::iter::empty());
        Arc::new(loaded.unwrap().config)
    }

    fn weigh(admission: &Admission, users: &str, offered: Offered<'_>) -> Weighed {
        let path = PathName::from_url_path("/cam").unwrap();
        let request = AdmitRequest {
            action: Action::Read,
            path: Some(&path),
            peer: ([10, 0, 0, 1], 1).into(),
            offered,
        };
        admission.weigh(&config(users), request, Instant::now())
    }

    fn password<'a>(user: &'a str, pass: &'a str) -> Offered<'a> {
        Offered::Password { user, pass }
    }

    fn admission() -> Admission {
        Admission::start().unwrap()
    }

    #[test]
    fn whoever_may_without_a_name_is_not_asked_for_one() {
        let users = "{user: any, permissions: [{action: read}]}";
        for offered in [Offered::Nothing, password("nobody", "wrong")] {
            let weighed = weigh(&admission(), users, offered);
            assert!(matches!(weighed, Weighed::Open));
        }
    }

    #[test]
    fn name_password_action_and_address_have_to_be_right_together() {
        let users = "{user: bob, pass: secret, ips: [10.0.0.0/8], permissions: [{action: read}]}, \
                     {user: eve, pass: other, permissions: [{action: publish}]}, \
                     {user: far, pass: secret, ips: [11.0.0.0/8], permissions: [{action: read}]}, \
                     {user: free, permissions: [{action: read, path: cam}]}";
        let right = [("bob", "secret"), ("free", "whatever"), ("free", "")];
        let wrong = [
            ("bob", "other"),
            ("bob", ""),
            ("", "secret"),
            ("eve", "other"),
            ("far", "secret"),
        ];
        for (user, pass) in right {
            let weighed = weigh(&admission(), users, password(user, pass));
            assert!(matches!(weighed, Weighed::Proven), "{user}");
        }
        for (user, pass) in wrong {
            let weighed = weigh(&admission(), users, password(user, pass));
            assert!(matches!(weighed, Weighed::Failed), "{user}");
        }
        let weighed = weigh(&admission(), users, Offered::Nothing);
        assert!(matches!(weighed, Weighed::CredentialsMissing));
    }

    #[test]
    fn a_proof_is_held_against_the_passwords_of_its_user() {
        let users = "{user: bob, pass: secret, permissions: [{action: read}]}, \
                     {user: eve, pass: other, permissions: [{action: read}]}";
        for (user, made_with, is_right) in [
            ("bob", "secret", true),
            ("bob", "other", false),
            ("eve", "other", true),
            ("nobody", "secret", false),
        ] {
            let is_made_with = |pass: &str| pass == made_with;
            let is_made_with = &is_made_with;
            let weighed = weigh(&admission(), users, Offered::Proof { user, is_made_with });
            assert_eq!(matches!(weighed, Weighed::Proven), is_right, "{user}");
        }
    }

    #[test]
    fn a_slow_hash_is_left_over_for_the_right_user_alone() {
        let users = format!("{{user: bob, pass: '{SLOW}', permissions: [{{action: read}}]}}");
        let admission = admission();
        let Weighed::Hash(work) = weigh(&admission, &users, password("bob", "testpass")) else {
            panic!("it cannot be known at once");
        };
        assert_eq!(format!("{work:?}"), "HashWork(1 users)");
        assert_eq!(
            work.verdict(|credential, offered| match credential {
                Credential::Plain(name) => (name == offered).into(),
                _ => (offered == "testpass").into(),
            }),
            Verdict::Right
        );
        let weighed = weigh(&admission, &users, password("eve", "testpass"));
        assert!(matches!(weighed, Weighed::Failed));
        // Once it was right it is known.
        let hash = SLOW.strip_prefix("argon2:").unwrap();
        admission.known().insert(hash, "testpass", Instant::now());
        let weighed = weigh(&admission, &users, password("bob", "testpass"));
        assert!(matches!(weighed, Weighed::Proven));
        let weighed = weigh(&admission, &users, password("bob", "wrong"));
        assert!(matches!(weighed, Weighed::Hash(_)));
    }

    #[test]
    fn nothing_is_looked_at_of_an_address_that_has_failed_too_often() {
        let users = "{user: bob, pass: secret, permissions: [{action: read}]}";
        let admission = admission();
        let address = [10, 0, 0, 1].into();
        let mut waiting = Vec::new();
        while let Some(failed) = admission.failures().take(address) {
            waiting.push(failed);
        }
        let right = || weigh(&admission, users, password("bob", "secret"));
        assert!(matches!(right(), Weighed::TooManyFailures));
        waiting.pop();
        assert!(matches!(right(), Weighed::Proven));
    }

    #[test]
    fn nothing_shows_what_was_offered() {
        let shown = format!("{:?}", password("n4m3", "s3cr3t"));
        assert_eq!(shown, "a password");
    }
}
