//! Readers that join with passwords, while a stream flows to others who need none: what the hashes of the passwords cost
//! the stream, and how long a join takes.
//!
//! The server and its hashes have one CPU, everybody else another. Who joins comes from an address of its own, from which
//! the server lets nobody in without a password.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shardcast_protocol::rtsp::StatusCode;
use shardcast_protocol::rtsp::client::ClientError;

use crate::BenchError;
use crate::broadcast::{Broadcast, wait_until};
use crate::fanout::Cpus;
use crate::peer;
use crate::readers::{Check, Readers};
use crate::relay::{RelayShape, WARM_UP};
use crate::server::ServerOptions;

/// One in so many readers of the stream looks at its packets.
const LOOKING_ONE_IN: usize = 10;
/// Where those who join come from: all of 127.0.0.0/8 is this machine.
const JOINING: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// What each password's hash takes: 4 MiB and three passes.
const MEMORY_KIB: u32 = 4096;
const PASSES: u32 = 3;
/// A join's thread does little but wait.
const STACK_BYTES: usize = 256 << 10;

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

    fn authorization(&self) -> String {
        let text = format!("{}:{}", self.name, self.pass);
        format!("Basic {}", STANDARD.encode(text))
    }
}

/// How many join, and in what time.
#[derive(Clone, Copy, Debug)]
pub struct Joins {
    /// Readers that join, one after the other, as one user after the other.
    pub count: usize,
    /// From the first to the last.
    pub within: Duration,
}

/// What the stream's readers and those who joined have seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Joined {
    /// How long 99 % of the stream's packets took at most.
    pub media_p99: Duration,
    /// Packets that the stream's looking readers lack.
    pub lost: u64,
    /// Joins that came to play.
    pub admitted: usize,
    /// Joins that the server had no time for.
    pub refused: usize,
    /// The longest join that came to play.
    pub admitted_longest: Duration,
    /// The longest wait of one that did not.
    pub refused_longest: Duration,
}

/// Has the stream flow to the shape's readers, and `joins` happen meanwhile.
///
/// # Errors
/// When the server does not play along.
pub fn measure(
    cpus: Cpus,
    options: &ServerOptions,
    shape: RelayShape,
    joins: Joins,
) -> Result<Joined, BenchError> {
    let server = cpus.start_server(options)?;
    let address = server.address();
    let url = format!("rtsp://{address}/joined");
    let mut broadcast = Broadcast::start(address, &url, shape.rhythm)?;
    let check = Check::Packets {
        one_in: LOOKING_ONE_IN,
    };
    let mut readers = Readers::connect(address, &url, shape.readers, check)?;
    thread::scope(|scope| {
        let begin = Instant::now() + WARM_UP;
        let sending = scope.spawn(|| broadcast.send_for(WARM_UP + shape.duration));
        let (url, users) = (url.as_str(), options.users.as_slice());
        let joining = scope.spawn(move || join_all(address, url, users, joins, begin));
        readers.read_until(begin)?;
        readers.forget_latency();
        readers.read_until(begin + shape.duration)?;
        sending.join().map_err(|_| BenchError::Panicked)??;
        let mut joined = joining.join().map_err(|_| BenchError::Panicked)??;
        let nanos = readers.latency().value_at_quantile(0.99);
        joined.media_p99 = Duration::from_nanos(nanos);
        joined.lost = readers.received().lost;
        Ok(joined)
    })
}

/// Each join has a thread, because it waits for its answers.
fn join_all(
    address: SocketAddr,
    url: &str,
    users: &[HashedUser],
    joins: Joins,
    begin: Instant,
) -> Result<Joined, BenchError> {
    thread::scope(|scope| {
        let mut joining: Vec<ScopedJoinHandle<'_, _>> = Vec::new();
        for (number, user) in users.iter().cycle().take(joins.count).enumerate() {
            let due = begin + joins.within.mul_f64(number as f64 / joins.count as f64);
            wait_until(due);
            let builder = thread::Builder::new().stack_size(STACK_BYTES);
            joining.push(builder.spawn_scoped(scope, move || join(address, url, user))?);
        }
        let mut joined = Joined::default();
        for join in joining {
            let (is_admitted, took) = join.join().map_err(|_| BenchError::Panicked)??;
            joined.add(is_admitted, took);
        }
        Ok(joined)
    })
}

/// Joins, and leaves at once; whether the server had time for it, and how long it took.
fn join(address: SocketAddr, url: &str, user: &HashedUser) -> Result<(bool, Duration), BenchError> {
    let begin = Instant::now();
    match peer::play_as(address, url, JOINING, user.authorization()) {
        Ok(_playing) => Ok((true, begin.elapsed())),
        Err(BenchError::Client(ClientError::Refused { status, .. }))
            if status == StatusCode::SERVICE_UNAVAILABLE =>
        {
            Ok((false, begin.elapsed()))
        }
        Err(error) => Err(error),
    }
}

impl Joined {
    fn add(&mut self, is_admitted: bool, took: Duration) {
        let (count, longest) = match is_admitted {
            true => (&mut self.admitted, &mut self.admitted_longest),
            false => (&mut self.refused, &mut self.refused_longest),
        };
        *count += 1;
        *longest = took.max(*longest);
    }
}
