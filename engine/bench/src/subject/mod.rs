//! What is measured: a Shardcast or a bare relay that is started here, in a process of its own, or a server that runs
//! somewhere.

mod child;
mod role;

use std::net::SocketAddr;

use shardcast_platform::{ProcessUsage, usage_of};

use crate::BenchError;
use crate::target::{Credentials, Target};
use child::Child;

pub use child::ROLE_COMMAND;
pub use role::{Role, RoleError, play};

/// What is to be measured.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// A process of this program.
    Started {
        /// What it is.
        role: Role,
        /// Keys of its configuration, with their values.
        settings: Vec<(String, String)>,
        /// Where it runs.
        cpus: Vec<usize>,
    },
    /// A server that runs already.
    Running {
        /// Its URL, as the option gave it.
        target: Target,
        /// Its process, if it can be looked at.
        process: Option<u32>,
    },
}

/// What is measured, running.
#[derive(Debug)]
pub(crate) struct RunningSubject {
    /// Where it is.
    pub(crate) target: Target,
    process: Option<u32>,
    /// It ends with this.
    child: Option<Child>,
}

impl Subject {
    /// The same, read by these users where it runs already.
    pub(crate) fn with_users(self, users: Vec<Credentials>) -> Self {
        match self {
            Self::Running {
                mut target,
                process,
            } => {
                target.users = users;
                Self::Running { target, process }
            }
            started => started,
        }
    }

    /// What a report calls it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Started { role, .. } => role.to_string(),
            Self::Running { target, .. } => target.url.clone(),
        }
    }

    /// Whether it has one path alone, and one publisher.
    pub(crate) fn is_floor(&self) -> bool {
        matches!(
            self,
            Self::Started {
                role: Role::FloorEpoll | Role::FloorUring,
                ..
            }
        )
    }

    /// Has it run, for so many paths.
    ///
    /// # Errors
    /// When it cannot be started, or its process cannot be looked at.
    pub(crate) fn run(&self, paths: usize) -> Result<RunningSubject, BenchError> {
        let (target, process, child) = match self {
            Self::Running { target, process } => (target.clone(), *process, None),
            Self::Started {
                role,
                settings,
                cpus,
            } => {
                let child = Child::start(*role, settings, cpus)?;
                let url = format!("rtsp://{}/bench", child.address());
                let target = Target::parse("target", &url, paths)?;
                (target, Some(child.id()), Some(child))
            }
        };
        let subject = RunningSubject {
            target,
            process,
            child,
        };
        subject.usage()?;
        Ok(subject)
    }
}

impl RunningSubject {
    /// What its process has used so far, if it can be looked at.
    ///
    /// # Errors
    /// When it is gone.
    pub(crate) fn usage(&self) -> Result<Option<ProcessUsage>, BenchError> {
        let Some(process) = self.process else {
            return Ok(None);
        };
        match usage_of(process) {
            Ok(usage) => Ok(Some(usage)),
            // What we started runs without being looked at where the system does not say.
            Err(error)
                if self.child.is_some() && error.kind() == std::io::ErrorKind::Unsupported =>
            {
                Ok(None)
            }
            Err(error) => Err(self.gone(process, error)),
        }
    }

    /// Where the metrics of a server are that was started here, once it has said so.
    pub(crate) fn site(&self) -> Option<SocketAddr> {
        self.child.as_ref().and_then(Child::site)
    }

    /// The faults that a server has told of that was started here.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.child.as_ref().map_or_else(Vec::new, Child::faults)
    }

    fn gone(&self, process: u32, error: std::io::Error) -> BenchError {
        match &self.child {
            Some(child) => BenchError::Server(format!("it has ended: {}", child.last_lines())),
            None => BenchError::io(format!("cannot look at process {process}"))(error),
        }
    }
}
