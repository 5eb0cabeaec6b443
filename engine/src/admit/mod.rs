//! Admission: the one place that decides who may publish or read. It is asked, asynchronously, before every publish and
//! read, so that a decision may take its time without holding up anybody else.
//!
//! Who the configuration admits without credentials is admitted; credentials are not looked at yet, so everybody else is
//! refused.

use std::net::SocketAddr;

pub use shardcast_config::Action;
use shardcast_config::{Config, UserName};

use crate::path::PathName;

/// Who wants what.
#[derive(Clone, Copy, Debug)]
pub struct AdmitRequest<'a> {
    /// What.
    pub action: Action,
    /// Where.
    pub path: &'a PathName,
    /// The query of the URL, without the question mark.
    pub query: &'a str,
    /// Who.
    pub peer: SocketAddr,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Admitted,
    /// It may not.
    Refused,
}

/// Decides.
pub async fn admit(config: &Config, request: AdmitRequest<'_>) -> Decision {
    let name = request.path.as_str();
    let entry = config.paths.find(name).map(|(entry, _)| entry);
    let mut users = config.access.users.iter();
    let is_admitted = users.any(|user| {
        user.name == UserName::Any && user.may(request.action, name, entry, request.peer.ip())
    });
    if is_admitted {
        Decision::Admitted
    } else {
        Decision::Refused
    }
}
