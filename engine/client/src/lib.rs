//! Commands for a running server: what it does, who is connected, what happens, and its configuration, over its Control API.
//!
//! Each command asks, and writes a table or the API's own JSON. What the server says of itself is shown as it says it;
//! nothing here knows the server but by `/v3`.
#![forbid(unsafe_code)]

mod api;
mod config;
mod connect;
mod error;
mod events;
mod kick;
mod paths;
mod sessions;
mod status;
mod table;
#[cfg(unix)]
mod unix;

use std::io::{self, Write};

use clap::Subcommand;

pub use config::ConfigOptions;
pub use connect::Connect;
pub use error::ClientError;
pub use events::EventsOptions;
pub use kick::KickOptions;
pub use paths::PathsOptions;
pub use sessions::SessionsOptions;
pub use status::StatusOptions;

/// What a script learns by the exit status.
const EXIT_STATUS: &str = "Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 not found, 4 the server cannot be \
    reached.";

/// A command for a running server.
#[derive(Clone, Debug, Subcommand)]
pub enum ClientCommand {
    /// Show what a running server does
    #[command(after_help = EXIT_STATUS)]
    Status(StatusOptions),
    /// Show the paths of a running server
    #[command(after_help = EXIT_STATUS)]
    Paths(PathsOptions),
    /// Show who publishes to a running server and reads from it
    #[command(after_help = EXIT_STATUS)]
    Sessions(SessionsOptions),
    /// End sessions of a running server
    #[command(after_help = EXIT_STATUS)]
    Kick(KickOptions),
    /// Follow what happens in a running server
    #[command(after_help = EXIT_STATUS)]
    Events(EventsOptions),
    /// Show and change the configuration of a running server
    #[command(after_help = EXIT_STATUS)]
    Config(ConfigOptions),
}

/// Runs the command; its result goes to standard output, what went wrong to standard error. The exit status.
#[must_use]
pub fn run(command: &ClientCommand) -> u8 {
    let mut out = io::stdout().lock();
    let done = run_to(command, &mut out).and_then(|()| Ok(out.flush()?));
    match done {
        Ok(()) => 0,
        // Whoever reads our output has seen enough (`| head`).
        Err(ClientError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(error) => {
            eprintln!("shardcast: {error}");
            error.exit_status()
        }
    }
}

fn run_to(command: &ClientCommand, out: &mut dyn Write) -> Result<(), ClientError> {
    match command {
        ClientCommand::Status(options) => status::run(options, out),
        ClientCommand::Paths(options) => paths::run(options, out),
        ClientCommand::Sessions(options) => sessions::run(options, out),
        ClientCommand::Kick(options) => kick::run(options, out),
        ClientCommand::Events(options) => events::run(options, out),
        ClientCommand::Config(options) => config::run(options, out),
    }
}
