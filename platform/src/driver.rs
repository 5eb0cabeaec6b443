//! Which of the kernel's interfaces serves the sockets: what the operator asks for, what this
//! machine allows, and why.
//!
//! The choice is made once, at start, by a real trial of the interface. Its reason goes to the log,
//! the metrics and the API.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::backend;

/// What the operator asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriverRequest {
    /// The best that works here.
    #[default]
    Auto,
    /// Linux's io_uring, or an error.
    IoUring,
    /// Linux's epoll.
    Epoll,
    /// macOS's kqueue.
    Kqueue,
    /// Windows's completion ports.
    Iocp,
    /// glommio, where it is built in.
    Glommio,
}

/// The interface in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Driver {
    /// io_uring: operations are submitted, and complete.
    IoUring,
    /// epoll: readiness.
    Epoll,
    /// kqueue: readiness.
    Kqueue,
    /// I/O completion ports.
    Iocp,
    /// io_uring by way of glommio.
    Glommio,
}

/// The driver, and the reason in words, such as "io_uring works here".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverChoice {
    /// What [`crate::block_on`] is to be given.
    pub driver: Driver,
    /// Why this one, for the operator.
    pub reason: String,
}

/// What a driver can do beyond the common ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether a connected socket can move to another thread's event loop
    /// ([`crate::TcpStream::release`]).
    pub move_live: bool,
}

/// Why a driver that the operator asked for cannot be had. The operator's to solve.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DriverError {
    /// The machine has it but refuses it, or it lacks what is needed.
    #[error("the driver {driver} does not work here: {reason}")]
    Refused {
        /// What was asked for.
        driver: &'static str,
        /// What the trial said.
        reason: String,
    },
    /// It belongs to another system.
    #[error("the driver {driver} is not part of this program on this system")]
    Absent {
        /// What was asked for.
        driver: &'static str,
    },
    /// It is part of the program only when that is built with the feature of the same name.
    #[error("the driver {driver} is not built in: build with `--features {driver}`")]
    NotBuilt {
        /// What was asked for.
        driver: &'static str,
    },
    /// No driver has that name.
    #[error("unknown driver {name:?}, expected auto, io_uring, epoll, kqueue, iocp or glommio")]
    Unknown {
        /// As given.
        name: String,
    },
}

/// Tries what was asked for, and says what to use.
///
/// # Errors
/// When a driver was named that does not work here. `Auto` always finds one.
pub fn choose_driver(request: DriverRequest) -> Result<DriverChoice, DriverError> {
    backend::choose(request)
}

/// What `driver` can do.
#[must_use]
pub fn capabilities(driver: Driver) -> Capabilities {
    Capabilities {
        move_live: driver != Driver::Iocp,
    }
}

impl DriverRequest {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            DriverRequest::Auto => "auto",
            DriverRequest::IoUring => "io_uring",
            DriverRequest::Epoll => "epoll",
            DriverRequest::Kqueue => "kqueue",
            DriverRequest::Iocp => "iocp",
            DriverRequest::Glommio => "glommio",
        }
    }
}

impl FromStr for DriverRequest {
    type Err = DriverError;

    fn from_str(name: &str) -> Result<Self, DriverError> {
        match name {
            "auto" => Ok(DriverRequest::Auto),
            "io_uring" => Ok(DriverRequest::IoUring),
            "epoll" => Ok(DriverRequest::Epoll),
            "kqueue" => Ok(DriverRequest::Kqueue),
            "iocp" => Ok(DriverRequest::Iocp),
            "glommio" => Ok(DriverRequest::Glommio),
            _ => Err(DriverError::Unknown {
                name: name.to_owned(),
            }),
        }
    }
}

impl fmt::Display for DriverRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Driver::IoUring => "io_uring",
            Driver::Epoll => "epoll",
            Driver::Kqueue => "kqueue",
            Driver::Iocp => "iocp",
            Driver::Glommio => "glommio",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in ["auto", "io_uring", "epoll", "kqueue", "iocp", "glommio"] {
            assert_eq!(
                name.parse::<DriverRequest>().expect("known").to_string(),
                name
            );
        }
        let error = "IoUring"
            .parse::<DriverRequest>()
            .expect_err("names are exact");
        assert!(error.to_string().contains("\"IoUring\""));
    }

    #[test]
    fn auto_always_finds_a_driver_and_says_why() {
        let choice = choose_driver(DriverRequest::Auto).expect("auto never fails");
        assert!(
            choice.reason.contains(&choice.driver.to_string()),
            "{}",
            choice.reason
        );
    }

    #[cfg(not(all(target_os = "linux", feature = "glommio")))]
    #[test]
    fn a_driver_that_is_not_built_in_is_refused_by_name() {
        let error = choose_driver(DriverRequest::Glommio).expect_err("not built in");
        assert!(error.to_string().contains("the driver glommio is not"));
        let says_how = error
            .to_string()
            .contains("build with `--features glommio`");
        assert_eq!(says_how, cfg!(target_os = "linux"), "{error}");
    }

    #[cfg(all(target_os = "linux", feature = "glommio"))]
    #[test]
    fn a_driver_that_is_built_in_is_chosen_by_name_alone() {
        let asked = choose_driver(DriverRequest::Glommio).expect("it works here");
        assert_eq!(asked.driver, Driver::Glommio);
        assert_eq!(asked.reason, "glommio was asked for");
        let auto = choose_driver(DriverRequest::Auto).expect("auto never fails");
        assert_ne!(auto.driver, Driver::Glommio);
    }
}
