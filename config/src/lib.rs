//! Shardcast's configuration: MediaMTX's keys and our own, from a YAML file and the
//! environment, into typed values with every default applied.
//!
//! The way of a configuration: text → `yaml` (a tree in which everything has its place) →
//! `env` (variables lie over the file) → `resolve` (types, deprecated keys, what is not built;
//! the tables are in `keys`) → [`Config`]. Invariants:
//!
//! - Every key of MediaMTX is known. One that restricts access or demands encryption, and is
//!   not built, refuses any value but its default: no locked server starts open. Any other that
//!   is not built and changed is named in one warning.
//! - An error names file, line, column, key, what was expected and the nearest known key; all
//!   errors of a file come at once.
//! - Everything that a file can make large is bounded: bytes, depth, values, problems, regular
//!   expressions.
//!
//! Deliberately absent: sockets and shards, and whether an address or a driver can be had here.

#![forbid(unsafe_code)]

mod access;
mod change;
mod config;
mod credential;
mod differences;
mod document;
mod draft;
mod env;
mod error;
mod http;
mod json;
mod keys;
mod kind;
mod layer;
mod load;
mod local_source;
mod nearest;
mod network;
mod notice;
mod old_access;
mod paths;
mod pattern;
mod place;
mod resolve;
mod saved;
mod schema;
mod settings;
mod tree;
mod units;
mod users;
mod view;
mod yaml;

pub use access::{AccessConfig, Action, PathRule, Permission, User, UserName};
pub use change::{Change, ChangeError, Changed};
pub use config::{
    AuthMethod, Choice, Config, Driver, FanoutConfig, LimitsConfig, LogConfig, LogDestination,
    LogLevel, MulticastRange, RtspConfig, RuntimeConfig, SHARDS_MAX, ShardCount,
};
pub use credential::Credential;
pub use differences::Difference;
pub use document::Document;
pub use error::{ConfigError, PROBLEMS_MAX, Problems};
pub use http::HttpConfig;
pub use json::{BODY_BYTES_MAX, Body};
pub use load::{FILE_BYTES_MAX, Loaded, SEARCHED, environment, load, parse};
pub use network::Network;
pub use paths::{
    ALL_OTHERS, PATH_NAME_BYTES_MAX, PATTERNS_MAX, PathConfig, Paths, SlowReader, Source, Start,
};
pub use schema::{global_schema, path_schema};
