//! The client's answer to a challenge: which of a server's challenges is taken, and the
//! `Authorization` header that goes along with each request from then on.
//!
//! Input are the headers of a 401, as `reader` found them; output goes into the requests that
//! `client` writes. The client's nonce comes from the caller's random source.

use std::fmt;

use base64::Engine as _;

use super::digest::{self, DigestResponse};
use super::{AuthScheme, BASE64};
use crate::rtsp::url::{percent_decode, split_credentials};
use crate::rtsp::{Headers, Method};

/// A user and the password, with which a client answers challenges.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password.
    pub pass: String,
    /// What the client adds to a digest with a quality of protection: by chance, and without
    /// quotes.
    pub client_nonce: String,
}

impl Login {
    /// The name and the password in a URL, `rtsp://user:pass@host/path`, percent-decoded.
    pub fn of_url(url: &str, client_nonce: impl Into<String>) -> Option<Self> {
        let credentials = split_credentials(url)?;
        let (user, pass) = credentials.split_once(':').unwrap_or((credentials, ""));
        Some(Self {
            user: percent_decode(user).ok()?,
            pass: percent_decode(pass).ok()?,
            client_nonce: client_nonce.into(),
        })
    }

    /// The password itself (RFC 7617, section 2).
    fn basic(&self) -> String {
        let plain = format!("{}:{}", self.user, self.pass);
        format!("Basic {}", BASE64.encode(plain))
    }
}

/// Neither the name nor the password is shown.
impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Login(hidden)")
    }
}

/// What a server wants to know (RFC 7616, section 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) scheme: AuthScheme,
    pub(super) realm: String,
    pub(super) nonce: String,
    /// Comes back as it was sent.
    pub(super) opaque: Option<String>,
    /// Whether the quality of protection `auth` is offered. Without any, RFC 2069 applies.
    pub(super) has_protection: bool,
}

/// A login, and the challenge that it answers.
#[derive(Clone, Debug)]
pub(in crate::rtsp) struct Answers {
    login: Login,
    challenge: Option<Challenge>,
    /// Requests that have answered this challenge.
    count: u32,
}

impl Answers {
    pub(in crate::rtsp) fn new(login: Login) -> Self {
        Self {
            login,
            challenge: None,
            count: 0,
        }
    }

    /// Takes the challenges of a 401, the safest first; false when none of them can be answered.
    pub(in crate::rtsp) fn handle_challenges(&mut self, headers: &Headers) -> bool {
        let values = headers.all("WWW-Authenticate");
        let known = values.filter_map(Challenge::parse);
        self.challenge = known.max_by_key(Challenge::safety);
        self.count = 0;
        self.challenge.is_some()
    }

    /// The `Authorization` header of the next request; none while there was no challenge.
    pub(in crate::rtsp) fn authorization(&mut self, method: &Method, uri: &str) -> Option<String> {
        let challenge = self.challenge.as_ref()?;
        self.count = self.count.wrapping_add(1);
        Some(match challenge.scheme {
            AuthScheme::Basic => self.login.basic(),
            AuthScheme::Digest(algorithm) => {
                DigestResponse::answer(challenge, algorithm, &self.login, self.count, method, uri)
            }
        })
    }
}

