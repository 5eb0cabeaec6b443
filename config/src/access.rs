//! Who may do what: users with their credentials, addresses and permissions.
//!
//! Made by `users` from `authInternalUsers` or by `old_access` from the keys that came before
//! it; asked by the engine for every publisher and reader. Deliberately absent: what a peer
//! offers, and whether it is right.

use std::net::IpAddr;

use crate::credential::Credential;
use crate::network::Network;
use crate::pattern::Pattern;
use crate::users;

/// Everybody who may do anything.
#[derive(Clone, Debug, PartialEq)]
pub struct AccessConfig {
    /// In no particular order: who one of them admits is admitted.
    pub users: Vec<User>,
}

/// An entry of `authInternalUsers`.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Who it is.
    pub name: UserName,
    /// The password; `None` takes any.
    pub pass: Option<Credential>,
    /// Where it may come from; empty: from everywhere.
    pub networks: Vec<Network>,
    /// What it may do.
    pub permissions: Vec<Permission>,
}

/// `user`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserName {
    /// `any`: everybody, with or without credentials.
    Any,
    /// Who has this name.
    Named(Credential),
}

/// An entry of `permissions`.
#[derive(Clone, Debug, PartialEq)]
pub struct Permission {
    /// What may be done.
    pub action: Action,
    /// Where.
    pub paths: PathRule,
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Publish to a path.
    Publish,
    /// Read a path.
    Read,
    /// Play recordings of a path.
    Playback,
    /// Use the Control API.
    Api,
    /// Read the metrics.
    Metrics,
    /// Profile the server.
    Pprof,
}

/// Of which paths a permission speaks.
#[derive(Clone, Debug, PartialEq)]
pub struct PathRule(Rule);

#[derive(Clone, Debug, PartialEq)]
enum Rule {
    Every,
    Name(String),
    Pattern(Pattern),
    /// What this entry of `paths` serves.
    ServedBy(String),
}

impl PathRule {
    /// `path` of a permission: a name, `~` and a regular expression, or nothing for every path.
    ///
    /// # Errors
    /// What was expected instead.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(match text {
            "" => Rule::Every,
            text if text.starts_with('~') => Rule::Pattern(Pattern::new(text)?),
            text => Rule::Name(text.to_owned()),
        }))
    }

    /// Every path that the entry `entry` of `paths` serves.
    pub(crate) fn served_by(entry: &str) -> Self {
        Self(Rule::ServedBy(entry.to_owned()))
    }

    /// Whether it speaks of the path `name`, which the entry `entry` of `paths` serves, if any
    /// does.
    fn matches(&self, name: &str, entry: Option<&str>) -> bool {
        match &self.0 {
            Rule::Every => true,
            Rule::Name(expected) => expected == name,
            Rule::Pattern(pattern) => pattern.matches(name),
            Rule::ServedBy(expected) => entry == Some(expected),
        }
    }
}

impl Permission {
    /// `action` on every path.
    pub(crate) fn of(action: Action) -> Self {
        let paths = PathRule(Rule::Every);
        Self { action, paths }
    }
}

impl User {
    /// Whether it may do `action` from `address`: on the path of this name, which this entry of
    /// `paths` serves, if any does. What is about no path is permitted by an action alone,
    /// whatever path stands beside it, as MediaMTX does. Who it is remains to be proven.
    #[must_use]
    pub fn may(&self, action: Action, path: Option<(&str, Option<&str>)>, address: IpAddr) -> bool {
        let has_address = |network: &Network| network.contains(address);
        let permits = |permission: &Permission| {
            let matches = |(name, entry)| permission.paths.matches(name, entry);
            permission.action == action && path.is_none_or(matches)
        };
        (self.networks.is_empty() || self.networks.iter().any(has_address))
            && self.permissions.iter().any(permits)
    }
}

impl Default for AccessConfig {
    /// Anyone publishes, reads and plays back; the rest is for this machine.
    fn default() -> Self {
        let users = users::default_users();
        Self { users }
    }
}
