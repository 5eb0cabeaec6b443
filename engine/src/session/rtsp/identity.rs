//! Who a connection's peer is: what its request at hand offers, and what it has shown before.
//!
//! Filled from each request before it is decided; asked by `decide`, which learns here how to ask for credentials and
//! whether a proof still counts. It moves between shards with its connection. A peer that offers nothing costs nothing.

use std::sync::Arc;

use shardcast_config::{AccessConfig, AuthMethod};
use shardcast_protocol::rtsp::auth::{AuthScheme, Credentials, DigestAlgorithm, challenges};
use shardcast_protocol::rtsp::{Headers, Method, Request};

use super::connection::SERVER_NAME;
use crate::admit::{Action, Offered};
use crate::path::PathName;
use crate::random::random_u64;

/// What a connection's peer has said and shown of itself.
#[derive(Default)]
pub(super) struct Identity {
    known: Option<Box<Known>>,
    /// What the request at hand says of its program, if it may begin a session.
    user_agent: Option<String>,
}

#[derive(Default)]
struct Known {
    /// Of the challenges to this peer, once there was one.
    nonce: Option<String>,
    /// What the request at hand offers.
    offer: Option<Offer>,
    proof: Option<Proof>,
}

struct Offer {
    credentials: Credentials,
    method: Method,
    /// A digest was made for this very request.
    is_about_it: bool,
}

/// What was proven stays so for as long as the connection lives and nobody has changed who may what.
struct Proof {
    access: Arc<AccessConfig>,
    action: Action,
    path: PathName,
    user: String,
}

impl Identity {
    /// Takes over what a request offers. What cannot be read is nothing: the peer is asked again.
    pub(super) fn note_request(&mut self, request: &Request) {
        let may_begin = matches!(request.method, Method::Announce | Method::Setup);
        let user_agent = request.headers.get("User-Agent").filter(|_| may_begin);
        self.user_agent = user_agent.map(str::to_owned);
        let credentials = Credentials::of_request(request).ok().flatten();
        if self.known.is_none() && credentials.is_none() {
            return;
        }
        self.known().offer = credentials.map(|credentials| Offer {
            is_about_it: match &credentials {
                Credentials::Basic { .. } => true,
                Credentials::Digest(response) => {
                    response.is_about(&request.target, &request.method)
                }
            },
            method: request.method.clone(),
            credentials,
        });
    }

    /// What the request offers that one of the configured `methods` takes. `is_made_with` is [`Self::is_made_with`].
    pub(super) fn offered<'a>(
        &'a self,
        methods: &[AuthMethod],
        is_made_with: &'a dyn Fn(&str) -> bool,
    ) -> Offered<'a> {
        let Some(known) = &self.known else {
            return Offered::Nothing;
        };
        match known.offer.as_ref().map(|offer| &offer.credentials) {
            Some(Credentials::Basic { user, pass }) if methods.contains(&AuthMethod::Basic) => {
                Offered::Password { user, pass }
            }
            // An answer to a challenge that is not ours shows nothing: the peer may have it from another connection.
            Some(Credentials::Digest(response))
                if methods.contains(&AuthMethod::Digest)
                    && known
                        .nonce
                        .as_deref()
                        .is_some_and(|nonce| response.answers(nonce)) =>
            {
                Offered::Proof {
                    user: response.user(),
                    is_made_with,
                }
            }
            _ => Offered::Nothing,
        }
    }

    /// Whether the request's digest was made with this password, for this request and connection.
    pub(super) fn is_made_with(&self, pass: &str) -> bool {
        let Some(Known {
            nonce: Some(nonce),
            offer: Some(offer),
            ..
        }) = self.known.as_deref()
        else {
            return false;
        };
        match &offer.credentials {
            Credentials::Basic { .. } => false,
            Credentials::Digest(response) => {
                response.is_valid_for(pass, &offer.method, nonce, SERVER_NAME) && offer.is_about_it
            }
        }
    }

    /// Whether the peer has proven before that it may, and does not say now that it is somebody else.
    pub(super) fn has_proven(
        &self,
        access: &Arc<AccessConfig>,
        action: Action,
        path: &PathName,
    ) -> bool {
        let Some(known) = &self.known else {
            return false;
        };
        let is_same = |user: &str| known.user().is_none_or(|now| now == user);
        known.proof.as_ref().is_some_and(|proof| {
            Arc::ptr_eq(&proof.access, access)
                && proof.action == action
                && proof.path == *path
                && is_same(&proof.user)
        })
    }

    /// What the request offers has proven that the peer may, by these users.
    pub(super) fn prove(&mut self, access: &Arc<AccessConfig>, action: Action, path: &PathName) {
        let known = self.known();
        let user = known.user().unwrap_or_default().to_owned();
        let path = path.clone();
        known.proof = Some(Proof {
            access: access.clone(),
            action,
            path,
            user,
        });
    }

    /// The headers that ask for credentials, by the configured `methods`.
    pub(super) fn challenge(&mut self, methods: &[AuthMethod]) -> Headers {
        let known = self.known();
        let nonce = known
            .nonce
            .get_or_insert_with(|| format!("{:016x}{:016x}", random_u64(), random_u64()));
        let schemes = methods.iter().map(|method| match method {
            AuthMethod::Basic => AuthScheme::Basic,
            // SHA-256 as well would keep some clients from answering at all.
            AuthMethod::Digest => AuthScheme::Digest(DigestAlgorithm::Md5),
        });
        challenges(&schemes.collect::<Vec<_>>(), SERVER_NAME, nonce)
    }

    /// Who the peer is: as it says now, or as it has proven; empty when it had to be nobody.
    pub(super) fn user(&self) -> &str {
        let Some(known) = self.known.as_deref() else {
            return "";
        };
        let proven = known.proof.as_ref().map(|proof| proof.user.as_str());
        known.user().or(proven).unwrap_or_default()
    }

    /// The program of the request that has begun a session.
    pub(super) fn take_user_agent(&mut self) -> String {
        self.user_agent.take().unwrap_or_default()
    }

    fn known(&mut self) -> &mut Known {
        self.known.get_or_insert_default()
    }
}

impl Known {
    /// Who the peer says that it is, with the request at hand.
    fn user(&self) -> Option<&str> {
        self.offer.as_ref().map(|offer| match &offer.credentials {
            Credentials::Basic { user, .. } => user.as_str(),
            Credentials::Digest(response) => response.user(),
        })
    }
}
