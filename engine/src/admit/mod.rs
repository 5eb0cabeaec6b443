//! Admission: the one place that decides who may publish or read. It is asked, asynchronously, before every publish and
//! read, so that a decision may take its time without holding up anybody else.
//!
//! Today everybody may. A configuration that asks for less is refused when it is loaded, so no server that was meant to be
//! closed stands open.

use std::net::SocketAddr;

use crate::path::PathName;

/// What a peer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// To publish.
    Publish,
    /// To read.
    Read,
}

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
}

/// Decides.
pub async fn admit(request: AdmitRequest<'_>) -> Decision {
    let AdmitRequest {
        action: Action::Publish | Action::Read,
        ..
    } = request;
    Decision::Admitted
}
