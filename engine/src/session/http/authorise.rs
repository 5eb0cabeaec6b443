//! Whether who asks may use a site: credentials from the request's headers, and the question to `admit`.
//!
//! Asked by the session for every request to a route that is not open. A connection may carry requests of several people,
//! where a proxy stands before it; so a proof is kept for exactly the credentials and the address that it was made with.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use shardcast_config::Config;
use shardcast_protocol::rtsp::auth::Credentials;
use subtle::ConstantTimeEq as _;

use super::refused::Refused;
use crate::admit::{Action, AdmitRequest, Decision, Offered};
use crate::shard::{SessionHandle, Shard};

/// A token of `user:pass`, as MediaMTX takes it for those who can send no other.
const BEARER: &str = "Bearer ";

/// What a connection has proven last.
#[derive(Default)]
pub(super) struct Proven(RefCell<Option<Proof>>);

/// Says nothing of it.
impl std::fmt::Debug for Proven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proven")
    }
}

struct Proof {
    address: IpAddr,
    credentials: HeaderValue,
    /// By other users it would have to be proven anew.
    config: Arc<Config>,
}

/// Decides whether `peer` may do `action` with a request of these headers.
///
/// # Errors
/// The refusal. A failed attempt's comes late.
pub(super) async fn authorise(
    shard: &Rc<Shard>,
    session: &SessionHandle,
    proven: &Proven,
    (action, peer): (Action, SocketAddr),
    headers: &HeaderMap,
) -> Result<(), Refused> {
    let config = shard.server.config.load_full();
    if proven.has(headers, peer.ip(), &config) {
        return Ok(());
    }
    let login = login(headers);
    let offered = match &login {
        Some((user, pass)) => Offered::Password { user, pass },
        None => Offered::Nothing,
    };
    let request = AdmitRequest {
        action,
        path: None,
        peer,
        offered,
    };
    match shard.admit(session, request).await {
        Decision::Open => Ok(()),
        Decision::Proven => {
            proven.keep(headers, peer.ip(), config);
            Ok(())
        }
        Decision::CredentialsMissing => Err(Refused::CredentialsMissing),
        Decision::Failed => Err(Refused::AuthenticationFailed),
        Decision::TooManyFailures => Err(Refused::TooManyFailures),
        Decision::Busy => Err(Refused::HashOverdue),
    }
}

impl Proven {
    fn has(&self, headers: &HeaderMap, address: IpAddr, config: &Arc<Config>) -> bool {
        let proof = self.0.borrow();
        let (Some(proof), Some(credentials)) = (&*proof, credentials(headers)) else {
            return false;
        };
        let is_same = proof.credentials.as_bytes().ct_eq(credentials.as_bytes());
        proof.address == address && Arc::ptr_eq(&proof.config, config) && bool::from(is_same)
    }

    fn keep(&self, headers: &HeaderMap, address: IpAddr, config: Arc<Config>) {
        let proof = credentials(headers).map(|credentials| Proof {
            address,
            credentials: credentials.clone(),
            config,
        });
        self.0.replace(proof);
    }
}

/// Two of them are none: nobody could say which one a proxy has looked at.
fn credentials(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Name and password, when there are any: `Basic`, or `Bearer user:pass`. What cannot be read is nothing.
pub(super) fn login(headers: &HeaderMap) -> Option<(String, String)> {
    let value = credentials(headers)?.to_str().ok()?;
    let (user, pass) = match value.strip_prefix(BEARER) {
        Some(token) => {
            let (user, pass) = token.split_once(':')?;
            (user.to_owned(), pass.to_owned())
        }
        None => match Credentials::parse(value) {
            Ok(Credentials::Basic { user, pass }) => (user, pass),
            _ => return None,
        },
    };
    (!user.is_empty() || !pass.is_empty()).then_some((user, pass))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(header::AUTHORIZATION, value);
        }
        headers
    }

    #[test]
    fn a_name_and_a_password_come_in_two_forms() {
        for (value, user, pass) in [
            ("Basic dXNlcjpwYXNz", "user", "pass"),
            ("basic dXNlcjpwOmE6c3M=", "user", "p:a:ss"),
            ("Bearer user:pass", "user", "pass"),
            ("Bearer user:p:a:ss", "user", "p:a:ss"),
            ("Bearer user:", "user", ""),
        ] {
            let due = Some((user.to_owned(), pass.to_owned()));
            assert_eq!(login(&headers(&[value])), due, "{value}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_nothing() {
        for values in [
            &[][..],
            &[""],
            &["Basic"],
            &["Basic Og=="],
            &["Basic !"],
            &["Bearer :"],
            &["Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"],
            &["Digest username=\"user\""],
            &["Basic dXNlcjpwYXNz\u{e9}"],
            &["Basic dXNlcjpwYXNz", "Bearer user:pass"],
        ] {
            assert_eq!(login(&headers(values)), None, "{values:?}");
        }
    }

    #[test]
    fn a_proof_is_for_its_credentials_its_address_and_its_users() {
        let (config, address) = (Arc::new(Config::default()), IpAddr::from([10, 0, 0, 1]));
        let (right, wrong) = (headers(&["Bearer a:b"]), headers(&["Bearer a:c"]));
        let proven = Proven::default();
        assert!(!proven.has(&right, address, &config));
        proven.keep(&right, address, config.clone());
        assert!(proven.has(&right, address, &config));
        assert!(!proven.has(&wrong, address, &config));
        assert!(!proven.has(&headers(&[]), address, &config));
        assert!(!proven.has(&right, [10, 0, 0, 2].into(), &config));
        assert!(!proven.has(&right, address, &Arc::new(Config::default())));
    }
}
