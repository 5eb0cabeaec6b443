//! Changes that are made at run time, and why one is refused.
//!
//! Built by the Control API from a route and a body, made by `document`.

use std::io;

use crate::error::ConfigError;
use crate::json::Body;

/// A change of the configuration.
#[derive(Clone, Debug)]
pub enum Change {
    /// Sets keys of the top level.
    Global(Body),
    /// Sets keys of `pathDefaults`.
    PathDefaults(Body),
    /// Adds a path, which must not be there.
    AddPath(String, Body),
    /// Adds paths, none of which may be there: all of them, or none. The body is an object with
    /// the member `paths`: an object of paths by name.
    AddPaths(Body),
    /// Sets keys of a path, which must be there.
    PatchPath(String, Body),
    /// Puts a path in the place of another, if there is one.
    ReplacePath(String, Body),
    /// Removes a path, which must be there.
    RemovePath(String),
}

/// Why a change was not made. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The configuration would be wrong.
    #[error("{0}")]
    Invalid(#[from] ConfigError),
    /// There is no path of this name to change.
    #[error("path not found")]
    PathNotFound,
    /// There is one already, in MediaMTX's words.
    #[error("path already exists")]
    PathExists,
    /// As before, among several.
    #[error("path already exists: {0}")]
    OnePathExists(String),
    /// The keys open sockets, files and threads at the start of the server.
    #[error(
        "{}: takes effect after a restart, so that it can be changed only with persist: true",
        .0.join(", ")
    )]
    NeedsRestart(Vec<&'static str>),
    /// The environment, which wins, sets the keys.
    #[error("{}: set by the environment, over which no change prevails", .0.join(", "))]
    SetByEnvironment(Vec<String>),
    /// Only the configuration file and the environment may say so.
    #[error("{0}: can be set by the configuration file or the environment alone")]
    OperatorOnly(&'static str),
    /// The source is on this machine or on its link, where nobody from outside may look.
    #[error(
        "{key}: '{value}' is a file, a program or a link-local address, which the API may name only \
         with apiLocalSources"
    )]
    LocalSource {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// This server has no file beside which changes could be kept.
    #[error("persist: this server keeps no changes")]
    NothingKept,
    /// The change could not be written.
    #[error("persist: {0}")]
    NotKept(io::Error),
}

/// What a change or a reload has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// What an operator should read that was not so before, each a line.
    pub warnings: Vec<String>,
    /// The keys whose change has effect only at the next start.
    pub waiting: Vec<&'static str>,
}
