//! Which driver works here, found out by trying.
//!
//! io_uring can be missing (kernels before 5.1), too old to be of use (before 5.7), switched off
//! by `kernel.io_uring_disabled`, or forbidden by a container engine's system call filter. Only
//! building a ring and running an operation through it tells.

use crate::driver::{Driver, DriverChoice, DriverError, DriverRequest};

pub(crate) fn choose(request: DriverRequest) -> Result<DriverChoice, DriverError> {
    match request {
        DriverRequest::Auto => Ok(best()),
        DriverRequest::IoUring if cfg!(target_os = "linux") => io_uring(),
        DriverRequest::Epoll if cfg!(target_os = "linux") => Ok(as_asked(Driver::Epoll)),
        DriverRequest::Kqueue if cfg!(target_os = "macos") => Ok(as_asked(Driver::Kqueue)),
        DriverRequest::Iocp if cfg!(windows) => Ok(as_asked(Driver::Iocp)),
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
    use std::io;

    use io_uring::{IoUring, Probe, opcode};

    /// Entries of the submission queue. When it is full, monoio submits and goes on.
    pub(in super::super) const SUBMISSIONS: u32 = 1024;

    /// Entries of the completion queue: what a whole round of some thousand readers brings at
    /// once. What is more waits in the kernel (`IORING_FEAT_NODROP`), at some cost; 128 KiB.
    const COMPLETIONS: u32 = 8192;

    /// What the backend submits.
    const NEEDED: [(u8, &str); 8] = [
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

    /// Builds a ring like an event loop's, looks at what it can do, and runs an operation.
    pub(super) fn trial() -> Result<(), String> {
        let mut ring = builder()
            .build(SUBMISSIONS)
            .map_err(|error| refusal(&error))?;
        check_features(&ring)?;
        check_operations(&ring)?;
        run_nop(&mut ring).map_err(|error| format!("io_uring fails here ({error})"))
    }

    fn refusal(error: &io::Error) -> String {
        match error.raw_os_error() {
            Some(libc::EPERM) => "io_uring is forbidden here (EPERM)".to_owned(),
            Some(libc::EACCES) => "io_uring is forbidden here (EACCES)".to_owned(),
            Some(libc::ENOSYS) => "io_uring is missing here (ENOSYS)".to_owned(),
            Some(libc::ENOMEM) => {
                "io_uring may not lock enough memory here (ENOMEM; see ulimit -l)".to_owned()
            }
            Some(libc::EINVAL) => "io_uring is too old here (EINVAL)".to_owned(),
            _ => format!("io_uring cannot be set up here ({error})"),
        }
    }

    fn check_features(ring: &IoUring) -> Result<(), String> {
        let parameters = ring.params();
        if !parameters.is_feature_nodrop() {
            return Err("io_uring is too old here (it can lose completions)".to_owned());
        }
        if !parameters.is_feature_fast_poll() {
            return Err("io_uring is too old here (it would block threads on sockets)".to_owned());
        }
        Ok(())
    }

    fn check_operations(ring: &IoUring) -> Result<(), String> {
        let mut probe = Probe::new();
        ring.submitter()
            .register_probe(&mut probe)
            .map_err(|error| format!("io_uring cannot be probed here ({error})"))?;
        match NEEDED.iter().find(|(code, _)| !probe.is_supported(*code)) {
            Some((_, name)) => Err(format!("io_uring is too old here (it lacks {name})")),
            None => Ok(()),
        }
    }

    fn run_nop(ring: &mut IoUring) -> io::Result<()> {
        const MARK: u64 = 0x5ca1ab1e;
        let nop = opcode::Nop::new().build().user_data(MARK);
        // SAFETY: a no-operation refers to no memory.
        unsafe { ring.submission().push(&nop) }.map_err(io::Error::other)?;
        ring.submit_and_wait(1)?;
        match ring.completion().next() {
            Some(entry) if entry.user_data() == MARK && entry.result() == 0 => Ok(()),
            _ => Err(io::Error::other("an operation did not complete")),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_refusal_says_what_the_kernel_said() {
            let reason = |code| refusal(&io::Error::from_raw_os_error(code));
            assert_eq!(reason(libc::EPERM), "io_uring is forbidden here (EPERM)");
            assert_eq!(reason(libc::ENOSYS), "io_uring is missing here (ENOSYS)");
            assert!(reason(libc::ENOMEM).contains("ulimit -l"));
            assert!(reason(libc::EMFILE).contains("cannot be set up"));
        }
    }
}
