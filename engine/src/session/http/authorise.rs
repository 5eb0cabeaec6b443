//! Whether who asks may use a site: credentials from the request's headers, and the question to `admit`.
//!
//! Asked by the session for every request to a route that is not open. A connection may carry requests of several people,
//! where a proxy stands before it; so a proof is kept for exactly the credentials and the address that it was made with.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue};
use shardcast_config::AccessConfig;
use shardcast_protocol::http::credentials::{credentials, login};
use subtle::ConstantTimeEq as _;

use super::refused::Refused;
use crate::admit::{Action, AdmitRequest, Decision, Offered};
use crate::shard::{SessionHandle, Shard};

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
    access: Arc<AccessConfig>,
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
    let access = shard.server.config.load().access.clone();
    if proven.has(headers, peer.ip(), &access) {
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
            proven.keep(headers, peer.ip(), access);
            Ok(())
        }
        Decision::CredentialsMissing => Err(Refused::CredentialsMissing),
        Decision::Failed => Err(Refused::AuthenticationFailed),
        Decision::TooManyFailures => Err(Refused::TooManyFailures),
        Decision::Busy => Err(Refused::HashOverdue),
    }
}

impl Proven {
    fn has(&self, headers: &HeaderMap, address: IpAddr, access: &Arc<AccessConfig>) -> bool {
        let proof = self.0.borrow();
        let (Some(proof), Some(credentials)) = (&*proof, credentials(headers)) else {
            return false;
        };
        let is_same = proof.credentials.as_bytes().ct_eq(credentials.as_bytes());
        proof.address == address && Arc::ptr_eq(&proof.access, access) && bool::from(is_same)
    }

    fn keep(&self, headers: &HeaderMap, address: IpAddr, access: Arc<AccessConfig>) {
        let proof = credentials(headers).map(|credentials| Proof {
            address,
            credentials: credentials.clone(),
            access,
        });
        self.0.replace(proof);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(http::header::AUTHORIZATION, value);
        }
        headers
    }

    #[test]
    fn a_proof_is_for_its_credentials_its_address_and_its_users() {
        let (access, address) = (
            Arc::new(AccessConfig::default()),
            IpAddr::from([10, 0, 0, 1]),
        );
        let (right, wrong) = (headers(&["Bearer a:b"]), headers(&["Bearer a:c"]));
        let proven = Proven::default();
        assert!(!proven.has(&right, address, &access));
        proven.keep(&right, address, access.clone());
        assert!(proven.has(&right, address, &access));
        assert!(!proven.has(&wrong, address, &access));
        assert!(!proven.has(&headers(&[]), address, &access));
        assert!(!proven.has(&right, [10, 0, 0, 2].into(), &access));
        assert!(!proven.has(&right, address, &Arc::new(AccessConfig::default())));
    }
}
