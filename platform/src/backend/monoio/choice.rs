//! Which of monoio's drivers works here, found out by trying.

use crate::driver::{Driver, DriverChoice, DriverError, DriverRequest};

pub(crate) fn choose(request: DriverRequest) -> Result<DriverChoice, DriverError> {
    match request {
        DriverRequest::Auto => Ok(best()),
        DriverRequest::IoUring if cfg!(target_os = "linux") => io_uring(),
        DriverRequest::Epoll if cfg!(target_os = "linux") => Ok(as_asked(Driver::Epoll)),
        DriverRequest::Kqueue if cfg!(target_os = "macos") => Ok(as_asked(Driver::Kqueue)),
        DriverRequest::Iocp if cfg!(windows) => Ok(as_asked(Driver::Iocp)),
        DriverRequest::Glommio if cfg!(target_os = "linux") => Err(DriverError::NotBuilt {
            driver: request.name(),
        }),
        other => Err(DriverError::Absent {
            driver: other.name(),
        }),
    }
}

fn as_asked(driver: Driver) -> DriverChoice {
    DriverChoice {
        driver,
        reason: format!("{driver} was asked for"),
    }
}

#[cfg(target_os = "linux")]
fn best() -> DriverChoice {
    match uring::trial() {
        Ok(()) => DriverChoice {
            driver: Driver::IoUring,
            reason: "io_uring works here".to_owned(),
        },
        Err(why) => DriverChoice {
            driver: Driver::Epoll,
            reason: format!("{why}, so epoll"),
        },
    }
}

#[cfg(not(target_os = "linux"))]
fn best() -> DriverChoice {
    let driver = if cfg!(windows) {
        Driver::Iocp
    } else {
        Driver::Kqueue
    };
    DriverChoice {
        driver,
        reason: format!("{driver} is this system's"),
    }
}

#[cfg(target_os = "linux")]
fn io_uring() -> Result<DriverChoice, DriverError> {
    let refused = |reason| DriverError::Refused {
        driver: "io_uring",
        reason,
    };
    uring::trial()
        .map(|()| as_asked(Driver::IoUring))
        .map_err(refused)
}

#[cfg(not(target_os = "linux"))]
fn io_uring() -> Result<DriverChoice, DriverError> {
    Err(DriverError::Absent { driver: "io_uring" })
}

#[cfg(target_os = "linux")]
pub(super) mod uring {
    use io_uring::{IoUring, opcode};

    use crate::backend::uring::{self, Operation};

    /// Entries of the submission queue. When it is full, monoio submits and goes on.
    pub(in super::super) const SUBMISSIONS: u32 = 1024;

    /// Entries of the completion queue: what a whole round of some thousand readers brings at
    /// once. What is more waits in the kernel (`IORING_FEAT_NODROP`), at some cost; 128 KiB.
    const COMPLETIONS: u32 = 8192;

    /// What the backend submits.
    const NEEDED: [Operation; 8] = [
        (opcode::Nop::CODE, "NOP"),
        (opcode::Recv::CODE, "RECV"),
        (opcode::Send::CODE, "SEND"),
        (opcode::Writev::CODE, "WRITEV"),
        (opcode::PollAdd::CODE, "POLL_ADD"),
        (opcode::Connect::CODE, "CONNECT"),
        (opcode::AsyncCancel::CODE, "ASYNC_CANCEL"),
        (opcode::Close::CODE, "CLOSE"),
    ];

    /// The ring of an event loop.
    pub(in super::super) fn builder() -> io_uring::Builder {
        let mut builder = IoUring::builder();
        builder.setup_cqsize(COMPLETIONS);
        builder
    }

    /// Whether such a loop can run here.
    pub(super) fn trial() -> Result<(), String> {
        uring::trial(&builder(), SUBMISSIONS, &NEEDED)
    }
}
