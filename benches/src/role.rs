//! The parts that a benchmark's program plays in processes of their own: it starts itself again, with the part named in
//! its environment. So one program is all that a benchmark needs, and each part can be measured and pinned by itself.

use std::io;
use std::process::{Command, Stdio};

use crate::{limit, neighbours, server};

/// Names the part in the environment of a process.
const ROLE: &str = "SHARDCAST_BENCH_ROLE";

/// A part that a process of its own plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Shardcast.
    Server,
    /// The bare relay.
    Floor,
    /// The bare sender.
    Limit,
    /// A path beside the one that is measured here.
    Neighbour,
}

const ROLES: [(Role, &str); 4] = [
    (Role::Server, "server"),
    (Role::Floor, "floor"),
    (Role::Limit, "limit"),
    (Role::Neighbour, "neighbour"),
];

/// Plays the part that this process was started for, if it was started for one; then it does not return. To be called
/// first in `main`.
pub fn play_if_asked() {
    let Some(asked) = std::env::var_os(ROLE) else {
        return;
    };
    let Some((role, name)) = ROLES.into_iter().find(|(_, name)| asked == **name) else {
        return;
    };
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let played = match role {
        Role::Server => server::serve(),
        Role::Floor => server::serve_floor(&arguments),
        Role::Limit => limit::send(&arguments),
        Role::Neighbour => neighbours::measure_beside(&arguments),
    };
    match played {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            eprintln!("{name}: {error}");
            std::process::exit(1);
        }
    }
}

impl Role {
    /// This program again, in that part, with its standard output as a pipe.
    pub(crate) fn command(self) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        let name = ROLES.iter().find(|(role, _)| *role == self);
        command.env(ROLE, name.map_or("", |(_, name)| name));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        Ok(command)
    }
}
