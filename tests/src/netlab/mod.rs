//! Networks of the tests' own: network namespaces, cables between them (veth pairs), and links that lose, repeat, delay
//! and reorder packets as they are told (two TUN devices with a seeded relay between them).
//!
//! Everything is gone with the last handle to it, and with the process however it ends, because nothing has a name
//! outside of its namespace. It needs the right to make namespaces: root has it, and for others [`lab::within`] runs the
//! test once more within a user namespace. Where neither is allowed, the test fails and says so.
//!
//! The kernel's own impairments (netem) are deliberately not used: many kernels come without them, and their random
//! numbers cannot be repeated.

pub mod impairment;
pub mod lab;
pub mod link;
pub mod namespace;
mod sys;
pub mod tun;
pub mod veth;

use std::io;

/// What goes wrong while a network is built.
#[derive(Debug, thiserror::Error)]
pub enum NetlabError {
    /// A namespace, a device or a program could not be had.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// `ip` refused a command.
    #[error("ip {command}: {said}")]
    Ip {
        /// Its arguments.
        command: String,
        /// What it said.
        said: String,
    },
}

impl NetlabError {
    /// Puts the name of what was tried to an I/O error.
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