impl Challenge {
    /// Reads a `WWW-Authenticate` header; none when it asks for what is not known here.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        let (scheme, rest) = value.split_once([' ', '\t']).unwrap_or((value, ""));
        let parameter = |name: &str| digest::parameter(rest, name);
        let scheme = if scheme.eq_ignore_ascii_case("Basic") {
            AuthScheme::Basic
        } else if scheme.eq_ignore_ascii_case("Digest") {
            AuthScheme::Digest(digest::algorithm(parameter("algorithm").as_deref()).ok()?)
        } else {
            return None;
        };
        let qualities = parameter("qop").filter(|offered| !offered.trim().is_empty());
        let mut offered = qualities.iter().flat_map(|offered| offered.split(','));
        let has_protection = offered.any(|name| name.trim().eq_ignore_ascii_case("auth"));
        // Who offers only `auth-int` takes nothing that is known here.
        if qualities.is_some() && !has_protection {
            return None;
        }
        Some(Self {
            scheme,
            realm: parameter("realm").unwrap_or_default(),
            nonce: parameter("nonce").unwrap_or_default(),
            opaque: parameter("opaque"),
            has_protection,
        })
    }

    /// The greater, the less it tells a listener.
    fn safety(&self) -> u8 {
        match self.scheme {
            AuthScheme::Basic => 0,
            AuthScheme::Digest(super::DigestAlgorithm::Md5) => 1,
            AuthScheme::Digest(super::DigestAlgorithm::Sha256) => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Credentials, DigestAlgorithm};
    use super::*;

    fn login() -> Login {
        Login {
            user: "Mufasa".into(),
            pass: "Circle of \"Life".into(),
            client_nonce: "0a4f113b".into(),
        }
    }

    fn answers_to(challenges: &[&str]) -> Answers {
        let mut headers = Headers::new();
        for value in challenges {
            headers.push("WWW-Authenticate", value).unwrap();
        }
        let mut answers = Answers::new(login());
        answers.handle_challenges(&headers);
        answers
    }

    fn answer_to(challenges: &[&str]) -> Option<String> {
        answers_to(challenges).authorization(&Method::Play, "rtsp://h/a")
    }

    /// What the server's side makes of the answer.
    fn is_right(header: &str, nonce: &str, realm: &str) -> Option<DigestAlgorithm> {
        match Credentials::parse(header).unwrap() {
            Credentials::Digest(response) => {
                let pass = login().pass;
                let is_valid = response.is_valid_for(&pass, &Method::Play, nonce, realm);
                assert!(is_valid && response.is_about("rtsp://h/a", &Method::Play));
                Some(response.algorithm())
            }
            Credentials::Basic { user, pass } => {
                assert_eq!((user, pass), (login().user, login().pass));
                None
            }
        }
    }

    #[test]
    fn every_challenge_that_servers_make_is_answered() {
        use DigestAlgorithm::{Md5, Sha256};
        for (challenge, algorithm) in [
            ("Basic realm=\"r\"", None),
            ("basic", None),
            ("Digest realm=\"r\", nonce=\"n\"", Some(Md5)),
            ("Digest realm=r,nonce=n,algorithm=\"md5\"", Some(Md5)),
            (
                "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-256",
                Some(Sha256),
            ),
            (
                "Digest qop=\"auth-int, auth\",realm=\"r\",nonce=\"n\",opaque=\"o\"",
                Some(Md5),
            ),
            (
                "Digest realm=\"r\",nonce=\"n\",qop=auth,algorithm=SHA-256",
                Some(Sha256),
            ),
            ("Digest realm=\"r\",nonce=\"n\",qop=\"\"", Some(Md5)),
        ] {
            let header = answer_to(&[challenge]).expect(challenge);
            assert_eq!(is_right(&header, "n", "r"), algorithm, "{challenge}");
            assert_eq!(
                header.contains("opaque=\"o\""),
                challenge.contains("opaque")
            );
        }
    }

    #[test]
    fn what_is_not_known_is_not_answered() {
        for challenge in [
            "",
            "Bearer realm=\"r\"",
            "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-512-256",
            "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"",
        ] {
            assert_eq!(answer_to(&[challenge]), None, "{challenge}");
        }
        assert_eq!(answer_to(&[]), None);
    }

    #[test]
    fn the_safest_challenge_is_taken_wherever_it_stands() {
        let (basic, md5) = ("Basic realm=\"r\"", "Digest realm=\"r\", nonce=\"n\"");
        let sha = "Digest realm=\"r\", nonce=\"n\", algorithm=SHA-256";
        for (challenges, algorithm) in [
            (vec![basic, md5], DigestAlgorithm::Md5),
            (vec![md5, basic], DigestAlgorithm::Md5),
            (vec![basic, sha, md5], DigestAlgorithm::Sha256),
        ] {
            let header = answer_to(&challenges).unwrap();
            assert_eq!(is_right(&header, "n", "r"), Some(algorithm));
        }
    }

    #[test]
    fn requests_are_counted_per_challenge() {
        let challenge = "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"";
        let mut answers = answers_to(&[challenge]);
        for count in ["nc=00000001", "nc=00000002"] {
            let header = answers.authorization(&Method::Play, "rtsp://h/a").unwrap();
            assert!(header.contains(count), "{header}");
            is_right(&header, "n", "r");
        }
    }

    #[test]
    fn a_realm_with_quotes_comes_back_as_it_was() {
        let header = answer_to(&[r#"Digest realm="a \"b\" c", nonce="n""#]).unwrap();
        is_right(&header, "n", "a \"b\" c");
    }

    #[test]
    fn a_login_stands_in_a_url_and_is_not_shown() {
        let login = Login::of_url("rtsp://a%40b:p:%2F@h:8554/x", "c").unwrap();
        assert_eq!((&*login.user, &*login.pass), ("a@b", "p:/"));
        assert_eq!(format!("{login:?}"), "Login(hidden)");
        assert_eq!(Login::of_url("rtsp://h/x", "c"), None);
    }

    proptest! {
        #[test]
        fn any_challenge_is_answered_or_not(
            value in "(Basic|Digest|\\PC{0,5}) ?(\\PC{0,40}|([a-z]{0,8}=\"?[a-z\\\\\"]{0,6}\"?,? ?){0,8})",
        ) {
            if let Some(answer) = answer_to(&[&value]) {
                prop_assert!(Credentials::parse(&answer).is_ok(), "{}", answer);
            }
        }

        #[test]
        fn every_name_and_realm_comes_through(
            user in "[^\\pC:]{1,9}", realm in "[a-z\"\\\\]{0,9}", has_protection: bool,
        ) {
            let challenge = Challenge {
                scheme: AuthScheme::Digest(DigestAlgorithm::Md5),
                realm: realm.clone(),
                nonce: "n".into(),
                opaque: None,
                has_protection,
            };
            let login = Login { user: user.clone(), ..login() };
            let answer = DigestResponse::answer(
                &challenge, DigestAlgorithm::Md5, &login, 1, &Method::Play, "rtsp://h/a",
            );
            let Ok(Credentials::Digest(response)) = Credentials::parse(&answer) else {
                return Err(TestCaseError::fail(answer));
            };
            prop_assert_eq!(response.user(), &user);
            prop_assert!(response.is_valid_for(&login.pass, &Method::Play, "n", &realm));
        }
    }
}
