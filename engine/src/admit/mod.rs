//! Admission: the one place that decides who may publish or read. Sessions ask, through their shard, before every publish
//! and read; users come from the configuration.
//!
//! What can be decided at once is decided on the shard (`weigh`). An Argon2 hash cannot: it is computed on a thread of its
//! own (`hasher`), one at a time in the whole process, and remembered for a while when it was right (`known`). Failed
//! attempts wait before they are answered, and each address may have only so many that wait (`failures`).
//!
//! Deliberately absent: how a protocol carries credentials, asks for them and answers; and the waiting itself, which is the
//! shard's.

mod failures;
mod hasher;
mod known;
mod verify;
mod weigh;

use std::net::SocketAddr;
use std::sync::Arc;

pub use shardcast_config::Action;

use crate::path::PathName;

pub use failures::{FAILURE_DELAY, FailedAttempt, Failures};
pub(crate) use hasher::Job as HashJob;
pub use hasher::{HASHES_WAITING_MAX, Hashed};
pub(crate) use weigh::{HashWork, Weighed};

use hasher::Hasher;
use known::KnownHashes;

/// Who wants what.
#[derive(Clone, Copy, Debug)]
pub struct AdmitRequest<'a> {
    /// What.
    pub action: Action,
    /// Where; `None` for what is about no path, as the Control API.
    pub path: Option<&'a PathName>,
    /// Who, as the network knows it, or a proxy that is trusted.
    pub peer: SocketAddr,
    /// Who, as it says itself.
    pub offered: Offered<'a>,
}

/// What a peer offers to show who it is.
#[derive(Clone, Copy)]
pub enum Offered<'a> {
    /// Nothing.
    Nothing,
    /// User name and password as they are.
    Password {
        /// The name.
        user: &'a str,
        /// The password.
        pass: &'a str,
    },
    /// That it knows the password, without saying it.
    Proof {
        /// The name.
        user: &'a str,
        /// Whether it was made with this password.
        is_made_with: &'a dyn Fn(&str) -> bool,
    },
}

/// Says how, never what.
impl std::fmt::Debug for Offered<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Password { .. } => "a password",
            Self::Proof { .. } => "a proof",
        })
    }
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may, whoever it is.
    Open,
    /// It may, because of what it has offered.
    Proven,
    /// It has offered nothing, and without that it may not. That is no failed attempt.
    CredentialsMissing,
    /// It may not. The answer has waited for as long as it has to.
    Failed,
    /// It may not, and so many attempts of its address have failed that nothing more of it is looked at for now.
    TooManyFailures,
    /// Its password could not be looked at in time: too many others are.
    Busy,
}

/// What admission keeps, shared by all shards.
#[derive(Debug)]
pub struct Admission {
    known: Arc<KnownHashes>,
    failures: Arc<Failures>,
    hasher: Hasher,
}

impl Admission {
    /// Starts the thread that hashes.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start() -> std::io::Result<Self> {
        let known = Arc::new(KnownHashes::new());
        let failures = Arc::new(Failures::default());
        let hasher = Hasher::start(known.clone(), failures.clone())?;
        Ok(Self {
            known,
            failures,
            hasher,
        })
    }

    /// The addresses whose attempts have failed of late.
    #[must_use]
    pub fn failures(&self) -> &Failures {
        &self.failures
    }

    pub(crate) fn known(&self) -> &KnownHashes {
        &self.known
    }

    /// Has a request's hashes computed, if there is room for one more that waits.
    #[must_use]
    pub(crate) fn hash(&self, job: HashJob) -> bool {
        self.hasher.take(job)
    }
}
