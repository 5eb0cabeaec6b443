//! The parts that this program plays in processes of its own, so that one program is all that a measurement needs.

use std::fmt;
use std::io::{self, Read as _};

/// A part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Shardcast, with built-in defaults and what the environment says.
    Server,
    /// The bare relay, with a call per reader.
    FloorEpoll,
    /// The bare relay, with a submission for all readers.
    FloorUring,
}

/// How parts are named on the command line.
const ROLES: [(Role, &str); 3] = [
    (Role::Server, "server"),
    (Role::FloorEpoll, "floor-epoll"),
    (Role::FloorUring, "floor-uring"),
];

/// Why a part cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// There is no such part.
    #[error("no part is called '{0}'")]
    Unknown(String),
    /// The bare relay uses what this system does not have.
    #[error("the bare relay runs on Linux alone")]
    NotHere,
    /// The system refuses.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Role {
    /// How it is named on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        let role = ROLES.iter().find(|(role, _)| *role == self);
        role.map_or("", |(_, name)| name)
    }
}

impl std::str::FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        let role = ROLES.iter().find(|(_, name)| *name == text);
        role.map(|(role, _)| *role)
            .ok_or_else(|| RoleError::Unknown(text.to_owned()))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "shardcast",
            Self::FloorEpoll => "floor (epoll)",
            Self::FloorUring => "floor (io_uring)",
        })
    }
}

/// Plays a part to its end, `serve` being that of the server. It also ends when whoever started this process is gone: our
/// standard input is theirs to close.
///
/// # Errors
/// When the system refuses; what `serve` says.
pub fn play<E: From<RoleError>>(
    role: Role,
    serve: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    end_with_input();
    match role {
        Role::Server => serve(),
        Role::FloorEpoll | Role::FloorUring => Ok(relay(role)?),
    }
}

fn end_with_input() {
    std::thread::spawn(|| {
        let mut nothing = [0];
        while io::stdin().read(&mut nothing).is_ok_and(|count| count > 0) {}
        std::process::exit(0);
    });
}

#[cfg(target_os = "linux")]
fn relay(role: Role) -> Result<(), RoleError> {
    use super::child::LISTENER;
    use shardcast_platform::bare::{Floor, FloorDriver};
    let driver = match role {
        Role::FloorUring => FloorDriver::Uring,
        Role::FloorEpoll | Role::Server => FloorDriver::Epoll,
    };
    shardcast_platform::raise_descriptor_limit()?;
    let address = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
    let floor = Floor::bind(address, driver)?;
    println!("{}{}{}", LISTENER[0], floor.address()?, LISTENER[1]);
    Ok(floor.serve()?)
}

#[cfg(not(target_os = "linux"))]
fn relay(_: Role) -> Result<(), RoleError> {
    Err(RoleError::NotHere)
}
