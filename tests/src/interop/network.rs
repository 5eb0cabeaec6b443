//! Where a case takes place: the daemon and the programs on one loopback device, or at the two ends of a cable with the
//! MTU of Ethernet. Each has namespaces of its own, so that every case can have the usual ports.

use crate::netlab::NetlabError;
use crate::netlab::namespace::Namespace;
use crate::netlab::veth::{self, End, Subnet};

/// The cable of a case.
const CABLE: Subnet = Subnet(0);

/// Which kind of network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// One loopback device.
    Loopback,
    /// A veth pair.
    Cable,
}

/// Family of the addresses in URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A network.
#[derive(Debug)]
pub struct Network {
    server: Namespace,
    /// None on loopback, where the programs are with the server.
    programs: Option<Namespace>,
}

impl Network {
    /// Builds it.
    ///
    /// # Errors
    /// Without the right to do so, see [`crate::netlab::lab`].
    pub fn build(ground: Ground) -> Result<Self, NetlabError> {
        let server = Namespace::new()?;
        let programs = match ground {
            Ground::Loopback => None,
            Ground::Cable => Some(Namespace::new()?),
        };
        if let Some(programs) = &programs {
            veth::connect(&server, programs, CABLE)?;
        }
        Ok(Self { server, programs })
    }

    /// Runs `action` where the daemon is.
    pub fn at_server<T>(&self, action: impl FnOnce() -> T) -> T {
        self.server.run(action)
    }

    /// Runs `action` where the programs are.
    pub fn at_programs<T>(&self, action: impl FnOnce() -> T) -> T {
        self.programs.as_ref().unwrap_or(&self.server).run(action)
    }
}

impl Ground {
    /// The server's host in URLs.
    pub fn host(self, family: Family) -> String {
        match (self, family) {
            (Self::Loopback, Family::V4) => "127.0.0.1".to_owned(),
            (Self::Loopback, Family::V6) => "[::1]".to_owned(),
            (Self::Cable, Family::V4) => CABLE.v4(End::Near).to_string(),
            (Self::Cable, Family::V6) => format!("[{}]", CABLE.v6(End::Near)),
        }
    }
}
