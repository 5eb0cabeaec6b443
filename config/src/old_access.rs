//! `publishUser`, `publishPass`, `publishIPs`, `readUser`, `readPass`, `readIPs`: what came
//! before `authInternalUsers`.
//!
//! Gathered by `resolve` from `pathDefaults` and every path; when one of them says something,
//! all paths become permissions of users, as in MediaMTX. Where that would open what the keys
//! lock, it is not done so: what a path says holds for the names that it serves, also if another
//! path's expression matches them, and a password without a user is an error.

use crate::access::{Action, PathRule, Permission, User, UserName};
use crate::credential::Credential;
use crate::network::Network;
use crate::paths::ALL_OTHERS;
use crate::settings::Settings;
use crate::users::{credential, networks, user_name};

/// The keys that hold credentials.
pub(crate) const CREDENTIALS: &[&str] = &["publishUser", "publishPass", "readUser", "readPass"];

/// What the keys say of all paths.
#[derive(Default)]
pub(crate) struct OldPaths {
    defaults: OldAccess,
    users: Vec<User>,
}

/// What the keys say of one path.
#[derive(Clone, Default)]
struct OldAccess {
    publish: OldUser,
    read: OldUser,
}

#[derive(Clone, Default)]
struct OldUser {
    name: Option<Credential>,
    pass: Option<Credential>,
    networks: Vec<Network>,
}

impl OldPaths {
    /// Takes over what `pathDefaults` says.
    pub(crate) fn set_defaults(&mut self, settings: &Settings) {
        self.defaults.apply(settings);
    }

    /// The key of a password that belongs to nobody, if a path that says this has one.
    pub(crate) fn lone_password(&self, settings: &Settings) -> Option<&'static str> {
        let mut access = self.defaults.clone();
        access.apply(settings);
        access.lone_password()
    }

    /// Takes over what the path called `entry` says.
    pub(crate) fn add(&mut self, entry: &str, settings: &Settings) {
        let mut access = self.defaults.clone();
        access.apply(settings);
        let entry = if entry == "all" { ALL_OTHERS } else { entry };
        self.users.push(access.publish.user(Action::Publish, entry));
        self.users.push(access.read.user(Action::Read, entry));
    }

    /// Everybody, with those of whom the paths do not speak: all play back, and this machine does
    /// the rest.
    pub(crate) fn into_users(self) -> Vec<User> {
        let control = [Action::Api, Action::Metrics, Action::Pprof];
        let mut users = vec![
            anybody(&[], &[Action::Playback]),
            anybody(&["127.0.0.1", "::1"], &control),
        ];
        users.extend(self.users);
        users
    }
}

impl OldAccess {
    /// The empty text takes back what `pathDefaults` has said.
    fn apply(&mut self, settings: &Settings) {
        let keys = ["publishUser", "publishPass", "publishIPs"];
        self.publish.apply(settings, keys);
        self.read
            .apply(settings, ["readUser", "readPass", "readIPs"]);
    }

    fn lone_password(&self) -> Option<&'static str> {
        match (self.publish.is_open(), self.read.is_open()) {
            (true, _) if self.publish.pass.is_some() => Some("publishPass"),
            (_, true) if self.read.pass.is_some() => Some("readPass"),
            _ => None,
        }
    }
}

impl OldUser {
    fn apply(&mut self, settings: &Settings, [name, pass, ips]: [&str; 3]) {
        if let Some(value) = settings.value(name) {
            self.name = credential(value);
        }
        if let Some(value) = settings.value(pass) {
            self.pass = credential(value);
        }
        if let Some(value) = settings.value(ips) {
            self.networks = networks(value);
        }
    }

    /// Whether everybody is this user.
    fn is_open(&self) -> bool {
        let name = self.name.clone().map(user_name);
        name.is_none_or(|name| name == UserName::Any)
    }

    fn user(self, action: Action, entry: &str) -> User {
        let paths = PathRule::served_by(entry);
        User {
            name: self.name.map_or(UserName::Any, user_name),
            pass: self.pass,
            networks: match self.networks.is_empty() {
                // MediaMTX opens such a path to IPv4 alone.
                true => parsed(&["0.0.0.0/0"]),
                false => self.networks,
            },
            permissions: vec![Permission { action, paths }],
        }
    }
}

fn anybody(networks: &[&str], actions: &[Action]) -> User {
    let permissions = actions.iter().copied().map(Permission::of);
    User {
        name: UserName::Any,
        pass: None,
        networks: parsed(networks),
        permissions: permissions.collect(),
    }
}

fn parsed(networks: &[&str]) -> Vec<Network> {
    let networks = networks.iter().filter_map(|text| Network::parse(text));
    networks.collect()
}
