//! Readers that join with passwords, while a stream flows to others: what the hashes of the passwords cost the stream, and
//! how long a join takes.
//!
//! The server and its hashes have one CPU, the load another. Everybody logs in as one of the users; those who join leave
//! again once they play, so that no more readers are served than without them.

use std::time::Duration;

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, Version};
use shardcast_bench::shape::{Load, Storm};
use shardcast_bench::target::{Credentials, Target};

use crate::BenchError;
use crate::fanout::Cpus;
use crate::server::ServerOptions;
use crate::steady::Steady;

/// What each password's hash takes: 4 MiB and three passes.
const MEMORY_KIB: u32 = 4096;
const PASSES: u32 = 3;

/// A user with its password, and that one's hash as a configuration has it.
#[derive(Clone, Debug)]
pub struct HashedUser {
    /// The name.
    pub name: String,
    /// The password.
    pub pass: String,
    /// `argon2:$argon2id$…`.
    pub hash: String,
}

impl HashedUser {
    /// So many users, each with a password of its own.
    ///
    /// # Errors
    /// When the hashes cannot be computed.
    pub fn make(count: usize) -> Result<Vec<Self>, BenchError> {
        let params = Params::new(MEMORY_KIB, PASSES, 1, None);
        let params = params.map_err(|error| BenchError::Limit(error.to_string()))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let users = (0..count).map(|number| {
            let (name, pass) = (format!("user{number}"), format!("pass{number}"));
            let salt = format!("salt of {name}");
            let hash = argon2.hash_password_with_salt(pass.as_bytes(), salt.as_bytes());
            let hash = hash.map_err(|error| BenchError::Limit(error.to_string()))?;
            let hash = format!("argon2:{hash}");
            Ok(Self { name, pass, hash })
        });
        users.collect()
    }
}

/// What the stream's readers and those who joined have seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Joined {
    /// How long 99 % of the stream's packets took at most.
    pub media_p99: Duration,
    /// Packets that the stream's looking readers lack.
    pub lost: u64,
    /// Joins that the server had no time for.
    pub refused: usize,
    /// The longest join that came to play.
    pub longest: Duration,
}

/// A stream of so many Mbit/s to so many readers for so long, and so many joins in the first seconds of it.
#[derive(Clone, Copy, Debug)]
pub struct JoinsShape {
    /// Readers of the stream.
    pub readers: usize,
    /// Its bit rate.
    pub mbit: f64,
    /// How long is measured.
    pub duration: Duration,
    /// Readers that join.
    pub joins: usize,
    /// From the first of them to the last.
    pub within: Duration,
}

impl JoinsShape {
    fn load(self) -> Load {
        let steady = Steady {
            readers: self.readers,
            paths: 1,
            mbit: self.mbit,
            ramp: Duration::from_secs(1),
            duration: self.duration,
        };
        Load {
            storm: (self.joins > 0).then_some(Storm {
                joins: self.joins,
                within: self.within,
                stays: false,
            }),
            ..steady.load()
        }
    }
}

/// Has the stream flow, and the joins happen meanwhile.
///
/// # Errors
/// When the server does not play along.
pub fn measure(
    cpus: Cpus,
    options: &ServerOptions,
    shape: JoinsShape,
) -> Result<Joined, BenchError> {
    let server = cpus.start_server(options)?;
    let users = options.users.iter().map(|user| Credentials {
        user: user.name.clone(),
        pass: user.pass.clone(),
    });
    let url = format!("rtsp://{}/joined", server.address());
    let mut target = Target::parse("target", &url, 1)?;
    target.users = users.collect();
    target.credentials = target.users.first().cloned();
    let measured =
        shardcast_bench::measure(target, Some(server.id()), &shape.load(), &cpus.load())?;
    Ok(Joined {
        media_p99: measured.latency(0.99).unwrap_or_default(),
        lost: measured.sampled.lost + measured.sampled.skipped,
        refused: measured.all.refused,
        longest: Duration::from_nanos(measured.joins.max()),
    })
}
