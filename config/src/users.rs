//! `authInternalUsers`: from values into users, and what is wrong with them beside their types.
//!
//! Called by `resolve`: with values that `kind` has read, and with the tree, which knows the
//! places.

use crate::access::{AccessConfig, Action, PathRule, Permission, User, UserName};
use crate::credential::Credential;
use crate::error::Report;
use crate::keys::Table;
use crate::kind::Value;
use crate::network::Network;
use crate::paths::PATTERNS_MAX;
use crate::place::Place;
use crate::settings::Settings;
use crate::tree::{Content, Entry, Node};

/// The key.
pub(crate) const USERS: &str = "authInternalUsers";

/// The user name that stands for everybody.
const ANY: &str = "any";

impl AccessConfig {
    /// Takes over what the top level says.
    pub(crate) fn apply(&mut self, settings: &Settings) {
        if let Some(value) = settings.value(USERS) {
            self.users = users(value);
        }
    }
}

/// The users of a configuration that says nothing of them.
pub(crate) fn default_users() -> Vec<User> {
    let key = Table::global().find(USERS);
    let value = key.and_then(|key| key.kind.read_default(key.default));
    value.as_ref().map_or_else(Vec::new, users)
}

fn users(value: &Value) -> Vec<User> {
    items(value).iter().filter_map(user).collect()
}

/// What is no user is none: nobody is admitted by mistake.
fn user(value: &Value) -> Option<User> {
    let name = field(value, "user").and_then(credential)?;
    let networks = field(value, "ips").map_or(&[][..], items);
    let permissions = field(value, "permissions").map_or(&[][..], items);
    Some(User {
        name: user_name(name),
        pass: field(value, "pass").and_then(credential),
        networks: networks.iter().filter_map(network).collect(),
        permissions: permissions.iter().filter_map(permission).collect(),
    })
}

/// The user that a credential names.
pub(crate) fn user_name(name: Credential) -> UserName {
    match name {
        Credential::Plain(name) if name == ANY => UserName::Any,
        name => UserName::Named(name),
    }
}

fn permission(value: &Value) -> Option<Permission> {
    let action = match field(value, "action")? {
        Value::Text(word) => action(word)?,
        _ => return None,
    };
    let paths = match field(value, "path") {
        Some(Value::Text(text)) => text.as_str(),
        _ => "",
    };
    let paths = PathRule::parse(paths).ok()?;
    Some(Permission { action, paths })
}

fn action(word: &str) -> Option<Action> {
    Some(match word {
        "publish" => Action::Publish,
        "read" => Action::Read,
        "playback" => Action::Playback,
        "api" => Action::Api,
        "metrics" => Action::Metrics,
        "pprof" => Action::Pprof,
        _ => return None,
    })
}

fn items(value: &Value) -> &[Value] {
    match value {
        Value::List(items) => items,
        _ => &[],
    }
}

fn field<'value>(value: &'value Value, name: &str) -> Option<&'value Value> {
    let Value::Record(fields) = value else {
        return None;
    };
    let found = fields.iter().find(|(field, _)| *field == name);
    found.map(|(_, value)| value)
}

/// A credential; the empty text is none.
pub(crate) fn credential(value: &Value) -> Option<Credential> {
    match value {
        Value::Credential(credential) => Some(credential.clone()),
        _ => None,
    }
}

/// The networks of a list.
pub(crate) fn networks(value: &Value) -> Vec<Network> {
    items(value).iter().filter_map(network).collect()
}

fn network(value: &Value) -> Option<Network> {
    match value {
        Value::Text(text) => Network::parse(text),
        _ => None,
    }
}

/// Reports what is wrong with the list of users `node` beside the types of its values.
pub(crate) fn check(node: &Node, report: &mut Report) {
    let mut patterns = 0;
    for item in nodes(node) {
        check_user(item, report);
        for permission in value_of(item, "permissions").map_or(&[][..], nodes) {
            check_permission(permission, &mut patterns, report);
        }
    }
}

fn check_user(item: &Node, report: &mut Report) {
    let name = value_of(item, "user").map_or("", text);
    let pass = value_of(item, "pass").filter(|pass| !text(pass).is_empty());
    if name.is_empty() {
        report.add(&item.place, || {
            format!("{USERS}.user: expected a name, or any for everybody, found nothing")
        });
    } else if let Some(pass) = pass.filter(|_| name == ANY) {
        report.add(&pass.place, || {
            format!("{USERS}.pass: expected nothing: the user '{ANY}' is everybody")
        });
    }
}

fn check_permission(permission: &Node, patterns: &mut usize, report: &mut Report) {
    if value_of(permission, "action").is_none_or(|action| text(action).is_empty()) {
        report.add(&permission.place, || {
            format!("{USERS}.permissions: expected an action, found none")
        });
    }
    let path = value_of(permission, "path");
    let Some(path) = path.filter(|path| text(path).starts_with('~')) else {
        return;
    };
    *patterns += 1;
    if *patterns == PATTERNS_MAX + 1 {
        report.add(&path.place, || {
            format!("{USERS}: expected at most {PATTERNS_MAX} regular expressions in all")
        });
    }
}

/// Reports every hashed credential among `keys` of the map with `entries`, for the sake of
/// digest authentication, which `digest` asks for.
pub(crate) fn refuse_hashed(entries: &[Entry], keys: &[&str], digest: &Place, report: &mut Report) {
    for entry in entries {
        let is_hashed = || Credential::parse(text(&entry.value)).is_some_and(|it| it.is_hashed());
        if keys.contains(&entry.key.as_str()) && is_hashed() {
            report.add(&entry.value.place, || {
                format!(
                    "{}: expected a plain credential, because rtspAuthMethods ({digest}) has \
                     digest, which no hash can serve",
                    entry.key
                )
            });
        }
    }
}

/// As [`refuse_hashed`], of a whole list of users.
pub(crate) fn refuse_hashed_users(node: &Node, digest: &Place, report: &mut Report) {
    for item in nodes(node) {
        if let Content::Map(entries) = &item.content {
            refuse_hashed(entries, &["user", "pass"], digest, report);
        }
    }
}

fn nodes(node: &Node) -> &[std::sync::Arc<Node>] {
    match &node.content {
        Content::List(items) => items,
        _ => &[],
    }
}

fn value_of<'node>(node: &'node Node, key: &str) -> Option<&'node Node> {
    let Content::Map(entries) = &node.content else {
        return None;
    };
    let found = entries.iter().find(|entry| entry.key == key);
    found.map(|entry| &*entry.value)
}

fn text(node: &Node) -> &str {
    match &node.content {
        Content::Text(text) => text,
        _ => "",
    }
}
